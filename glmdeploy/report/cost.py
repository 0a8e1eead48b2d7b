"""What apps cost: as text and as data."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.gpus import rented
from glmdeploy.report.grid import UNLIMITED, Cell, columns
from glmdeploy.report.words import cents, counted, dollars, iso, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.operate.cost import AppCost, Cost, Estimate
    from glmdeploy.operate.target import Target

NOT_IN_IT = "CPU, memory, storage, and what containers that have ended ran for"
"""What Modal bills, and the estimate does not have."""


def cost_text(found: Cost, target: Target) -> str:
    """For each app what was billed, by resource, and the estimate; what the estimate lacks; the total."""
    when = found.stretch
    unit = counted(round(when.hours / 24), "full day") if when.resolution == "d" else None
    length = unit or counted(round(when.hours), "full hour")
    lines = [f"{target}, {moment(when.since)} to {moment(when.until)} ({length})"]
    if found.refusal:
        lines.append(f"Modal does not tell what it billed, only an estimate is shown: {found.refusal}")
    for app in found.apps:
        lines += ["", click.style(app.app, bold=True), *_app_lines(app)]
    if not found.apps:
        lines += ["", f"{'' if found.refusal else 'Nothing was billed, and '}no app of glmdeploy is deployed."]
    totals = [app.total for app in found.apps if app.total is not None]
    if len(totals) > 1:
        lines += ["", f"billed together: {cents(float(sum(totals, start=Decimal(0))))}"]
    if any(app.estimate for app in found.apps):
        lines += ["", f"Not in the estimates: {NOT_IN_IT}."]
    return "\n".join(lines)


def _app_lines(app: AppCost) -> Iterator[str]:
    rows = []
    if app.total is not None and app.billed is not None:
        rows.append([Cell(text="  billed"), Cell(text=cents(float(app.total))), Cell(text=_hours_of(app))])
        rows += [
            [Cell(text=f"    {name}"), Cell(text=cents(float(amount))), Cell(text="")]
            for name, amount in app.billed.items()
        ]
    if app.estimate:
        rows += [
            [Cell(text=f"  {name}"), Cell(text=amount), Cell(text=why)] for name, amount, why in _rows(app.estimate)
        ]
    if rows:
        yield from columns(rows, UNLIMITED)
    if app.estimate is None:
        yield "  no estimate: glmdeploy does not know a plan of it"


def _hours_of(app: AppCost) -> str:
    """How many hours of a container the billed GPUs are worth."""
    if app.billed is None or app.estimate is None or not app.estimate.hourly:
        return ""
    # What Modal calls its resources may change (``billing.report``): a GPU's name has its type in it, or says GPU.
    kind = app.estimate.gpu.partition(":")[0].lower()
    spent = sum(float(each) for name, each in app.billed.items() if kind in name.lower() or "gpu" in name.lower())
    return f"its GPUs: {spent / app.estimate.hourly:.1f} h of {_each(app.estimate)}" if spent else ""


def _rows(estimate: Estimate) -> Iterator[tuple[str, str, str]]:
    if estimate.hourly is None:
        yield "estimate", "?", f"the price of {estimate.gpu} is not known"
        return
    region = f", {estimate.multiplier:g} times the price for its region" if estimate.multiplier != 1 else ""
    each = _each(estimate)
    gpu = rented(estimate.gpu, estimate.nodes)
    yield "an hour", dollars(estimate.hourly), f"of {each.replace('a ', 'one ', 1)}: {gpu}{region}"
    least = estimate.dollars(estimate.least) or 0.0
    if estimate.most is None:
        yield "estimate", f"at least {dollars(least)}", f"{estimate.least:.1f} h of {each}; there is no bound"
    else:
        most = estimate.dollars(estimate.most) or 0.0
        hours = f"{estimate.least:.1f} to {estimate.most:.1f} h of {each}"
        yield "estimate", f"{dollars(least)} to {dollars(most)}", hours
    if estimate.running:
        ran = estimate.dollars(estimate.ran) or 0.0
        run = "runs" if estimate.running == 1 else "run"
        hours = f"{estimate.ran:.1f} h of {'them' if estimate.nodes == 1 else each}"
        yield "", dollars(ran), f"{counted(estimate.running, 'container')} {run} now: {hours}"


def _each(estimate: Estimate) -> str:
    return "a container" if estimate.nodes == 1 else f"a cluster of {estimate.nodes}"


def cost_data(found: Cost, target: Target) -> dict[str, Any]:
    """The same as JSON data: dollars, and hours of one container, or of one cluster of ``nodes``."""
    totals = [app.total for app in found.apps if app.total is not None]
    return {
        "since": iso(found.stretch.since),
        "until": iso(found.stretch.until),
        "resolution": {"h": "hour", "d": "day"}[found.stretch.resolution],
        "environment": target.environment,
        "refusal": found.refusal,
        "billed": float(sum(totals, start=Decimal(0))) if found.refusal is None else None,
        "apps": [
            {
                "app": app.app,
                "billed": None if app.total is None else float(app.total),
                "resources": None if app.billed is None else {name: float(each) for name, each in app.billed.items()},
                "estimate": _estimate_data(app.estimate),
            }
            for app in found.apps
        ],
        "not_in_estimate": NOT_IN_IT,
    }


def _estimate_data(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {
        "gpu": estimate.gpu,
        "nodes": estimate.nodes,
        "hourly": estimate.hourly,
        "price_source": estimate.source,
        "multiplier": estimate.multiplier,
        "running": estimate.running,
        "running_hours": round(estimate.ran, 4),
        "least_hours": round(estimate.least, 4),
        "most_hours": None if estimate.most is None else round(estimate.most, 4),
        "least": estimate.dollars(estimate.least),
        "most": estimate.dollars(estimate.most),
    }
