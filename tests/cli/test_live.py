"""What is drawn again at the end of a terminal: seen as a terminal shows it, and left as nothing."""

from __future__ import annotations

import io
import re
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE

from glmdeploy.cli import live
from glmdeploy.cli.live import Region, StepsRegion, busy
from glmdeploy.operate import events
from glmdeploy.report.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError


def screen(written: str) -> list[str]:
    """The lines that a terminal shows after all that was written: it knows the one movement that is used."""
    lines = [""]
    for piece in re.split(r"(\x1b\[\d+F\x1b\[J|\n)", written):
        if piece == "\n":
            lines.append("")
        elif found := re.fullmatch(r"\x1b\[(\d+)F\x1b\[J", piece):
            assert lines[-1] == ""
            lines = [*lines[: -1 - int(found[1])], ""]
        else:
            assert "\x1b" not in piece
            lines[-1] += piece
    return lines


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Makes a terminal of standard error: in the test itself, because pytest sets the streams after the fixtures."""

    def make() -> Terminal:
        one = Terminal()
        monkeypatch.setattr(sys, "stderr", one)
        return one

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(live, "FRAME_SECONDS", 0.005)
    return make


def wait_for(terminal: Terminal, words: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while words not in "\n".join(screen(terminal.getvalue())):
        assert time.monotonic() < deadline, terminal.getvalue()
        time.sleep(0.01)


def test_lines_stay_and_what_is_drawn_goes(begin: Callable[[], Terminal]) -> None:
    terminal = begin()
    region = Region(lambda width, spinner: [f"{spinner} goes on", "x" * 200])
    wait_for(terminal, "goes on")
    region.say(["one", "two"])
    wait_for(terminal, "goes on")
    assert max(map(len, screen(terminal.getvalue()))) < 60, "no line is as wide as the terminal, which would break it"
    region.end()
    assert screen(terminal.getvalue()) == ["one", "two", ""]


def test_the_steps_are_below_what_has_ended(begin: Callable[[], Terminal]) -> None:
    terminal = begin()
    steps = Steps(["deploy", "start", "verify"])
    region = StepsRegion(steps)
    steps.hear(events.Deploying())
    wait_for(terminal, "deploy")
    assert [line.split()[-1] for line in screen(terminal.getvalue())[-3:-1]] == ["start", "verify"]
    steps.hear(events.Published(version=8))
    region.say(["  ✓ deploy"])
    steps.hear(events.Guarded(version=8, before=7, room={}))
    steps.hear(events.Waiting())
    wait_for(terminal, "version 7 keeps answering until version 8 has passed")
    region.end()
    assert screen(terminal.getvalue()) == ["  ✓ deploy", ""]


def test_nothing_is_shown_under_a_second(begin: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = begin()
    assert live.PATIENCE_SECONDS == 1
    monkeypatch.setattr(live, "PATIENCE_SECONDS", PATIENCE)
    with busy("pin", "asks"):
        time.sleep(0.05)
    assert terminal.getvalue() == ""


def test_what_takes_longer_is_shown_and_goes(begin: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = begin()
    monkeypatch.setattr(live, "PATIENCE_SECONDS", 0.0)
    with busy("engine") as waiting:
        waiting.tell("downloading", done=30, whole=100)
        wait_for(terminal, "30 %")
        waiting.note("a note")
    assert screen(terminal.getvalue()) == ["a note", ""]


def test_without_a_terminal_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    monkeypatch.setattr(live, "PLAIN_SECONDS", 0.01)
    with busy("registry", "asks"):
        deadline = time.monotonic() + PATIENCE
        while not pipe.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert pipe.getvalue() == "registry: asks ...\n"


def test_quiet_shows_nothing(begin: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = begin()
    monkeypatch.setattr(live, "PATIENCE_SECONDS", 0.0)
    with busy("pin", "asks", quiet=True) as waiting:
        waiting.note("a note")
        time.sleep(0.05)
    assert terminal.getvalue() == ""


def test_a_dumb_terminal_is_not_drawn_again(begin: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = begin()
    monkeypatch.setenv("TERM", "dumb")
    region = Region(lambda width, spinner: ["drawn"])
    region.say(["said"])
    region.end()
    assert terminal.getvalue() == "said\n"
