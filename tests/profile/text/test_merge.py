"""The laws of laying one profile over another, and which file a place names afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.profile.text.characters import check
from glmdeploy.profile.text.document import build, merge
from glmdeploy.profile.text.yaml12 import read_mapping

if TYPE_CHECKING:
    from glmdeploy.profile.text.document import Document, Node

keys = st.sampled_from(["a", "b", "c", "d"])
leaves = st.integers(-9, 9) | st.sampled_from(["x", "", True]) | st.lists(st.integers(0, 3), max_size=2)


def mappings(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    nested = st.recursive(leaves, lambda inner: st.dictionaries(keys, inner, max_size=3), max_leaves=12)
    return st.dictionaries(keys, nested, max_size=4)


with_nulls = mappings(leaves | st.none())
without_nulls = mappings(leaves)
# Deep merging is associative only where every file agrees on which keys hold mappings.
agreeing = st.fixed_dictionaries(
    {},
    optional={
        "value": leaves,
        "mapping": st.fixed_dictionaries({}, optional={"value": leaves, "mapping": st.dictionaries(keys, leaves)}),
    },
)


def node(data: dict[str, Any], file: str = "p.yaml") -> Node:
    return read_mapping(check(json.dumps(data), file))


def document(root: Node) -> Document:
    return build(root, files=())


def model(base: Any, over: Any) -> Any:
    """What merging means, on plain data; nulls stay."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: model(base[key], value) if key in base else value for key, value in over.items()}
    return over


def without(value: Any) -> Any:
    """The value without the entries that a null removed."""
    if isinstance(value, dict):
        return {key: without(inner) for key, inner in value.items() if inner is not None}
    return value


@given(st.lists(with_nulls, min_size=1, max_size=4))
def test_files_are_laid_over_one_another_in_turn(layers: list[dict[str, Any]]) -> None:
    root, expected = node(layers[0]), layers[0]
    for layer in layers[1:]:
        root, expected = merge(root, node(layer)), model(expected, layer)
    assert document(root).data == without(expected)


@given(without_nulls)
def test_the_empty_mapping_changes_nothing(data: dict[str, Any]) -> None:
    assert document(merge(node({}), node(data))).data == data
    assert document(merge(node(data), node({}))).data == data
    assert document(merge(node(data), node(data))).data == data


@given(agreeing, agreeing, agreeing)
def test_merging_is_associative(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    left = merge(merge(node(a), node(b)), node(c))
    right = merge(node(a), merge(node(b), node(c)))
    assert document(left).data == document(right).data


@given(with_nulls, with_nulls, st.booleans())
def test_each_place_names_the_file_that_wrote_the_value(base: dict[str, Any], over: dict[str, Any], stay: bool) -> None:
    below, above = node(base, "base.yaml"), node(over, "over.yaml")
    merged = document(merge(below, above, stay=stay))
    lower, upper = document(below), document(above)
    for path, mark in merged.marks.items():
        both = path in lower.marks and path in upper.marks
        shared = both and all(isinstance(at(each.data, path), dict) for each in (lower, upper))
        wrote = lower if (stay and shared) or path not in upper.marks else upper
        assert mark.value == wrote.marks[path].value
        assert mark.value.file == ("base.yaml" if wrote is lower else "over.yaml")
    for path, mark in merged.removed.items():
        assert path not in merged.marks
        assert mark.value == (upper.removed.get(path) or lower.removed[path]).value


def at(data: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        data = data[part]
    return data


@given(with_nulls, keys)
def test_null_removes_a_key_and_says_where(data: dict[str, Any], key: str) -> None:
    merged = document(merge(node(data, "base.yaml"), node({key: None}, "over.yaml")))
    assert key not in merged.data
    assert merged.locate((key, "below")).file == "over.yaml"


def test_nothing_is_left_to_merge_with_after_a_null() -> None:
    root = merge(merge(node({"a": {"x": 1}}), node({"a": None})), node({"a": {"y": 2}}))
    assert document(root).data == {"a": {"y": 2}}
    assert document(root).removed == {}
