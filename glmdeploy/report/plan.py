"""What ``apply`` would change, what it is doing, and where the deployment answers: as text and as data."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.operate import apply
from glmdeploy.plan.plan import short_digest
from glmdeploy.report.outage import outage_data, outage_text
from glmdeploy.report.values import change_data, changes_text
from glmdeploy.runtime.public import TOKEN_HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.operate.apply import Event, Preview
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan, Secret


def preview_text(preview: Preview) -> Iterator[str]:
    """The plan against what runs, a line or a block each."""
    plan, now, need = preview.plan, preview.now, preview.need
    if not preview.changed:
        yield f"No changes: {plan.app} runs this plan ({short_digest(plan)[:12]})."
        if lost := [name for name, run in (("weights", need.download), ("kernels", need.compile)) if run]:
            yield f"In the volume, {' and '.join(lost)} are not whole: what is missing is brought back."
        if preview.verify_weights:
            yield "The weights in the volume are verified."
        return
    if now and now.data is None:
        yield f"An app {plan.app} that glmdeploy did not deploy runs already; it will be replaced."
    yield changes_text(preview.changes) if preview.changes else "The same plan is deployed again."
    what, gpus = "1 to update" if now else "1 to create", " or ".join(plan.gpus)
    yield f"\nPlan: {what}: {plan.app} on {preview.target}, {gpus}."
    if now and now.data:
        yield from outage_text(now.data, plan.data())
    download = need.download or preview.verify_weights
    stages = [name for name, run in (("download", download), ("compile", need.compile)) if run]
    yield f"Stages to run first: {', '.join(stages) or 'none, weights and kernels are there'}."


def preview_data(preview: Preview) -> dict[str, Any]:
    """The same as JSON data."""
    plan, need = preview.plan, preview.need
    data: dict[str, Any] = {
        "app": plan.app,
        "target": preview.target.name,
        "environment": preview.target.environment,
        "digest": plan.digest,
        "changed": preview.changed,
        "changes": [change_data(change) for change in preview.changes],
        "outages": outage_data(preview.now.data, plan.data()) if preview.now and preview.now.data else [],
    }
    return data | {"stages": {"download": need.download, "compile": bool(need.compile)}} if preview.changed else data


def event_text(event: Event) -> str | None:
    """A line on a step of ``apply``; None for one that the next line tells."""
    match event:
        case apply.SecretCreated(name=name, proxy_token=proxy_token):
            value = "its workspace's proxy token" if proxy_token else "a random value"
            return f"created the secret {name} in the embedded cloud, with {value}"
        case apply.StageStarted(name=name):
            return f"Stage {name} ..."
        case apply.Deploying():
            return "Deploying ..."
        case apply.Waiting():
            return "Waiting for the endpoint's first answer ..."
        case apply.Healthy(seconds=seconds):
            return f"Healthy after {seconds:.1f} s."
        case apply.KeyRequired(required=required, proxy=proxy):
            return _refusals_text(required=required, proxy=proxy)
        case apply.NotAsked():
            return (
                "Not asked whether it answers: Modal's proxy wants a token, and the profile names none "
                "(secrets.proxy_token)."
            )
        case apply.WeightsVerified(files=files):
            return f"Weights verified: {files} files read and compared; the log above says what was fetched anew."
        case apply.Published() | apply.Located():
            return None


def _refusals_text(*, required: bool, proxy: bool) -> str:
    if not proxy:
        return "Key required: 401 without it." if required else "Public: everyone may use it, no key is required."
    key = "and key required: 401 without either" if required else "no key is required: 401 without a token"
    return f"Proxy token {key}."


def endpoint_text(plan: Plan, target: Target, url: str, *, program: str) -> str:
    """Where the deployment answers, and a command to try it; ``program`` is how the user calls glmdeploy."""
    body = {"model": plan.model.served_name, "messages": [{"role": "user", "content": "Hello"}]}
    lines = [f"\nEndpoint: {click.style(url, bold=True)}\n"]
    header = ""
    if plan.api_key:
        key = plan.api_key.keys[0]
        header = f' -H "Authorization: Bearer ${key}"'
        lines.append(_export(plan.api_key, key, target, program))
    if plan.proxy_auth and plan.proxy_token:
        for name, key in zip(TOKEN_HEADERS, plan.proxy_token.keys, strict=True):
            header += f' -H "{name}: ${key}"'
            lines.append(_export(plan.proxy_token, key, target, program))
    elif plan.proxy_auth:
        header += "".join(f' -H "{name}: ..."' for name in TOKEN_HEADERS)
    lines.append(
        f"  curl {shlex.quote(url + '/v1/chat/completions')}{header}"
        f" -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    )
    return "\n".join(lines)


def _export(secret: Secret, key: str, target: Target, program: str) -> str:
    value = f'"$({program} local secret {secret.name} {key})"' if target.cloud else "..."
    return f"  export {key}={value}"
