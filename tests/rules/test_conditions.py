"""Conditions that are data: what they mean, and that no entry of the table can say what means nothing."""

from __future__ import annotations

import copy
import re
import string
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.gpus import GENERATIONS
from glmdeploy.profile import schema
from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir
from glmdeploy.rules import conditions, tables
from glmdeploy.rules.check import check
from glmdeploy.rules.conditions import DERIVED, OPERANDS, edit, fact, faults, holds, place
from glmdeploy.sglang import catalog, effective

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from glmdeploy.rules.facts import Facts

TODAY = date(2026, 11, 23)
ENTRIES: list[dict[str, Any]] = [
    entry for table in tables.TABLES for entry in tables.parsed(table.read_text(encoding="utf-8"), table.name)
]
PROFILES = sorted(file.stem for file in profiles_dir().glob("*.yaml"))
FACTS = (
    *(
        "kv_cache_dtype",
        "dsa_decode_backend",
        "tp_size",
        "max_total_tokens",
        "disable_radix_cache",
        "trust_remote_code",
    ),
    *("env.HF_HUB_OFFLINE", "env.SGLANG_DG_CACHE_DIR", "env.SGLANG_ENABLE_JIT_DEEPGEMM", "no_such_option"),
    *("server.public", "server.min_containers", "secrets.api_key", "compile.timeout", "volumes.kernels.mount"),
    *DERIVED,
)


@cache
def facts_of(profile: str) -> Facts:
    found = check(load(str(profiles_dir() / f"{profile}.yaml")), today=TODAY).facts
    assert found is not None
    return found


profiles = st.sampled_from(PROFILES).map(facts_of)
names = st.sampled_from(FACTS)
scalars = st.one_of(
    st.integers(-1, 100_000), st.booleans(), st.sampled_from(["bfloat16", "fp8_e4m3", "trtllm", "1", "/dg-cache", ""])
)
expectations = st.one_of(
    scalars,
    st.lists(scalars, min_size=1, max_size=3),
    st.fixed_dictionaries(
        {},
        optional={
            "not": st.one_of(scalars, st.lists(scalars, min_size=1, max_size=3)),
            "above": st.integers(-1, 100_000),
            "below": st.integers(-1, 100_000),
            "on": st.booleans(),
            "given": st.booleans(),
        },
    ).filter(bool),
)
some_conditions = st.dictionaries(names, expectations, min_size=1, max_size=3)


@given(profiles, some_conditions)
def test_all_expectations_must_hold(judged: Facts, condition: dict[str, Any]) -> None:
    assert list(faults(condition)) == []
    each = [holds(judged, {name: expected}) for name, expected in condition.items()]
    assert holds(judged, condition) == all(each)
    for name, expected in condition.items():
        if isinstance(expected, dict):
            parts = [holds(judged, {name: {operator: operand}}) for operator, operand in expected.items()]
            assert holds(judged, {name: expected}) == all(parts)


@given(profiles, names, st.lists(scalars, min_size=1, max_size=4))
def test_a_list_means_any_of_it(judged: Facts, name: str, values: list[Any]) -> None:
    assert holds(judged, {name: values}) == any(holds(judged, {name: value}) for value in values)
    none_of_it = fact(judged, name) is not None and not holds(judged, {name: values})
    assert holds(judged, {name: {"not": values}}) == none_of_it


@given(profiles, names, scalars)
def test_a_fact_that_is_not_known_breaks_nothing(judged: Facts, name: str, value: Any) -> None:
    known = fact(judged, name) is not None
    assert holds(judged, {name: fact(judged, name)})
    assert not (holds(judged, {name: value}) and holds(judged, {name: {"not": value}}))
    if not known:
        assert not holds(judged, {name: {"not": value}})
        assert not holds(judged, {name: {"above": -1}})
        assert not holds(judged, {name: {"below": 100_000}})


@given(profiles, names, st.integers(-1, 100_000))
def test_a_number_is_above_below_or_there(judged: Facts, name: str, bound: int) -> None:
    value = fact(judged, name)
    outcomes = [holds(judged, {name: {"above": bound}}), holds(judged, {name: {"below": bound}}), value == bound]
    assert sum(outcomes) == (1 if isinstance(value, int | float) else 0)


