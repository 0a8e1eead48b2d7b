"""A release's schema takes and refuses what the release's own parser does: names, types, choices."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from support import examples

from glmdeploy.profile import option_schema
from glmdeploy.profile.release_schema import release_file
from glmdeploy.sglang import catalog, command, json_options
from glmdeploy.sglang.catalog import Option, OptionError
from glmdeploy.sglang.command import RESERVED

RELEASES = catalog.versions()


@cache
def args(release: str) -> dict[str, Any]:
    """The committed schema of the options."""
    found: dict[str, Any] = json.loads(release_file(release).read_text(encoding="utf-8"))["definitions"]["args"]
    return found


@cache
def form(release: str, name: str) -> Draft7Validator:
    """The schema of one option."""
    return Draft7Validator({"definitions": dict(option_schema.DEFINITIONS), **args(release)["properties"][name]})


def taken(release: str, name: str, value: Any) -> bool:
    return not command.read({name: value}, catalog.load(release))[1]


def own(release: str) -> list[Option]:
    return [
        option
        for option in catalog.load(release).options
        if option.dest not in RESERVED and option.action not in ("help", "removed")
    ]


OPTIONS = [(release, option) for release in RELEASES for option in own(release)]
NUMBERS = [
    "8",
    " 8",
    "1_000",
    "+3",
    "-1",
    "0.5",
    ".5",
    "1e3",
    "1_0.5e-1_0",
    "nan",
    "-Infinity",
    "64k",
    "1.5M",
    "2Gi",
    "2.5Gi",
]
WORDS = [
    "",
    "auto",
    "eight",
    "none",
    "None",
    "true",
    "{}",
    '{"a": 1}',
    '{"a": ',
    "[1]",
    "@file",
    "a.json",
    "-x",
    "٣",
    "8 8",
]
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-3, 10**6),
    st.floats(-2, 2**70, allow_nan=False),
    st.integers(-3, 100).map(float),
    st.sampled_from(NUMBERS + WORDS),
    st.text("0123456789_.eE+-kKMGTi infat ", max_size=6),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS.filter(lambda value: not isinstance(value, bool)), min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["decode", "prefill", "a", "lora_name", "lora_path"]), SCALARS, max_size=2),
    st.dictionaries(
        st.sampled_from(["decode", "prefill"]),
        st.dictionaries(st.sampled_from(["backend", "bs", "max_bs", "x"]), st.integers(0, 9), max_size=2),
        max_size=2,
    ),
)


def beyond(option: Option, value: Any) -> bool:
    """Whether what is wrong with it is for the command alone to find: what a text, or a mapping, holds inside."""
    several = isinstance(value, list)
    return (
        (json_options.is_json(option) and (isinstance(value, str) or several or bool(option.json_keys)))
        or option.action == "lora_paths"
        or (several and len(value) == 1 and (option.nargs == "?" or option.action != "store"))
        or (several and any(str(item).startswith("-") for item in value))
    )


@settings(max_examples=examples(250))
@given(where=st.sampled_from(OPTIONS), data=st.data())
def test_a_value_is_taken_where_the_release_takes_it(where: tuple[str, Option], data: st.DataObject) -> None:
    release, option = where
    choices = st.sampled_from(option.choices) if option.choices else st.nothing()
    value = data.draw(choices | choices.map(lambda choice: f"{choice}x") | choices.map(str) | VALUES)
    agreed(release, option, value)


def agreed(release: str, option: Option, value: Any) -> None:
    name = option.canonical.removeprefix("--")
    accepted = taken(release, name, value)
    valid = form(release, name).is_valid(value)
    assert valid or not accepted, f"{release} takes {name}: {value!r}"
    assert accepted or not valid or beyond(option, value), f"{release} refuses {name}: {value!r}"


KINDS = {
    (each.action, each.type, each.nargs, bool(each.choices), each.dest in json_options.LATER): (release, each)
    for release, each in OPTIONS
}


@pytest.mark.parametrize("where", KINDS.values(), ids=lambda where: f"{where[1].canonical}-{where[0]}")
def test_each_kind_of_option_judges_each_kind_of_value(where: tuple[str, Option]) -> None:
    release, option = where
    for value in (
        *NUMBERS,
        *WORDS,
        True,
        False,
        8,
        8.0,
        8.5,
        -1,
        10**30,
        [1],
        [1, 2],
        ["a", "b"],
        [1.5, 2],
        {"a": 1},
        {},
    ):
        agreed(release, option, value)


@pytest.mark.parametrize("release", ["0.5.11", RELEASES[-1]])
def test_a_name_is_taken_where_the_release_takes_it(release: str) -> None:
    known, options, tried = args(release), {option.canonical for option in own(release)}, 0
    letters: dict[str, list[re.Pattern[str]]] = {}
    for pattern, target in known["patternProperties"].items():
        if "$ref" in target:
            option = catalog.load(release).find(target["$ref"].rpartition("/")[2])
            for letter in {flag.lstrip("-")[0] for flag in option.flags}:
                letters.setdefault(letter, []).append(re.compile(pattern))
    flags = sorted(flag for each in catalog.load(release).options for flag in each.flags if flag.startswith("--"))
    for place, flag in enumerate(flags):
        asked = {flag[2:end] for end in range(3, len(flag) + 1)} | {flag}
        if place % 20 == 0:  # to look for what is near takes long
            asked |= {f"{flag}x", flag[2:].replace("-", "_"), flag[2:].upper()}
        for name in asked:
            try:
                found = catalog.load(release).find(name).canonical in options
            except OptionError:
                found = False
            exact = known["properties"].get(name, {"type": "null"}).get("type") != "null"
            shorter = any(pattern.search(name) for pattern in letters.get(name.lstrip("-")[0], ()))
            assert (exact or shorter) == found, name
            tried += found
    assert tried > 2 * len(options)
