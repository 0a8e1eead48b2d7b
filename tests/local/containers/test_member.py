"""What is said of a failed call when its container ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.local.containers.member import first_line


@pytest.mark.parametrize(
    ("exception", "line"),
    [
        (repr(ValueError("no thank you")), "ValueError: no thank you"),
        (repr(RuntimeError("\n  first\nsecond")), "RuntimeError: first"),
        (repr(RuntimeError("both \" and '")), "RuntimeError: both \" and '"),
        (repr(KeyError("a", "b")), "KeyError('a', 'b')"),
        (repr(ValueError()), "ValueError()"),
        ("told in words\nof several lines", "told in words"),
        ("f(" * 10_000, "f(" * 10_000),
        ("", ""),
    ],
)
def test_exceptions(exception: str, line: str) -> None:
    assert first_line(exception) == line


@given(st.text())
def test_anything_is_one_line(text: str) -> None:
    for exception in (text, repr(RuntimeError(text)), f"X({text})"):
        assert len(first_line(exception).splitlines()) <= 1
