"""All rules on the facts of one profile: findings with their places, the waivers, and which findings count."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from glmdeploy import redaction
from glmdeploy.errors import UsageError
from glmdeploy.findings import CHECKS, Finding, Remove, Severity
from glmdeploy.records import record
from glmdeploy.rules import registry
from glmdeploy.rules.gaps import Gap, gaps
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

    from glmdeploy.findings import KeyPath
    from glmdeploy.profile.models import Waiver
    from glmdeploy.profile.text.document import Document
    from glmdeploy.rules.facts import Facts
    from glmdeploy.rules.rule import Rule, Violation


@record
class Judgement:
    """What rules say of a profile.

    ``findings`` have waivers applied. Their places still show secrets: :func:`glmdeploy.redaction.hide` comes last, for
    it must know all findings. ``unjudged`` are the rules that found nothing and met a gap, with the gaps, and those
    that asked for a value that is refused, whatever they found: it was found in a stand-in.
    """

    findings: tuple[Finding, ...]
    unjudged: Mapping[str, frozenset[Gap]]


def judge(rules: Sequence[Rule], facts: Facts, document: Document, today: date) -> Judgement:
    """What ``rules`` say of ``facts``; ``document`` turns the paths of what they find into places."""
    known = {rule.id: rule for rule in rules}
    valid = _reasons(facts.profile.waive, known, today)
    each = facts.each_gpu()
    found: list[Finding] = []
    unjudged: dict[str, frozenset[Gap]] = {}
    for rule in rules:
        with gaps() as met:
            violations = _violations(rule, each)
        if Gap.REFUSED in met:
            violations, met = [], {Gap.REFUSED} | (met & {Gap.MEMORY})
        found += (_finding(rule, violation, document, valid.get(rule.id)) for violation in violations)
        if met and not violations:
            unjudged[rule.id] = frozenset(met)
    broken = {finding.id for finding in found}
    faults = _faults(facts.profile.waive, known, broken | unjudged.keys(), document, today)
    return Judgement(findings=(*faults, *found), unjudged=unjudged)


def _violations(rule: Rule, each: Sequence[Facts]) -> list[Violation]:
    """How the rule is broken with any of the GPUs that a container may have; with which, where not with all."""
    broken: dict[Violation, list[Facts]] = {}
    for facts in each:
        if rule.scope.covers(facts):
            for violation in rule.check(facts):
                broken.setdefault(violation, []).append(facts)
    return [
        violation if len(where) == len(each) else replace(violation, message=_with_gpus(violation.message, where))
        for violation, where in broken.items()
    ]


def _with_gpus(message: str, where: Sequence[Facts]) -> str:
    """The message with the GPUs that it holds for, where it does not name the one."""
    named = [str(facts.gpu) for facts in where]
    return message if len(named) == 1 and named[0] in message else f"on {' and '.join(named)}: {message}"


def _finding(rule: Rule, violation: Violation, document: Document, waived: str | None) -> Finding:
    return Finding(
        id=rule.id,
        severity=violation.severity or rule.severity,
        message=violation.message,
        location=document.locate(violation.path, key=violation.key),
        path=_shown(violation.path) if violation.secret else violation.path,
        fix=rule.fix,
        links=rule.sources,
        edits=violation.edits,
        waived=waived,
        secret=violation.secret,
    )


def _shown(path: KeyPath) -> KeyPath:
    """The path without the secrets that are keys."""
    return tuple(redaction.mask(part) if isinstance(part, str) else part for part in path)


def _reasons(waivers: Sequence[Waiver], known: Mapping[str, Rule], today: date) -> dict[str, str]:
    """The reasons of the waivers that hold, by their rules' ids."""
    return {
        waiver.rule: redaction.mask(waiver.reason)
        for waiver in waivers
        if waiver.rule in known and known[waiver.rule].waivable and not _expired(waiver.until, today)
    }


