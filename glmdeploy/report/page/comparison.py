"""What changes from the other side to the subject: values with what they bring about, findings, effective values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glmdeploy.plan.outage import Outage, elsewhere, outages
from glmdeploy.plan.price import Cost, costs, estimate
from glmdeploy.report.plan_rows import place
from glmdeploy.report.sides import difference
from glmdeploy.report.words import about, about_dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from glmdeploy.findings import Finding, KeyPath
    from glmdeploy.plan.diff import Change
    from glmdeploy.report.page.subject import Compared, Report, Subject
    from glmdeploy.report.sides import Difference


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A value that differs: ``costs`` are what its change brings about, the cheapest first."""

    change: Change
    group: str
    name: str
    costs: tuple[Cost, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """From the other side to the subject. ``found`` is None where one of them has no plan, and ``why`` says so."""

    name: str
    found: Difference | None = None
    why: str | None = None
    changed: tuple[Changed, ...] = ()
    dearest: tuple[Cost, ...] = ()
    """What all changes bring about, the cheapest first."""
    outages: tuple[Outage, ...] = ()
    other_app: bool = False
    added: tuple[Finding, ...] = ()
    removed: tuple[Finding, ...] = ()
    judged: bool = True
    """Whether the other side's findings are known."""
    effective: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """By name, what SGLang ran with and runs with, where that differs, is known of both, and no change says it."""


def comparison(report: Report) -> Comparison | None:
    """What changes; None for a report without another side."""
    other, mine = report.compared, report.subject
    if other is None:
        return None
    before = other.data
    old = other.subject
    values: dict[str, Any] = {"name": other.name, "judged": old is not None}
    if old is not None:
        values["added"] = _beside(mine.findings, old.findings)
        values["removed"] = _beside(old.findings, mine.findings)
    values["effective"] = _effective(other, mine)
    if mine.plan is None or before is None:
        which = "this profile" if mine.plan is None else other.name
        return Comparison(why=f"{which} has errors, and so no plan to compare", **values)
    found = difference(before, mine.plan.data())
    classes = costs(found.changes, found.old, found.new, found.again)
    said = {each.name for each in found.changes if each.section == "sglang"}
    decided = values.pop("effective").items()
    every = {cost for each in classes.values() for cost in each}
    return Comparison(
        found=found,
        changed=tuple(_changed(change, classes[change.section, change.name]) for change in _once(found.changes)),
        dearest=tuple(cost for cost in Cost if cost in every),
        outages=outages(found.old, found.new),
        other_app=elsewhere(found.old, found.new),
        effective={name: both for name, both in decided if f"--{name.replace('_', '-')}" not in said},
        **values,
    )


def takes(subject: Subject, cost: Cost) -> str:
    """Minutes and dollars of what a change brings about, as far as they are known; empty where they are not."""
    if subject.plan is None:
        return ""
    known = estimate(subject.plan)
    seconds = {
        Cost.CONTAINERS: known.cold_start,
        Cost.DOWNLOAD: known.download,
        Cost.COMPILE: known.compile,
    }.get(cost)
    if cost is Cost.LIVE:
        return "no container restarts"
    if seconds is None:
        return ""
    spent = known.dollars(seconds) if cost is not Cost.DOWNLOAD else None
    each = " each" if cost is Cost.CONTAINERS else ""
    money = f" and {about_dollars(spent)}" if spent is not None else ", no GPU" if cost is Cost.DOWNLOAD else ""
    return f"about {about(seconds)}{money}{each}"


def _changed(change: Change, classes: tuple[Cost, ...]) -> Changed:
    group, name = place(change.section, change.name)
    # What builds or downloads comes in new containers anyway.
    told = classes if len(classes) == 1 else tuple(cost for cost in classes if cost is not Cost.CONTAINERS)
    return Changed(change=change, group=group, name=name, costs=told)


def _once(changes: Sequence[Change]) -> Iterable[Change]:
    """Without the arguments that the compiler gets too."""
    served = {(each.name, str(each.old), str(each.new)) for each in changes if each.section == "sglang"}
    return (
        each
        for each in changes
        if each.section != "compile command" or (each.name, str(each.old), str(each.new)) not in served
    )


def _beside(some: Iterable[Finding], others: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that the others do not have at the same value: figures in their words may differ."""
    known = {_key(each) for each in others}
    return tuple(each for each in some if _key(each) not in known)


def _key(finding: Finding) -> tuple[str, KeyPath, bool]:
    return finding.id, finding.path, finding.waived is None


def _effective(other: Compared, mine: Subject) -> dict[str, tuple[Any, Any]]:
    """Of two profiles every value that is known of both; of what runs those that its start compares."""
    if other.subject is not None:
        old = {row.name: row.effective.value for row in other.subject.rows if row.effective.known}
        new = {row.name: row.effective.value for row in mine.rows if row.effective.known}
    else:
        old = (other.data or {}).get("server", {}).get("expected") or {}
        new = mine.plan.data()["server"]["expected"] if mine.plan else {}
    return {name: (old[name], new[name]) for name in new if name in old and old[name] != new[name]}
