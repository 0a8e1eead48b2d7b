"""``glmdeploy help``."""

from __future__ import annotations

import click

from glmdeploy.cli.commands import Documented


@click.command(
    "help",
    cls=Documented,
    epilog="""\b
Examples:
  glmdeploy help               # all commands
  glmdeploy help local secret  # the help of `glmdeploy local secret`
""",
)
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def help_(context: click.Context, words: tuple[str, ...]) -> None:
    """Show what a command does. `glmdeploy COMMAND --help` shows the same."""
    found = context.find_root()
    for word in words:
        if not isinstance(found.command, click.Group):
            raise click.UsageError(f"`{found.command_path}` has no commands of its own", found)
        _, command, _ = found.command.resolve_command(found, [word])
        assert command is not None  # else it has raised
        found = command.context_class(command, info_name=word, parent=found)
    click.echo(found.get_help())
