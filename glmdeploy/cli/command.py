"""``glmdeploy command``."""

from __future__ import annotations

import json

import click

from glmdeploy.cli import common, complete
from glmdeploy.cli.commands import Documented

EPILOG = """\b
Examples:
  glmdeploy command b200-eagle-bf16kv
  glmdeploy command mine.yaml --set sglang.args.context-length=65536
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("profile", shell_complete=complete.profiles)
@common.profile_options
@common.json_option
def command(profile: str, overlays: tuple[str, ...], sets: tuple[str, ...], as_json: bool) -> None:
    """Show the profile's SGLang command, quoted for a shell.

    The API key is $API_KEY. A comment behind it names the model's repository; `glmdeploy import` reads both.
    """
    from glmdeploy.sglang.command import shell

    plan = common.plan(profile, overlays, sets)
    key = plan.api_key.keys[0] if plan.api_key else None
    if as_json:
        click.echo(
            json.dumps(
                {"command": list(plan.server.command), "api_key_env": key, "model": plan.model.repo}, ensure_ascii=False
            )
        )
    else:
        click.echo(shell(plan.server.command, key))
        # The path in the command has only the model's name: by this line `import` finds the repository again.
        click.echo(f"# model: {plan.model.repo}")
