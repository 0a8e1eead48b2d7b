"""``glmdeploy completion``."""

from __future__ import annotations

import click

from glmdeploy.cli.commands import Documented

EPILOG = """\b
Examples:
  eval "$(glmdeploy completion bash)"  # in ~/.bashrc
  eval "$(glmdeploy completion zsh)"   # in ~/.zshrc, after `compinit`
  glmdeploy completion fish | source   # in ~/.config/fish/config.fish
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Show the script that completes words in bash, zsh or fish."""
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(context.find_root().command, {}, "glmdeploy", "_GLMDEPLOY_COMPLETE").source())