@given(profiles, names, st.sampled_from(["on", "given"]))
def test_switches_are_on_or_off(judged: Facts, name: str, operator: str) -> None:
    assert holds(judged, {name: {operator: True}}) != holds(judged, {name: {operator: False}})


def test_what_is_written_is_given_and_a_default_is_not() -> None:
    judged = facts_of("b200-eagle-bf16kv")
    assert holds(judged, {"dsa_decode_backend": {"given": True}, "tp_size": {"given": True}})
    assert holds(judged, {"page_size": {"given": False}, "dsa_decode_backend": "trtllm"})
    assert holds(judged, {"env.SGLANG_ENABLE_SPEC_V2": {"on": True}, "env.HF_HUB_OFFLINE": {"on": True}})
    assert holds(judged, {"server.max_containers": {"above": 2, "below": 4}, "secrets.api_key": {"given": True}})
    assert holds(judged, {"speculates": True, "checkpoint": "fp8"})
    assert holds(facts_of("b200-nospec-bf16kv"), {"speculates": False})


def test_a_pattern_is_found_in_any_case_of_letters() -> None:
    judged = facts_of("b200-eagle-bf16kv")
    assert holds(judged, {"model.repo": {"matches": "glm-5[.]1"}})
    assert not holds(judged, {"model.repo": {"matches": "glm-5[.]2"}})
    assert not holds(judged, {"tp_size": {"matches": "8"}, "server.max_containers": {"matches": "3"}})


def test_a_gpu_and_a_model_are_facts() -> None:
    judged = facts_of("h100-glm45-air-fp8")
    assert holds(judged, {"capability": 9.0, "gpu_count": 4, "architecture": "Glm4MoeForCausalLM", "experts": True})
    assert holds(judged, {"algorithm": "EAGLE", "adapters": False, "attention_groups": 1})


@pytest.mark.parametrize("name", [name for name in FACTS if name not in ("no_such_option", *DERIVED)])
def test_a_fact_has_a_place_and_an_edit_goes_there(name: str) -> None:
    judged = facts_of("b200-eagle-bf16kv")
    path, absent = place(judged, name)
    [step] = edit(judged, name, "value")
    written = step.path[:-1] if absent and name.startswith("env.") else step.path
    assert written == path
    assert len(edit(judged, name, None)) == (0 if absent else 1)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_a_rule_has_the_scope_of_its_entry(entry: dict[str, Any]) -> None:
    said, made = entry.get("scope", {}), conditions.rule(entry).scope
    assert [GENERATIONS[major] for major in made.gpu_majors] == said.get("gpus", [])
    assert list(made.architectures) == said.get("architectures", [])
    assert list(made.attentions) == said.get("attentions", [])
    assert (made.since, made.until) == (said.get("since"), said.get("until"))


def test_a_variable_is_a_fact() -> None:
    assert fact(facts_of("b200-eagle-bf16kv"), "env.SGLANG_ENABLE_SPEC_V2") == "1"
    assert fact(facts_of("b200-eagle-bf16kv"), "env.NOT_SET") is None


def test_a_place_of_the_profile_is_its_path() -> None:
    judged = facts_of("b200-eagle-bf16kv")
    assert place(judged, "server.min_containers") == (("server", "min_containers"), False)
    assert place(judged, "volumes.kernels.mount") == (("volumes", "kernels", "mount"), False)


@pytest.mark.parametrize("name", DERIVED)
def test_a_derived_fact_is_decided_somewhere(name: str) -> None:
    path, absent = place(facts_of("b200-eagle-bf16kv"), name)
    document = load(str(profiles_dir() / "b200-eagle-bf16kv.yaml"))
    value: Any = document.data
    for part in path:
        value = value[part]
    assert not absent


