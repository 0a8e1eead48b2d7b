"""Where a document says that its values are."""

from __future__ import annotations

import pytest

from glmdeploy.profile.text.characters import check
from glmdeploy.profile.text.document import Document, build
from glmdeploy.profile.text.load import read_text
from glmdeploy.profile.text.yaml12 import read_mapping

TEXT = """\
# a comment
server:
  port: 8000   # the port
  env: {A: "x y", B: z}
  gone: null
keys:
  - HF_TOKEN
  - &k API_KEY
again: *k
text: |
  one
  two
long: a
  b
"é": !!str 5
"""


@pytest.fixture(scope="module")
def document() -> Document:
    return build(read_mapping(check(TEXT, "p.yaml")), files=("p.yaml",))


@pytest.mark.parametrize(
    ("path", "key", "line", "column", "underlined"),
    [
        ((), False, 2, 1, "server"),
        (("server",), False, 3, 3, "port"),
        (("server",), True, 2, 1, "server"),
        (("server", "port"), False, 3, 9, "8000"),
        (("server", "port"), True, 3, 3, "port"),
        (("server", "env"), False, 4, 8, '{A: "x y", B: z}'),
        (("server", "env", "A"), False, 4, 12, '"x y"'),
        (("server", "env", "B"), True, 4, 19, "B"),
        (("keys",), False, 7, 3, "-"),
        (("keys", 0), False, 7, 5, "HF_TOKEN"),
        (("keys", 1), False, 8, 8, "API_KEY"),
        (("keys", 1), True, 8, 8, "API_KEY"),
        (("again",), False, 9, 8, "*k"),
        (("text",), False, 10, 7, "|"),
        (("long",), False, 13, 7, "a"),
        (("é",), True, 15, 1, '"é"'),
        (("é",), False, 15, 12, "5"),
        # What is not there is at the nearest key on the way.
        (("app",), False, 2, 1, "server"),
        (("server", "timeout"), False, 2, 1, "server"),
        (("server", "timeout"), True, 2, 1, "server"),
        (("server", "port", "deep", 0), False, 3, 3, "port"),
        (("server", "gone"), False, 5, 3, "gone"),
        (("server", "gone", "deep"), False, 5, 3, "gone"),
        (("keys", 7), False, 6, 1, "keys"),
        (("keys", 0, "name"), False, 7, 5, "HF_TOKEN"),
    ],
)
def test_locate(
    document: Document, path: tuple[str | int, ...], key: bool, line: int, column: int, underlined: str
) -> None:
    place = document.locate(path, key=key)
    assert (place.file, place.line, place.column) == ("p.yaml", line, column)
    assert place.text == TEXT.splitlines()[line - 1]
    assert place.text[column - 1 : column - 1 + place.length] == underlined


def test_read_text_is_raw() -> None:
    raw = read_text("extends: other\ngone: null\n", "p.yaml")
    assert raw.data == {"extends": "other", "gone": None}
    assert raw.files == ("p.yaml",)
    assert not raw.removed
