"""``glmdeploy validate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import click

from glmdeploy.cli import common, complete, shares
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import ProfileError, UsageError
from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from glmdeploy.authoring.fix import Repair
    from glmdeploy.cli.common import Asking
    from glmdeploy.report.run import Judged, Run
    from glmdeploy.report.validation import Told
    from glmdeploy.rules.check import Checked
    from glmdeploy.rules.judge import Selection


Kind = TypeVar("Kind", "Judged", "Told")

_NAMED = 3
"""How many of the files that are left out are named."""


EPILOG = """\b
Examples:
  glmdeploy validate b200-eagle-bf16kv   # a profile
  glmdeploy validate profiles/ --strict  # in CI: warnings fail too
  glmdeploy validate mine.yaml --fix     # what needs no decision
  glmdeploy validate mine.yaml --set server.max_containers=5

Exit codes: 0 no error, 1 errors; with --strict, 1 for warnings too.
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("profiles", nargs=-1, required=True, metavar="PROFILE|FOLDER...", shell_complete=complete.profiles)
@common.profile_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["pretty", "json", "sarif", "junit", "github"]),
    help="What standard output is: text, JSON, SARIF 2.1.0, JUnit XML or GitHub annotations.  [default: pretty]",
)
@common.json_option
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@click.option("--strict-knowledge", is_flag=True, help="Fail where something could not be judged.")
@common.model_options
@common.selection_options
@click.option("--fix", is_flag=True, help="Make the fixes that need no decision in the profiles' own files.")
@click.option("--diff", is_flag=True, help="Only show what --fix would change; exit with 1 if it would.")
@click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Of many profiles so many at a time (one a core).",
)
@common.all_option("Show remarks and what is waived in full, and of several profiles warnings too.")
def validate(
    profiles: tuple[str, ...],
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    form: str | None,
    as_json: bool,
    strict: bool,
    strict_knowledge: bool,
    model_config: Path | None,
    ask_hub: bool,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fix: bool,
    diff: bool,
    parallel: int | None,
    everything: bool,
) -> int:
    """Check profiles: syntax, schema, SGLang options and guard rules.

    Of a folder all profiles are checked, and those of the folders in it; other files are left out, and counted.
    Nothing is contacted, unless --ask-hub is given. What could not be judged is said, once.
    """
    from glmdeploy.report.run import Run
    from glmdeploy.report.validation import validation_text
    from glmdeploy.rules.judge import selection

    form = common.one_format(form, as_json=as_json, default="pretty")
    chosen = selection(select, ignore)
    named, in_folders = _expanded(profiles)
    repairs: dict[str, Repair] = {}
    if fix or diff:
        if overlays or sets:
            raise UsageError("`--fix` and `--diff` edit the profile's own file: leave out `--overlay` and `--set`")
        repairs = _repair(named, chosen, write=not diff, err=form != "pretty")
    judging = _Judging(
        overlays=overlays,
        sets=sets,
        chosen=chosen,
        form=form,
        ask=common.asking(model_config, ask_hub=ask_hub),
        strict_knowledge=strict_knowledge,
    )
    number = parallel or (1 if ask_hub else shares.processes(len(named)))
    # With --diff, the findings are those of the files as they are.
    failed = diff and any(repair.fixed for repair in repairs.values())
    if form == "pretty":
        width = common.width(err=diff)
        telling = _Telling(judging=judging, run=Run(profiles=(), strict=strict), width=width, everything=everything)
        told = telling.told(named, in_folders, number)
        click.echo(validation_text(told, width, strict=strict), err=diff)
        return int(failed or any(each.failed for each in told))
    judged = _without_bases([*shares.shared(judging.outcome, named, number)], in_folders)
    run = Run(profiles=tuple(judged), strict=strict)
    failed = failed or run.failed
    if form == "json":
        from glmdeploy.report.run import run_data

        data = run_data(run) | {"ok": not failed}
        if fix or diff:
            from glmdeploy.report.fixes import fix_data

            for entry, each in zip(data["profiles"], run.profiles, strict=True):
                entry.update(fix_data(repairs.get(each.profile), wrote=not diff))
        common.echo_json(data)
    elif text := _text(run, form):
        click.echo(text)
    return int(failed)


