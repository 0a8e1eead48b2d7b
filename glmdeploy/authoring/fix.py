"""Make the edits of findings in profiles' own files: in memory, each one proved before it counts, then in the file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.authoring.editor import EditError
from glmdeploy.authoring.own_file import OwnFile
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity
from glmdeploy.profile.text.load import load
from glmdeploy.rules.check import Checked, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from glmdeploy.findings import Finding
    from glmdeploy.profile.text.document import Document


@dataclass(frozen=True, kw_only=True)
class NotFixed:
    """A finding whose edits were not made, and why: a sentence, and what the user can do."""

    finding: Finding
    reason: str
    advice: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What fixing came to. ``file`` holds the edits, and is not written yet.

    ``before`` and ``after`` judge the profile as it is and as it is to be; ``fixed`` are the findings whose edits
    were made, in their order, ``not_fixed`` those of ``after`` whose edits could not be made.
    """

    file: OwnFile
    before: Checked
    after: Checked
    fixed: tuple[Finding, ...]
    not_fixed: tuple[NotFixed, ...]


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What became of one profile: ``outcome`` of fixing it this time, ``fixed`` of all times."""

    profile: str
    outcome: Outcome
    fixed: tuple[Finding, ...]


def repair(
    profiles: Iterable[str], *, write: bool, chosen: Callable[[Finding], bool] = lambda _: True
) -> Iterator[Repair]:
    """What fixing each profile that can be read comes to; with ``write``, its file is written when the next is asked.

    A profile comes again as long as files change, because one of them may extend another that comes later.

    :raises GlmdeployError: if a file cannot be read or written; it is as before then.
    """
    fixed: dict[str, tuple[Finding, ...]] = dict.fromkeys(profiles, ())
    for _ in fixed:
        changed = False
        for profile, before in fixed.items():
            try:
                outcome = fix(OwnFile.read(load(profile).files[0]), chosen=chosen)
            except ProfileError:
                continue  # judging it says why
            fixed[profile] = (*before, *outcome.fixed)
            yield Repair(profile=profile, outcome=outcome, fixed=fixed[profile])
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
    first wins, and a finding that went with another is not mended twice. ``judge`` gives the findings of a document.

    :raises ProfileError: if the file, or one that it extends, cannot be read.
    """
    before = now = judge(file.document)
    fixed: list[Finding] = []
    while True:
        not_fixed: list[NotFixed] = []
        for finding in (found for found in now.findings if found.edits and found.waived is None and chosen(found)):
            try:
                changed = file.edited(*finding.edits)
            except EditError as error:
                not_fixed.append(NotFixed(finding=finding, reason=error.message, advice=error.advice))
                continue
            then = judge(changed.document)
            if harm := _harm(finding, now, then):
                not_fixed.append(NotFixed(finding=finding, reason=harm))
                continue
            file, now = changed, then
            fixed.append(finding)
            break
        else:
            return Outcome(file=file, before=before, after=now, fixed=tuple(fixed), not_fixed=tuple(not_fixed))


def _harm(mended: Finding, before: Checked, after: Checked) -> str | None:
    """Why a change must not be made, if it must not: it mends nothing, or breaks something else.

    Findings are counted by id, because an edit can move the places and numbers of others. A change that passes leaves
    fewer errors, or as many and fewer warnings, or as many of both and fewer remarks: no sequence of them is endless.
    """
    old, new = _counts(before), _counts(after)
    if new[mended.id] >= old[mended.id]:
        return "its edit does not mend it"
    no_better = [new[severity] for severity in Severity] >= [old[severity] for severity in Severity]
    for found in _standing(after):
        if new[found.id] > old[found.id] and (found.severity is Severity.ERROR or no_better):
            return f"its edit would bring {found.id}: {found.message}"
    return None


def _standing(checked: Checked) -> list[Finding]:
    return [finding for finding in checked.findings if finding.waived is None]


def _counts(checked: Checked) -> Counter[str]:
    """How many findings stand, for each id and for each severity."""
    standing = _standing(checked)
    return Counter(found.id for found in standing) + Counter(found.severity for found in standing)
