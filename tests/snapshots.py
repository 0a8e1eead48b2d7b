"""Snapshots: whole outputs, each in a file beside the tests, in ``snapshots/``. ``pytest --update`` writes them.

A snapshot that is missing, differs, or is not used any more fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from glmdeploy import __version__
from glmdeploy.sglang.catalog import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
STATE: pytest.StashKey[State] = pytest.StashKey()


class Shows(Protocol):
    """Calls a command, and holds all that it shows to the snapshot of a name; gives exit code, output and errors."""

    def __call__(self, name: str, *arguments: str | Path, stdin: str = "") -> tuple[int, str, str]: ...


@dataclass
class State:
    """What a session knows: the files that it used, and whether it left tests out."""

    update: bool
    used: set[Path] = field(default_factory=set)
    partial: bool = False


def steady(text: str, **places: Path) -> str:
    """The text without what differs between machines, days and versions; ``places`` are folders, by their names."""
    for name, path in (*places.items(), ("ROOT", ROOT)):
        text = text.replace(str(path), name)
    text = text.replace(", ".join(f"`{version}`" for version in versions()), "RELEASES")
    text = text.replace(", ".join(versions()), "RELEASES").replace(datetime.now(UTC).date().isoformat(), "TODAY")
    text = re.sub(rf"(?<![\d.]){re.escape(__version__)}(?![\d.])", "VERSION", text)
    # Which of its names click gives the option of help is click's matter.
    text = re.sub(r"^(Try '.*) (?:-h|--help)(?=' for help\.$)", r"\1 --help", text, flags=re.MULTILINE)
    return re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", text)


def transcript(arguments: tuple[str, ...], code: int, out: str, err: str) -> str:
    """A call of the command line as one text."""
    parts = [f"$ glmdeploy {' '.join(arguments)}\nexit code {code}"]
    parts += [f"-- {name}\n{text}" for name, text in (("standard output", out), ("standard error", err)) if text]
    return "\n".join(parts).rstrip("\n") + "\n"


@pytest.fixture
def snapshot(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str, str], None]:
    """Holds a text to the snapshot of a name."""
    folder, state = request.path.parent / "snapshots", request.config.stash[STATE]

    def check(name: str, text: str) -> None:
        file, text = folder / f"{name}.txt", steady(text, TMP=tmp_path)
        assert file not in state.used, f"two tests use {file}"
        state.used.add(file)
        if state.update:
            folder.mkdir(exist_ok=True)
            file.write_text(text)
        assert file.exists(), f"there is no {file}: run pytest --update"
        assert text == file.read_text(), f"{file} is stale: run pytest --update, and read the difference"

    return check


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write the snapshots anew, and delete those without a test")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STATE] = State(update=config.getoption("update"))


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items[:1]:
        item.config.stash[STATE].partial = True


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker of pytest-xdist used."""
    state, told = node.config.stash[STATE], getattr(node, "workeroutput", {})
    state.used |= {Path(file) for file in told.get("snapshots", ())}
    state.partial = state.partial or told.get("snapshots_partial", True)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    state, config = session.config.stash[STATE], session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput |= {"snapshots": [*map(str, state.used)], "snapshots_partial": state.partial}
        return
    unused = [] if state.partial or exitstatus or config.option.collectonly else [*_unused(config)]
    for file in unused:
        file.unlink() if state.update else config.get_terminal_writer().line(f"\nno test uses {file}: pytest --update")
    if unused and not state.update:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _unused(config: pytest.Config) -> Iterator[Path]:
    """The snapshots in the folders that were tested as a whole, and that no test asked for."""
    folders = [path for path in (config.invocation_params.dir / each for each in config.args) if path.is_dir()]
    for folder in {inner.resolve() for outer in folders for inner in outer.rglob("snapshots")}:
        yield from sorted(set(folder.glob("*.txt")) - config.stash[STATE].used)
