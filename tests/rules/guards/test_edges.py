"""Where rules end, and what they point at: what mutants of theirs showed that no example tells apart."""

from __future__ import annotations

import pytest
from judged import checked, facts_of, messages

from glmdeploy.cron import parse
from glmdeploy.findings import SetValue
from glmdeploy.rules.guards.adapters import names
from glmdeploy.rules.guards.idle import _gaps
from glmdeploy.rules.guards.memory import DOES_NOT_FIT, UNCOUNTED_SCALES
from glmdeploy.rules.rule import AIR, AT_0_5_10, NOSPEC

TP_0, PREFILL = "sglang.args.tp=0", "sglang.args.prefill-attention-backend=flashinfer"
FP8 = "sglang.args.kv-cache-dtype=fp8_e4m3"
FP8_POOL = UNCOUNTED_SCALES.fails[0].sets
SERVER = ("server.kind=server", "server.timeout=null", "server.max_inputs=null", "server.max_concurrency=20")
HOST_CACHES = "the ranks' host caches take about 99 GiB of the machine's memory together"
A100 = ("gpu=A100-80GB:8",)
FEWER_LAYERS = "sglang.args.json-model-override-args='{\"num_hidden_layers\": 4}'"
AT_0_5_12 = ("sglang.version=0.5.12.post1", "sglang.image=lmsysorg/sglang:v0.5.12.post1")
AT_0_5_13 = ("sglang.version=0.5.13.post1", "sglang.image=lmsysorg/sglang:v0.5.13.post1")


@pytest.mark.parametrize(
    ("rule", "profile", "sets", "underlined"),
    [
        ("GLM145", "b200-eagle-bf16kv", (), "args"),
        ("GLM132", "b200-eagle-bf16kv", (*SERVER, "server.target_inputs=3"), "target_inputs"),
        ("GLM171", "b200-eagle-bf16kv", ("gpu=T4:8",), "zai-org/GLM-5.1-FP8"),
        ("GLM031", NOSPEC, ("sglang.args.speculative-num-steps=3",), "speculative-num-steps"),
        ("GLM125", "b200-eagle-bf16kv", ("server.target_inputs=50", "server.max_inputs=40"), "50"),
        (
            "GLM125",
            "b200-eagle-bf16kv",
            (*SERVER, "server.experimental_options={max_concurrency: 3}"),
            "max_concurrency",
        ),
    ],
)
def test_the_key_is_underlined_where_the_value_is_not_what_is_wrong(
    rule: str, profile: str, sets: tuple[str, ...], underlined: str
) -> None:
    [place] = [found.location for found in checked(*sets, profile=profile).findings if found.id == rule]
    assert place.text[place.column - 1 :][: place.length] == underlined


@pytest.mark.parametrize(
    ("rule", "sets", "said"),
    [
        ("GLM160", ("secrets.registry={name: x, keys: [A, B]}",), "the keys A, B are for no kind of registry"),
        (
            "GLM211",
            ("sglang.args.enable-hierarchical-cache=true",),
            f"{HOST_CACHES}, and `server.memory` requests none",
        ),
        (
            "GLM211",
            ("sglang.args.enable-hierarchical-cache=true", "server.memory=[2048, 204800]"),
            f"{HOST_CACHES}, and `server.memory` requests 2 GiB",
        ),
        ("GLM075", ("sglang.args.chat-template=glm.json",), "`chat-template` reads glm.json, which is in no volume"),
        (
            "GLM032",
            ("sglang.args.chunked-prefill-size=1000",),
            "`chunked-prefill-size` is 1,000, which is not made of pages of 64 tokens",
        ),
        (
            "GLM038",
            (*AT_0_5_12, "sglang.args.speculative-draft-window-size=64", "sglang.args.stream-output=true"),
            "`stream-output` is an old spelling of `incremental-streaming-output: true` since 0.5.10",
        ),
        (
            "GLM032",
            ("model.repo=acme/other", "sglang.args.max-total-tokens=1"),
            "`max-total-tokens` is 1, less than two tokens or a page of 1",
        ),
    ],
)
def test_what_is_said(rule: str, sets: tuple[str, ...], said: str) -> None:
    assert messages(rule, *sets) == [said]


