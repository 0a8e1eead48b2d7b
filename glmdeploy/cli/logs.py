"""``glmdeploy logs``."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import app, common, complete, streams, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import UsageError

if TYPE_CHECKING:
    from glmdeploy.operate.logs import Line, Told

LINES, FIRST_LINES = 100, 10
"""How many lines are shown where nothing else is asked for, and how many before those that are followed."""

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


class Moment(click.ParamType[datetime]):
    """A time, or for how long ago: ``10m``, ``1h30m``, ``3d``, ``2026-11-27``, ``2026-11-27T10:31+01:00``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        found = _DURATION.fullmatch(value)
        try:
            if found and value:
                days, hours, minutes, seconds = (int(each or 0) for each in found.groups())
                ago = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
                return datetime.now(UTC) - ago
            return datetime.fromisoformat(value).astimezone(UTC)  # without a zone: of this machine's
        except (ValueError, OverflowError):
            self.fail(
                f"`{value}` is no time: give one as `10m`, `1h30m`, `3d`, `2026-11-27` or `2026-11-27T10:31`",
                param,
                ctx,
            )


EPILOG = """\b
Examples:
  glmdeploy logs glm51-fp8 -f
  glmdeploy logs glm51-fp8 --since 2h --errors
  glmdeploy logs b200-eagle-bf16kv --version 8 --timestamps
"""


@click.command(cls=Documented, epilog=EPILOG)
@app.app_argument
@target_options.target_options
@click.option("-f", "--follow", is_flag=True, help="Go on with what is said from now on, until Ctrl-C.")
@click.option("--since", type=Moment(), help="From a time on, or for so long: 10m, 2h, 3d, 2026-11-27T10:31.")
@click.option("--until", type=Moment(), help="Up to a time, given alike.")
@click.option(
    "-n",
    "--tail",
    type=click.IntRange(1, 20_000),
    metavar="N",
    help=f"The last N lines. [default: {LINES}, {FIRST_LINES} before those that are followed, all with --since]",
)
@click.option("--search", metavar="TEXT", default="", help="Only lines with this text.")
@click.option("--ours", is_flag=True, help="Only what glmdeploy's own code says of a start.")
@click.option("--errors", is_flag=True, help="Only why containers refused to serve, or ended.")
@click.option("--container", "task", metavar="ID", help="Only of this container (ta-...), as `status --json` has it.")
@click.option("--rank", type=click.IntRange(0), metavar="N", help="Only of the containers of this rank in a cluster.")
@click.option(
    "--version",
    type=click.IntRange(min=1),
    metavar="N",
    shell_complete=complete.versions,
    help="Only of containers that were started for this version, as `history` numbers them.",
)
@click.option("--timestamps", is_flag=True, help="Begin each line with its time.")
@common.json_option
def logs(
    named: str,
    where: str,
    environment: str | None,
    follow: bool,
    since: datetime | None,
    until: datetime | None,
    tail: int | None,
    search: str,
    ours: bool,
    errors: bool,
    task: str | None,
    rank: int | None,
    version: int | None,
    timestamps: bool,
    as_json: bool,
) -> None:
    """Show what the containers of an app say.

    Modal keeps it for 35 days, of a stopped app too.

    With --json each line is an object of its own, on a line.
    """
    now = datetime.now(UTC)
    if follow and until:
        raise UsageError("`--follow` goes on for ever: `--until` contradicts it")
    if since and since >= (until or now):
        raise UsageError("`--since` must be before `--until`" if until else "`--since` must be in the past")
    found = app.target_app(named, where, environment, reading=True)

    from glmdeploy.operate.logs import Log, Wanted

    wanted = Wanted(search=search, ours=ours, errors=errors, task=task, rank=rank, version=version)
    app_id, deployed = _app_id(found)
    log = Log(app=found.app, app_id=app_id, target=found.target, wanted=wanted)
    if since is not None:
        lines = log.between(_within_reach(since, until or now), until)[-(tail or 0) :]
    elif until is not None:
        lines = log.between(log.began(), until)[-(tail or LINES) :]
    else:
        lines = log.last(tail or (FIRST_LINES if follow else LINES))
    for line in lines:
        _show(line, timestamps=timestamps, as_json=as_json)
    if follow and deployed:
        for told in log.follow(lines[-1].at if lines else now, lines):
            _show(told, timestamps=timestamps, as_json=as_json)
            if not streams.heard():
                return


def _app_id(found: app.AppTarget) -> tuple[str, bool]:
    """The app whose log is meant, and whether it is deployed. :raises GlmdeployError:"""
    from glmdeploy.operate.history import find_app, stopped_app
    from glmdeploy.operate.listing import not_deployed
    from glmdeploy.report.words import moment

    app_id = find_app(found.app, found.target)
    if app_id is not None:
        return app_id, True
    gone = stopped_app(found.app, found.target)
    if gone is None:
        raise not_deployed(found.app, found.target)
    at = f" on {moment(gone.at)}" if gone.at else ""
    click.echo(f"{found.app} is not deployed: this is the log of the one that was stopped{at}", err=True)
    return gone.app_id, False


def _within_reach(since: datetime, until: datetime) -> datetime:
    """The time, or the earliest that can be asked for, which is said then."""
    from glmdeploy.operate.logs import KEPT
    from glmdeploy.report.words import moment

    earliest = min(until, datetime.now(UTC)) - KEPT + timedelta(seconds=30)
    if since >= earliest:
        return since
    click.echo(f"Modal keeps 35 days of logs: from {moment(earliest)} on", err=True)
    return earliest


def _show(told: Told, *, timestamps: bool, as_json: bool) -> None:
    from glmdeploy.operate.logs import Found, Line, Lost, Replaced, Stopped
    from glmdeploy.report.view import clean

    match told:
        case Line():
            common.echo(json.dumps(_data(told), ensure_ascii=False) if as_json else _text(told, timestamps=timestamps))
        case Lost(reason=reason):
            click.echo(f"-- the connection was lost ({clean(reason)}): trying again", err=True)
        case Found():
            click.echo("-- connected again: nothing is left out", err=True)
        case Replaced():
            click.echo("-- the app was stopped, and a new one has its name: going on with that", err=True)
        case Stopped():
            click.echo("-- the app was stopped", err=True)


def _text(line: Line, *, timestamps: bool) -> str:
    from glmdeploy.report.view import clean

    text = clean(line.text.expandtabs())
    return f"{line.at.astimezone().isoformat(timespec='milliseconds')} {text}" if timestamps else text


def _data(line: Line) -> dict[str, Any]:
    return {
        "at": line.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "container": line.task,
        "source": line.source,
        "text": line.text,
    }