def _faults(
    waivers: Sequence[Waiver], known: Mapping[str, Rule], broken: Set[str], document: Document, today: date
) -> Iterator[Finding]:
    """What is wrong with the waivers; ``broken`` are the ids of the rules that found something, or could not tell."""
    seen: set[str] = set()
    for index, waiver in enumerate(waivers):
        rule, severity, key = known.get(waiver.rule), Severity.ERROR, "rule"
        fix = "remove the waiver"
        if rule is None:
            message = f"the waiver names `{waiver.rule}`, which is no rule"
            fix = f"{_meant(waiver.rule, known)}remove the waiver"
        elif not rule.waivable:
            message = f"`{waiver.rule}` cannot be waived: {rule.title}"
        elif waiver.rule in seen:
            message = f"`{waiver.rule}` is waived already"
        elif _expired(waiver.until, today):
            key, message = "until", f"the waiver of `{waiver.rule}` ended on {waiver.until}"
            fix = "remove the waiver, or give it a later date if it still holds"
        elif waiver.rule not in broken:
            # No error: what it waived may come back with the next edit, and nothing is switched off meanwhile.
            severity, message = Severity.WARNING, f"the waiver of `{waiver.rule}` is not needed: the rule finds nothing"
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


@record
class Selection:
    """What is reported and can fail: ids and their beginnings. No ``selected`` selects everything."""

    selected: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def covers(self, finding: Finding) -> bool:
        """Whether the finding counts: by the longest name that it begins with, and ``ignored`` wins a tie."""
        wanted = _longest(finding.id, self.selected) if self.selected else 0
        return wanted > _longest(finding.id, self.ignored)

    def of(self, findings: Iterable[Finding], *, judged: bool) -> tuple[Finding, ...]:
        """The findings that count.

        Where the rules could not be ``judged``, a selection of rules must not pass for their having found nothing:
        what kept them from it counts unless it is ignored by name.
        """
        blocked = not judged and any(name.startswith("GLM") for name in self.selected)
        return tuple(
            finding
            for finding in findings
            if self.covers(finding) or (blocked and _longest(finding.id, self.ignored) < 0)
        )


def _longest(name: str, beginnings: Iterable[str]) -> int:
    return max((len(beginning) for beginning in beginnings if name.startswith(beginning)), default=-1)


def selection(select: Iterable[str], ignore: Iterable[str]) -> Selection:
    """The selection of two options' values. :raises UsageError: for what no finding's id begins with."""
    return Selection(selected=_names(select), ignored=_names(ignore))


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(_known(name.strip()) for value in values for name in value.split(",") if name.strip())


def _known(name: str) -> str:
    ids = [rule.id for rule in registry.rules()]
    if name.lower() in CHECKS:
        return name.lower()
    if name.upper().startswith("GLM") and any(known.startswith(name.upper()) for known in ids):
        return name.upper()
    if name.upper() in registry.RETIRED:
        raise UsageError(f"`{name.upper()}` is no rule any more: {registry.RETIRED[name.upper()]}")
    raise unknown(name, [*ids, *CHECKS])


def unknown(name: str, known: Iterable[str]) -> UsageError:
    """The error for an id that is none, with the nearest one."""
    rules = {rule.id: rule for rule in registry.rules()}
    near = nearest(name, known, most=1)
    hint = _meant(name, rules) or (f"did you mean `{near[0]}`? " if near else "")
    return UsageError(f"there is no rule `{name}`", advice=f"{hint}`glmdeploy rules` lists them")


def _meant(name: str, known: Mapping[str, Rule]) -> str:
    """A question, with a blank behind it: the rule of that number, else the one with a number most like it; or none."""
    number = re.fullmatch(r"(?:GLM)?[-_ ]?0*([0-9]{1,3})", name, re.IGNORECASE)
    exact = f"GLM{int(number[1]):03}" if number else ""
    near = (exact,) if exact in known else nearest(name, known, most=1)
    return f"did you mean `{near[0]}` ({known[near[0]].title})? " if near else ""