@pytest.mark.parametrize(
    ("rule", "sets", "count"),
    [
        ("GLM169", A100, 1),
        ("GLM169", (*A100, "sglang.args.json-model-override-args='{\"index_topk\": null}'"), 0),
        ("GLM169", (*A100, "sglang.args.json-model-override-args='{\"a\": 1}'"), 1),
        ("GLM175", ("sglang.args.watchdog-timeout=3600", "server.health.limit=600s"), 0),
        ("GLM175", ("sglang.args.watchdog-timeout=3600", "server.health.limit=601s"), 1),
        ("GLM175", ("sglang.args.watchdog-timeout=600", "server.health.limit=601s"), 0),
        ("GLM032", ("sglang.args.moe-dense-tp-size=8",), 1),
        ("GLM032", (*AT_0_5_13, "sglang.args.moe-dense-tp-size=8"), 0),
        ("GLM032", (*AT_0_5_13, "sglang.args.moe-dense-tp-size=4"), 1),
        ("GLM030", ("sglang.args.max-total-tokens=400000",), 1),
        ("GLM030", ("sglang.args.max-total-tokens=405504",), 0),
        ("GLM028", ("sglang.args.speculative-eagle-topk=2",), 1),
        ("GLM032", ("gpu=T4:8", "sglang.args.chunked-prefill-size=1000"), 1),
        ("GLM032", ("sglang.args.context-length=2",), 0),
        ("GLM032", ("sglang.args.context-length=1",), 1),
        ("GLM202", ("gpu=B200:2", "sglang.args.tp=2"), 1),
        ("GLM202", ("gpu=B200:1", "sglang.args.tp=1"), 0),
        ("GLM027", (*AT_0_5_12, "sglang.args.speculative-algorithm=EAGEL"), 1),
        ("GLM063", ("sglang.args.lora-paths=[a=/model-cache/a, b=hf_abcdefghijklmnopqrstuvwxyzABCDEFGH]",), 1),
        ("GLM038", (*AT_0_5_12, "sglang.args.speculative-draft-window-size=64"), 0),
        ("GLM122", ("sglang.args.chunked-prefill-size=1",), 1),
        ("GLM127", ("sglang.args.chunked-prefill-size=1",), 0),
        ("GLM127", ("model.repo=acme/other", "sglang.args.chunked-prefill-size=-1"), 1),
        ("GLM127", ("model.repo=openai/gpt-oss-20b", "sglang.args.chunked-prefill-size=-1"), 1),
        ("GLM127", ("model.repo=Qwen/Qwen3-8B", "sglang.args.chunked-prefill-size=-1"), 0),
    ],
)
def test_from_where_on(rule: str, sets: tuple[str, ...], count: int) -> None:
    assert len(messages(rule, *sets)) == count


@pytest.mark.parametrize(
    ("rule", "profile", "sets", "count"),
    [
        ("GLM005", "h200-eagle-bf16kv", (*AT_0_5_10, "sglang.args.nsa-decode-backend=flashmla_kv"), 1),
        ("GLM005", "h200-eagle-bf16kv", (*AT_0_5_10, "sglang.args.nsa-decode-backend=flashmla_kv", TP_0), 0),
        ("GLM006", NOSPEC, ("model.repo=acme/other", "sglang.args.attention-backend=fa3"), 1),
        ("GLM006", NOSPEC, ("model.repo=acme/other", "sglang.args.attention-backend=fa3", PREFILL), 0),
        ("GLM014", "b200-eagle-bf16kv-0.5.23", (), 1),
        ("GLM014", "b200-eagle-bf16kv-0.5.23", ("sglang.args.attn-dp-size=2",), 0),
        ("GLM085", "h200-eagle-bf16kv", FP8_POOL, 1),
        ("GLM085", "h200-eagle-bf16kv", (*FP8_POOL[:-1], "sglang.args.max-total-tokens=65536"), 0),
    ],
)
def test_from_where_on_in_a_profile(rule: str, profile: str, sets: tuple[str, ...], count: int) -> None:
    assert len(messages(rule, *sets, profile=profile)) == count


