"""``glmdeploy status``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from glmdeploy import redaction
from glmdeploy.cli import app, common, streams, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.cli.live import busy
from glmdeploy.errors import DeployError, UsageError

if TYPE_CHECKING:
    from glmdeploy.operate.status import Status

EPILOG = """\b
Examples:
  glmdeploy status glm51-fp8
  glmdeploy status glm51-fp8 --watch 10  # look again each 10 s
  glmdeploy status prod.yaml --env prod --api-key-env API_KEY

Exit codes: 0 deployed, and nothing known against it; 1 not deployed, or no
container starts.
"""


COLUMNS = 120
"""The longest line where there is no terminal that has a width."""


@click.command(cls=Documented, epilog=EPILOG)
@app.app_argument
@target_options.target_options
@app.api_key_option
@click.option(
    "--watch",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Look again and again, until Ctrl-C; without a terminal one block follows the other.",
)
@common.json_option
def status(
    named: str, where: str, environment: str | None, api_key_env: str | None, watch: float | None, as_json: bool
) -> int:
    """Show what runs: version, containers, requests, drift, price.

    What is not known is left out. Nothing is started, and no container is kept from going to sleep.
    """
    if watch is not None and as_json:
        raise UsageError("`--json` is one look: `--watch` goes on looking")
    found = app.target_app(named, where, environment, reading=True)

    from glmdeploy.operate.status import status_of

    local = found.target.cloud is not None
    with busy(found.app, "looks at what runs", quiet=common.is_quiet()):
        seen = status_of(found.app, found.target, api_key_env=api_key_env)
    _show(seen, as_json=as_json, local=local, again=watch is not None)
    if seen.deployed is None and not as_json:
        from glmdeploy.operate.listing import not_deployed

        common.note(not_deployed(found.app, found.target).advice or "")
    while watch is not None and streams.heard():
        time.sleep(watch)
        try:
            _show(status_of(found.app, found.target, api_key_env=api_key_env), as_json=False, local=local, again=True)
        except DeployError as fault:  # the next look may find what this one did not
            click.echo(redaction.mask(fault.message), err=True)
    return 0 if seen.healthy else 1


def _show(seen: Status, *, as_json: bool, local: bool, again: bool) -> None:
    from glmdeploy.report.status import status_data, status_text
    from glmdeploy.report.words import moment

    if as_json:
        common.echo_json(status_data(seen))
        return
    if again and sys.stdout.isatty():
        click.clear()
    if again:
        click.echo(f"{moment(seen.at, seen.at)}:{seen.at.astimezone():%S}")
    # A file or a pipe has no end of its lines, and a reader still has one.
    for line in status_text(seen, min(common.width(), COLUMNS), local=local):
        common.echo(line)
    if again and not sys.stdout.isatty():
        click.echo()
