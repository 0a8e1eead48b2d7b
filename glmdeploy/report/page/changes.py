"""The section about what changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.report.page.comparison import takes
from glmdeploy.report.page.figure import table
from glmdeploy.report.page.markup import Child, Markup, joined, prose, tag
from glmdeploy.report.plan_rows import said
from glmdeploy.report.values import changes_line
from glmdeploy.report.view import shown, view
from glmdeploy.report.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.findings import Finding
    from glmdeploy.plan.price import Cost
    from glmdeploy.report.page.comparison import Changed, Comparison
    from glmdeploy.report.page.subject import Subject

_WORDS = {"+": "added", "-": "removed", "~": "changed"}


def changes(found: Comparison, subject: Subject) -> Markup:
    """Values by what they bring about, stages that run again, outages; then findings and effective values."""
    return joined(_changes(found, subject))


def _changes(found: Comparison, subject: Subject) -> Iterator[Child]:
    if found.found is None:
        yield tag("p", f"The values cannot be compared: {found.why}.", class_="unknown")
    elif found.found.same:
        yield tag("p", "Nothing differs in what is deployed.")
    else:
        yield tag("ul", (_cost(cost, found.changed, subject) for cost in found.dearest), class_="bringing")
        for outage in found.outages:
            yield tag("p", tag("strong", "Outage"), prose(f" (`server.{outage.field}`): {outage.text}."), class_="bad")
        if found.other_app:
            yield tag("p", "It is another app: the one that it is compared with goes on as it is, until it is stopped.")
        again = found.found.again
        for stage, because in (("download", again.download), ("compile", again.compile)):
            if because:
                yield tag("p", prose(f"`{stage}` runs again: {changes_line(because)}."))
        rows = [_row(each) for each in found.changed]
        yield table("Values that differ", ("value", "before", "after"), rows)
    yield from _findings(found)
    if found.effective:
        yield tag("h3", "What SGLang then decides otherwise")
        rows_of = [
            (tag("code", name.replace("_", "-")), _plain(old), _plain(new))
            for name, (old, new) in found.effective.items()
        ]
        yield table("Effective values that differ", ("option", "before", "after"), rows_of)


def _cost(cost: Cost, changed: Sequence[Changed], subject: Subject) -> Markup:
    count = sum(cost in each.costs for each in changed)
    took = takes(subject, cost)
    values = counted(count, "value") if count else "with the others"
    return tag("li", tag("span", str(cost), class_=f"cost {_kind(cost)}"), f" {values}{f': {took}' if took else ''}")


def _kind(cost: Cost) -> str:
    return cost.name.lower()


def _row(each: Changed) -> tuple[Child, ...]:
    change = each.change
    old, new = (said(each.name, value, None) if value is not None else None for value in (change.old, change.new))
    symbol = joined(
        tag("span", "−" if change.symbol == "-" else change.symbol, aria_hidden="true", class_="symbol"),
        tag("span", _WORDS[change.symbol], class_="unseen"),
    )
    costs = (tag("span", str(cost), class_=f"cost {_kind(cost)}") for cost in each.costs)
    name = joined(symbol, " ", tag("code", f"{each.group} {each.name}"), tag("span", costs, class_="costs"))
    return name, _side(old), _side(new)


def _side(text: str | None) -> Child:
    return "none" if text is None else tag("code", text)


def _plain(value: object) -> Child:
    return "none" if value is None else tag("code", shown(value))


def _findings(found: Comparison) -> Iterator[Child]:
    if not found.judged:
        yield tag(
            "p",
            "What the rules would say of the other side is not known: what runs is not judged again.",
            class_="unknown",
        )
        return
    for name, some in (("New findings", found.added), ("Findings that are gone", found.removed)):
        if some:
            yield tag("h3", name)
            yield tag("ul", map(_line, some))
    if not found.added and not found.removed:
        yield tag("p", "The same findings as before.")


def _line(finding: Finding) -> Markup:
    seen = view(finding)
    label = str(seen.severity) if seen.waived is None else "waived"
    return tag("li", tag("span", label, class_=f"badge {label}"), " ", tag("strong", seen.id), " ", prose(seen.message))
