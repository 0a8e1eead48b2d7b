"""``glmdeploy list``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from glmdeploy.cli import common, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.cli.live import busy
from glmdeploy.errors import UsageError

EPILOG = """\b
Examples:
  glmdeploy list
  glmdeploy list --env prod --all
  glmdeploy list --all-environments --json
"""


@click.command("list", cls=Documented, epilog=EPILOG)
@target_options.target_options
@click.option("--all", "everything", is_flag=True, help="Also what glmdeploy did not deploy.")
@click.option("--all-environments", is_flag=True, help="Of every Environment of the workspace.")
@common.json_option
def list_(where: str, environment: str | None, everything: bool, all_environments: bool, as_json: bool) -> None:
    """Show the deployed apps of an Environment, a line each."""
    if all_environments and environment:
        raise UsageError("`--env` and `--all-environments` exclude each other")
    common.quiet()
    from glmdeploy.operate import target

    destination = target.connect(where, None, environment, reading=True)

    from dataclasses import replace

    from glmdeploy.operate.listing import environments, listing
    from glmdeploy.report.status import listing_data, listing_text

    places = environments(destination) if all_environments else (destination.environment,)
    with busy("list", "looks at what is deployed", quiet=common.is_quiet()):
        found = {place: listing(replace(destination, environment=place)) for place in places}
    now = datetime.now(UTC)
    if as_json:
        common.echo_json(
            [
                each | ({"environment": place} if all_environments else {})
                for place, apps in found.items()
                for each in listing_data(apps)
            ]
        )
        return
    for place, apps in found.items():
        if all_environments:
            click.echo(f"{place}:")
        for line in listing_text(apps, common.width(), now, everything=everything):
            common.echo(line)
