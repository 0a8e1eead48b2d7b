"""The same report, short, as Markdown for a pull request; and as JSON data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.findings import Severity
from glmdeploy.report.page.comparison import comparison, takes
from glmdeploy.report.page.costs import hourly, rented
from glmdeploy.report.page.findings import summary
from glmdeploy.report.page.memory import parts, verdict
from glmdeploy.report.page.times import steps, total
from glmdeploy.report.plan_rows import said
from glmdeploy.report.rules import markdown_text
from glmdeploy.report.run import finding_data
from glmdeploy.report.sides import difference_data
from glmdeploy.report.size_data import size_data
from glmdeploy.report.values import change_data
from glmdeploy.report.view import clean, shown, view
from glmdeploy.report.words import about, cents, counted, gib, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from glmdeploy.findings import Finding
    from glmdeploy.report.page.comparison import Comparison
    from glmdeploy.report.page.subject import Report, Sized, Subject

_MOST = 30
"""Rows of a table: a comment on a pull request is read, not searched."""


def report_markdown(report: Report) -> str:
    """A heading, the answers, what changes with what it brings about, findings, and the size below a fold."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    subject, found = report.subject, comparison(report)
    name = subject.facts.profile.name if subject.facts else subject.name
    yield f"### {_text(name)}: {summary(subject)}"
    yield ""
    yield from (f"- {line}" for line in _answers(subject))
    if found is not None:
        yield from _changes(found, subject)
    shown_findings = found.added if found is not None and found.judged else _standing(subject)
    title = "New findings" if found is not None and found.judged else "Findings"
    yield from _findings(title, shown_findings)
    if found is not None and found.removed:
        yield from _findings("Findings that are gone", found.removed)
    for sized in subject.sizes:
        yield from _size(sized)
    yield ""
    yield f"<sub>glmdeploy report, {report.day.isoformat()}; times, memory and money are estimates.</sub>"


def _answers(subject: Subject) -> Iterator[str]:
    if subject.facts is None:
        yield "This is no profile that can be read: there is nothing to plan."
        return
    facts = subject.facts
    profile = facts.profile
    gpus = rented(facts)
    yield f"{_code(profile.model.repo)} on {_text(gpus)}, SGLang {facts.catalog.version}, app {_code(profile.app)}"
    if subject.plan is None:
        yield f"**It is not deployed**: {counted(subject.errors, 'error')}"
    for sized in subject.sizes:
        if sized.size is None:
            yield f"Memory of {_text(str(sized.gpu))} is not known: {_text(sized.why or '')}"
        else:
            yield f"Memory of {_text(str(sized.gpu))}: {_text(verdict(sized.size))}"
    if (rate := hourly(subject)) is not None:
        server = profile.server
        yield f"{cents(rate)} an hour each, {server.min_containers} to {counted(server.max_containers, facts.replica)}"
    if facts.model_loaded is not None:
        yield f"Cold start about {about(total(steps(subject))[0])}"


def _changes(found: Comparison, subject: Subject) -> Iterator[str]:
    yield ""
    yield f"#### Against {_code(found.name)}"
    yield ""
    if found.found is None:
        yield f"The values cannot be compared: {_text(found.why or '')}."
    elif found.found.same:
        yield "Nothing differs in what is deployed."
    else:
        brings = [f"**{cost}**{f' ({took})' if (took := takes(subject, cost)) else ''}" for cost in found.dearest]
        yield f"{counted(len(found.changed), 'value')}, which bring about: {', '.join(brings)}."
        for outage in found.outages:
            yield f"\n**Outage** ({_code(f'server.{outage.field}')}): {_text(outage.text)}."
        yield ""
        yield "| | value | before | after | brings about |"
        yield "|---|---|---|---|---|"
        for each in found.changed[:_MOST]:
            old, new = (
                "" if value is None else _code(said(each.name, value)) for value in (each.change.old, each.change.new)
            )
            costs = ", ".join(map(str, each.costs))
            sign = "−" if each.change.symbol == "-" else each.change.symbol
            yield f"| {sign} | {_code(f'{each.group} {each.name}')} | {old} | {new} | {costs} |"
        if (more := len(found.changed) - _MOST) > 0:
            yield ""
            yield f"And {more} more."
    if found.effective:
        yield ""
        yield "What SGLang then decides otherwise:"
        yield ""
        yield "| option | before | after |"
        yield "|---|---|---|"
        for name, (old, new) in [*found.effective.items()][:_MOST]:
            yield f"| {_code(name.replace('_', '-'))} | {_value(old)} | {_value(new)} |"


