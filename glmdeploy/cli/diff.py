"""``glmdeploy diff``."""

from __future__ import annotations

import click

from glmdeploy.cli import common
from glmdeploy.errors import GlmdeployError


@click.command()
@click.argument("old")
@click.argument("new")
@common.json_option
def diff(old: str, new: str, as_json: bool) -> int:
    """Show what changes from profile OLD to profile NEW. Exit code: 0 the same, 1 different, 2 trouble."""
    from glmdeploy.plan import diff
    from glmdeploy.plan.impact import impact
    from glmdeploy.report import outage, values

    try:
        before, after = (common.plan(profile, (), ()) for profile in (old, new))
    except GlmdeployError as error:
        error.exit_code = 2
        raise
    changes = diff.diff(before.data(), after.data())
    again = impact(before.data(), after.data())
    if as_json:
        outages = outage.outage_data(before.data(), after.data())
        common.echo_json(values.diff_data(before, after, changes, again) | {"outages": outages})
    elif changes:
        common.echo(f"{values.changes_text(changes)}\n\n{values.impact_text(again)}")
        for line in outage.outage_text(before.data(), after.data()):
            common.echo(line)
    else:
        common.echo("No changes.")
    return int(bool(changes))
