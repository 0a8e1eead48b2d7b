"""What click says of a wrong command line, in the style of our own messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from glmdeploy.findings import listed
from glmdeploy.sglang.wording import styled

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_COMMAND = re.compile(r"No such command '(?P<name>[^']*)'\.?(?P<rest>.*)", re.DOTALL)
_NOT_ONE_OF = re.compile(r"'(?P<value>.*)' is not one of (?P<choices>'.*')\.?", re.DOTALL)
_NO_NUMBER = re.compile(r"'(?P<value>.*)' is not a valid (?P<kind>integer|float)(?: range)?\.?")
_RANGE = re.compile(r"(?P<value>\S+) is not in the range (?P<range>.+?)\.?")
_NO_FILE = re.compile(r"(?P<kind>File|Directory|Path) '(?P<name>.*)' (?P<what>.+?)\.?")


def usage_message(error: click.ClickException) -> str:
    """What is wrong, in a sentence."""
    match error:
        case click.NoSuchOption():
            return f"there is no option `{error.option_name}`{_meant(error.possibilities)}"
        case click.MissingParameter():
            return f"{_name(error)} is missing"
        case click.BadParameter():
            return f"{_name(error)} {_why(error.message)}"
        case click.FileError():
            return f"`{error.ui_filename}` cannot be opened: {styled(error.message)}"
    said = error.format_message()
    if found := _NO_COMMAND.fullmatch(said):
        near = re.findall("'([^']*)'", found["rest"])
        return f"there is no command `{found['name']}`{_meant(near)}"
    if isinstance(error, click.BadOptionUsage) and "requires an argument" in said:
        return f"`{error.option_name}` needs a value"
    if found := re.fullmatch(r"Got unexpected extra arguments? \((.*)\)", said):
        words = found[1].split()
        return f"{listed([f'`{word}`' for word in words])} {'are' if len(words) > 1 else 'is'} too much here"
    return styled(said)


def usage_text(error: click.ClickException) -> str:
    """The same with how the command is called, and where more is told."""
    lines = [f"{click.style('error', fg='red', bold=True)}: {usage_message(error)}"]
    if isinstance(error, click.UsageError) and error.ctx is not None:
        lines.append(f"usage: {error.ctx.get_usage().removeprefix('Usage: ')}")
        lines.append(f"`{error.ctx.command_path} --help` tells more")
    return "\n".join(lines)


def _name(error: click.BadParameter) -> str:
    """The option as it is written, or the argument by its word in the usage."""
    if isinstance(error.param, click.Option):
        long = max(error.param.opts, key=len)
        return f"`{long}`"
    if error.param is not None:
        shown = error.param.make_metavar(error.ctx) if error.ctx else error.param.human_readable_name
        return f"`{shown.strip('[].')}`"
    hint = error.param_hint or "a value"
    return styled(hint if isinstance(hint, str) else " or ".join(hint))


def _why(message: str) -> str:
    if found := _NOT_ONE_OF.fullmatch(message):
        choices = ", ".join(f"`{each}`" for each in re.findall("'([^']*)'", found["choices"]))
        return f"cannot be `{found['value']}`, only one of: {choices}"
    if found := _NO_NUMBER.fullmatch(message):
        kind = "an integer" if found["kind"] == "integer" else "a number"
        return f"cannot be `{found['value']}`: it is {kind}"
    if found := _RANGE.fullmatch(message):
        return f"cannot be `{found['value']}`: it must be {_range(found['range'])}"
    if found := _NO_FILE.fullmatch(message):
        what = {"does not exist": "there is no such file", "is a directory": "that is a folder"}
        said = what.get(found["what"], found["what"])
        return f"cannot be `{found['name']}`: {said if found['kind'] != 'Directory' else found['what']}"
    return f"is wrong: {styled(message)}"


def _range(written: str) -> str:
    """Click's ``1<=x<=1000`` and ``x>=1``, in words."""
    if both := re.fullmatch("(.+)<=x<=(.+)", written):
        return f"from {both[1]} to {both[2]}"
    least = re.fullmatch("x>=(.+)", written)
    return f"at least {least[1]}" if least else f"in the range {written}"


def _meant(names: Sequence[str] | None) -> str:
    near = sorted(names or ())[:3]
    return f"; did you mean {listed([f'`{each}`' for each in near], 'or')}?" if near else ""
