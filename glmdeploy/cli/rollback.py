"""``glmdeploy rollback``."""

from __future__ import annotations

import json
from typing import Any

import click

from glmdeploy.cli import app, common, rolling, target_options


@click.command()
@app.app_argument
@click.argument("version", type=click.IntRange(min=1), required=False, shell_complete=app.complete_versions)
@target_options.target_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@rolling.options
@common.json_option
def rollback(named: str, version: int | None, where: str, environment: str | None, **options: Any) -> None:
    """Bring an earlier version back; without VERSION, the last one that ran another plan.

    It is guarded as a new version is: what runs serves until a container of the old version has proved itself. Where
    Modal's plan for the workspace allows no rollback, the kept plan is deployed again, with its own container side.

    \b
    glmdeploy rollback glm51-fp8
    glmdeploy rollback glm51-fp8 7 --dry-run
    """
    as_json, dry_run = options["as_json"], options["dry_run"]
    found = app.target_app(named, where, environment, reading=dry_run)

    from glmdeploy.local.cloud import home
    from glmdeploy.operate.lock import exclusive
    from glmdeploy.operate.rollback import roll_back
    from glmdeploy.operate.rollback import rollback as look
    from glmdeploy.report.rollback import rollback_data, rollback_text

    with exclusive(home() / "locks", f"{found.app} on {where}"):
        what = look(found.app, found.target, version)
        result = rollback_data(what)
        for line in rollback_text(what, common.width()):
            click.echo(line, err=as_json)
        if what.acts and not dry_run:
            app.confirm("Go?", yes=options["yes"], as_json=as_json, refused="nothing was changed")
            with rolling.Progress(result) as progress:
                roll_back(what, rolling.how(options), progress.tell)
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
