"""The help of all commands: the table's words are the commands' own, and nothing is cut off at any width."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from reporting import call

from glmdeploy.cli import COMMANDS, TABLE, group
from glmdeploy.cli.commands import Documented, DocumentedGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from snapshots import Shows

SUMMARIES = {name: summary for commands in TABLE.values() for name, (_, summary) in commands.items()}


def every_command() -> Iterator[tuple[str, click.Command]]:
    """All of them, with those of groups: how each is called, and what it is."""

    def below(words: tuple[str, ...], command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield " ".join(words), command
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                yield from below((*words, name), inner)

    context = click.Context(group)
    for name in COMMANDS:
        found = group.get_command(context, name)
        assert found is not None
        yield from below((name,), found)


ALL = dict(every_command())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    assert SUMMARIES[name] == ALL[name].get_short_help_str(limit=1000)
    assert SUMMARIES[name].endswith(".")


def test_a_summary_is_one_line_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line.strip() for line in call("--help")[1].splitlines()]
    assert [name for name in COMMANDS if f"{name.ljust(10)}  {SUMMARIES[name]}" not in lines] == []


@pytest.mark.parametrize("name", ALL)
def test_a_command_is_shown_as_all_are(name: str) -> None:
    assert isinstance(ALL[name], DocumentedGroup if isinstance(ALL[name], click.Group) else Documented)


@pytest.mark.parametrize("columns", [40, 120])
def test_help_at_a_width(columns: int, shows: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for words in ((), ("apply",)):
        _, out, _ = shows(f"help-{'-'.join((*words, str(columns)))}", *words, "--help")
        body = out.partition("Examples:")[0]
        assert max(map(len, body.splitlines())) <= columns


def test_help_of_a_command_by_its_name() -> None:
    assert call("help", "local", "secret")[:2] == call("local", "secret", "--help")[:2]
    assert call("help") == call("--help")
    code, _, err = call("help", "validat")
    assert code == 2
    assert "Did you mean 'validate'?" in err
    code, _, err = call("help", "validate", "x")
    assert code == 2
    assert "`glmdeploy validate` has no commands of its own" in err


def test_no_command_is_wrong_usage_that_shows_the_help() -> None:
    code, out, err = call()
    assert (code, out, err) == (2, "", call("--help")[1])
