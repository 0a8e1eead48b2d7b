"""``glmdeploy validate``."""

from __future__ import annotations

import json

import click

from glmdeploy.cli import common
from glmdeploy.errors import ProfileError


@click.command()
@click.argument("profiles", nargs=-1, required=True, metavar="PROFILE...")
@common.profile_options
@common.json_option
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
def validate(
    profiles: tuple[str, ...],
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    as_json: bool,
    strict: bool,
) -> int:
    """Check profiles: syntax, schema, SGLang options and guard rules. Nothing is contacted."""
    from glmdeploy.findings import Severity
    from glmdeploy.report import finding_data, finding_text, summary
    from glmdeploy.resolve import resolve

    results = []
    for profile in profiles:
        try:
            resolution = resolve(common.load(profile, overlays, sets))
            results.append((profile, resolution.findings, resolution.plan))
        except ProfileError as error:
            results.append((profile, error.findings, None))
    findings = [finding for _, found, _ in results for finding in found]
    failing = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    failed = any(finding.severity in failing and not finding.waived for finding in findings)
    if as_json:
        data = [
            {
                "profile": profile,
                "valid": plan is not None,
                "digest": plan.digest if plan else None,
                "findings": [finding_data(finding) for finding in found],
            }
            for profile, found, plan in results
        ]
        click.echo(json.dumps({"ok": not failed, "profiles": data}, indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            click.echo(finding_text(finding))
        click.echo(summary(findings, len(profiles)))
    return int(failed)
