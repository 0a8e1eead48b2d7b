"""``glmdeploy completion``."""

from __future__ import annotations

import click

from glmdeploy.cli.commands import Documented

EPILOG = """\b
Examples:
  glmdeploy completion bash  # look at it
  eval "$(glmdeploy completion bash)"

\b
For all shells that are started from now on:
  bash  a line in ~/.bashrc (macOS: ~/.bash_profile):
        eval "$(glmdeploy completion bash)"
  zsh   a line in ~/.zshrc, after `compinit`:
        eval "$(glmdeploy completion zsh)"
  fish  a file, once:
        glmdeploy completion fish > ~/.config/fish/completions/glmdeploy.fish
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Show the script that completes words in bash, zsh or fish.

    Commands, options, profiles, files, rules, releases, GPUs, apps, and values to set are completed. Nothing is started
    or fetched for that: of Modal's apps those are known that were changed from this machine, or that profiles here
    name.
    """
    from glmdeploy.cli import complete_shells

    click.echo(complete_shells.script(context.find_root().command, shell), nl=False)
