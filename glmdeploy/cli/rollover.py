"""``glmdeploy rollover``."""

from __future__ import annotations

import json
from typing import Any

import click

from glmdeploy.cli import app, common, rolling, target_options


@click.command()
@app.app_argument
@target_options.target_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="For so long a container may take until it is ready.  [default: the start-up limit and 2 min]",
)
@common.json_option
def rollover(named: str, where: str, environment: str | None, yes: bool, timeout: float | None, as_json: bool) -> None:
    """Replace the containers by fresh ones of the same version, which read rotated secrets.

    Those that run serve until a fresh one has proved itself, and finish what they have.

    \b
    glmdeploy rollover glm51-fp8
    """
    found = app.target_app(named, where, environment, reading=False)

    from glmdeploy.local.cloud import home
    from glmdeploy.operate.lock import exclusive
    from glmdeploy.operate.rollback import roll_over
    from glmdeploy.operate.rollout import How

    result: dict[str, Any] = {"app": found.app, "target": where}
    with exclusive(home() / "locks", f"{found.app} on {where}"):
        app.confirm(
            f"Start fresh containers of {found.app}, and let those that run go?",
            yes=yes,
            as_json=as_json,
            refused="nothing was changed",
        )
        with rolling.Progress(result) as progress:
            roll_over(found.app, found.target, How(timeout=timeout, take_back=False), progress.tell)
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
