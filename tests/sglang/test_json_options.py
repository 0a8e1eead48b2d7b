"""Options that hold JSON: what is none is refused with its place, as a text and as a mapping."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from glmdeploy.sglang import catalog
from glmdeploy.sglang.command import Problem, read
from glmdeploy.sglang.json_options import LATER, is_json

RELEASES = [catalog.load(version) for version in catalog.versions()]
PLAIN = ["json-model-override-args", "model-loader-extra-config", "kv-events-config", "hisparse-config"]
AT_ONCE = ["preferred-sampling-params", "limit-mm-data-per-request", "cuda-graph-config", "forward-hooks"]


def problems(key: str, value: Any, version: str = "0.5.23") -> list[Problem]:
    return read({key: value}, catalog.load(version))[1]


def test_the_options_are_those_of_releases() -> None:
    known = {option.dest for release in RELEASES for option in release.options}
    assert LATER.keys() <= known


def test_every_option_that_argparse_reads_as_json_is_judged() -> None:
    for release in RELEASES:
        for option in release.options:
            read_at_once = "json" in (option.type or "") or (option.type or "").startswith("cuda_graph_config")
            assert is_json(option) >= read_at_once


@pytest.mark.parametrize("key", [*PLAIN, *AT_ONCE])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1', "line 1, column 8, at its end"),
        ('{"a" 1}', "line 1, column 6, before `1}`"),
        ('{"a": 1,\n "b": oops}', "line 2, column 7, before `oops}`"),
        ("{'a': 1}", "line 1, column 2, before `'a': 1}`"),
        ("{", "line 1, column 2, at its end"),
    ],
)
def test_a_fault_has_its_place(key: str, text: str, place: str) -> None:
    (found,) = problems(key, text)
    assert f"`{key}` is not the JSON that SGLang reads there: " in found.message
    assert found.message.endswith(f"({place})")


@pytest.mark.parametrize("key", PLAIN)
@pytest.mark.parametrize("text", ["[1]", "3", '"a"', "true", "null"])
def test_an_object_is_wanted(key: str, text: str) -> None:
    (found,) = problems(key, text)
    assert "an object is expected, not" in found.message


@pytest.mark.parametrize("key", PLAIN)
@pytest.mark.parametrize("value", [{}, {"a": {"b": [1, None, "ä"]}}])
def test_objects_pass(key: str, value: Any) -> None:
    assert problems(key, value) == []
    assert problems(key, json.dumps(value)) == []


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans(), max_size=4))
def test_every_mapping_is_as_its_text(value: dict[str, Any]) -> None:
    for key in PLAIN:
        assert problems(key, value) == problems(key, json.dumps(value)) == []


@given(st.text(max_size=30))
@example("-")
@example("-{}")
def test_what_is_accepted_is_an_object(text: str) -> None:
    found = problems("json-model-override-args", text)
    try:
        fine = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        fine = False
    assert (not found) == fine


@pytest.mark.parametrize(
    ("key", "text", "fine"),
    [
        ("deepep-config", "/configs/deepep.json", True),
        ("deepep-config", '{"a":', False),
        ("watermark-config", "watermark.json", True),
        ("watermark-config", "{oops", False),
        ("hicache-storage-backend-extra-config", "@/configs/hicache.toml", True),
        ("hicache-storage-backend-extra-config", "/configs/hicache.toml", False),
        ("model-loader-extra-config", "", True),
        ("json-model-override-args", "", False),
        ("model-loader-extra-config", '{"a": NaN}', False),
        ("json-model-override-args", '{"a": NaN}', True),
        ("forward-hooks", "[NaN]", False),
        ("json-model-override-args", "[" * 100_000, False),
    ],
)
def test_how_each_is_read(key: str, text: str, fine: bool) -> None:
    assert (not problems(key, text)) == fine


def test_older_names() -> None:
    assert problems("hierarchical-sparse-attention-extra-config", "{oops", "0.5.8")
    assert not problems("hierarchical-sparse-attention-extra-config", "{}", "0.5.8")
