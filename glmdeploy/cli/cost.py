"""``glmdeploy cost``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from glmdeploy.cli import app, common, complete, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.cli.live import busy
from glmdeploy.cli.logs import Moment
from glmdeploy.errors import UsageError

SINCE = timedelta(days=7)

EPILOG = """\b
Examples:
  glmdeploy cost  # every app, the last 7 days
  glmdeploy cost glm51-fp8 --since 24h
  glmdeploy cost glm51-fp8 --since 2026-11-01 --until 2026-12-01 --json
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("named", metavar="[APP_OR_PROFILE]", required=False, shell_complete=complete.apps)
@target_options.target_options
@click.option("--since", type=Moment(), help="From a time on, or for so long: 24h, 30d, 2026-11-01.  [default: 7d]")
@click.option("--until", type=Moment(), help="Up to a time, given alike.  [default: now]")
@common.json_option
def cost(
    named: str | None,
    where: str,
    environment: str | None,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> None:
    """Show what apps cost: what Modal billed, and an estimate. Both are for the same full hours.

    Modal tells what it billed on its plans Team and Enterprise alone; elsewhere only the estimate is shown. Of more
    than 14 days, full days (UTC) are taken.
    """
    now = datetime.now(UTC)
    end = min(until or now, now)
    begin = since or end - SINCE
    if begin >= end:
        raise UsageError("`--since` must be before `--until`, and in the past")
    if named:
        found = app.target_app(named, where, environment, reading=True)
        target, name = found.target, found.app
    else:
        from glmdeploy.operate.target import connect

        common.quiet()
        target, name = connect(where, None, environment, reading=True), None

    from glmdeploy.operate.cost import cost, stretch
    from glmdeploy.report.cost import cost_data, cost_text
    from glmdeploy.report.wrap import wrapped

    when = stretch(begin, end)
    if when is None:
        raise UsageError("there is no full hour between `--since` and `--until`: Modal bills and tells by the hour")
    with busy("cost", "asks what was billed, and what ran", quiet=common.is_quiet()):
        told = cost(when, target, name)
    if as_json:
        common.echo_json(cost_data(told, target))
    else:
        common.echo(wrapped(cost_text(told, target), common.width()))
