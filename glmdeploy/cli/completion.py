"""``glmdeploy completion``."""

from __future__ import annotations

import click

from glmdeploy.cli.commands import Documented


@click.command(cls=Documented)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Show the script that completes words in bash, zsh or fish.

    For bash: eval "$(glmdeploy completion bash)"
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(context.find_root().command, {}, "glmdeploy", "_GLMDEPLOY_COMPLETE").source())
