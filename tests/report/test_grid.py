"""Tables in a terminal of any width: nothing is cut off, and a dumb terminal is no reason for 80 columns."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.report.grid import Cell, columns

WORDS = st.text("abc-/", min_size=1, max_size=60)


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=4), st.integers(24, 120))
def test_nothing_is_cut_off(rows: list[tuple[str, ...]], width: int) -> None:
    lines = [click.unstyle(line) for line in columns([[Cell(text=text) for text in row] for row in rows], width)]
    assert all(len(line) <= width for line in lines)
    assert sorted("".join(lines).replace(" ", "")) == sorted("".join(map("".join, rows)))


@pytest.mark.parametrize("terminal", ["dumb", "unknown", "xterm"])
def test_a_pipe_has_no_width(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    monkeypatch.setenv("TERM", terminal)
    assert len(columns([[Cell(text="x" * 100), Cell(text="y" * 100)]], 1000)) == 1
