"""docs/commands.md, made from the help of every command."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import click

from glmdeploy import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 100

HEAD = """<!-- Made by `python tests/doc_pages.py`: edit the commands' help, not this file. -->
# Commands

What `glmdeploy COMMAND --help` says, of every command. How they are used together: [operating.md](operating.md),
[checking.md](checking.md).

A PROFILE is a path, the bare name of a profile in `./profiles` or of one that ships with glmdeploy, or `-` for
standard input. In the place of APP_OR_PROFILE stands one of these, or the name of a deployed app (`live:NAME` where a
profile has that name too). `--overlay FILE` and `--set PATH=VALUE` change a profile for one call
([profiles.md](profiles.md#building-on-another-profile)).

## Exit codes

| code | when |
|---|---|
| 0 | success |
| 1 | a problem with a profile, or at run time |
| 2 | wrong usage |
| 130 | Ctrl-C |

These say more:

| command | 0 | 1 | 2 |
|---|---|---|---|
| `plan --detailed-exitcode` | nothing to do | an error | something to do |
| `diff`, `catalog diff` | the same | different | trouble |
| `validate` | no error; with `--strict` no warning, with `--strict-knowledge` all was judged | else | wrong usage |
| `validate --diff` | nothing to fix | something that `--fix` would change | wrong usage |
| `size` | the model fits, or is tight | it does not fit | wrong usage |
| `explain --sglang` | the real SGLang agrees | it disagrees | wrong usage |
| `status` | something serves | nothing is deployed, or every container refuses | wrong usage |
| `verify` | every check passed | one failed, or a figure is worse than the baseline | wrong usage |
| `pin --check` | pinned | something is not pinned, or has moved | wrong usage |
| `upgrade` | translated | something cannot be translated | wrong usage |
| `import` | a profile with all that is essential | refused, or something essential is missing | wrong usage |
| `rules --look` | no rule is due | one is | wrong usage |
| `local status` | it runs | it does not | wrong usage |
| `local engine status` | installed | not installed | wrong usage |

With `--json`, standard output is JSON alone, errors included: `{"error": {"message": ..., "advice": ..., "findings":
[...]}}`. Progress and logs go to standard error.

Who stops reading (`| head`) changes no exit code. What cannot be written, on a full disk or a closed standard output,
is an error: 1.

`-q`, before or behind a command, leaves the result and errors alone; `-v`, and `--all` where a command has it, show all
detail.

## Environment variables

| variable | what it does |
|---|---|
| `GLMDEPLOY_TARGET` | the default of `--target`: `modal` or `local` |
| `GLMDEPLOY_HOME` | where the embedded cloud and the locks live; default `~/.local/state/glmdeploy` |
| `GLMDEPLOY_ENGINE` | where the real engine is installed; default `~/.cache/glmdeploy/sglang-cpu` |
| `GLMDEPLOY_DEBUG=1` | shows the traceback of a bug |
| `NO_COLOR`, `FORCE_COLOR` | no colors; colors without a terminal |
| `COLUMNS` | the width of what is shown, also where there is no terminal; without either nothing is wrapped |
| `TZ` | the time zone of times that are shown; JSON is UTC |
| `MODAL_ENVIRONMENT` | the Modal Environment, after `--env` and before the profile's `environment` |
| `HF_TOKEN`, `HF_ENDPOINT` | the Hugging Face Hub, for `size`, `pin` and `--ask-hub` |

Those of the embedded cloud are in [embedded-cloud.md](embedded-cloud.md).

"""


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Each command below this one, by the words that call it, groups before what is in them."""
    if path:
        yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            if not inner.hidden:
                yield from walk(inner, (*path, name))


@cache
def commands() -> dict[tuple[str, ...], frozenset[str]]:
    """The options of each command, by the words that call it."""
    return {
        path: frozenset(name for each in command.params for name in (*each.opts, *each.secondary_opts))
        for path, command in walk(cli.group)
    }


def groups() -> dict[str, tuple[str, ...]]:
    """The names of the commands by the heading that ``glmdeploy --help`` has for them."""
    return {heading: tuple(names) for heading, names in cli.TABLE.items()}


def page() -> str:
    """The text of docs/commands.md."""
    found = dict(walk(cli.group))
    parts = [HEAD]
    for heading, names in groups().items():
        parts.append(f"## {heading}\n\n")
        for path, command in found.items():
            if path[0] in names:
                parts.append(f"### `{' '.join(('glmdeploy', *path))}`\n\n```text\n{_help(path, command)}\n```\n\n")
    return "".join(parts).rstrip("\n") + "\n"


def _help(path: tuple[str, ...], command: click.Command) -> str:
    """The help as it is shown in a terminal of :data:`WIDTH` columns, without the option that asks for it."""
    settings = {**cli.group.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(command, info_name=" ".join(("glmdeploy", *path)), **settings)
    lines = command.get_help(context).splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")
