"""As many messages as there are faults, each at the line of its own, whatever the faults are and however many.

The faults are put into a profile that ships. Nothing else becomes an error by them: what the rules find beside them
they find in the profile without them.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity, at
from glmdeploy.profile.schema import load as schema
from glmdeploy.profile.text.load import load, read_text
from glmdeploy.profile.text.scalars import write
from glmdeploy.rules.check import check
from glmdeploy.sglang import catalog

if TYPE_CHECKING:
    from glmdeploy.findings import Finding, KeyPath

PROFILES = ("b200-eagle-bf16kv", "h100-glm45-air-fp8", "h200-eagle-bf16kv", "local-cpu")
WRONG: dict[str, tuple[Any, ...]] = {
    "integer": ("eighty", True, [1, "a"], -7, 10**9),
    "boolean": ("maybe", 7, []),
    "string": ([1], {"a": 1}),
    "object": ("text", [1, 2], 5),
    "array": ("text", {"a": 1}, True),
}
"""Values that no place of a type takes."""


def text_of(data: dict[str, Any]) -> tuple[str, dict[KeyPath, int]]:
    """The data as YAML, a key a line, and the line of each key."""
    lines: list[str] = []
    places: dict[KeyPath, int] = {}

    def add(mapping: dict[str, Any], path: KeyPath) -> None:
        for key, value in mapping.items():
            here = (*path, key)
            nested = isinstance(value, dict) and value
            lines.append(f"{'  ' * len(path)}{write(key)}:{'' if nested else f' {write(value)}'}")
            places[here] = len(lines)
            if nested:
                add(value, here)

    add(data, ())
    return "\n".join(lines) + "\n", places


@cache
def data_of(profile: str) -> dict[str, Any]:
    return load(profile).data


@cache
def usual(profile: str) -> frozenset[tuple[str, str]]:
    return frozenset((found.id, found.message) for found in check(load(profile)).findings)


def node(path: KeyPath) -> dict[str, Any]:
    """The schema of a place, without references and without null."""
    found: dict[str, Any] = schema()
    for part in (*path, None):
        if "anyOf" in found:
            branches = [each for each in found["anyOf"] if each.get("type") != "null"]
            found = {"type": [each.get("type", "object") for each in branches], **branches[0]} if branches else found
        if "$ref" in found:
            found = schema()["$defs"][found["$ref"].rsplit("/", 1)[1]]
        if part is not None:
            found = found.get("properties", {}).get(part) or found.get("additionalProperties") or {}
    return found


def paths(data: dict[str, Any], path: KeyPath = ()) -> list[KeyPath]:
    found = []
    for key, value in data.items():
        found.append((*path, key))
        if isinstance(value, dict) and (*path, key) != ("sglang", "args"):
            found += paths(value, (*path, key))
    return found


def put(data: dict[str, Any], path: KeyPath, value: Any) -> None:
    at(data, path[:-1])[path[-1]] = value


def copied(data: Any) -> Any:
    return {key: copied(value) for key, value in data.items()} if isinstance(data, dict) else data


@st.composite
def faulty(draw: st.DrawFn) -> tuple[str, str, list[int]]:
    """A profile's name, its text with faults, and the lines at which they are expected."""
    profile = draw(st.sampled_from(PROFILES))
    data = copied(data_of(profile))
    taken: list[KeyPath] = []
    expected: list[tuple[KeyPath, bool]] = []
    for number in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from(("remove", "add", "misspell", "type", "option", "no option")))
        free = [each for each in paths(data) if not any(_touch(each, other) for other in taken)]
        sections = [(), *(each for each in free if isinstance(at(data, each), dict) and _closed(each))]
        match kind:
            case "remove":
                needed = [each for each in free if each[-1] in node(each[:-1]).get("required", ())]
                # A mapping that has nothing left is another fault, and a profile without its release is not judged.
                needed = [each for each in needed if each[:1] != ("sglang",) and len(at(data, each[:-1])) > 1]
                if not needed:
                    continue
                path = draw(st.sampled_from(needed))
                del at(data, path[:-1])[path[-1]]
                expected.append((path[:-1], True))
            case "add":
                path = (*draw(st.sampled_from(sections)), f"zzz{number}qqq")
                put(data, path, draw(st.sampled_from((1, "x", [1]))))
                expected.append((path, False))
            case "misspell":
                known = [each for each in free if _closed(each[:-1]) and len(str(each[-1])) > 5]
                known = [each for each in known if each[:1] != ("sglang",)]
                if not known:
                    continue
                path = draw(st.sampled_from(known))
                wrong = (*path[:-1], f"{path[-1][:-1]}{path[-1][-1] * 2}")
                put(data, wrong, at(data, path[:-1]).pop(path[-1]))
                expected.append((wrong, False))
                taken.append(wrong)
            case "type":
                typed = [each for each in free if each not in (("sglang",), ("sglang", "version"), ("sglang", "args"))]
                if not typed:
                    continue
                path = draw(st.sampled_from(typed))
                types = node(path).get("type", "object")
                if isinstance(types, list) or "env" in path:
                    value: Any = {"zzz": [{}]} if "array" in types or "string" in types else "\tno\t"
                    value = [[]] if "env" in path else value
                else:
                    value = draw(st.sampled_from(WRONG.get(types, ({"a": 1},))))
                if path == ("schema",) or types == "number":
                    value = "x"
                put(data, path, value)
                expected.append((path, False))
            case "option":
                option = f"zzz-{number}-qqq"
                path = ("sglang", "args", option)
                if any(_touch(path, other) for other in taken):
                    continue
                data["sglang"]["args"][option] = 1
                expected.append((path, False))
            case _:
                release = catalog.load(data["sglang"]["version"])
                args = data["sglang"]["args"]
                chosen = [key for key in args if release.find(key).choices] if not _any(args, "zzz") else []
                chosen = [key for key in chosen if not any(_touch(("sglang", "args", key), other) for other in taken)]
                if not chosen:
                    continue
                path = ("sglang", "args", draw(st.sampled_from(chosen)))
                put(data, path, "no such value")
                expected.append((path, False))
        taken.append(path)
    text, places = text_of(data)
    lines = [places.get(path, 1) if path else 1 for path, _ in expected]
    return profile, text, sorted(lines)


