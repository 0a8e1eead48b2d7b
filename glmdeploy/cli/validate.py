"""``glmdeploy validate``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from glmdeploy.cli import common
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import ProfileError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from glmdeploy.authoring.fix import Repair
    from glmdeploy.cli.common import Asking
    from glmdeploy.report.run import Judged, Run
    from glmdeploy.rules.check import Checked
    from glmdeploy.rules.judge import Selection


EPILOG = """\b
Examples:
  glmdeploy validate b200-eagle-bf16kv                        # a profile
  glmdeploy validate profiles/*.yaml --strict                 # in CI: warnings fail too
  glmdeploy validate mine.yaml --set server.max_containers=5  # what if
  glmdeploy validate mine.yaml --fix                          # sure fixes

Exit codes: 0 no error, 1 errors; with --strict, 1 for warnings too.
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("profiles", nargs=-1, required=True, metavar="PROFILE...")
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
) -> int:
    """Check profiles: syntax, schema, SGLang options and guard rules.

    Nothing is contacted, unless --ask-hub is given. What could not be judged is said, once.
    """
    from glmdeploy.report.run import Run
    from glmdeploy.rules.judge import selection

    form = common.one_format(form, as_json=as_json, default="pretty")
    chosen = selection(select, ignore)
    repairs: dict[str, Repair] = {}
    if fix or diff:
        if overlays or sets:
            raise UsageError("--fix and --diff edit the profile's own file: leave out --overlay and --set")
        repairs = _repair(profiles, chosen, write=not diff, err=form != "pretty")
    ask = common.asking(model_config, ask_hub=ask_hub)
    judged = [_judge(profile, overlays, sets, chosen, form, ask, strict_knowledge) for profile in profiles]
    run = Run(profiles=tuple(judged), strict=strict)
    # With --diff, the findings are those of the files as they are.
    failed = run.failed or (diff and any(repair.fixed for repair in repairs.values()))
    if form == "json":
        from glmdeploy.report.run import run_data

        data = run_data(run) | {"ok": not failed}
        if fix or diff:
            from glmdeploy.report.fixes import fix_data

            for entry, profile in zip(data["profiles"], profiles, strict=True):
                entry.update(fix_data(repairs.get(profile), wrote=not diff))
        common.echo_json(data)
    elif text := _text(run, form):
        click.echo(text, err=diff and form == "pretty")
    return int(failed)


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


def _judge(
    profile: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    chosen: Selection,
    form: str,
    ask: Asking,
    strict_knowledge: bool,
) -> Judged:
    """What the checks say of one profile, with what else ``form`` shows: the plan's digest, or what edits change."""
    from glmdeploy.report.run import Judged, replacements
    from glmdeploy.rules.check import check

    try:
        document = common.document(profile, overlays, sets)
    except ProfileError as error:
        return Judged(profile=profile, findings=chosen.of(error.findings, judged=False))
    checked = check(document, checkpoint=ask(document))
    checked = checked.strictly() if strict_knowledge else checked
    findings = chosen.of(checked.findings, judged=checked.facts is not None)
    in_file = form == "sarif" and profile != "-" and not overlays and not sets
    return Judged(
        profile=profile,
        findings=findings,
        digest=_digest(checked) if form == "json" else None,
        replacements=replacements(findings, document.files[0]) if in_file else {},
    )


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
        case "github":
            from glmdeploy.report.github import workflow_commands

            return workflow_commands(run)
        case _:
            from glmdeploy.report.text import finding_text, summary

            return "\n".join((*map(finding_text, run.findings), summary(run.findings, len(run.profiles))))
