"""Waivers: which rules a profile switches off, and the faults of the waivers themselves."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from glmdeploy import tokens
from glmdeploy.edits import Remove
from glmdeploy.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence, Set

    from glmdeploy.profile import Waiver
    from glmdeploy.rules.rule import Rule
    from glmdeploy.source import Document


def reasons(waivers: Sequence[Waiver], known: Mapping[str, Rule], today: date) -> dict[str, str]:
    """The reasons of the waivers that hold, by their rules' ids."""
    return {
        waiver.rule: tokens.mask(waiver.reason)
        for waiver in waivers
        if waiver.rule in known and known[waiver.rule].waivable and not _expired(waiver.until, today)
    }


def faults(
    waivers: Sequence[Waiver], known: Mapping[str, Rule], broken: Set[str], document: Document, today: date
) -> Iterator[Finding]:
    """What is wrong with the waivers; ``broken`` are the ids of the rules that found something."""
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
        elif waiver.rule not in broken:
            # No error: what it waived may come back with the next edit, and nothing is switched off meanwhile.
            severity, message = Severity.WARNING, f"the waiver of {waiver.rule} is not needed: the rule finds nothing"
        else:
            seen.add(waiver.rule)
            continue
        # What does nothing can go. A name that is no rule was meant for one, and of two waivers either may be meant.
        idle = rule is not None and waiver.rule not in seen and not (rule.waivable and waiver.rule in broken)
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


def _expired(until: str, today: date) -> bool:
    try:
        return date.fromisoformat(until) < today
    except ValueError:
        return True