def _expanded(given: Sequence[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The profiles that are meant, each once, and which of them stand in a folder that was given.

    :raises GlmdeployError: for a folder without a profile.
    """
    from glmdeploy.profile.text.folder import is_folder, profiles_of

    found: dict[str, bool] = {}
    others: list[str] = []
    for each in given:
        if is_folder(each):
            folder = profiles_of(each)
            others += folder.others
            found |= dict.fromkeys((path for path in folder.profiles if path not in found), True)
        else:
            found[each] = False
    if others:
        _left_out(others, "that is no profile" if len(others) == 1 else "that are no profiles")
    return tuple(found), frozenset(name for name, inside in found.items() if inside)


def _left_out(files: Sequence[str], which: str) -> None:
    from glmdeploy.report.view import clean
    from glmdeploy.report.words import counted

    named = ", ".join(map(clean, files[:_NAMED]))
    common.note(f"left out {counted(len(files), 'file')} {which}: {named}{', ...' if len(files) > _NAMED else ''}")


def _without_bases(found: Sequence[_Outcome[Kind]], in_folders: Collection[str]) -> list[Kind]:
    """What was found; left out are files of folders that others extend, and that are no profiles by themselves."""
    extended = {path for each in found for path in each.extended}
    profiles = (each.value for each in found if not each.value.judged)
    bases = {
        each.profile for each in profiles if each.profile in in_folders and Path(each.profile).resolve() in extended
    }
    if bases:
        _left_out(sorted(bases), "that others extend")
    return [each.value for each in found if each.value.profile not in bases]


@record
class _Outcome(Generic[Kind]):
    """What was found out of a profile, and the files that it extends."""

    value: Kind
    extended: tuple[Path, ...] = ()


def _repair(profiles: tuple[str, ...], chosen: Selection, *, write: bool, err: bool) -> dict[str, Repair]:
    """What became of each profile that can be read: shown while it is done, the difference on standard output.

    With ``err`` that goes to standard error too. :raises UsageError: if what is judged is not what stands in files.
    """
    from glmdeploy.authoring.fix import repair
    from glmdeploy.report.fixes import file_diff, fixes_text

    if "-" in profiles:
        raise UsageError("standard input cannot be edited: name a file")
    repairs = {}
    for done in repair(profiles, write=write, chosen=chosen.covers):
        repairs[done.profile] = done
        for line in file_diff(done.outcome):
            click.echo(line, err=err)
    click.echo(fixes_text(repairs.values(), wrote=write), err=True)
    return repairs


@record
class _Judging:
    """How profiles are judged. ``form`` decides what else is found out: the plan's digest, or what edits change."""

    overlays: tuple[str, ...]
    sets: tuple[str, ...]
    chosen: Selection
    form: str
    ask: Asking
    strict_knowledge: bool

    def outcome(self, profile: str) -> _Outcome[Judged]:
        """What the checks say of one profile."""
        from glmdeploy.report.run import Judged, replacements
        from glmdeploy.rules.check import check

        try:
            document = common.document(profile, self.overlays, self.sets)
        except ProfileError as error:
            findings = self.chosen.of(error.findings, judged=False)
            return _Outcome(value=Judged(profile=profile, findings=findings, judged=False))
        checked = check(document, checkpoint=self.ask(document))
        checked = checked.strictly() if self.strict_knowledge else checked
        findings = self.chosen.of(checked.findings, judged=checked.facts is not None)
        in_file = self.form == "sarif" and profile != "-" and not self.overlays and not self.sets
        judged = Judged(
            profile=profile,
            findings=findings,
            judged=checked.facts is not None,
            digest=_digest(checked) if self.form == "json" else None,
            replacements=replacements(findings, document.files[0]) if in_file else {},
        )
        return _Outcome(value=judged, extended=tuple(Path(file).resolve() for file in document.files[1:]))


@record
class _Telling:
    """How people are told of profiles: of many, no more is kept of each than what is told of it."""

    judging: _Judging
    run: Run
    width: int
    everything: bool

    def told(self, named: Sequence[str], in_folders: Collection[str], number: int) -> list[Told]:
        """What is told of each profile, judged by ``number`` processes."""
        from glmdeploy.report.validation import told

        if len(named) > shares.WORTH:
            return _without_bases([*shares.shared(self.among_many, named, number)], in_folders)
        judged = _without_bases([*shares.shared(self.judging.outcome, named, number)], in_folders)
        alone = len(judged) == 1
        return [told(each, self.run, self.width, everything=self.everything, alone=alone) for each in judged]

    def among_many(self, profile: str) -> _Outcome[Told]:
        """What is told of one profile of many."""
        from glmdeploy.report.validation import told

        found = self.judging.outcome(profile)
        text = told(found.value, self.run, self.width, everything=self.everything)
        return _Outcome(value=text, extended=found.extended)


def _digest(checked: Checked) -> str | None:
    from glmdeploy.plan.make import made

    plan = made(checked)
    return plan.digest if plan else None


def _text(run: Run, form: str) -> str:
    match form:
        case "sarif":
            from glmdeploy.report.sarif import log
            from glmdeploy.rules.registry import rules

            return json.dumps(log(run, rules()), indent=2, ensure_ascii=False)
        case "junit":
            from glmdeploy.report.junit import suites

            return suites(run)
        case _:
            from glmdeploy.report.github import workflow_commands

            return workflow_commands(run)
