"""Sections: what a profile says, what is left out, and what a form says of a value that it does not take."""

from __future__ import annotations

from typing import Any

import pytest

from glmdeploy.profile.fields import ENV, FLAG, Listed, Refused, Seconds, Text, Whole, WordOr
from glmdeploy.profile.models import Profile
from glmdeploy.profile.section import Section, field
from glmdeploy.profile.text.load import load


class Inner(Section):
    """Within."""

    limit: int = field(Whole(1, 9), "A limit.", default=3)


class Outer(Section):
    """Around."""

    class_: str = field(Text("a|b", "a or b"), "A class.", key="class")
    wait: int = field(Seconds(1, 60), "A pause.", default=5)
    inner: Inner = field(Inner, "What is within.", default=Inner())
    more: tuple[Inner, ...] = field(Listed(Inner, 0, 2), "More of it.", default=())
    either: Inner | str = field(WordOr("off", Inner, "a mapping or off"), "One or the other.", default="off")
    flag: bool | None = field(FLAG, "A switch.", default=None)
    env: dict[str, str] = field(ENV, "Variables.", default={})


def test_what_is_said_is_the_sections_own_and_the_rest_its_classes() -> None:
    read = Outer.read({"class": "a", "wait": "1m", "more": [{"limit": 1}, {}], "env": {"A": 1}})
    assert (read.class_, read.wait, read.inner.limit, read.either, read.flag) == ("a", 60, 3, "off", None)
    assert read.more == (Inner(limit=1), Inner())
    assert set(read.given) == {"class_", "wait", "more", "env"}
    assert read.data() == {"class": "a", "wait": 60, "more": [{"limit": 1}, {}], "env": {"A": "1"}}
    assert read.data(whole=True) == {
        "class": "a",
        "wait": 60,
        "inner": {"limit": 3},
        "more": [{"limit": 1}, {"limit": 3}],
        "either": "off",
        "flag": None,
        "env": {"A": "1"},
    }


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ([], ()),
        ({}, ("class",)),
        ({"class": "c"}, ("class",)),
        ({"class": "a", "other": 1}, ("other",)),
        ({"class": "a", "inner": {"limit": 10}}, ("inner", "limit")),
        ({"class": "a", "more": [{}, {"limit": True}]}, ("more", 1, "limit")),
        ({"class": "a", "more": [{}, {}, {}]}, ("more",)),
        ({"class": "a", "either": "on"}, ("either",)),
        ({"class": "a", "env": {"A": 1.5}}, ("env", "A")),
    ],
)
def test_the_place_that_is_refused_is_told(data: Any, path: tuple[str | int, ...]) -> None:
    with pytest.raises(Refused) as refused:
        Outer.read(data)
    assert refused.value.path == path
    assert refused.value.expected


def test_a_profile_cannot_be_changed() -> None:
    profile = Profile.read(load("b200-eagle-bf16kv").data)
    with pytest.raises(AttributeError):
        profile.server.port = 1  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del profile.server
    assert profile == Profile.read(load("b200-eagle-bf16kv").data)
    assert profile != Profile.read(load("b200-eagle-bf16kv", sets=("server.port=1",)).data)
