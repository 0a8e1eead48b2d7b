"""What `rollback` and `rollover` would do: as text and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.operate.versions import REFUSED
from glmdeploy.plan.price import estimate
from glmdeploy.report.history import short_changes
from glmdeploy.report.values import change_data
from glmdeploy.report.words import about, about_dollars, counted
from glmdeploy.report.wrap import lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.operate.deployed import Deployed
    from glmdeploy.operate.rollback import WayBack
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.price import Estimate


def way_text(way: WayBack, width: int) -> Iterator[str]:
    """``Back to version 7: --max-running-requests 40 → 48. About 8 min and $7.``"""
    number = way.to.version.number
    if not way.acts:
        yield from lines(
            f"{way.app} runs the plan of version {number} already, as version {way.now.version.number}.", width
        )
        return
    told = short_changes(way.changes)
    sentence = f"Back to version {number}: {told or 'what it changed is not known'}. {_price(way.estimate, way.target)}"
    yield from lines(sentence, width)
    for outage in way.outages:
        yield from lines(f"Outage (server.{outage.field}): {outage.text}.", width)
    if way.proof == REFUSED:
        yield from lines(f"Version {number} refused to serve when it was live.", width)
    if way.stale:
        text = f"{', '.join(way.stale)} was deleted or made again: its plan is deployed again, which binds them."
        yield from lines(text, width)
    elif not way.to.version.rollback_allowed:
        text = "This workspace has no rollbacks: its plan is deployed again, with the container side that it had."
        yield from lines(text, width)


def way_data(way: WayBack) -> dict[str, Any]:
    """The same as JSON data; seconds and dollars."""
    return {
        "app": way.app,
        "target": way.target.name,
        "now": way.now.version.number,
        "to": way.to.version.number,
        "changed": way.acts,
        "changes": [change_data(change) for change in way.changes],
        "outages": [{"field": f"server.{each.field}", "text": each.text} for each in way.outages],
        "by": "deployment" if way.afresh else "rollback",
        "refused_before": way.proof == REFUSED,
        "bound_anew": list(way.stale),
        "digest": way.plan.digest,
        "estimate": _estimate_data(way.estimate),
    }


def afresh_text(now: Deployed, running: int, target: Target, width: int) -> Iterator[str]:
    """What `rollover` would do."""
    price = f" {_price(estimate(now.plan), target)}" if now.plan else ""
    of = counted(running, "container") if running else "none that runs"
    yield from lines(f"Fresh containers of version {now.version.number} of {now.app} in place of {of}.{price}", width)


def afresh_data(now: Deployed, running: int) -> dict[str, Any]:
    """The same as JSON data."""
    return {
        "app": now.app,
        "now": now.version.number,
        "running": running,
        "estimate": _estimate_data(estimate(now.plan)) if now.plan else None,
    }


def _price(found: Estimate, target: Target) -> str:
    """Of one cold start, which takes that long and costs that where there are GPUs."""
    if found.cold_start is None:
        return "How long a cold start takes is not known."
    dollars = found.dollars(found.cold_start)
    where = "On Modal about" if target.cloud else "About"
    return f"{where} {about(found.cold_start)}{f' and {about_dollars(dollars)}' if dollars is not None else ''}."


def _estimate_data(found: Estimate) -> dict[str, Any]:
    dollars = found.dollars(found.cold_start)
    return {
        "cold_start_seconds": found.cold_start,
        "cold_start_dollars": None if dollars is None else round(dollars, 4),
    }
