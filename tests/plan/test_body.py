"""A plan as a text that can be deployed again: the same plan, with the same keywords, comes back, or an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from variations import SETS, variation

from glmdeploy.plan.body import BodyError, body, read_body

SERVER = ("server.kind=server", "server.timeout=null", "server.max_inputs=null", "server.max_concurrency=20")
TEXT = body(variation())


@given(sets=st.sets(st.sampled_from(SETS), max_size=8))
def test_the_same_plan_comes_back(sets: set[str]) -> None:
    plan = variation(*sorted(sets))
    found = read_body(body(plan))
    assert found == plan
    assert found.digest == plan.digest
    for name in ("function", "cls", "web_server", "concurrent", "server"):
        assert found.server.keywords(name) == plan.server.keywords(name)
        assert found.download.keywords(name) == plan.download.keywords(name)


def test_of_a_server_too() -> None:
    plan = variation(*SERVER, "server.exit_grace_period=30s")
    assert read_body(body(plan)) == plan


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, item in inner for each in paths(item, (*path, key)))]


ALL = paths(json.loads(TEXT))[1:]
JSON = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({}) | st.just([{}])


@given(path=st.sampled_from(ALL), value=JSON)
def test_what_was_changed_is_another_plan_or_none(path: tuple[Any, ...], value: Any) -> None:
    """Keywords follow from the values, and are part of no digest: whoever reads them trusts the file for those."""
    content = json.loads(TEXT)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    same = json.dumps(inner[path[-1]]) == json.dumps(value)
    inner[path[-1]] = value
    try:
        found = read_body(json.dumps(content))
    except BodyError:
        return
    assert same or path[0] == "keywords" or found.digest != variation().digest


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", '{"plan": {}}', '{"plan": 1, "keywords": 2}', b"\xff"])
def test_what_is_no_plan(text: str | bytes) -> None:
    with pytest.raises(BodyError):
        read_body(text)
