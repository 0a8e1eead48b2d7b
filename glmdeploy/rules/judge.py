"""All rules on one facts: findings with their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy import tokens
from glmdeploy.findings import Finding
from glmdeploy.rules import waivers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from glmdeploy.findings import Path
    from glmdeploy.rules.facts import Facts
    from glmdeploy.rules.rule import Rule, Violation
    from glmdeploy.source import Document


def judge(rules: Sequence[Rule], facts: Facts, document: Document, today: date) -> list[Finding]:
    """All findings of ``rules`` on ``facts``, waivers applied; ``document`` turns their paths into places.

    Their places still show secrets: :func:`glmdeploy.rules.secrecy.hide` comes last, for it must know all findings.
    """
    known = {rule.id: rule for rule in rules}
    valid = waivers.reasons(facts.profile.waive, known, today)
    found = [
        _finding(rule, violation, document, valid.get(rule.id))
        for rule in rules
        if rule.scope.covers(facts)
        for violation in rule.check(facts)
    ]
    broken = {finding.id for finding in found}
    return [*waivers.faults(facts.profile.waive, known, broken, document, today), *found]


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
