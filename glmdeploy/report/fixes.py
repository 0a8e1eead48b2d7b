"""``glmdeploy validate --fix`` and ``--diff``: make the fixes of findings in the profiles' files, or show them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import common
from glmdeploy.errors import ProfileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from glmdeploy.authoring.fix import NotFixed, Outcome
    from glmdeploy.findings import Finding

_COLORS = {"@": "cyan", "+": "green", "-": "red"}
"""Of git's diffs, by a line's first character."""


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--fix`` and ``--diff``, passed on as ``fix`` and ``diff``."""

    @click.option("--fix", is_flag=True, help="Make the fixes that need no decision in the profiles' own files.")
    @click.option("--diff", is_flag=True, help="Only show what --fix would change; exit with 1 if it would.")
    @functools.wraps(function)
    def wrapped(**arguments: Any) -> Any:
        return function(**arguments)

    return wrapped


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What became of one profile's findings."""

    fixed: tuple[Finding, ...] = ()
    not_fixed: tuple[NotFixed, ...] = ()


def repair(
    profiles: Iterable[str],
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    *,
    write: bool,
    chosen: Callable[[Finding], bool],
    err: bool,
) -> dict[str, Repair]:
    """Fix the chosen findings of each profile that can be read: show the diff, and with ``write`` make it so.

    The diff goes to standard output, or with ``err`` to standard error, as what is said about it does. A file is only
    written after all of its fixes were made in memory.

    :raises UsageError: if what is judged is not what stands in files.
    :raises GlmdeployError: if a file cannot be written; it is as before then.
    """
    from glmdeploy.authoring.fix import fix
    from glmdeploy.authoring.own_file import OwnFile

    if overlays or sets:
        raise UsageError("--fix and --diff edit the profile's own file: leave out --overlay and --set")
    if "-" in profiles:
        raise UsageError("standard input cannot be edited: name a file")
    repairs = {profile: Repair() for profile in profiles}
    # Again as long as files change, because one of them may extend another that comes later.
    for _ in repairs:
        changed = False
        for profile, before in repairs.items():
            try:
                outcome = fix(OwnFile.read(common.document(profile).files[0]), chosen=chosen)
            except ProfileError:
                continue  # for `validate` to report
            repairs[profile] = Repair(fixed=(*before.fixed, *outcome.fixed), not_fixed=outcome.not_fixed)
            _show(outcome, err=err)
            if write:
                outcome.file.write()
                changed = changed or bool(outcome.fixed)
        if not changed:
            break
    _tell(repairs, wrote=write)
    return repairs


def _show(outcome: Outcome, *, err: bool) -> None:
    from glmdeploy.authoring import own_file

    found = (*outcome.before.findings, *outcome.after.findings, *outcome.fixed)
    for line in own_file.lines(outcome.file, secrets=[finding.path for finding in found if finding.secret]):
        header = line.startswith(("--- ", "+++ "))
        click.echo(click.style(line, bold=header or None, fg=None if header else _COLORS.get(line[:1])), err=err)


def _tell(repairs: dict[str, Repair], *, wrote: bool) -> None:
    from glmdeploy import redaction

    for profile, result in repairs.items():
        if result.fixed:
            ids = ", ".join(dict.fromkeys(finding.id for finding in result.fixed))
            count = f"{len(result.fixed)} finding{'s' if len(result.fixed) > 1 else ''}"
            click.echo(f"{'Fixed' if wrote else 'Would fix'} {count} in {profile}: {ids}", err=True)
        for item in result.not_fixed:
            place = item.finding.location
            text = redaction.mask(". ".join(filter(None, (item.reason, item.advice))))
            click.echo(f"{place.file}:{place.line}:{place.column}: {item.finding.id} is not fixed: {text}", err=True)
    if not any(result.fixed for result in repairs.values()):
        click.echo("Nothing was fixed." if wrote else "Nothing would be fixed.", err=True)


def data(repair: Repair, *, wrote: bool) -> dict[str, Any]:
    """What became of the findings, as JSON data: ``fixed``, or ``would_fix``, and ``not_fixed`` with the reasons."""
    from glmdeploy.report.run import finding_data

    def short(finding: Finding) -> dict[str, Any]:
        return {key: value for key, value in finding_data(finding).items() if key in ("id", "path", "message")}

    return {
        "fixed" if wrote else "would_fix": [short(finding) for finding in repair.fixed],
        "not_fixed": [{**short(item.finding), "reason": item.reason} for item in repair.not_fixed],
    }
