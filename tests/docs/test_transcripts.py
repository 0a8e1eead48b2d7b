"""What holds pages to the world must be able to fail: transcripts that differ, marks that are none, open blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import page_blocks
import pytest
from transcripts import Typed, fits, renewed, typed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("shown", "came", "fit"),
    [
        ("Stopped.", "Stopped.", True),
        ("Stopped.", "Started.", False),
        ("Stopped.", "Stopped.\nmore", False),
        ("Stopped.\n...", "Stopped.\nmore\nand more", True),
        ("...\nend", "one\ntwo\nend", True),
        ("...\nend", "one\ntwo", False),
        ("a ... c", "a b c", True),
        ("a ... d", "a b c", False),
        ("took 3.1 s", "took 12 s", True),
        ("took 3.1 s", "took long", False),
        ("version 1, since 29 Nov 10:31", "version 1, since 3 Dec 01:02", True),
        ("version 1, since 29 Nov 10:31", "version 2, since 29 Nov 10:31", False),
        ("http://127.0.0.1:8000/x", "http://127.0.0.1:34567/x", True),
        ("$7 each", "$8 each", False),
        ("8 of 20", "9 of 20", False),
        ("Stopped.", "glm: what runs, and what it uses ...\nStopped.", True),
    ],
)
def test_fits(shown: str, came: str, fit: bool) -> None:
    assert fits(tuple(shown.splitlines()), came.splitlines()) is fit


def test_commands_of_a_transcript() -> None:
    found = typed("$ one \\\n> two\nout\n$ three\n")
    assert [each.command for each in found] == ["one \\\ntwo", "three"]
    assert found[0].output == ("out",)
    with pytest.raises(ValueError, match="begins with what is typed"):
        typed("out\n$ one\n")


def test_what_is_left_out_stays_left_out() -> None:
    assert renewed(Typed(command="x", output=("a", "...")), ["b", "c", "d"]) == ["b", "..."]
    assert renewed(Typed(command="x", output=("a",)), ["b", "c"]) == ["b", "c"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```sh\necho\n", "nothing closes"),
        ("<!-- not ran: why -->\n```sh\n```\n", "no mark"),
        ("<!-- exits: 1 -->\nwords\n", "of no block"),
    ],
)
def test_a_page_that_is_none(text: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_blocks, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match=fault):
        page_blocks.blocks(page)


def test_anchors(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('# A `b.c` thing\n\n## A thing\n## A thing\n```text\n# none\n```\n<a id="own"></a>\n')
    assert page_blocks.anchors(page) == {"a-bc-thing", "a-thing", "a-thing-1", "own"}
