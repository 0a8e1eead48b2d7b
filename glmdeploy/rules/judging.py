"""All rules on one subject: findings with their places, and the waivers that switch some of them off."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from glmdeploy import tokens
from glmdeploy.edits import Remove
from glmdeploy.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.findings import Location, Path
    from glmdeploy.profile import Waiver
    from glmdeploy.rules.base import Rule, Violation
    from glmdeploy.rules.subject import Subject
    from glmdeploy.source import Document


def judge(rules: Sequence[Rule], subject: Subject, document: Document, today: date) -> list[Finding]:
    """All findings of ``rules`` on ``subject``, waivers applied; ``document`` turns their paths into places.

    Their places still show secrets: :func:`hide` comes last, for it must know all findings.
    """
    known = {rule.id: rule for rule in rules}
    valid = {
        waiver.rule: tokens.mask(waiver.reason)
        for waiver in subject.profile.waive
        if waiver.rule in known and known[waiver.rule].waivable and not _expired(waiver.until, today)
    }
    found = [
        _finding(rule, violation, document, valid.get(rule.id))
        for rule in rules
        if rule.scope.covers(subject)
        for violation in rule.check(subject)
    ]
    broken = Counter(finding.id for finding in found)
    return [*_waiver_faults(subject.profile.waive, known, broken, document, today), *found]


def hide(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with every value that one of them calls a secret masked, in whichever finding's line it stands."""
    secrets: dict[tuple[str, int, str], list[tuple[int, int]]] = defaultdict(list)
    for found in findings:
        if found.secret:
            secrets[_line(found.location)].append(_span(found.location))
    return [
        replace(found, location=_masked(found.location, sorted(secrets[line])))
        if (line := _line(found.location)) in secrets
        else found
        for found in findings
    ]


def _finding(rule: Rule, violation: Violation, document: Document, waived: str | None) -> Finding:
    return Finding(
        id=rule.id,
        severity=rule.severity,
        message=violation.message,
        location=document.locate(violation.path, key=violation.key),
        path=_shown(violation.path) if violation.secret else violation.path,
        fix=rule.fix,
        links=rule.sources,
        edits=violation.edits,
        waived=waived,
        secret=violation.secret,
    )


def _shown(path: Path) -> Path:
    """The path without the secrets that are keys."""
    return tuple(tokens.mask(part) if isinstance(part, str) else part for part in path)


def _line(place: Location) -> tuple[str, int, str]:
    # All values of the command line have the same file and line.
    return place.file, place.line, place.text


def _span(place: Location) -> tuple[int, int]:
    return place.column - 1, place.column - 1 + place.length


def _masked(place: Location, secrets: Sequence[tuple[int, int]]) -> Location:
    """The place with asterisks for the ``secrets``, spans of its text in their order."""
    hidden: list[tuple[int, int]] = []
    for first, last in secrets:
        if hidden and first < hidden[-1][1]:
            hidden[-1] = (hidden[-1][0], max(last, hidden[-1][1]))
        else:
            hidden.append((first, last))
    start, end = (
        _moved(offset, hidden, end=at_end) for offset, at_end in zip(_span(place), (False, True), strict=True)
    )
    text = place.text
    for first, last in reversed(hidden):
        text = f"{text[:first]}{tokens.MASK}{text[last:]}"
    return replace(place, text=text, column=start + 1, length=max(end - start, 1))


def _moved(offset: int, hidden: Sequence[tuple[int, int]], *, end: bool) -> int:
    """Where ``offset`` is once the spans are masked; within one, where its asterisks begin or ``end``."""
    moved = offset
    for first, last in hidden:
        if last <= offset:
            moved += len(tokens.MASK) - (last - first)
        elif first < offset:
            moved += first - offset + (len(tokens.MASK) if end else 0)
    return moved


def _expired(until: str, today: date) -> bool:
    try:
        return date.fromisoformat(until) < today
    except ValueError:
        return True


def _waiver_faults(
    waivers: Sequence[Waiver], known: dict[str, Rule], broken: Counter[str], document: Document, today: date
) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, waiver in enumerate(waivers):
        rule, severity, key = known.get(waiver.rule), Severity.ERROR, "rule"
        fix = "remove the waiver"
        if rule is None:
            message = f"the waiver names {waiver.rule}, which is no rule"
        elif not rule.waivable:
            message = f"{waiver.rule} cannot be waived: {rule.title}"
        elif waiver.rule in seen:
            message = f"{waiver.rule} is waived already"
        elif _expired(waiver.until, today):
            key, message = "until", f"the waiver of {waiver.rule} ended on {waiver.until}"
            fix = "remove the waiver, or give it a later date if it still holds"
        elif not broken[waiver.rule]:
            # No error: what it waived may come back with the next edit, and nothing is switched off meanwhile.
            severity, message = Severity.WARNING, f"the waiver of {waiver.rule} is not needed: the rule finds nothing"
        else:
            seen.add(waiver.rule)
            continue
        # What does nothing can go. A name that is no rule was meant for one, and of two waivers either may be meant.
        idle = rule is not None and waiver.rule not in seen and not (rule.waivable and broken[waiver.rule])
        seen.add(waiver.rule)
        yield Finding(
            id="waiver",
            severity=severity,
            message=message,
            location=document.locate(("waive", index, key)),
            path=("waive", index, key),
            fix=fix,
            edits=(Remove(path=("waive", index)),) if idle else (),
        )
