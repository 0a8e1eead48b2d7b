"""``glmdeploy validate``."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import click

from glmdeploy.cli import common, fixing
from glmdeploy.errors import GlmdeployError, ProfileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.findings import Finding
    from glmdeploy.report.run import Judged, Replacement, Run
    from glmdeploy.rules.judge import Selection


@click.command()
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
@common.selection_options
@fixing.options
def validate(
    profiles: tuple[str, ...],
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    form: str | None,
    as_json: bool,
    strict: bool,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fix: bool,
    diff: bool,
) -> int:
    """Check profiles: syntax, schema, SGLang options and guard rules. Nothing is contacted."""
    from glmdeploy.report.run import Run
    from glmdeploy.rules.judge import selection

    form = common.one_format(form, as_json=as_json, default="pretty")
    chosen = selection(select, ignore)
    repairs = None
    if fix or diff:
        repairs = fixing.repair(profiles, overlays, sets, write=not diff, chosen=chosen.covers, err=form != "pretty")
    judged = [_judge(profile, overlays, sets, chosen, with_changes=form == "sarif") for profile in profiles]
    run = Run(profiles=tuple(judged), strict=strict)
    # With --diff, the findings are those of the files as they are.
    failed = run.failed or (diff and repairs is not None and any(repair.fixed for repair in repairs.values()))
    if form == "json":
        from glmdeploy.report.run import run_data

        data = run_data(run) | {"ok": not failed}
        if repairs:
            for entry, profile in zip(data["profiles"], profiles, strict=True):
                entry.update(fixing.data(repairs[profile], wrote=not diff))
        common.echo_json(data)
    elif text := _text(run, form):
        click.echo(text, err=diff and form == "pretty")
    return int(failed)


def _judge(
    profile: str, overlays: tuple[str, ...], sets: tuple[str, ...], chosen: Selection, *, with_changes: bool
) -> Judged:
    from glmdeploy.report.run import Judged
    from glmdeploy.resolve import resolve

    try:
        document = common.document(profile, overlays, sets)
    except ProfileError as error:
        return Judged(profile=profile, findings=chosen.of(error.findings, judged=False))
    resolution = resolve(document)
    findings = chosen.of(resolution.findings, judged=resolution.subject is not None)
    in_file = with_changes and profile != "-" and not overlays and not sets
    return Judged(
        profile=profile,
        findings=findings,
        digest=resolution.plan.digest if resolution.plan else None,
        replacements=_replacements(findings, document.files[0]) if in_file else {},
    )


def _replacements(findings: Sequence[Finding], name: str) -> dict[int, Replacement]:
    """What the text of the profile's own file becomes with a finding's edits, by the finding's index."""
    from glmdeploy.authoring.own_file import OwnFile
    from glmdeploy.report.run import replacement

    changes = {}
    for index, finding in enumerate(findings):
        if finding.edits and finding.waived is None:
            # What cannot be edited, such as a pipe or another file's value, has no replacement.
            with contextlib.suppress(GlmdeployError):
                file = OwnFile.read(name)
                if change := replacement(name, file.saved, file.edited(*finding.edits).text):
                    changes[index] = change
    return changes


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
