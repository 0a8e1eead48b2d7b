"""``glmdeploy validate``."""

from __future__ import annotations

import json
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glmdeploy.cli import common, complete
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import ProfileError, UsageError
from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from glmdeploy.authoring.fix import Repair
    from glmdeploy.cli.common import Asking
    from glmdeploy.report.run import Judged, Run
    from glmdeploy.rules.check import Checked
    from glmdeploy.rules.judge import Selection


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
    everything: bool,
) -> int:
    """Check profiles: syntax, schema, SGLang options and guard rules.

    Of a folder all profiles are checked, and those of the folders in it; other files are left out, and counted.
    Nothing is contacted, unless --ask-hub is given. What could not be judged is said, once.
    """
    from glmdeploy.report.run import Run
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
    judged = [judging.judge(profile) for profile in named]
    run = Run(profiles=tuple(_without_bases(judged, in_folders, judging.extended)), strict=strict)
    # With --diff, the findings are those of the files as they are.
    failed = run.failed or (diff and any(repair.fixed for repair in repairs.values()))
    if form == "json":
        from glmdeploy.report.run import run_data

        data = run_data(run) | {"ok": not failed}
        if fix or diff:
            from glmdeploy.report.fixes import fix_data

            for entry, each in zip(data["profiles"], run.profiles, strict=True):
                entry.update(fix_data(repairs.get(each.profile), wrote=not diff))
        common.echo_json(data)
    elif text := _text(run, form, everything=everything, err=diff):
        click.echo(text, err=diff and form == "pretty")
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


def _without_bases(judged: Sequence[Judged], in_folders: Collection[str], extended: Collection[Path]) -> list[Judged]:
    """All but the files of folders that others of the run extend, and that are no profiles by themselves."""
    bases = {
        each.profile
        for each in judged
        if each.profile in in_folders and not each.judged and Path(each.profile).resolve() in extended
    }
    if bases:
        _left_out(sorted(bases), "that others extend")
    return [each for each in judged if each.profile not in bases]


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
    extended: set[Path] = field(default_factory=set)
    """The files that the profiles judged so far extend."""

    def judge(self, profile: str) -> Judged:
        """What the checks say of one profile."""
        from glmdeploy.report.run import Judged, replacements
        from glmdeploy.rules.check import check

        try:
            document = common.document(profile, self.overlays, self.sets)
        except ProfileError as error:
            findings = self.chosen.of(error.findings, judged=False)
            return Judged(profile=profile, findings=findings, judged=False)
        self.extended.update(Path(file).resolve() for file in document.files[1:])
        checked = check(document, checkpoint=self.ask(document))
        checked = checked.strictly() if self.strict_knowledge else checked
        findings = self.chosen.of(checked.findings, judged=checked.facts is not None)
        in_file = self.form == "sarif" and profile != "-" and not self.overlays and not self.sets
        return Judged(
            profile=profile,
            findings=findings,
            judged=checked.facts is not None,
            digest=_digest(checked) if self.form == "json" else None,
            replacements=replacements(findings, document.files[0]) if in_file else {},
        )


def _digest(checked: Checked) -> str | None:
    from glmdeploy.plan.make import made

    plan = made(checked)
    return plan.digest if plan else None


def _text(run: Run, form: str, *, everything: bool, err: bool) -> str:
    match form:
        case "sarif":
            from glmdeploy.report.sarif import log
            from glmdeploy.rules.registry import rules

            return json.dumps(log(run, rules()), indent=2, ensure_ascii=False)
        case "junit":
            from glmdeploy.report.junit import suites

            return suites(run)
        case "github":
            from glmdeploy.report.github import workflow_commands

            return workflow_commands(run)
        case _:
            from glmdeploy.report.validation import validation_text

            return validation_text(run, common.width(err=err), everything=everything)
