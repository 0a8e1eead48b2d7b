"""A record is what ``@dataclass(frozen=True, kw_only=True)`` makes, whatever is asked of it."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.records import record


@record
class Ours:
    """Documented."""

    a: int
    b: str = "b"
    c: list[int] = field(default_factory=list, compare=False)
    d: str = field(default="secret", repr=False)


@record
class OursMore(Ours):
    e: int = 5

    def __repr__(self) -> str:
        return "own"


@dataclass(frozen=True, kw_only=True)
class Theirs:
    """Documented."""

    a: int
    b: str = "b"
    c: list[int] = field(default_factory=list, compare=False)
    d: str = field(default="secret", repr=False)


@dataclass(frozen=True, kw_only=True)
class TheirsMore(Theirs):
    e: int = 5

    def __repr__(self) -> str:
        return "own"


def outcome(kind: Any, values: dict[str, Any]) -> Any:
    """What becomes of a call: the fields and what is said of them, or the error's type."""
    try:
        made = kind(**values)
    except TypeError as error:
        return type(error)
    return dataclasses.asdict(made), repr(made).removeprefix("Theirs").removeprefix("Ours"), made == kind(**values)


VALUES = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d", "e", "f"]), st.integers(0, 2) | st.text(max_size=2), max_size=6
)


@given(VALUES)
def test_a_record_is_made_as_a_dataclass_is(values: dict[str, Any]) -> None:
    assert outcome(Ours, values) == outcome(Theirs, values)
    assert outcome(OursMore, values) == outcome(TheirsMore, values)


@given(VALUES, VALUES)
def test_two_are_equal_where_two_dataclasses_are(one: dict[str, Any], other: dict[str, Any]) -> None:
    ours = [OursMore(**{"a": 1, **{key: value for key, value in each.items() if key != "f"}}) for each in (one, other)]
    theirs = [
        TheirsMore(**{"a": 1, **{key: value for key, value in each.items() if key != "f"}}) for each in (one, other)
    ]
    assert (ours[0] == ours[1]) == (theirs[0] == theirs[1])
    assert ours[0] != ours[1] or hash(ours[0]) == hash(ours[1])
    assert ours[0] != theirs[0]


def test_a_part_is_no_whole() -> None:
    assert Ours(a=1) != OursMore(a=1)
    assert len({Ours(a=1), Ours(a=1), Ours(a=2)}) == 2


def test_nothing_can_be_changed_but_by_a_copy() -> None:
    one = Ours(a=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.a = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del one.a
    assert dataclasses.replace(one, a=2) == Ours(a=2)
    assert pickle.loads(pickle.dumps(one)) == one
    assert Ours(a=1).c is not Ours(a=1).c
