"""The help of all commands: the table's words are the commands' own, and nothing is cut off at any width."""

from __future__ import annotations

import json
import shlex
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from reporting import call

from glmdeploy.cli import COMMANDS, TABLE, group
from glmdeploy.cli.commands import Documented, DocumentedGroup
from glmdeploy.resources import profiles_dir

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
    assert "did you mean `validate`?" in err
    code, _, err = call("help", "validate", "x")
    assert code == 2
    assert "`glmdeploy validate` has no commands of its own" in err


def test_no_command_is_wrong_usage_that_shows_the_help() -> None:
    code, out, err = call()
    assert (code, out, err) == (2, "", call("--help")[1])


def examples(command: click.Command) -> list[str]:
    """The lines of the command's examples, without what is said about them."""
    words = (command.epilog or "").partition("Examples:\n")[2].partition("\n\n")[0]
    return [line.strip() for line in words.splitlines()]


EXAMPLES = [pytest.param(line, id=line) for command in ALL.values() for line in examples(command)]
"""The lines that are shown as examples in the help of all commands."""


@pytest.mark.parametrize("name", ALL)
def test_a_command_has_two_examples(name: str) -> None:
    found = examples(ALL[name])
    own = [line for line in found if f"glmdeploy {name}" in line]
    assert len(own) >= (1 if isinstance(ALL[name], click.Group) else 2)
    assert max(map(len, found)) <= 78, "they are not wrapped, and begin with two spaces"


def calls(line: str) -> list[list[str]]:
    """The calls of glmdeploy that a line for a shell has: their arguments."""
    lexer = shlex.shlex(line.replace('"$(', " ; ").replace(')"', " ; "), posix=True, punctuation_chars=";|&<>")
    lexer.commenters = "#"
    lexer.whitespace_split = True
    found: list[list[str]] = []
    for operator, words in groupby(lexer, lambda word: word[0] in ";|&<>"):
        given = [*words]
        if not operator and given[0] == "glmdeploy":
            found.append(given[1:])
    return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the examples name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("API_KEY", "of the test")
    profile = (profiles_dir() / "b200-eagle-bf16kv.yaml").read_text()
    for name in ("mine.yaml", "other.yaml", "prod.yaml", "profiles/one.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(profile.replace("glm51-fp8", Path(name).stem))
    serve = "python -m sglang.launch_server --model-path zai-org/GLM-4.5-Air-FP8 --tp 8"
    (tmp_path / "launch.sh").write_text(f"{serve}\n")
    compose = {"services": {"glm": {"image": "lmsysorg/sglang:v0.5.11", "command": serve.split()}}}
    (tmp_path / "compose.yaml").write_text(json.dumps(compose))
    (tmp_path / "good.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_is_understood(line: str, world: Path) -> None:
    for words in calls(line):
        context, rest = group.make_context("glmdeploy", [*words]), words
        while isinstance(context.command, click.Group):
            name, command, rest = context.command.resolve_command(context, rest)
            if isinstance(command, click.Group):
                context = click.Context(command, parent=context, info_name=name)
            elif command is not None:
                context = command.make_context(name, [*rest], parent=context)
        assert context.args == []


HERE = (
    *("validate", "diff", "explain", "size", "command", "render", "import", "upgrade", "schema", "rules"),
    *("completion", "help", "catalog"),
)
"""Commands that need nobody else, but for what :data:`ELSEWHERE` names."""
ELSEWHERE = ("live:", "git:", "--sglang", "catalog build")


def is_local(line: str) -> bool:
    return all(words[0] in HERE for words in calls(line)) and not any(each in line for each in ELSEWHERE)


@pytest.mark.parametrize("line", [each for each in EXAMPLES if is_local(str(each.values[0]))])
def test_an_example_works(line: str, world: Path) -> None:
    said = ""
    for words in calls(line):
        if words[0] == "import" and "-o" in words:
            (world / words[words.index("-o") + 1]).unlink()  # what exists is not overwritten
        code, said, err = call(*words, stdin=said)
        assert code == int("diff" in words or "--strict" in words), err
