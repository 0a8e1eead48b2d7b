"""All rules on one subject: findings with their places, and the waivers that switch some of them off."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from glmdeploy.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.findings import Location
    from glmdeploy.profile import Waiver
    from glmdeploy.rules.base import Rule, Violation
    from glmdeploy.rules.subject import Subject
    from glmdeploy.source import Document


def judge(rules: Sequence[Rule], subject: Subject, document: Document, today: date) -> list[Finding]:
    """All findings of ``rules`` on ``subject``, waivers applied; ``document`` turns their paths into places."""
    known = {rule.id: rule for rule in rules}
    valid = {
        waiver.rule: waiver.reason
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


def _finding(rule: Rule, violation: Violation, document: Document, waived: str | None) -> Finding:
    location = document.locate(violation.path, key=violation.key)
    return Finding(
        id=rule.id,
        severity=rule.severity,
        message=violation.message,
        location=_masked(location) if violation.secret else location,
        path=violation.path,
        fix=rule.fix,
        links=rule.sources,
        edits=violation.edits,
        waived=waived,
    )


def _masked(place: Location) -> Location:
    before, after = place.text[: place.column - 1], place.text[place.column - 1 + place.length :]
    return replace(place, text=f"{before}***{after}", length=3)


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
        seen.add(waiver.rule)
        yield Finding(
            id="waiver",
            severity=severity,
            message=message,
            location=document.locate(("waive", index, key)),
            path=("waive", index, key),
            fix=fix,
        )
