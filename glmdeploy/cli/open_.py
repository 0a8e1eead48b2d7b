"""``glmdeploy open``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from glmdeploy.cli import app, common, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import GlmdeployError

if TYPE_CHECKING:
    from glmdeploy.cli.app import AppTarget

EPILOG = """\b
Examples:
  glmdeploy open glm51-fp8
  glmdeploy open glm51-fp8 --endpoint --print
"""


@click.command("open", cls=Documented, epilog=EPILOG)
@app.app_argument
@target_options.target_options
@click.option("--endpoint", "of_endpoint", is_flag=True, help="The endpoint instead of the page on Modal's dashboard.")
@click.option("--print", "only_print", is_flag=True, help="Only print the address.")
@common.json_option
def open_(named: str, where: str, environment: str | None, of_endpoint: bool, only_print: bool, as_json: bool) -> None:
    """Open an app's page on Modal's dashboard, or print its address.

    Printed it always is; a browser is opened where there is one.
    """
    found = app.target_app(named, where, environment, reading=True)
    url = _endpoint(found) if of_endpoint else _page(found)
    if as_json:
        common.echo_json({"app": found.app, "url": url})
        return
    common.echo(url)
    if not only_print and _has_browser():
        click.launch(url)


def _page(found: AppTarget) -> str:
    from glmdeploy.operate.history import find_app
    from glmdeploy.operate.live import dashboard

    app_id = find_app(found.app, found.target)
    if app_id is None:
        raise _not_deployed(found)
    return dashboard(app_id, found.target)


def _endpoint(found: AppTarget) -> str:
    from glmdeploy.operate.deployed import deployed
    from glmdeploy.operate.live import endpoint

    now = deployed(found.app, found.target, ask=False)
    if now is None:
        raise _not_deployed(found)
    if now.plan is None:
        raise GlmdeployError(
            f"the endpoint of {found.app} is not known: its plan is not kept in {found.target}",
            advice="its page shows it: leave `--endpoint` out",
        )
    return endpoint(now.plan, found.target)


def _not_deployed(found: AppTarget) -> GlmdeployError:
    from glmdeploy.operate.listing import not_deployed

    return not_deployed(found.app, found.target)


def _has_browser() -> bool:
    """Whether somebody sits before this machine who could see a browser."""
    if not sys.stdout.isatty():
        return False
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
