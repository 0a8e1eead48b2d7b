"""What the rules and the checks before them found: each with its place, what to do, why, and the sources."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.report.page.markup import Child, Markup, joined, link, prose, tag
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
    """``2 errors, 4 warnings``; ``nothing found`` where there is neither."""
    parts = [counted(subject.errors, "error")] if subject.errors else []
    parts += [counted(subject.warnings, "warning")] if subject.warnings else []
    waived = sum(found.waived is not None for found in subject.findings)
    parts += [f"{waived} waived"] if waived else []
    return ", ".join(parts) or "nothing found"


def _groups(subject: Subject) -> Iterator[Child]:
    seen = sorted(map(view, subject.findings), key=lambda each: _ORDER[each.severity])
    standing = [each for each in seen if each.waived is None and each.id != KNOWLEDGE]
    waived = [each for each in seen if each.waived is not None]
    unjudged = [each for each in seen if each.id == KNOWLEDGE]
    if not standing:
        yield tag("p", "No rule finds anything." if not unjudged else "The rules that could judge find nothing.")
    yield from map(_card, standing)
    if waived:
        yield tag("h3", "Waived")
        yield from map(_card, waived)
    if unjudged:
        yield tag("h3", "Not judged")
        yield from (tag("p", prose(f"{each.message}."), class_="unknown") for each in unjudged)


def _card(seen: View) -> Markup:
    rule = known().get(seen.id)
    label = str(seen.severity) if seen.waived is None else "waived"
    place = f"{seen.file}:{seen.line}:{seen.column}" if seen.file else ""
    sources = seen.links or (rule.sources if rule else ())
    address = next((each for each in sources if each.startswith("https://")), "")
    head = tag(
        "h3",
        tag("span", label, class_=f"badge {label}"),
        tag("span", link(address, seen.id) if address else seen.id, class_="id"),
        tag("span", rule.title if rule else "", class_="title") if rule else None,
    )
    details = [(name, text) for name, text in (("expected", seen.expected), ("waived", seen.waived)) if text]
    facts = [
        *((tag("dt", name), tag("dd", prose(text))) for name, text in details),
        *([(tag("dt", "fix"), tag("dd", prose(seen.fix)))] if seen.fix and seen.waived is None else []),
        *([(tag("dt", "sources"), tag("dd", _sources(sources)))] if sources else []),
    ]
    why = tag("details", tag("summary", "Why"), tag("p", prose(rule.why))) if rule else None
    return tag(
        "article",
        head,
        tag("p", prose(seen.message), class_="message"),
        tag("p", tag("code", place), class_="place") if place else None,
        _excerpt(seen) if seen.text.strip() and seen.severity is not Severity.INFO else None,
        tag("dl", facts) if facts else None,
        why,
        class_=f"finding {label}",
    )


def _sources(some: tuple[str, ...]) -> Markup:
    return tag("ul", (tag("li", link(each)) for each in some), class_="sources")


def _excerpt(seen: View) -> Markup:
    """The line of the file, with what is meant marked."""
    text = seen.text
    cut = len(text) - len(text.lstrip())
    before, meant, after = text[cut : seen.start], text[max(seen.start, cut) : seen.end], text[max(seen.end, cut) :]
    marked = tag("code", before, tag("mark", meant) if meant else None, after)
    return tag("pre", marked, tabindex="0", role="region", aria_label=f"Line {seen.line}", class_="excerpt")
