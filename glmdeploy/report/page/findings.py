"""What the rules and the checks before them found: each with its place, what to do, why, and the sources."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.report.page.markup import Child, Markup, joined, link, prose, sentence, tag
from glmdeploy.report.view import View, view
from glmdeploy.report.words import counted
from glmdeploy.rules.knowledge import KNOWLEDGE
from glmdeploy.rules.registry import rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.report.page.subject import Subject
    from glmdeploy.rules.rule import Rule

_ORDER = {severity: place for place, severity in enumerate(Severity)}


@cache
def known() -> Mapping[str, Rule]:
    """The rules by their ids."""
    return {rule.id: rule for rule in rules()}


def findings(subject: Subject) -> Markup:
    """Errors, warnings and remarks; then what is waived, then what was not judged."""
    return joined(_groups(subject))


def summary(subject: Subject) -> str:
    """``2 errors, 4 warnings``; ``no errors, no warnings`` where there is neither."""
    parts = [counted(subject.errors, "error")] if subject.errors else []
    parts += [counted(subject.warnings, "warning")] if subject.warnings else []
    waived = sum(found.waived is not None for found in subject.findings)
    parts += [f"{waived} waived"] if waived else []
    return ", ".join(parts) or "no errors, no warnings"


def _groups(subject: Subject) -> Iterator[Child]:
    seen = sorted(map(view, subject.findings), key=lambda each: _ORDER[each.severity])
    standing = [each for each in seen if each.waived is None and each.id != KNOWLEDGE]
    waived = [each for each in seen if each.waived is not None]
    unjudged = [each for each in seen if each.id == KNOWLEDGE]
    if not standing:
        yield tag("p", "No rule finds anything." if not unjudged else "The rules that could judge find nothing.")
    yield from (_card(each) for each in standing if each.severity is not Severity.INFO)
    if remarks := [each for each in standing if each.severity is Severity.INFO]:
        yield tag("h3", counted(len(remarks), "remark"), tag("span", ", which need nothing done", class_="beside"))
        yield from map(_folded, remarks)
    if waived:
        yield tag("h3", counted(len(waived), "waived finding"))
        yield from map(_folded, waived)
    if unjudged:
        yield tag("h3", "Not judged")
        yield from (tag("p", sentence(each.message), class_="unknown") for each in unjudged)


def _card(seen: View) -> Markup:
    rule = known().get(seen.id)
    title = tag("span", prose(rule.title), class_="title") if rule else None
    head = tag("h3", tag("span", _label(seen), class_=f"badge {_label(seen)}"), _id(seen), title)
    why = tag("details", tag("summary", "Why"), _why(seen)) if rule else None
    return tag(
        "article",
        head,
        tag("p", sentence(seen.message), class_="message"),
        _excerpt(seen),
        _facts(seen),
        why,
        class_="finding",
    )


def _folded(seen: View) -> Markup:
    """One that nobody has to act on: a line, and the rest for who asks for it."""
    summary = tag("summary", tag("span", seen.id, class_="id"), " ", sentence(seen.message))
    return tag("details", summary, tag("div", _excerpt(seen), _facts(seen), _why(seen)), class_="finding folded")


def _why(seen: View) -> Markup | None:
    """The rule's reason, with what of its sources is no page of the web."""
    rule = known().get(seen.id)
    files = [each for each in _links(seen) if not each.startswith("https://")]
    if rule is None:
        return None
    named = tag("p", f"Upstream: {'; '.join(files)}.", class_="aside") if files else None
    return joined(tag("p", prose(rule.why)), named)


def _label(seen: View) -> str:
    return str(seen.severity) if seen.waived is None else "waived"


def _id(seen: View) -> Markup:
    """The rule's id, as a link to the first of its sources that is on the web."""
    address = next((each for each in _links(seen) if each.startswith("https://")), "")
    return tag("span", link(address, seen.id) if address else seen.id, class_="id")


def _links(seen: View) -> tuple[str, ...]:
    rule = known().get(seen.id)
    return seen.links or (rule.sources if rule else ())


def _facts(seen: View) -> Markup | None:
    """What was expected, what to do, and where one may read of it."""
    sources = [each for each in _links(seen) if each.startswith("https://")]
    details = [(name, text) for name, text in (("expected", seen.expected), ("waived", seen.waived)) if text]
    facts = [
        *((tag("dt", name), tag("dd", prose(text))) for name, text in details),
        *([(tag("dt", "fix"), tag("dd", prose(seen.fix)))] if seen.fix and seen.waived is None else []),
        *([(tag("dt", "sources"), tag("dd", _sources(sources)))] if sources else []),
    ]
    return tag("dl", facts) if facts else None


def _sources(some: list[str]) -> Markup:
    return tag("ul", (tag("li", link(each)) for each in some), class_="sources")


def _excerpt(seen: View) -> Markup | None:
    """Where it stands, and the line of the file with what is meant marked; None where it stands in no file."""
    if not seen.file:
        return None
    text, place = seen.text, f"{seen.file}:{seen.line}:{seen.column}"
    cut = len(text) - len(text.lstrip())
    before, meant, after = text[cut : seen.start], text[max(seen.start, cut) : seen.end], text[max(seen.end, cut) :]
    marked = tag("code", before, tag("mark", meant) if meant else None, after)
    line = tag("pre", marked, tabindex="0", role="group", aria_label=f"{seen.id}, line {seen.line}")
    return tag("div", tag("p", place), line if text.strip() else None, class_="excerpt")
