"""Every block of every page is run as it stands, or says in its page why it cannot.

The blocks of a page are one session in a folder of its own; all pages share an embedded cloud, which is emptied between
them. ``pytest tests/docs --update`` writes into the pages what comes now: read the difference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from console import Terminal, command_on_path
from modal_proto import api_pb2
from page_blocks import ROOT, Block, blocks, name, pages
from snapshots import STATE
from support import PATIENCE, Shell, call, copied_cloud
from transcripts import fits, renewed, typed

import glmdeploy
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ELSEWHERE = {
    ("docs/rules.md", "sh"): "tests/rules judges every example of every rule",
    ("docs/commands.md", "text"): "tests/cli/test_help.py runs every example of the help",
}
"""Blocks, by page and language, that another test runs."""

LANGUAGES = {"sh", "console", "yaml", "python", "json", "text"}
"""``text`` is nothing to run: a drawing, what a program says."""


def _own(page: Path) -> list[Block]:
    """The blocks of a page that no other test runs."""
    return [each for each in blocks(page) if (each.page, each.language) not in ELSEWHERE]


def _with_blocks() -> Iterator[Any]:
    """The pages with something to run, to parametrize with."""
    for page in pages():
        if run := [each for each in _own(page) if "not run" not in each.marks and each.language != "text"]:
            thorough = all("thorough" in each.marks for each in run)
            yield pytest.param(page, id=name(page), marks=pytest.mark.thorough if thorough else ())


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with copied_cloud(template, tmp_path_factory.mktemp("cloud")) as shell:
        yield shell


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with command_on_path(tmp_path_factory.mktemp("bin")) as folder:
        yield folder


@pytest.fixture
def terminal(shell: Shell, bin_folder: Path, tmp_path: Path) -> Terminal:
    """An empty folder, and an embedded cloud that has deployed nothing yet."""
    _empty(shell)
    (tmp_path / "page").mkdir()
    path = f"{bin_folder}:{os.path.dirname(sys.executable)}:{os.environ['PATH']}"  # noqa: PTH120
    return Terminal(tmp_path / "page", {**shell.env, "PATH": path, "COLUMNS": "100"})


def _empty(shell: Shell) -> None:
    shell.run("local", "start")
    for app in call(shell.cloud, "AppList", api_pb2.AppListRequest()).apps:
        if app.state == api_pb2.APP_STATE_DEPLOYED:
            call(shell.cloud, "AppStop", api_pb2.AppStopRequest(app_id=app.app_id))


@pytest.mark.parametrize("page", [*_with_blocks()])
def test_page(page: Path, terminal: Terminal, request: pytest.FixtureRequest) -> None:
    program = ""
    everything = request.config.getoption("--all")
    for block in _own(page):
        if "not run" in block.marks or ("thorough" in block.marks and not everything):
            continue
        if file := block.marks.get("file"):
            target = terminal.folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text)
        if block.language == "sh" and not file:
            code, output = terminal.run(block.text)
            assert code == int(block.marks.get("exits", 0)), f"{block.place} ended with {code}:\n{output}"
        elif block.language == "console":
            _transcript(block, terminal, update=request.config.stash[STATE].update)
        elif block.language == "yaml":
            _profile(block, terminal.folder)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "python" and not file:
            program += block.text
    if program:
        _run(program, terminal)


def _transcript(block: Block, terminal: Terminal, *, update: bool) -> None:
    lines: list[str] = []
    commands = typed(block.text)
    differs: list[str] = []
    for each in commands:
        code, output = terminal.run(each.command)
        came = output.splitlines()
        wanted = int(block.marks.get("exits", 0)) if each is commands[-1] else 0
        assert code == wanted, f"{block.place}: `{each.command}` ended with {code}:\n{output}"
        first, *more = each.command.splitlines()
        lines += [f"$ {first}", *(f"> {line}" for line in more)]
        if fits(each.output, came):
            lines += each.output
        else:
            differs += [f"{block.place}: `{each.command}` shows now", *came]
            lines += renewed(each, came)
    if differs and update:
        page = ROOT / block.page
        page.write_text(page.read_text().replace(block.text, "".join(f"{line}\n" for line in lines), 1))
    else:
        assert not differs, "\n".join(differs)


def _profile(block: Block, folder: Path) -> None:
    """Judge a profile, or a part of one laid over another, as ``validate`` does: no error, whatever else is said."""
    file = folder / block.marks.get("file", "of-the-page.yaml")
    if base := block.marks.get("over"):
        file = folder / "over.yaml"
        file.write_text(yaml.safe_dump({"extends": base, **yaml.safe_load(block.text)}))
    elif not file.exists():
        file.write_text(block.text)
    errors = [each for each in glmdeploy.check(glmdeploy.load(str(file))) if each.severity is Severity.ERROR]
    assert not errors, f"{block.place}: {errors}"


def _run(program: str, terminal: Terminal) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=terminal.folder,
        env={**terminal.env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_block_says_what_it_is() -> None:
    strange = [block.place for page in pages() for block in blocks(page) if block.language not in LANGUAGES]
    assert not strange


def test_what_is_not_run_is_known() -> None:
    """A block that nothing runs is asked for here, with its reason, so that none comes unseen."""
    every = [block for page in pages() for block in _own(page)]
    marked = [f"{block.page}: {block.marks['not run']}" for block in every if "not run" in block.marks]
    marked += [f"{block.page}: text" for block in every if block.language == "text"]
    known = (ROOT / "tests" / "docs" / "not_run.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(marked) == known, "\n".join(sorted(marked))
