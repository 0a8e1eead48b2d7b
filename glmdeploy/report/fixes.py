"""What ``validate --fix`` and ``--diff`` came to: a file's difference as git shows one, and what became of findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from glmdeploy import redaction
from glmdeploy.authoring import own_file
from glmdeploy.findings import dotted
from glmdeploy.report import view
from glmdeploy.report.run import finding_data
from glmdeploy.report.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from glmdeploy.authoring.fix import Outcome, Repair, Replaced
    from glmdeploy.findings import Finding

_COLORS = {"@": "cyan", "+": "green", "-": "red"}
"""Of git's diffs, by a line's first character."""


def file_diff(outcome: Outcome) -> Iterator[str]:
    """The lines of the file's difference, with git's colors and secrets masked; none where nothing changes."""
    found = (*outcome.before.findings, *outcome.after.findings, *outcome.fixed)
    for line in own_file.lines(outcome.file, secrets=[finding.path for finding in found if finding.secret]):
        header = line.startswith(("--- ", "+++ "))
        yield click.style(line, bold=header or None, fg=None if header else _COLORS.get(line[:1]))


def fixes_text(repairs: Iterable[Repair], *, wrote: bool) -> str:
    """What became of the findings of each profile, a line each; ``wrote`` says whether the files were written."""
    lines, any_fixed = [], False
    for repair in repairs:
        if repair.fixed:
            any_fixed = True
            ids = ", ".join(dict.fromkeys(finding.id for finding in repair.fixed))
            number = counted(len(repair.fixed), "finding")
            lines.append(f"{'Fixed' if wrote else 'Would fix'} {number} in {repair.profile}: {ids}")
        lines += [f"  {_change(each)}" for each in repair.replaced]
        for item in repair.outcome.not_fixed:
            place = item.finding.location
            text = redaction.mask("; ".join(filter(None, (item.reason, item.advice))))
            lines.append(
                f"{view.short(place.file)}:{place.line}:{place.column}: {item.finding.id} is not fixed: {text}"
            )
    if not any_fixed:
        lines.append("Nothing was fixed." if wrote else "Nothing would be fixed.")
    return "\n".join(lines)


def _change(replaced: Replaced) -> str:
    """``sglang.args.kv-cache-dtype: fp8_e4m3 became bfloat16 (GLM001)``."""
    became = "was removed" if replaced.new is None else f"became {view.shown(replaced.new)}"
    return redaction.mask(f"{dotted(replaced.path)}: {view.shown(replaced.old)} {became} ({replaced.finding.id})")


def fix_data(repair: Repair | None, *, wrote: bool) -> dict[str, Any]:
    """``fixed``, or ``would_fix``, and ``not_fixed`` with the reasons, as JSON data; None for an unreadable profile.

    ``replaced`` has each value that became, or would become, another, with the finding's id.
    """
    fixed, not_fixed = (repair.fixed, repair.outcome.not_fixed) if repair else ((), ())
    return {
        "fixed" if wrote else "would_fix": [_short(finding) for finding in fixed],
        "replaced": [
            {"id": each.finding.id, "path": dotted(each.path), "old": _plain(each.old), "new": _plain(each.new)}
            for each in (repair.replaced if repair else ())
        ],
        "not_fixed": [{**_short(item.finding), "reason": item.reason} for item in not_fixed],
    }


def _plain(value: Any) -> Any:
    return redaction.mask(value) if isinstance(value, str) else value


def _short(finding: Finding) -> dict[str, Any]:
    return {key: value for key, value in finding_data(finding).items() if key in ("id", "path", "message")}
