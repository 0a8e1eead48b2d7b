"""Make the edits of findings in profiles' own files: in memory, each one proved before it counts, then in the file."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.editor import EditError
from glmdeploy.authoring.own_file import OwnFile
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Remove, SetValue, Severity, at
from glmdeploy.profile.text.load import load
from glmdeploy.rules.check import Checked, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from glmdeploy.findings import Finding, KeyPath
    from glmdeploy.profile.text.document import Document

_REFUSED = "sglang"
"""The id of findings about what SGLang's parser refuses."""

_UNKNOWN_INTENT = "SGLang refuses the value that it would replace, and what that was to say is not known"


@dataclass(frozen=True, kw_only=True)
class NotFixed:
    """A finding whose edits were not made, and why: a sentence, and what the user can do."""

    finding: Finding
    reason: str
    advice: str | None = None


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """A value that became another, or None where it went: ``finding`` asked for it."""

    finding: Finding
    path: KeyPath
    old: Any
    new: Any


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What fixing came to. ``file`` holds the edits, and is not written yet.

    ``before`` and ``after`` judge the profile as it is and as it is to be; ``fixed`` are the findings whose edits
    were made, in their order, ``replaced`` the values that became others by them, ``not_fixed`` those of ``after``
    whose edits could not be made.
    """

    file: OwnFile
    before: Checked
    after: Checked
    fixed: tuple[Finding, ...]
    not_fixed: tuple[NotFixed, ...]
    replaced: tuple[Replaced, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What became of one profile: ``outcome`` of fixing it this time, ``fixed`` and ``replaced`` of all times."""

    profile: str
    outcome: Outcome
    fixed: tuple[Finding, ...]
    replaced: tuple[Replaced, ...] = ()


def repair(
    profiles: Iterable[str], *, write: bool, chosen: Callable[[Finding], bool] = lambda _: True
) -> Iterator[Repair]:
    """What fixing each profile that can be read comes to; with ``write``, its file is written when the next is asked.

    A profile comes again as long as files change, because one of them may extend another that comes later.

    :raises GlmdeployError: if a file cannot be read or written; it is as before then.
    """
    done: dict[str, Repair | None] = dict.fromkeys(profiles)
    for _ in done:
        changed = False
        for profile, before in done.items():
            try:
                outcome = fix(OwnFile.read(load(profile).files[0]), chosen=chosen)
            except ProfileError:
                continue  # judging it says why
            fixed = (*(before.fixed if before else ()), *outcome.fixed)
            replaced = (*(before.replaced if before else ()), *outcome.replaced)
            done[profile] = repair = Repair(profile=profile, outcome=outcome, fixed=fixed, replaced=replaced)
            yield repair
            if write:
                outcome.file.write()
                changed = changed or bool(outcome.fixed)
        if not changed:
            return


def fix(
    file: OwnFile,
    *,
    chosen: Callable[[Finding], bool] = lambda _: True,
    judge: Callable[[Document], Checked] = check,
) -> Outcome:
    """Make the edits of each chosen finding that stands, until there is none left whose edits can be made.

    One finding is mended at a time, and the profile is judged anew before the next: of two edits for one place the
    first wins, and a finding that went with another is not mended twice. What SGLang refuses is made valid before any
    rule's edit, because rules judge a refused option as if it were not there; where it cannot be, no rule replaces it,
    for nobody knows what it was to say. ``judge`` gives the findings of a document.

    :raises ProfileError: if the file, or one that it extends, cannot be read.
    """
    before = now = judge(file.document)
    fixed: list[Finding] = []
    replaced: list[Replaced] = []
    while True:
        not_fixed: list[NotFixed] = []
        refused = {found.path for found in now.findings if found.id == _REFUSED}
        open_ = [found for found in now.findings if found.edits and found.waived is None and chosen(found)]
        for finding in sorted(open_, key=lambda found: found.id != _REFUSED):
            if finding.id != _REFUSED and any(edit.path in refused for edit in finding.edits):
                not_fixed.append(NotFixed(finding=finding, reason=_UNKNOWN_INTENT, advice="Write what SGLang takes"))
                continue
            try:
                changed = file.edited(*finding.edits)
            except EditError as error:
                not_fixed.append(NotFixed(finding=finding, reason=error.message, advice=error.advice))
                continue
            then = judge(changed.document)
            if harm := _harm(finding, now, then):
                not_fixed.append(NotFixed(finding=finding, reason=harm))
                continue
            replaced += _replaced(finding, file.document.data)
            file, now = changed, then
            fixed.append(finding)
            break
        else:
            return Outcome(
                file=file,
                before=before,
                after=now,
                fixed=tuple(fixed),
                not_fixed=tuple(not_fixed),
                replaced=tuple(replaced),
            )


def _replaced(finding: Finding, data: Mapping[str, Any]) -> Iterator[Replaced]:
    """The scalars that the finding's edits replace in the profile as it was, or remove; none that is a secret."""
    for edit in finding.edits if not finding.secret else ():
        if isinstance(edit, SetValue | Remove):
            new = edit.value if isinstance(edit, SetValue) else None
            with suppress(LookupError, TypeError):
                old = at(data, edit.path)
                if isinstance(old, str | int | float) and old != new:
                    yield Replaced(finding=finding, path=edit.path, old=old, new=new)


def _harm(mended: Finding, before: Checked, after: Checked) -> str | None:
    """Why a change must not be made, if it must not: it mends nothing, or breaks something else.

    Findings are counted by id, because an edit can move the places and numbers of others. A change that passes leaves
    fewer errors, or as many and fewer warnings, or as many of both and fewer remarks; or as many of all, where what is
    new has no edit that could bring the old back: no sequence of them is endless.
    Where SGLang refused an option and takes it now, rules may find what they could not see; no rule's edit brings
    such an option back, so that has an end too.
    """
    old, new = _counts(before), _counts(after)
    if new[mended.id] >= old[mended.id]:
        return "its edit does not mend it"
    if mended.id == _REFUSED and after.facts is not None:
        return None
    numbers, before_it = [new[severity] for severity in Severity], [old[severity] for severity in Severity]
    for found in _standing(after):
        endless = numbers > before_it or (numbers == before_it and bool(found.edits))
        if new[found.id] > old[found.id] and (found.severity is Severity.ERROR or endless):
            return f"its edit would bring {found.id}: {found.message}"
    return None


def _standing(checked: Checked) -> list[Finding]:
    return [finding for finding in checked.findings if finding.waived is None]


def _counts(checked: Checked) -> Counter[str]:
    """How many findings stand, for each id and for each severity."""
    standing = _standing(checked)
    return Counter(found.id for found in standing) + Counter(found.severity for found in standing)
