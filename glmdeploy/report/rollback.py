"""What a rollback would change, and cost: as text and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy import redaction
from glmdeploy.plan.price import estimate
from glmdeploy.report import words
from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.values import change_data, changes_line
from glmdeploy.report.view import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.operate.rollback import Rollback


def rollback_text(what: Rollback, width: int = UNLIMITED) -> Iterator[str]:
    """``Back to version 7, of 26 Nov 14:02: --max-running-requests 40 -> 48. About 8 min and $7.``"""
    to, found = what.to.version, estimate(what.plan)
    if not what.acts:
        yield f"No changes: version {to.number} ran the plan that runs now, as version {what.now.version.number}."
        return
    changed = redaction.mask(clean(changes_line(what.changes))) if what.changes else "another glmdeploy's containers"
    yield f"Back to version {to.number}, of {words.moment(to.at)}: {changed}."
    seconds = found.cold_start
    dollars = found.dollars(seconds) if seconds is not None else None
    price = f" and {words.about_dollars(dollars)}" if dollars is not None else ""
    runs = f"{what.running} {'runs' if what.running == 1 else 'run'} now" if what.running else "none runs now"
    about = f"about {words.about(seconds)}{price} each" if seconds is not None else "time and price not known"
    yield f"New containers: {about} ({runs}). What runs serves until then."


def rollback_data(what: Rollback) -> dict[str, Any]:
    """The same as JSON data; seconds and dollars."""
    found = estimate(what.plan)
    seconds = found.cold_start
    return {
        "app": what.now.app,
        "target": what.target.name,
        "environment": what.target.environment,
        "from_version": what.now.version.number,
        "to_version": what.to.version.number,
        "acts": what.acts,
        "changes": [change_data(change) for change in what.changes],
        "running": what.running,
        "cold_start_seconds": seconds,
        "cold_start_dollars": found.dollars(seconds) if seconds is not None else None,
    }
