"""``glmdeploy rollback``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import app, common, complete, following, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.cli.live import busy

if TYPE_CHECKING:
    from glmdeploy.operate.rollback import WayBack


EPILOG = """\b
Examples:
  glmdeploy rollback glm51-fp8          # to the version before
  glmdeploy rollback glm51-fp8 7 --yes  # to version 7
  glmdeploy rollback prod.yaml --dry-run --json
"""


@click.command(cls=Documented, epilog=EPILOG)
@app.app_argument
@click.argument("version", type=click.IntRange(min=1), required=False, shell_complete=complete.versions)
@target_options.target_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@following.guard_options
@common.verbose_option
@common.json_option
def rollback(named: str, version: int | None, where: str, environment: str | None, **options: Any) -> None:
    """Go back to an earlier version of an app. Without VERSION: the one before that did not fail.

    What runs serves until the earlier version has proved itself again; if it does not, what runs now comes back. Where
    the workspace has no rollbacks, the earlier plan is deployed again with the container side that it had.
    """
    as_json, dry_run = options["as_json"], options["dry_run"]
    found = app.target_app(named, where, environment, reading=dry_run)

    from glmdeploy.local.cloud import home
    from glmdeploy.operate.lock import exclusive
    from glmdeploy.operate.rollback import go_back, way_back
    from glmdeploy.report.rollback import way_data, way_text

    with exclusive(home() / "locks", f"{found.app} on {where}"):
        with busy(found.app, "looks at its versions", quiet=common.is_quiet()):
            way = way_back(found.app, found.target, version)
        result = way_data(way)
        for line in () if common.is_quiet() and (as_json or options["yes"]) else way_text(way, common.width()):
            click.echo(line, err=as_json)
        if not dry_run:
            if way.acts:
                app.confirm("Go?", yes=options["yes"], as_json=as_json, refused="nothing was rolled back")
            told = {"changing": way.acts, "names": following.DEPLOYING if way.acts else (), "as_json": as_json}
            result |= following.followed(go_back(way, following.guard(options)), **told)
            if not as_json and way.acts and not common.is_quiet():
                click.echo(f"\n{_ended(way, result)}")
            if not as_json and "url" in result:
                click.echo(result["url"])
    if as_json:
        common.echo_json(result)


def _ended(way: WayBack, result: dict[str, Any]) -> str:
    runs = result.get("runs") or way.now.version.number
    return f"{way.app} runs version {runs}, which has the plan of version {way.to.version.number}."
