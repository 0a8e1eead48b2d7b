"""A run of ``validate``: profiles with their findings, and how much of it is data.

A fix is the one piece of a text that is replaced, as code-scanning services take it.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from dataclasses import field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from glmdeploy import redaction
from glmdeploy.errors import GlmdeployError, ProfileError
from glmdeploy.findings import Finding, Severity
from glmdeploy.records import record
from glmdeploy.report.view import clean, view

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glmdeploy.authoring.launch.imported import Imported


@record
class Replacement:
    """The characters from one place of ``file`` up to another become ``text``. Lines and columns count from 1."""

    file: str
    start_line: int
    start_column: int
    end_line: int
    end_column: int
    text: str


def replacement(file: str, before: str, after: str) -> Replacement | None:
    """The smallest piece of ``before`` whose replacement gives ``after``; None where the two are equal.

    The end of a file that ends with a line's end counts as part of its last line.
    """
    # A byte order mark has no column.
    before, after = before.removeprefix("\ufeff"), after.removeprefix("\ufeff")
    if before == after:
        return None
    start = _common(before, after)
    tail = _common(before[start:][::-1], after[start:][::-1])
    end = len(before) - tail
    lines = before.splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines[:-1]))]
    rows = [bisect_right(starts, offset) - 1 for offset in (start, end)]
    return Replacement(
        file=file,
        start_line=rows[0] + 1,
        start_column=start - starts[rows[0]] + 1,
        end_line=rows[1] + 1,
        end_column=end - starts[rows[1]] + 1,
        text=after[start : len(after) - tail],
    )


def replacements(findings: Sequence[Finding], name: str) -> dict[int, Replacement]:
    """What the text of the profile's own file ``name`` becomes with a finding's edits, by the finding's index."""
    from glmdeploy.authoring.own_file import OwnFile  # most runs need none

    changes = {}
    for index, finding in enumerate(findings):
        if finding.edits and finding.waived is None:
            # What cannot be edited, such as a pipe or another file's value, has no replacement.
            with contextlib.suppress(GlmdeployError):
                file = OwnFile.read(name)
                if change := replacement(name, file.saved, file.edited(*finding.edits).text):
                    changes[index] = change
    return changes


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    both = zip(one, other, strict=False)
    return next((index for index, (left, right) in enumerate(both) if left != right), min(len(one), len(other)))


@record
class Judged:
    """One profile as the user named it, with the findings to report.

    ``judged`` says whether the rules saw it: a fault of its form keeps them from it. ``digest`` is its plan's, None
    where there is no plan because of an error. ``replacements`` has, by the index of a finding, what the text of its
    file becomes with the finding's edits made, where they can be made.
    """

    profile: str
    findings: tuple[Finding, ...]
    judged: bool = True
    digest: str | None = None
    replacements: Mapping[int, Replacement] = field(default_factory=dict)


@record
class Run:
    """All profiles of one call; with ``strict``, warnings fail too. Remarks never do."""

    profiles: tuple[Judged, ...]
    strict: bool = False

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for judged in self.profiles for finding in judged.findings)

    @property
    def failed(self) -> bool:
        return any(map(self.fails, self.findings))

    def fails(self, finding: Finding) -> bool:
        """Whether the finding is a reason for exit code 1."""
        failing = (Severity.ERROR, Severity.WARNING) if self.strict else (Severity.ERROR,)
        return finding.severity in failing and finding.waived is None


def finding_data(finding: Finding) -> dict[str, Any]:
    """One finding as JSON data; keys without a value are left out."""
    seen = view(finding)
    data = {
        "id": seen.id,
        "severity": str(seen.severity),
        "message": seen.message,
        "file": clean(finding.location.file),
        "line": seen.line,
        "column": seen.column,
        "path": seen.path,
        "expected": seen.expected,
        "fix": seen.fix,
        "fixable": seen.fixable or None,
        "links": list(seen.links),
        "waived": seen.waived,
    }
    return {key: value for key, value in data.items() if value not in (None, [], "")}


def error_data(error: GlmdeployError) -> dict[str, Any]:
    """A failure as JSON data; keys without a value are left out."""
    findings = error.findings if isinstance(error, ProfileError) else ()
    data = {
        "message": redaction.mask(error.message),
        "advice": redaction.mask(error.advice or ""),
        "findings": [finding_data(finding) for finding in findings],
    }
    return {"error": {key: value for key, value in data.items() if value}}


def run_data(run: Run) -> dict[str, Any]:
    """Everything that ``validate`` found. ``valid`` says whether a profile can be deployed, whatever was selected."""
    return {"ok": not run.failed, "profiles": [_profile_data(judged) for judged in run.profiles]}


def _profile_data(judged: Judged) -> dict[str, Any]:
    return {
        "profile": clean(judged.profile),
        "valid": judged.digest is not None,
        "digest": judged.digest,
        "findings": [finding_data(finding) for finding in judged.findings],
    }


def imported_data(imported: Imported) -> dict[str, Any]:
    """What an import gave, as JSON data; ``digest`` is that of the profile's plan, where it has one."""
    from glmdeploy.plan.make import made

    plan = made(imported.checked) if imported.checked else None
    return {
        "complete": imported.complete,
        "valid": plan is not None,
        "digest": plan.digest if plan else None,
        "profile": imported.data,
        "text": imported.text,
        "findings": [finding_data(finding) for finding in imported.findings],
    }