def _any(args: dict[str, Any], begin: str) -> bool:
    return any(key.startswith(begin) for key in args)


def _touch(one: KeyPath, other: KeyPath) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _closed(path: KeyPath) -> bool:
    return node(path).get("additionalProperties") is False


def errors(text: str) -> list[Finding]:
    return [found for found in check(read_text(text, "p.yaml")).findings if found.id in ("schema", "sglang")]


@settings(max_examples=examples(60), deadline=None)
@given(case=faulty())
def test_each_fault_is_told_once_at_its_line(case: tuple[str, str, list[int]]) -> None:
    profile, text, lines = case
    findings = check(read_text(text, "p.yaml")).findings
    told = [found for found in findings if found.id in ("schema", "sglang")]
    assert Counter(found.location.line for found in told) == Counter(lines), [found.message for found in told]
    assert all(found.severity is Severity.ERROR for found in told)
    assert len([found for found in findings if found.id == "knowledge"]) <= 2
    others = {(found.id, found.message) for found in findings if found.id not in ("schema", "sglang", "knowledge")}
    assert others <= usual(profile)


@settings(max_examples=examples(30), deadline=None)
@given(data=st.data())
def test_each_key_that_stands_twice_is_told_once(data: st.DataObject) -> None:
    text, places = text_of(data_of("b200-eagle-bf16kv"))
    lines = text.splitlines()
    leaves = [place for path, place in places.items() if not isinstance(at(data_of("b200-eagle-bf16kv"), path), dict)]
    twice = data.draw(st.lists(st.sampled_from(leaves), min_size=1, max_size=5, unique=True))
    for place in sorted(twice, reverse=True):
        lines.insert(place, lines[place - 1])
    with pytest.raises(ProfileError) as caught:
        read_text("\n".join(lines), "p.yaml")
    assert [found.location.line for found in caught.value.findings] == [
        place + 1 + index for index, place in enumerate(sorted(twice))
    ]
    assert all("is given twice" in found.message for found in caught.value.findings)


def test_a_profile_with_nothing_in_it_has_one_fault() -> None:
    [found] = check(read_text("{}", "p.yaml")).findings
    assert found.message == "the profile is empty: it has none of the keys that it needs"
    assert found.expected == "`schema`, `name`, `app`, `model`, `gpu`, `volumes` and `sglang`"
    assert "glmdeploy init MODEL" in (found.fix or "")
