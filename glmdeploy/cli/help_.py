"""``glmdeploy help``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from glmdeploy.cli.commands import Documented

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _commands(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The commands of the group that the words before name."""
    found = context.find_root()
    for word in context.params.get("words") or context.args:
        command = found.command.get_command(found, word) if isinstance(found.command, click.Group) else None
        if not isinstance(command, click.Group):
            return []
        found = command.context_class(command, info_name=word, parent=found)
    return found.command.shell_complete(found, incomplete)


@click.command(
    "help",
    cls=Documented,
    epilog="""\b
Examples:
  glmdeploy help               # all commands
  glmdeploy help local secret  # the help of `glmdeploy local secret`
""",
)
@click.argument("words", nargs=-1, metavar="[COMMAND]...", shell_complete=_commands)
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
