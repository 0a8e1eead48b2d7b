"""Lines for a terminal: nothing is lost, what is copied stays whole, and a caret stays under its text."""

from __future__ import annotations

import re

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.wrap import NARROWEST, columns_of, cut, lines, table, whole, wrapped

WORD = st.text("abcäß語-/.:", min_size=1, max_size=50)
CODE = st.lists(WORD, min_size=1, max_size=4).map(lambda words: f"`{' '.join(words)}`")
TEXT = st.lists(st.one_of(WORD, CODE, WORD.map(lambda word: click.style(word, fg="red"))), max_size=20).map(" ".join)
WIDTH = st.integers(NARROWEST, 130)


@given(TEXT, WIDTH, st.sampled_from([None, 0, 4]))
def test_nothing_is_lost_and_only_one_piece_is_too_long(text: str, width: int, indent: int | None) -> None:
    made = lines(text, width, indent=indent)
    assert " ".join(line.strip(" ") for line in made) == text
    pieces = re.findall(r"(?:`[^`]+`|[^\s`])+", click.unstyle(text))
    for line in map(click.unstyle, made):
        assert columns_of(line) <= width or line.strip() in pieces, line
    below = 2 if indent is None else indent
    assert all(line.startswith(" " * below) and line[below : below + 1] != " " for line in made[1:])


@given(TEXT)
def test_without_a_terminal_nothing_is_broken(text: str) -> None:
    assert lines(text, UNLIMITED) == [text]


@given(st.lists(TEXT, max_size=4), WIDTH)
def test_lines_stay_lines(texts: list[str], width: int) -> None:
    assert wrapped("\n".join(texts), width).split("\n") == [
        line for text in texts or [""] for line in lines(text, width)
    ]


def test_code_paths_and_addresses_stay_whole() -> None:
    address = "https://github.com/sgl-project/sglang/issues/22359"
    command = "`glmdeploy validate --fix 'my profiles/mine.yaml'`"
    path = "my profiles/with a long name that has blanks.yaml:54:24"
    made = lines(f"{whole(path)}: see {address}, or try {command}, which mends it", 40)
    assert any(address in line for line in made)
    assert any(command in line for line in made)
    assert made[0] == f"{path}:"


def test_a_backtick_alone_is_a_letter() -> None:
    assert lines(f"a ` {'b ' * 30}", 40)[0] == f"a ` {'b ' * 18}".rstrip()


@given(st.text("ab: 語", min_size=1, max_size=200), st.data(), st.integers(20, 100))
def test_a_cut_line_keeps_what_is_meant(text: str, data: st.DataObject, width: int) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    piece, first, last = cut(text, start, end, width)
    assert columns_of(piece) <= width or columns_of(text) <= width
    assert text[start:end].startswith(piece[first:last])
    assert piece[first:last]
    # A meaning that fits stands there in full.
    if columns_of(text[start:end]) <= width - 2:
        assert piece[first:last] == text[start:end]
    assert piece.strip("…") in text
    assert piece.startswith("…") == (not text.startswith(piece.rstrip("…")))


@given(st.lists(st.tuples(WORD, WORD, TEXT), min_size=1, max_size=6), WIDTH)
def test_a_table_has_all_cells(rows: list[tuple[str, str, str]], width: int) -> None:
    flat = " ".join(click.unstyle("\n".join(table(rows, width))).split())
    for row in rows:
        assert " ".join(click.unstyle(" ".join(row)).split()) in flat


@pytest.mark.parametrize("width", [40, 80, UNLIMITED])
def test_a_table_in_columns(width: int) -> None:
    rows = [["ok", "a.yaml", "1 warning"], ["error", "long.yaml", ""]]
    assert table(rows, width) == ["ok     a.yaml     1 warning", "error  long.yaml"]


def test_what_does_not_fit_beside_stands_below() -> None:
    rows = [
        ["ok", "profiles/a.yaml", "2 remarks"],
        ["not known", "profiles/b.yaml", "nothing of it was " * 6 + "judged"],
    ]
    assert table(rows, 50) == [
        "ok         profiles/a.yaml  2 remarks",
        "not known  profiles/b.yaml",
        "    nothing of it was nothing of it was nothing of",
        "    it was nothing of it was nothing of it was",
        "    nothing of it was judged",
    ]
