"""What a change of a deployment tells while it goes on, and where the deployment answers: as text and as data."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.operate import events, proof
from glmdeploy.operate.rollout import answered
from glmdeploy.report.view import clean
from glmdeploy.report.words import count_bytes, counted
from glmdeploy.runtime.public import TOKEN_HEADERS
from glmdeploy.runtime.purpose import first_request, purpose_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.operate.events import Event
    from glmdeploy.operate.preflight import Preflight
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan, Secret


def event_text(event: Event) -> str | None:
    """A line on a step of ``apply``; None for one that the next line tells."""
    match event:
        case events.SecretCreated(name=name, proxy_token=proxy_token):
            value = "its workspace's proxy token" if proxy_token else "a random value"
            return f"created the secret {name} in the embedded cloud, with {value}"
        case events.StageStarted(name=name):
            return f"Stage {name} ..."
        case events.Judged(found=found):
            return "\n".join(preflight_lines(found)) or None
        case events.CanaryStarted(app=app):
            return f"Canary: {app} is tried first, with GPUs of its own ..."
        case events.CanaryStopped(app=app):
            return f"The canary {app} is stopped."
        case events.AutoscalerChanged(values=values):
            return f"Changed while it runs: {', '.join(f'{name} {value}' for name, value in values.items())}."
        case events.Deploying(version=None, afresh=afresh):
            return "Fresh containers of the same version ..." if afresh else "Deploying ..."
        case events.Deploying(version=version):
            return f"Bringing version {version} back ..."
        case events.Published(number=number):
            return f"Version {number} is published."
        case events.Unchanged(number=number):
            return f"Modal sees nothing new in it: version {number} goes on as it is."
        case events.Waiting(protected=None):
            return "Waiting for the endpoint's first answer; nothing is warm that could serve meanwhile ..."
        case events.Waiting(protected=protected):
            return f"Version {protected} keeps answering until the new one has passed ..."
        case proof.Held():
            return (
                "  start  no container of this version has started, nor waits for a machine: there may be as many as "
                "there may be (max_containers)"
            )
        case proof.Starting(text=text):
            return f"  start  {clean(text)}"
        case proof.Healthy(seconds=seconds, doubt=None):
            return f"Healthy after {seconds:.1f} s: it runs what was planned, and answered the quick checks."
        case proof.Healthy(seconds=seconds, doubt=doubt):
            return f"Healthy after {seconds:.1f} s, but not proven: {doubt}."
        case events.KeyRequired(required=required, proxy=proxy):
            return _refusals_text(required=required, proxy=proxy)
        case events.NotAsked():
            return (
                "Not asked whether it answers: Modal's proxy wants a token, and the profile names none "
                "(secrets.proxy_token)."
            )
        case events.WeightsVerified(files=files):
            return f"Weights verified: {files} files read and compared; the log above says what was fetched anew."
        case events.Verified(checks=checks):
            return f"Verified: {', '.join(checks)}."
        case events.TakingBack(version=None):
            return "It did not become healthy ..."
        case events.TakingBack(version=version):
            return f"Taking it back: version {version} again ..."
        case events.TakenBack(version=None):
            return "Nothing ran before; it starts nothing by itself now."
        case events.TakenBack(version=version, number=number, lapse=lapse):
            told = "" if lapse is None else f"; it {answered(lapse)}"
            return f"Version {version} is back, as version {number}{told}."
        case events.Kept(number=number, why=why):
            return f"Version {number} stays published: {why}."
        case events.Located():
            return None


def preflight_lines(found: Preflight) -> Iterator[str]:
    """What is in order, on one line; then what was not judged."""
    words = [
        found.arguments,
        counted(found.secrets, "secret") if found.secrets else "",
        f"room for {count_bytes(found.coming)}" if found.coming else "",
    ]
    if good := "; ".join(filter(None, words)):
        yield f"  {good}"
    if found.placeholders:
        yield f"  placeholders stand in for {', '.join(found.placeholders)}, which cannot be imported without a driver"
    yield from (f"  warning: {doubt}" for doubt in found.doubts)


def preflight_data(found: Preflight) -> dict[str, Any]:
    """The same as JSON data."""
    return {
        "arguments": found.arguments or None,
        "not_judged": list(found.doubts),
        "placeholders": list(found.placeholders),
    }


def _refusals_text(*, required: bool, proxy: bool) -> str:
    if not proxy:
        return "Key required: 401 without it." if required else "Public: everyone may use it, no key is required."
    key = "and key required: 401 without either" if required else "no key is required: 401 without a token"
    return f"Proxy token {key}."


def endpoint_text(plan: Plan, target: Target, url: str, *, program: str) -> str:
    """Where the deployment answers, and a command to try it; ``program`` is how the user calls glmdeploy."""
    path, body = first_request(purpose_of(plan.server.command), plan.model.served_name)
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
        f"  curl {shlex.quote(url + path)}{header}"
        f" -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    )
    return "\n".join(lines)


def _export(secret: Secret, key: str, target: Target, program: str) -> str:
    value = f'"$({program} local secret {secret.name} {key})"' if target.cloud else "..."
    return f"  export {key}={value}"
