"""What came of a change of a deployment, as data; and where it answers now, what it costs, and how to stop it."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.gpus import replica
from glmdeploy.operate import events, proof
from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.words import counted, dollars, duration
from glmdeploy.report.wrap import wrapped
from glmdeploy.runtime.public import TOKEN_HEADERS
from glmdeploy.runtime.purpose import first_request, purpose_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.operate.events import Event
    from glmdeploy.operate.preflight import Preflight
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan, Secret


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
        case events.Answered(checks=checks, doubt=doubt, figures=figures):
            measured = {"figures": dict(figures)} if figures else {}
            return {"verified": list(checks)} | ({"not_verified": doubt} if doubt else {}) | measured
        case events.WeightsVerified(files=files):
            return {"weights": {"verified": files}}
        case events.TakenBack(runs=runs):
            return {"taken_back": True, "runs": runs}
        case events.Left(why=why):
            return {"left": why}
        case _:
            return {}


def preflight_data(found: Preflight) -> dict[str, Any]:
    """The same as JSON data."""
    return {
        "arguments": found.arguments or None,
        "not_judged": list(found.doubts),
        "placeholders": list(found.placeholders),
    }


def headline(plan: Plan, result: Mapping[str, Any]) -> str:
    """``glm51-fp8 version 8 is live and verified: first token 210 ms, 71 tokens/s``; empty where nothing was followed.

    ``result`` is of :func:`event_data`, of all events.
    """
    version = f" version {result['version']}" if result.get("version") else ""
    if result.get("skipped") or not ("version" in result or "healthy_after" in result):
        return ""
    figures = figures_text(result.get("figures") or {})
    if result.get("verified"):
        return f"{plan.app}{version} is live and verified{f': {figures}' if figures else ''}"
    if result.get("proven"):
        return f"{plan.app}{version} is live and proven; its public address was not verified"
    if "healthy_after" in result:
        return f"{plan.app}{version} is live and answers, and was not proven"
    return f"{plan.app}{version} is live; nobody has looked whether it starts"


def figures_text(figures: Mapping[str, Any]) -> str:
    """What was measured, as people compare it: ``first token 210 ms, 71 tokens/s``."""
    first = (figures.get("time_to_first_token_ms") or {}).get("p50")
    rate = (figures.get("output_token_throughput_per_user_tokens_per_s") or {}).get("p50")
    accepted = figures.get("acceptance_length_tokens")
    parts = [
        f"first token {first:,.0f} ms" if first else "",
        f"{rate:,.0f} tokens/s" if rate else "",
        f"acceptance {accepted:.1f}" if accepted else "",
    ]
    return ", ".join(filter(None, parts))


def endpoint_text(
    plan: Plan, target: Target, url: str, *, program: str, hourly: float | None = None, width: int = UNLIMITED
) -> str:
    """Where the deployment answers and what it costs, a command to try it, and how to stop it and look at it.

    ``program`` is how the user calls glmdeploy, ``hourly`` the dollars of a container's hour.
    """
    path, body = first_request(purpose_of(plan.server.command), plan.model.served_name)
    costs = costs_text(plan, target, hourly)
    first, *below = _beside(click.style(url, bold=True), len(url), costs, width)
    lines = [first, *(line for text in below for line in wrapped(text, width).split("\n")), ""]
    header = []
    if plan.api_key:
        key = plan.api_key.keys[0]
        header.append(f'-H "Authorization: Bearer ${key}"')
        lines.append(_export(plan.api_key, key, target, program))
    if plan.proxy_auth and plan.proxy_token:
        for name, key in zip(TOKEN_HEADERS, plan.proxy_token.keys, strict=True):
            header.append(f'-H "{name}: ${key}"')
            lines.append(_export(plan.proxy_token, key, target, program))
    elif plan.proxy_auth:
        header += [f'-H "{name}: ..."' for name in TOKEN_HEADERS]
    words = [*header, "-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}"]
    # A terminal would break it anywhere; so broken, it can be copied.
    lines.append(" \\\n    ".join([f"  curl {shlex.quote(url + path)}", *words]))
    stop, look = (f"{verb}: {_typed(target, f'{word} {plan.app}')}" for verb, word in _WAYS)
    return "\n".join([*lines, "", *_beside(stop, len(stop), look, width)])


_WAYS = (("stop it", "destroy"), ("look", "status"))
_APART = 7


def costs_text(plan: Plan, target: Target, hourly: float | None) -> str:
    """``$50 an hour while it runs, stops after 15 min idle``; empty where the price is not known."""
    if hourly is None:
        return ""
    options = plan.server.options
    fewest = int(options["min_containers"].value or 0) if "min_containers" in options else 0
    idle = options["scaledown_window"].value if "scaledown_window" in options else None
    on = "on Modal " if target.cloud else ""
    if fewest:
        return f"{on}{dollars(hourly * fewest)} an hour: {counted(fewest, replica(plan.nodes))} always run"
    after = f", stops after {duration(idle)} idle" if isinstance(idle, int | float) else ""
    return f"{on}{dollars(hourly)} an hour while it runs{after}"


def _typed(target: Target, arguments: str) -> str:
    return target.glmdeploy(arguments).strip("`")


def _beside(left: str, columns: int, right: str, width: int) -> list[str]:
    """Side by side where there is room, else below each other; ``columns`` are those of ``left`` as it is seen."""
    if not right:
        return [left]
    together = columns + _APART + len(right) <= min(width, 120)
    return [f"{left}{' ' * _APART}{right}"] if together else [left, right]


def _export(secret: Secret, key: str, target: Target, program: str) -> str:
    value = f'"$({program} local secret {secret.name} {key})"' if target.cloud else "..."
    return f"  export {key}={value}"
