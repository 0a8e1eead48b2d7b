"""What a change of a deployment tells while it goes on, and where the deployment answers: as text and as data."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.operate import events, proof
from glmdeploy.report.view import clean
from glmdeploy.report.words import count_bytes, counted
from glmdeploy.runtime.public import TOKEN_HEADERS
from glmdeploy.runtime.purpose import first_request, purpose_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.operate.events import Event
    from glmdeploy.operate.preflight import Preflight
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan, Secret


def event_text(event: Event) -> str | None:
    """A line on a step of a change; None for one that the next line tells."""
    match event:
        case events.SecretCreated(name=name, proxy_token=proxy_token):
            value = "its workspace's proxy token" if proxy_token else "a random value"
            return f"created the secret {name} in the embedded cloud, with {value}"
        case events.StageStarted(name=name):
            return f"Stage {name} ..."
        case events.Judged(found=found):
            return "\n".join(preflight_lines(found)) or None
        case events.Deploying():
            return "Deploying ..."
        case events.Waiting():
            return "Waiting for the endpoint's first answer ..."
        case proof.Starting(text=text):
            return f"  start  {clean(text)}"
        case proof.Healthy(seconds=seconds, doubt=None):
            return f"Healthy after {seconds:.1f} s: it runs what was planned, and answered the quick checks."
        case proof.Healthy(seconds=seconds, doubt=doubt):
            return f"Healthy after {seconds:.1f} s, but not proven: {doubt}."
        case events.KeyRequired(required=required, proxy=proxy):
            return _refusals_text(required=required, proxy=proxy)
        case events.Answered(checks=checks, doubt=""):
            return f"Verified: {', '.join(check.replace('_', ' ') for check in checks)}."
        case events.Answered(doubt=doubt):
            return f"Not verified from outside: {clean(doubt)}."
        case events.NotAsked():
            return (
                "Its public address was not asked: Modal's proxy wants a token, and the profile names none "
                "(secrets.proxy_token)."
            )
        case events.WeightsVerified(files=files):
            return f"Weights verified: {files} files read and compared; the log above says what was fetched anew."
        case _:
            return _rollout_text(event)


def _rollout_text(event: Event) -> str | None:
    """Of what happens to the version before."""
    match event:
        case events.CanaryStarted(app=app):
            return f"Canary: the same plan as {app} first; production goes on as it is."
        case events.CanaryPassed(app=app):
            return f"The canary serves, and {app} is stopped again."
        case events.Published(version=version) if version:
            return f"Version {version} is published."
        case events.Resumed(version=version):
            return f"Version {version} is live, and was never heard to serve: it is followed now."
        case events.Skipped(version=version):
            return f"Modal saw no change: nothing was deployed, and version {version} runs on."
        case events.Unguarded(why=why):
            return f"Not guarded: {why}."
        case events.Guarded(version=version, before=before, room=room):
            told = f" (meanwhile {_values(room)})" if room else ""
            return f"Version {before} keeps answering until version {version} has proved itself{told}."
        case events.Rescaled(changes=changes, restored=restored):
            again = ", as it was set before the deployment" if restored else ", without a deployment"
            return f"The autoscaler has {_values(changes)}{again}."
        case events.OldGone(left=left):
            return f"{counted(left, 'container')} from before still finish what they have." if left else None
        case events.TakingBack(version=version, to=to):
            return f"Taking version {version} back{f' to version {to}' if to else ''} ..."
        case events.TakenBack():
            return _taken_back_text(event)
        case events.Left(version=version, why=why, mend=mend):
            return f"Version {version} is deployed and stays: {why}." + (f" To change that: {mend}" if mend else "")
        case _:
            return None


def _taken_back_text(event: events.TakenBack) -> str:
    version, of, silent = event.version, event.of, event.silent
    if of is None:
        return f"Nothing runs: there was nothing before version {version}, and no container of it is started by itself."
    was = ""
    if silent is not None:
        was = f"version {of} never stopped answering; " if not silent else f"nobody answered for {silent:.1f} s; "
    return f"{was}version {version} was taken back: version {event.runs} runs, which is version {of} again."


def _values(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {'without a bound' if value is None else value}" for name, value in changes.items())


def event_data(event: Event) -> dict[str, Any]:
    """What of an event belongs into the result of the command, as JSON data."""
    match event:
        case events.Judged(found=found):
            return {"preflight": preflight_data(found)}
        case events.Located(url=url):
            return {"url": url}
        case events.Resumed(version=version):
            return {"resumed": True, "version": version, "runs": version}
        case events.Published(version=version, before=before):
            return {"version": version, "version_before": before, "runs": version}
        case events.Skipped(version=version):
            return {"skipped": True, "version": version, "runs": version}
        case events.Guarded():
            return {"guarded": True}
        case events.Unguarded(why=why):
            return {"guarded": False, "unguarded_because": why}
        case events.Rescaled(changes=changes):
            return {"rescaled": dict(changes)}
        case proof.Healthy(seconds=seconds, task=task):
            return {"healthy_after": round(seconds, 1), "proven": task is not None}
        case events.KeyRequired(required=required, proxy=proxy):
            return {"key_required": required} | ({"proxy_token_required": True} if proxy else {})
        case events.Answered(checks=checks, doubt=doubt):
            return {"verified": list(checks)} | ({"not_verified": doubt} if doubt else {})
        case events.WeightsVerified(files=files):
            return {"weights": {"verified": files}}
        case events.TakenBack(runs=runs):
            return {"taken_back": True, "runs": runs}
        case events.Left(why=why):
            return {"left": why}
        case _:
            return {}


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
