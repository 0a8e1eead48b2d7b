"""The help of the command line: commands in groups, options in sections, at any width.

A command's short help stands in the table of the command line, so that the list of all commands imports none of them.
"""

from __future__ import annotations

import inspect
import shutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import common, complete

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from click.shell_completion import CompletionItem

WIDEST = 110
"""Columns of help at most: longer lines are hard to read."""
NARROW = 60
"""Columns below which long names stand on lines of their own, above what they mean."""
LIMIT = 1000
"""Characters of short help: what is short is a sentence, and is wrapped."""
FEW = 7
"""So many options are one list."""
SECTIONS = {
    "Values": ("--overlay", "--set"),
    "Where": ("--target", "--env"),
    "Output": ("--output", "--format", "--json", "--markdown", "--quiet", "--help"),
}
"""Options that several commands have; a command's own come before them."""


def columns() -> int:
    """The width of help, in columns."""
    return min(shutil.get_terminal_size().columns, WIDEST) - 2


def _list(formatter: click.HelpFormatter, title: str, rows: Iterable[tuple[str, str]]) -> None:
    if found := list(rows):
        above = formatter.width < NARROW and max(len(name) for name, _ in found) > formatter.width // 3
        with formatter.section(title):
            formatter.write_dl(found, col_max=2 if above else 30)


def _last(command: click.Command, formatter: click.HelpFormatter) -> None:
    """The epilog: examples, and exit codes."""
    if command.epilog:
        formatter.write_paragraph()
        formatter.write_text(inspect.cleandoc(command.epilog))


class Documented(click.Command):
    """A command whose options are shown in sections where they are many."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], **{title: [] for title in SECTIONS}}
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option) and not each.hidden]
        for option in options:
            of = (title for title, names in SECTIONS.items() if len(options) > FEW and {*names} & {*option.opts})
            if (record := option.get_help_record(ctx)) is not None:
                sections[next(of, "Options")].append(record)
        for title, rows in sections.items():
            _list(formatter, title, rows)

    def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        _last(self, formatter)


class DocumentedGroup(click.Group):
    """Commands under one name, each :class:`Documented`."""

    command_class = Documented

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        told = ((name, each.get_short_help_str(LIMIT)) for name, each in self.commands.items())
        return [complete.item(name, meaning=said) for name, said in told if name.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _list(formatter, "Commands", ((name, each.get_short_help_str(LIMIT)) for name, each in self.commands.items()))

    def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        _last(self, formatter)


DocumentedGroup.group_class = DocumentedGroup


class Commands(click.Group):
    """The commands of a table of groups: of each its place and its short help. Only the one called is imported."""

    def __init__(self, *arguments: Any, table: Mapping[str, Mapping[str, tuple[str, str]]], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.table = table
        self.places = {name: place for group in table.values() for name, (place, _) in group.items()}
        # For click's own suggestions, which look at the names alone.
        self.commands = dict.fromkeys(self.places, click.Command(None))

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        # Left alone, click takes 50 columns at least. Each command's context has what the outermost has.
        return super().make_context(*arguments, **{"terminal_width": columns(), **extra})

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        # click's own imports every command for the sentence that stands in the table.
        told = ((name, summary) for group in self.table.values() for name, (_, summary) in group.items())
        return [complete.item(name, meaning=summary) for name, summary in told if name.startswith(incomplete)]

    def list_commands(self, _: click.Context) -> list[str]:
        return list(self.places)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in self.places:
            return None
        module, function = self.places[name].split(".")
        command: click.Command = getattr(import_module(f"glmdeploy.cli.{module}"), function)
        return common.with_quiet(command)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        longest = max(map(len, self.places))
        for title, group in self.table.items():
            # One column for all groups.
            _list(formatter, title, ((name.ljust(longest), summary) for name, (_, summary) in group.items()))
        _list(formatter, "Options", filter(None, (each.get_help_record(ctx) for each in self.get_params(ctx))))

    def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        _last(self, formatter)