def unknown(entry: dict[str, Any]) -> Iterator[str]:
    """Facts of the entry that no release in its scope has, and that are no place of a profile."""
    scope = entry.get("scope", {})
    lowest, highest = (
        catalog.version_key(scope.get(end, default)) for end, default in (("since", "0"), ("until", "9"))
    )
    releases = [
        catalog.load(version) for version in catalog.versions() if lowest <= catalog.version_key(version) <= highest
    ]
    options = {option.dest for release in releases for option in release.options}
    variables = {name for release in releases for name in release.env}
    named = {name for condition in conditions.alternatives(entry) for name in condition}
    for name in (*named, *entry.get("edit", {}), *([entry["at"]] if "at" in entry else [])):
        if name.startswith("env."):
            known = name.removeprefix("env.") in variables
        elif "." in name:
            known = is_place(name.split("."))
        else:
            known = name in DERIVED or bool(options & {*effective.RAW.get(name, (name,))})
        if not known:
            yield name


def is_place(parts: list[str]) -> bool:
    shape = schema.shape()
    node: dict[str, Any] = shape
    for part in parts:
        for choice in (node, *node.get("anyOf", ()), *node.get("allOf", ())):
            if "$ref" in choice:
                node = shape["$defs"][choice["$ref"].rpartition("/")[2]]
        if part not in node.get("properties", {}):
            return False
        node = node["properties"][part]
    return True


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_the_facts_of_the_table_exist(entry: dict[str, Any]) -> None:
    assert list(unknown(entry)) == []
    named = {name.replace(".", "_") for condition in conditions.alternatives(entry) for name in condition}
    assert set(re.findall(r"{(\w+)}", entry["message"])) <= {"gpu", "version", *named}


@pytest.mark.parametrize(
    "name", ["kv_cache_type", "nsa_backend", "env.SGLANG_DG_CACHE", "server.max_container", "eagle"]
)
def test_a_misspelt_fact_would_be_found(name: str) -> None:
    assert list(unknown(ENTRIES[0] | {"when": {name: 1}})) == [name]
    assert list(unknown(ENTRIES[0] | {"at": name})) == [name]


def test_what_is_kept_of_the_tables_is_what_they_say() -> None:
    assert tables.READ.read_text(encoding="utf-8") == tables.written(), "`glmdeploy rules --write` renews it"
    assert [entry for table in tables.TABLES for entry in tables.entries(table)] == ENTRIES


def test_a_table_that_was_edited_since_is_read_itself(tmp_path: Path) -> None:
    table = tables.TABLES[0]
    edited = tmp_path / table.name
    edited.write_text(table.read_text(encoding="utf-8").replace("title: ", "title: not ", 1), encoding="utf-8")
    assert tables.entries(edited)[0]["title"] == f"not {tables.entries(table)[0]['title']}"
    assert tables.entries(edited)[1:] == tables.entries(table)[1:]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_an_entry_needs_all_its_parts(entry: dict[str, Any]) -> None:
    assert conditions.rule(entry).id == entry["id"]
    for part in conditions.REQUIRED:
        lacking = {key: value for key, value in entry.items() if key != part}
        with pytest.raises(conditions.TableError, match=part):
            conditions.rule(lacking)


words = st.text(string.ascii_lowercase, min_size=1, max_size=12)


@given(st.sampled_from(ENTRIES), words, st.sampled_from(["entry", "scope", "operator"]))
def test_a_word_that_means_nothing_is_refused(entry: dict[str, Any], word: str, where: str) -> None:
    known = {
        "entry": conditions.REQUIRED | conditions.OPTIONAL,
        "scope": conditions.SCOPE,
        "operator": OPERANDS.keys(),
    }[where]
    changed = copy.deepcopy(entry)
    if where == "operator":
        changed["when"] = {"kv_cache_dtype": {word: True}}
    else:
        target = changed if where == "entry" else changed.setdefault("scope", {})
        target[word] = "x"
    if word not in known:
        with pytest.raises(conditions.TableError, match=word):
            conditions.rule(changed)


@pytest.mark.parametrize(
    "change",
    [
        {"when": {}},
        {"when": [{}]},
        {"when": {"tp_size": None}},
        {"when": {"tp_size": []}},
        {"when": {"tp_size": {}}},
        {"when": {"tp_size": {"not": []}}},
        {"when": {"tp_size": {"above": "8"}}},
        {"when": {"trust_remote_code": {"on": "yes"}}},
        {"scope": {"gpus": ["Rubin"]}},
        {"edit": {"speculates": False}},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(conditions.TableError, match=ENTRIES[0]["id"]):
        conditions.rule(ENTRIES[0] | change)
