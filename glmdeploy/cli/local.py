"""``glmdeploy local``: the embedded cloud."""

from __future__ import annotations

import json
import shlex

import click

from glmdeploy.cli import common, complete, local_engine
from glmdeploy.cli.commands import DocumentedGroup
from glmdeploy.cli.live import busy
from glmdeploy.errors import GlmdeployError

EPILOG = """\b
Examples:
  glmdeploy apply mine.yaml --target local  # starts it where it does not run
  glmdeploy local status
  glmdeploy local stop                      # its data stays
"""
START = """\b
Examples:
  glmdeploy local start
  glmdeploy local start --port 8080  # its endpoints are at that port
"""
STOP = """\b
Examples:
  glmdeploy local stop                           # its data stays
  glmdeploy local stop && glmdeploy local start  # afresh, with its data
"""
STATUS = """\b
Examples:
  glmdeploy local status
  glmdeploy local status --json

Exit codes: 0 it runs, 1 it does not.
"""
RESET = """\b
Examples:
  glmdeploy local reset  # asks first
  glmdeploy local reset --yes
"""
SECRET = """\b
Examples:
  glmdeploy local secret glm51-api-key API_KEY
  export API_KEY="$(glmdeploy local secret glm51-api-key API_KEY)"
"""
TOKEN = """\b
Examples:
  glmdeploy local proxy-token
  glmdeploy local proxy-token | curl -H @- URL
"""
ENV = """\b
Examples:
  glmdeploy local env
  eval "$(glmdeploy local env)"  # then `modal app list` shows its apps
"""


@click.group(cls=DocumentedGroup, epilog=EPILOG)
def local() -> None:
    """Manage the embedded cloud, where deployments are rehearsed. `apply --target local` deploys to it.

    It runs in the background, listens on loopback only, and keeps its data under GLMDEPLOY_HOME.
    """


local.add_command(local_engine.engine)


@local.command(epilog=START)
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    help="Port of the endpoints; default: the last one, or a free one.",
)
def start(port: int | None) -> None:
    """Start it, unless it runs already."""
    from glmdeploy.local import cloud

    with busy("local", "the embedded cloud starts", quiet=common.is_quiet()):
        running = cloud.start(port=port)
    for each in running.notes:
        common.note(each)
    click.echo(f"The embedded cloud runs (process {running.pid}): {running.gateway_url}")


@local.command(epilog=STOP)
def stop() -> None:
    """Stop it and its containers; its data stays."""
    from glmdeploy.local import cloud

    with busy("local", "its containers end", quiet=common.is_quiet()):
        stopped = cloud.stop()
    click.echo("Stopped." if stopped else "The embedded cloud does not run.")


@local.command(epilog=STATUS)
@common.json_option
def status(as_json: bool) -> int:
    """Show whether it runs."""
    from glmdeploy.local import cloud
    from glmdeploy.sglang.real.environment import ENGINE_VERSION, engine_cache, existing_engine

    running = cloud.status()
    real = existing_engine(running.engines if running else engine_cache()) is not None
    if as_json:
        data = (
            {
                "running": True,
                "pid": running.pid,
                "home": str(running.home),
                "gateway_url": running.gateway_url,
                "server_url": running.server_url,
                "hub_url": running.hub_url,
            }
            if running
            else {"running": False, "home": str(cloud.home())}
        )
        click.echo(json.dumps({**data, "real_engine": ENGINE_VERSION if real else None}, indent=2))
    elif running:
        click.echo(f"running, process {running.pid}")
        click.echo(f"endpoints  {running.gateway_url}")
        click.echo(f"control    {running.server_url}")
        click.echo(f"model hub  {running.hub_url}")
        click.echo(f"data       {running.home}")
        click.echo(f"engine     {_engine(ENGINE_VERSION, real=real)}")
    else:
        click.echo(f"not running; data in {cloud.home()}")
    return 0 if running else 1


def _engine(version: str, *, real: bool) -> str:
    """Who answers."""
    if real:
        return f"the real SGLang {version} for profiles with `device: cpu` and that release, a stand-in for all others"
    return "a stand-in, since the real one is not installed (`glmdeploy local engine install`)"


@local.command(epilog=RESET)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Stop it and delete all its data: apps, volumes, secrets, logs."""
    import sys

    from glmdeploy.local import cloud

    if not yes:
        if not sys.stdin.isatty():
            raise GlmdeployError("nobody can be asked: there is no terminal", advice="run again with `--yes` (`-y`)")
        if not click.confirm(f"Delete everything in {cloud.home()}?", default=False):
            raise GlmdeployError("nothing was deleted")
    with busy("local", "its containers end, and its data goes", quiet=common.is_quiet()):
        cloud.reset()
    click.echo("Deleted.")


@local.command(epilog=SECRET)
@click.argument("name", shell_complete=complete.secrets)
@click.argument("key")
def secret(name: str, key: str) -> None:
    """Show the value of KEY of the secret NAME, as it is kept here."""
    from glmdeploy.local import cloud

    click.echo(cloud.read_secret(name, key))


@local.command("proxy-token", epilog=TOKEN)
def proxy_token() -> None:
    """Show the headers with which its proxy lets requests through."""
    from glmdeploy.local import cloud
    from glmdeploy.runtime.public import TOKEN_HEADERS

    for name, value in zip(TOKEN_HEADERS, cloud.read_proxy_token(), strict=True):
        click.echo(f"{name}: {value}")


@local.command(epilog=ENV)
def env() -> None:
    """Show the shell lines that point the stock `modal` command at it."""
    from glmdeploy.local import cloud

    running = cloud.status()
    if running is None:
        raise GlmdeployError("the embedded cloud does not run", advice="start it with `glmdeploy local start`")
    for name, value in cloud.environ(running).items():
        click.echo(f"export {name}={shlex.quote(value)}")