def _value(value: object) -> str:
    return "none" if value is None else _code(shown(value))


def _standing(subject: Subject) -> list[Finding]:
    return [found for found in subject.findings if found.waived is None]


def _findings(title: str, some: Iterable[Finding]) -> Iterator[str]:
    found = [*some]
    acute = [_finding(each) for each in found if each.severity is not Severity.INFO]
    remarks = [_finding(each) for each in found if each.severity is Severity.INFO]
    if found:
        yield ""
        yield f"#### {title}"
        yield ""
    yield from acute[:_MOST]
    if (more := len(acute) - _MOST) > 0:
        yield f"- and {more} more"
    if remarks:
        yield from (["", "<details>"] if acute else ["<details>"])
        yield f"<summary>{counted(len(remarks), 'remark')}</summary>"
        yield from ["", *remarks, "", "</details>"]


def _finding(found: Finding) -> str:
    seen = view(found)
    address = next((each for each in seen.links if each.startswith("https://")), "")
    name = f"[{seen.id}](<{address}>)" if address else seen.id
    label = str(seen.severity) if seen.waived is None else "waived"
    place = f" ({_code(f'{seen.file}:{seen.line}')})" if seen.file else ""
    return f"- **{label}** {name}: {_text(seen.message)}{place}"


def _size(sized: Sized) -> Iterator[str]:
    size = sized.size
    if size is None:
        return
    yield ""
    yield "<details>"
    pool = tokens(size.memory.pool.tokens)
    yield f"<summary>Size on {sized.gpu}: {gib(size.memory.total)} a GPU, {pool} of KV</summary>"
    yield ""
    yield "| part of each GPU | |"
    yield "|---|--:|"
    for part in parts(size):
        yield f"| {_text(part.name)} | {gib(part.bytes)} |"
    yield ""
    yield f"{counted(size.whole_requests, 'request')} of the whole context ({tokens(size.context)}) at a time."
    yield ""
    yield "</details>"


def _code(text: str) -> str:
    """As code, in a table too: nothing in it is markup."""
    text = clean(text).replace("`", "'").replace("|", "\\|")
    return f"`{text}`" if text.strip() else ""


def _text(text: str) -> str:
    escaped = markdown_text(clean(text))
    # What would mention a person, or make an issue of another repository a link, is not meant to.
    return escaped.replace("@", "&#64;").replace("#", "\\#").replace("&lt;", "\\&lt;")


def report_data(report: Report) -> dict[str, Any]:
    """What the page tells, as JSON data: the parts are those of `size`, `explain`, `validate` and `diff`."""
    subject, found = report.subject, comparison(report)
    data: dict[str, Any] = {
        "profile": subject.facts.profile.name if subject.facts else subject.name,
        "date": report.day.isoformat(),
        "digest": subject.plan.digest if subject.plan else None,
        "findings": [*map(finding_data, subject.findings)],
        "sizes": [
            size_data(each.size) if each.size else {"gpu": str(each.gpu), "unknown": each.why} for each in subject.sizes
        ],
        "command": list(subject.facts.command) if subject.facts else None,
        "values": {row.name: row.effective.value for row in subject.rows if row.effective.known},
    }
    if found is not None:
        data["compared"] = {
            "with": found.name,
            "why_not": found.why,
            "values": [change_data(each.change) | {"brings_about": [*map(str, each.costs)]} for each in found.changed],
            "difference": difference_data(found.found) if found.found else None,
            "added": [*map(finding_data, found.added)] if found.judged else None,
            "removed": [*map(finding_data, found.removed)] if found.judged else None,
            "effective": {name: {"old": old, "new": new} for name, (old, new) in found.effective.items()},
        }
    return data
