"""What the engine says it runs, against what was planned: every difference, and none that is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.runtime.comparison import COMPARED, CONTEXT, OPTIONS, POOL, READ_AS, differences

PLAN: dict[str, Any] = {
    "tp_size": 8,
    "attn_dp_size": 1,
    "kv_cache_dtype": "bfloat16",
    "dsa_decode_backend": "trtllm",
    "speculative_algorithm": "EAGLE",
    "max_running_requests": 48,
    POOL: [65536, 65536],
    CONTEXT: 202752,
}

STATE: dict[str, Any] = {
    "api_key": "sk-secret",
    "tp_size": 8,
    "dp_size": 1,
    "enable_dp_attention": False,
    "kv_cache_dtype": "bfloat16",
    "nsa_decode_backend": "trtllm",
    "speculative_algorithm": "EAGLE",
    "max_running_requests": 48,
    "effective_max_running_requests_per_dp": 48,
    "memory_usage": {"token_capacity": 65536},
}

CARDS = [{"id": "glm", "max_model_len": 202752}, {"id": "adapter", "max_model_len": None}]


def told(*tolerated: str, cards: Any = CARDS, **changed: Any) -> list[str]:
    """Of one rank that runs what was planned but for what is changed."""
    return differences(PLAN, tolerated, {"api_key": "sk-secret", "internal_states": [STATE | changed]}, cards)


def test_what_runs_as_planned() -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"tp_size": 4}, "tp_size is 4, the plan says 8"),
        ({"tp_size": "8"}, "tp_size is 8, the plan says 8"),
        ({"tp_size": True}, "tp_size is true, the plan says 8"),
        ({"kv_cache_dtype": "fp8_e4m3"}, "kv_cache_dtype is fp8_e4m3, the plan says bfloat16"),
        ({"kv_cache_dtype": "auto"}, "kv_cache_dtype is auto, the plan says bfloat16"),
        ({"kv_cache_dtype": {"a": "sk-secret"}}, "kv_cache_dtype is a dict, the plan says bfloat16"),
        ({"nsa_decode_backend": None}, "dsa_decode_backend is null, the plan says trtllm"),
        ({"speculative_algorithm": None}, "speculative_algorithm is null, the plan says EAGLE"),
        ({"effective_max_running_requests_per_dp": 40}, "max_running_requests is 40, the plan says 48"),
        ({"memory_usage": {"token_capacity": 65472}}, "max_total_num_tokens is 65472, the plan says 65536"),
        ({"dp_size": 8, "enable_dp_attention": True}, "attn_dp_size is 8, the plan says 1"),
        ({"attn_dp_size": 4}, "attn_dp_size is 4, the plan says 1"),
    ],
)
def test_a_difference_is_told(changed: dict[str, Any], reason: str) -> None:
    assert told(**changed) == [reason]
    assert told(reason.partition(" ")[0], **changed) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"kv_cache_dtype": "bf16"},
        {"speculative_algorithm": "NEXTN"},
        {"nsa_decode_backend": None, "dsa_decode_backend": "trtllm"},
        {"max_running_requests": 384},
        {"tp_size": 8.0},
        {"attn_dp_size": 1},
    ],
)
def test_another_spelling_is_no_difference(changed: dict[str, Any]) -> None:
    assert told(**changed) == []


def test_every_rank_counts() -> None:
    info = {"internal_states": [STATE, STATE | {"kv_cache_dtype": "fp8_e4m3"}]}
    assert differences(PLAN, [], info, CARDS) == ["kv_cache_dtype is fp8_e4m3, the plan says bfloat16"]


def test_the_context_is_that_of_the_model_card() -> None:
    assert told(cards=[{"max_model_len": 4096}]) == ["context_length is 4096, the plan says 202752"]
    assert told(cards=[]) == ["context_length is not told by the engine, the plan says 202752"]


@pytest.mark.parametrize("info", [{}, {"internal_states": None}, {"internal_states": []}, {"internal_states": [1]}])
def test_who_tells_nothing_is_not_trusted(info: dict[str, Any]) -> None:
    assert len(differences(PLAN, [], info, CARDS)) == len(PLAN) - 1
    assert differences(PLAN, PLAN, info, CARDS) == []


def test_a_pool_may_be_told_by_the_engine_as_a_whole() -> None:
    assert differences({POOL: [10, 20]}, [], {POOL: 15, "internal_states": [{}]}, []) == []
    assert differences({POOL: [10, 20]}, [], {POOL: 21}, []) == [f"{POOL} is 21, the plan says 10 to 20"]


VALUES = st.one_of(st.integers(), st.text(max_size=20), st.booleans(), st.none(), st.floats(allow_nan=False))
ANYTHING = st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner))
KEYS = sorted({*COMPARED, "memory_usage", "enable_dp_attention", *(key for keys in READ_AS.values() for key in keys)})


@given(
    plan=st.dictionaries(st.sampled_from(OPTIONS), VALUES),
    states=st.lists(st.dictionaries(st.sampled_from(KEYS), ANYTHING), max_size=3) | ANYTHING,
    cards=st.lists(ANYTHING, max_size=3),
)
def test_whatever_an_engine_tells(plan: dict[str, Any], states: Any, cards: list[Any]) -> None:
    """It never fails, tells of nothing that is not planned, and nothing that is tolerated."""
    info = {"internal_states": states, "api_key": "sk-secret"}
    found = differences(plan, [], info, cards)
    assert {reason.partition(" ")[0] for reason in found} <= set(plan)
    assert differences(plan, plan, info, cards) == []


PLANNED = st.one_of(st.integers(), st.text(max_size=20), st.booleans())


@given(
    plan=st.dictionaries(st.sampled_from([name for name in OPTIONS if name != "attn_dp_size"]), PLANNED), data=st.data()
)
def test_one_value_that_differs_is_one_reason(plan: dict[str, Any], data: st.DataObject) -> None:
    state = {READ_AS.get(name, (name,))[0]: value for name, value in plan.items()}
    assert differences(plan, [], {"internal_states": [state]}, []) == []
    if plan:
        name = data.draw(st.sampled_from(sorted(plan)))
        key = READ_AS.get(name, (name,))[0]
        state[key] = data.draw(PLANNED.filter(lambda value: type(value) is not type(plan[name]) or value != plan[name]))
        found = differences(plan, [], {"internal_states": [state]}, [])
        spelled = {"bf16": "bfloat16", "nsa": "dsa", "NEXTN": "EAGLE"}
        if spelled.get(state[key], state[key]) != spelled.get(plan[name], plan[name]):
            assert [reason.partition(" ")[0] for reason in found] == [name]