@pytest.mark.parametrize(
    ("rule", "profile", "sets", "said"),
    [
        (
            "GLM007",
            "b200-eagle-bf16kv-0.5.23",
            (FP8, "sglang.args.dsa-decode-backend=fa3", "sglang.args.dsa-prefill-backend=fa3"),
            "`fa3` cannot decode from a KV cache in FP8",
        ),
        (
            "GLM007",
            "h200-eagle-bf16kv",
            (FP8, "sglang.args.nsa-decode-backend=fa3", "sglang.args.nsa-prefill-backend=fa3"),
            "`fa3` cannot decode from a KV cache in FP8",
        ),
        (
            "GLM031",
            AIR,
            ("sglang.args.speculative-algorithm=NGRAM", "sglang.args.enable-mixed-chunk=true"),
            "`enable-mixed-chunk` is switched off by speculative decoding with NGRAM",
        ),
        (
            "GLM172",
            AIR,
            ("model.repo=acme/other", "sglang.args.load-format=gguf", "sglang.args.quantization=gguf"),
            "`load-format: gguf` means a .gguf file, and SGLang is started with the folder /model-cache/other",
        ),
        (
            "GLM223",
            AIR,
            ("model.repo=zai-org/GLM-4.5-Air", "sglang.args.moe-runner-backend=flashinfer_cutedsl"),
            "`moe-runner-backend: flashinfer_cutedsl` runs experts in FP4 only, and the checkpoint is not quantised",
        ),
    ],
)
def test_what_is_said_of_a_profile(rule: str, profile: str, sets: tuple[str, ...], said: str) -> None:
    assert messages(rule, *sets, profile=profile) == [said]


@pytest.mark.parametrize(("rule", "more", "count"), [("GLM082", 0, 0), ("GLM082", 1, 1)])
def test_a_cap_is_above_what_the_memory_holds(rule: str, more: int, count: int) -> None:
    memory = facts_of().memory
    assert memory is not None
    cap = memory.possible[memory.kv_dtype].tokens + more
    assert len(messages(rule, f"sglang.args.max-total-tokens={cap}")) == count


@pytest.mark.parametrize(("rule", "more", "count"), [("GLM080", (), 1), ("GLM080", (FEWER_LAYERS,), 0)])
def test_a_model_that_is_changed_is_not_judged(rule: str, more: tuple[str, ...], count: int) -> None:
    alone = next(each.sets for each in DOES_NOT_FIT.fails if "gpu=T4" in each.sets)
    assert len(messages(rule, *alone, *more, profile=AIR)) == count


def test_a_profile_without_adapters_names_none() -> None:
    assert names(facts_of()) == []
    assert names(facts_of("sglang.args.lora-paths=[a=/model-cache/a, /model-cache/b]")) == ["a", "/model-cache/b"]


@pytest.mark.parametrize("rule", ["GLM038"])
def test_a_value_that_has_a_new_name_is_changed_and_no_more(rule: str) -> None:
    found = checked("sglang.args.attention-backend=nsa", profile="b200-eagle-bf16kv-0.5.23").findings
    assert [each.edits for each in found if each.id == rule] == [
        (SetValue(path=("sglang", "args", "attention-backend"), value="dsa"),)
    ]


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        ("10 6,18 * * *", [43_200, 43_200]),
        ("0,20,50 * * * *", [1200, 1800, 600] * 24),
        ("30 3 * * *", [86_400]),
        ("30 3 1 * *", [2 * 86_400]),
        # A Wednesday in 2030, and in none of the six years before it beside a Tuesday.
        ("30 3 13 2 2", [86_400]),
    ],
)
def test_gaps_between_pings(schedule: str, seconds: list[int]) -> None:
    assert _gaps(parse(schedule)) == seconds
