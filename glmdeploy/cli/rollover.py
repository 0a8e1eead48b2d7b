"""``glmdeploy rollover``."""

from __future__ import annotations

from typing import Any

import click

from glmdeploy.cli import app, common, following, target_options
from glmdeploy.cli.commands import Documented

EPILOG = """\b
Examples:
  glmdeploy rollover glm51-fp8
  glmdeploy rollover prod.yaml --yes --json
"""


@click.command(cls=Documented, epilog=EPILOG)
@app.app_argument
@target_options.target_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@following.guard_options
@common.verbose_option
@common.json_option
def rollover(named: str, where: str, environment: str | None, **options: Any) -> None:
    """Replace an app's containers by fresh ones of the same version. Secrets that were rotated need that.

    The old ones serve until a fresh one has proved itself. A version before is of no help against a wrong secret: where
    no fresh container starts, what runs stays, and nothing is taken back.
    """
    as_json, dry_run = options["as_json"], options["dry_run"]
    found = app.target_app(named, where, environment, reading=dry_run)

    from glmdeploy.local.cloud import home
    from glmdeploy.operate.deployed import deployed
    from glmdeploy.operate.listing import not_deployed
    from glmdeploy.operate.lock import exclusive
    from glmdeploy.operate.rollback import check_afresh, start_afresh
    from glmdeploy.operate.tasks import tasks_of
    from glmdeploy.report.rollback import afresh_data, afresh_text

    with exclusive(home() / "locks", f"{found.app} on {where}"):
        now = deployed(found.app, found.target)
        if now is None:
            raise not_deployed(found.app, found.target)
        check_afresh(now, found.target)
        running = len(tasks_of(now.app_id, found.target))
        result = afresh_data(now, running)
        if not (common.is_quiet() and (as_json or options["yes"])):
            for line in afresh_text(now, running, found.target, common.width()):
                click.echo(line, err=as_json)
        if not dry_run:
            app.confirm("Go?", yes=options["yes"], as_json=as_json, refused="no container was replaced")
            guard = following.guard(options | {"no_rollback": True})
            steps = start_afresh(now, found.target, guard)
            result |= following.followed(steps, names=following.DEPLOYING, as_json=as_json)
            if not as_json and not common.is_quiet():
                click.echo(f"\n{now.app} runs version {result.get('runs')}, in fresh containers.")
            if not as_json and "url" in result:
                click.echo(result["url"])
    if as_json:
        common.echo_json(result)
