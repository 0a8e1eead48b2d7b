"""What a guard rule is, what it sees, and how all of them are judged. Rules do no IO."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from glmdeploy.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from glmdeploy.findings import Path
    from glmdeploy.gpus import Gpu
    from glmdeploy.profile import Profile
    from glmdeploy.sglang.command import Setting
    from glmdeploy.sglang.effective import Effective
    from glmdeploy.source import Document


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A profile with everything worked out: what rules judge instead of raw text."""

    profile: Profile
    gpu: Gpu
    architecture: str | None
    settings: Mapping[str, Setting]
    """The options that the profile sets, by SGLang's destination name (``tp_size``)."""
    effective: Mapping[str, Effective]
    """What SGLang will run with, by destination name, where it is known."""

    def value(self, dest: str) -> object:
        """The effective value, or None where it is not known."""
        known = self.effective.get(dest)
        return known.value if known else None

    def path(self, dest: str) -> Path:
        """Where the option stands in the profile, or where it would stand."""
        setting = self.settings.get(dest)
        return ("sglang", "args", setting.key) if setting else ("sglang", "args")


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One place where a rule is broken. ``key`` points at the key instead of its value."""

    path: Path
    message: str
    key: bool = False


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a rule holds for; an empty tuple, or None, holds for all."""

    gpu_majors: tuple[int, ...] = ()
    architectures: tuple[str, ...] = ()
    since: str | None = None
    """First SGLang release concerned."""
    until: str | None = None
    """Last SGLang release concerned."""

    def covers(self, subject: Subject) -> bool:
        from glmdeploy.sglang.catalog import version_key

        version = version_key(subject.profile.sglang.version)
        return (
            (not self.gpu_majors or subject.gpu.major in self.gpu_majors)
            and (not self.architectures or subject.architecture in self.architectures)
            and (self.since is None or version_key(self.since) <= version)
            and (self.until is None or version <= version_key(self.until))
        )


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A guard rule.

    ``why`` is one paragraph for people, ``fix`` says what to write instead, ``sources`` are URLs or upstream files.
    ``waivable`` is False where a profile that breaks the rule could not be deployed at all.
    """

    id: str
    title: str
    severity: Severity
    why: str
    fix: str
    sources: tuple[str, ...]
    check: Callable[[Subject], Iterable[Violation]]
    scope: Scope = field(default_factory=Scope)
    waivable: bool = True


def judge(rules: Sequence[Rule], subject: Subject, document: Document, today: date) -> list[Finding]:
    """All findings of ``rules`` on ``subject``, waivers applied; ``document`` turns their paths into places."""
    waivers = {waiver.rule: waiver for waiver in subject.profile.waive}
    findings = list(_waiver_faults(rules, subject, document, today))
    for rule in rules:
        if not rule.scope.covers(subject):
            continue
        waiver = waivers.get(rule.id)
        valid = waiver and rule.waivable and not _expired(waiver.until, today)
        for violation in rule.check(subject):
            findings.append(  # noqa: PERF401 (two nested conditions read better as a loop)
                Finding(
                    id=rule.id,
                    severity=rule.severity,
                    message=violation.message,
                    location=document.locate(violation.path, key=violation.key),
                    path=violation.path,
                    fix=rule.fix,
                    links=rule.sources,
                    waived=waiver.reason if waiver and valid else None,
                )
            )
    return findings


def _expired(until: str, today: date) -> bool:
    try:
        return date.fromisoformat(until) < today
    except ValueError:
        return True


def _waiver_faults(rules: Sequence[Rule], subject: Subject, document: Document, today: date) -> Iterator[Finding]:
    known = {rule.id: rule for rule in rules}
    for index, waiver in enumerate(subject.profile.waive):
        rule = known.get(waiver.rule)
        if rule is None:
            key, message = "rule", f"the waiver names {waiver.rule}, which is no rule"
        elif not rule.waivable:
            key, message = "rule", f"{waiver.rule} cannot be waived: {rule.title}"
        elif _expired(waiver.until, today):
            key, message = "until", f"the waiver of {waiver.rule} ended on {waiver.until}"
        else:
            continue
        yield Finding(
            id="waiver",
            severity=Severity.ERROR,
            message=message,
            location=document.locate(("waive", index, key)),
            path=("waive", index, key),
            fix="remove the waiver, or give it a later date if it still holds",
        )
