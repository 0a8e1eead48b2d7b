"""What a plan expects of its engine; tests/sglang/real/test_resolution.py holds it against the real resolution."""

from __future__ import annotations

from typing import Any

import pytest

from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load
from glmdeploy.runtime.comparison import COMPARED, POOL

PROFILE = "b200-eagle-bf16kv"


def expected(*sets: str, profile: str = PROFILE) -> dict[str, Any]:
    return plan_of(load(profile, sets=sets))[0].server.expected


def checks(*sets: str, profile: str = PROFILE) -> tuple[str, ...]:
    return plan_of(load(profile, sets=sets))[0].server.checks


def test_what_is_decided_is_expected() -> None:
    found = expected()
    assert set(found) <= set(COMPARED)
    assert found["kv_cache_dtype"] == "bfloat16"
    assert found["speculative_num_draft_tokens"] == 4
    assert found["max_running_requests"] == 48
    assert found[POOL] == [65536, 65536]
    assert "context_length" not in found, "SGLang takes the model's"


def test_groups_of_attention_are_expected_of_every_release() -> None:
    assert expected()["attn_dp_size"] == 1
    assert expected("sglang.args.dp=8", "sglang.args.enable-dp-attention=true")["attn_dp_size"] == 8


def test_what_stays_auto_is_not_expected() -> None:
    found = expected(profile="h200-eagle-bf16kv")
    assert "attention_backend" in found
    assert "moe_runner_backend" not in found, "SGLang chooses when it makes the layers"
    assert "auto" not in found.values()


def test_of_several_gpus_only_what_is_the_same_on_each() -> None:
    both = expected("gpu=[H200:8, B200:8]", profile="h200-eagle-bf16kv")
    each = [expected(f"gpu={gpu}", profile="h200-eagle-bf16kv") for gpu in ("H200:8", "B200:8")]
    assert both == {name: value for name, value in each[0].items() if each[1].get(name) == value}
    assert both != each[0]
    assert both["tp_size"] == 8


def test_what_sglang_decides_is_expected() -> None:
    waived = "waive=[{rule: GLM002, reason: a test, until: 2099-01-01}]"
    found = expected("sglang.args.kv-cache-dtype=null", waived, profile="b200-nospec-bf16kv")
    assert found["kv_cache_dtype"] == "fp8_e4m3"
    assert found["chunked_prefill_size"] == 16384


def test_what_adapts_is_not_expected() -> None:
    args = ("sglang.args.speculative-adaptive=true",)
    found = expected(*args, profile="b200-eagle-bf16kv-0.5.23")
    assert found["speculative_algorithm"] == "EAGLE"
    assert not {"speculative_num_steps", "speculative_num_draft_tokens"} & set(found)


def test_an_estimated_pool_has_a_tolerance() -> None:
    least, most = expected("sglang.args.max-total-tokens=null")[POOL]
    middle = (least + most) / 2
    assert 0.02 < (most - middle) / middle < 0.08
    assert least < middle < most


def test_a_limit_is_cut_down_to_whole_pages() -> None:
    assert expected("sglang.args.max-total-tokens=65600")[POOL] == [65600, 65600]
    assert expected("sglang.args.max-total-tokens=65599")[POOL] == [65536, 65536]


def test_of_a_model_whose_decisions_are_not_known_only_what_is_given() -> None:
    found = expected(profile="local-cpu")
    assert found == {
        "tp_size": 1,
        "pp_size": 1,
        "dp_size": 1,
        "attn_dp_size": 1,
        "attention_backend": "torch_native",
        "max_running_requests": 8,
        "context_length": 2048,
        POOL: [3841, 4096],
    }
    assert "attention_backend" not in expected("sglang.args.attention-backend=null", profile="local-cpu")


def test_a_switch_is_expected_where_it_is_given_and_on() -> None:
    assert expected("sglang.args.disable-radix-cache=true", profile="local-cpu")["disable_radix_cache"] is True
    assert "disable_radix_cache" not in expected("sglang.args.disable-radix-cache=false", profile="local-cpu")


UNKNOWN = "model.repo=nobody/knows-it"


def test_a_small_limit_leaves_one_token_at_least() -> None:
    assert expected("sglang.args.max-total-tokens=100", profile="local-cpu")[POOL] == [1, 100]
    assert expected(UNKNOWN, "sglang.args.max-total-tokens=100", profile="local-cpu")[POOL] == [1, 100]


def test_of_a_pool_that_nothing_limits_and_nobody_knows_nothing_is_expected() -> None:
    assert POOL not in expected(UNKNOWN, "sglang.args.max-total-tokens=null", profile="local-cpu")
    assert POOL not in expected("sglang.args.max-total-tokens=null", profile="local-cpu")


def test_more_requests_than_a_pool_holds_are_not_expected() -> None:
    assert "max_running_requests" not in expected("sglang.args.max-total-tokens=80", profile="local-cpu")


@pytest.mark.parametrize(
    ("sets", "found"),
    [
        ((), ("chat", "stream", "tool_call")),
        (("sglang.args.tool-call-parser=null",), ("chat", "stream")),
        (("sglang.args.grammar-backend=none",), ("chat", "stream")),
        (("sglang.args.is-embedding=true",), ("embeddings",)),
        (("sglang.args.is-embedding=true", "model.repo=a/Qwen3-Reranker-8B"), ("rerank",)),
        (("sglang.args.is-embedding=true", "model.repo=a/Skywork-Reward-8B"), ("reward",)),
    ],
)
def test_the_quick_checks(sets: tuple[str, ...], found: tuple[str, ...]) -> None:
    assert checks(*sets, profile="local-cpu") == found


def test_warmup_and_tolerance() -> None:
    server = plan_of(load(PROFILE, sets=("server.warmup={prompt_tokens: 100, batch: 2}",)))[0].server
    assert server.warmup == {"prompt_tokens": 100, "batch": 2}
    assert plan_of(load(PROFILE, sets=("server.warmup=off",)))[0].server.warmup is None
    tolerant = plan_of(load(PROFILE, sets=("server.tolerate=[tp_size, chat, tp_size]",)))[0].server
    assert tolerant.tolerate == ("chat", "tp_size")
