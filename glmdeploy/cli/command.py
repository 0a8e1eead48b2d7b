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

    The API key is $API_KEY. A comment behind it names the model's repository; `glmdeploy import` reads both. Of a
    cluster it is the command of each node: $NODE_RANK is its rank, $RANK_0 the address of the first one.
    """
    from glmdeploy.sglang.command import shell

    plan = common.plan(profile, overlays, sets)
    key = plan.api_key.keys[0] if plan.api_key else None
    if as_json:
        found = {"command": list(plan.server.command), "api_key_env": key, "model": plan.model.repo}
        click.echo(json.dumps(found | ({"nodes": plan.nodes} if plan.cluster else {}), ensure_ascii=False))
    else:
        click.echo(shell(plan.server.command, key, plan.nodes))
        # The path in the command has only the model's name: by this line `import` finds the repository again.
        click.echo(f"# model: {plan.model.repo}")
