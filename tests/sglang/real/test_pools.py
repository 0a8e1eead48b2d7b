"""Sizing against the KV pools that the real SGLang allocates, and the tokens that it finds room for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy import gpus
from glmdeploy.sglang import catalog, command, effective, models
from glmdeploy.sglang.real.oracle import Question
from glmdeploy.sglang.translation import translate
from glmdeploy.sizing.memory import Pool, memory
from glmdeploy.sizing.model import from_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from glmdeploy.sglang.real.oracle import Answers
    from glmdeploy.sizing.memory import Memory

PROBE = Path(__file__).with_name("pools_probe.py")

MACHINES = (("0.5.10", "H200"), (catalog.versions()[-1], "B200"))
"""Releases that reckon differently, and GPUs whose pages and layouts differ."""

ROWS = 192
"""Tokens of the pools that are allocated: some pages, and 30 MB at most."""

GLM, AIR = models.known("zai-org/GLM-5.1-FP8"), models.known("zai-org/GLM-4.5-Air")
DEEPSEEK = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "torch_dtype": "bfloat16",
    "hidden_size": 7168,
    "hidden_act": "silu",
    "intermediate_size": 18432,
    "num_hidden_layers": 61,
    "num_nextn_predict_layers": 1,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 2048,
    "first_k_dense_replace": 3,
    "n_group": 8,
    "topk_group": 4,
    "norm_topk_prob": True,
    "scoring_func": "sigmoid",
    "topk_method": "noaux_tc",
    "routed_scaling_factor": 2.5,
    "max_position_embeddings": 163840,
    "vocab_size": 129280,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000,
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]},
}
"""Latent attention without an index, as its public configuration has it."""

EAGLE = {
    "speculative-algorithm": "EAGLE",
    "speculative-num-steps": 3,
    "speculative-eagle-topk": 1,
    "speculative-num-draft-tokens": 4,
}
BF16, FP8 = {"kv-cache-dtype": "bfloat16"}, {"kv-cache-dtype": "fp8_e4m3"}
TRTLLM = {"dsa-prefill-backend": "trtllm", "dsa-decode-backend": "trtllm"}

CASES: dict[str, tuple[dict[str, Any] | None, dict[str, Any]]] = {
    "GLM-5.1 BF16": (GLM, BF16),
    "GLM-5.1 BF16, EAGLE": (GLM, BF16 | EAGLE),
    "GLM-5.1 FP8": (GLM, FP8),
    "GLM-5.1 FP8, TRTLLM": (GLM, FP8 | TRTLLM),
    "GLM-5.1 FP8, EAGLE": (GLM, FP8 | EAGLE),
    "GLM-5.1 capped": (GLM, BF16 | EAGLE | {"max-total-tokens": 65537}),
    "GLM-5.1 data-parallel attention": (GLM, BF16 | {"dp-size": 8, "enable-dp-attention": True}),
    "GLM-4.5-Air": (AIR, {"tp-size": 4}),
    "GLM-4.5-Air FP8": (AIR, FP8 | {"tp-size": 4, "mem-fraction-static": 0.8}),
    "GLM-4.5-Air EAGLE": (AIR, EAGLE | {"tp-size": 4}),
    "GLM-4.5-Air on more ranks than heads": (AIR, {"tp-size": 16}),
    "GLM-4.5-Air data-parallel attention": (AIR, {"dp-size": 4, "enable-dp-attention": True}),
    "DeepSeek-V3": (DEEPSEEK, {}),
}
"""A checkpoint's ``config.json``, and options in the words of 0.5.23 beside tensor parallelism of 8."""


@pytest.mark.parametrize(("version", "gpu"), MACHINES)
def test_pools_and_tokens_are_the_real_ones(
    oracle: Callable[[str], Answers],
    version: str,
    gpu: str,
    record_testsuite_property: Callable[[str, Any], None],
) -> None:
    classes, wrong = set(), []
    for name, (config, options) in CASES.items():
        assert config
        ours, real = both(oracle(version), gpu, name, config, options)
        classes |= {pool["class"] for pool in real["pools"]}
        wrong += [f"{name}: {line}" for line in differences(ours, real)]
    assert wrong == []
    assert {name[:3] for name in classes} in ({"MHA", "MLA", "NSA"}, {"MHA", "MLA", "DSA"}), classes
    record_testsuite_property(f"KV pools of {version} on {gpu} that agree", len(CASES))


def both(
    sglang: Answers, gpu: str, name: str, config: dict[str, Any], options: dict[str, Any]
) -> tuple[Memory, dict[str, Any]]:
    """What sizing says of the values that the real SGLang resolves, and what that makes of the same memory."""
    release = catalog.load(sglang.version)
    settings, findings = command.read(translate({"tp-size": 8, **options}, {}, "0.5.23", release.version).args, release)
    assert not findings
    words = command.server_command(settings, release, model_path="/model", served_name="model", port=8000)

    def asked(**more: int) -> dict[str, Any]:
        argv = words[len(command.SERVER) :]
        answer = sglang.ask(Question(argv=argv, gpu=gpu, count=8, config=config, probe=PROBE, more=more))
        assert answer["error"] is None, f"{name}: {answer['error']}"
        return answer

    resolved = asked()["resolved"]
    values = {**resolved, **effective.resolved(resolved)}
    model = from_config(config)

    def sized(values: Mapping[str, Any]) -> Memory:
        found = memory(model, gpus.parse(f"{gpu}:8"), values.get, version=release.version)
        assert found, f"{name}: sizing says nothing"
        return found

    ours = sized(values)
    assert ours.pool.tokens > ROWS, f"{name}: there is no room, so nothing is compared"
    # Until 0.5.13 SGLang sizes the pool before it loads the draft model.
    draft_first = catalog.version_key(release.version) >= catalog.version_key("0.5.14")
    weights = ours.weights if draft_first else sized({**values, "speculative_algorithm": None}).weights
    return ours, asked(total=ours.total, weights=weights, rows=ROWS)


def differences(ours: Memory, real: dict[str, Any]) -> Iterator[str]:
    expected = Pool(bytes_per_token=ours.pool.bytes_per_token, tokens=ROWS, page=ours.pool.page).bytes
    allocated, said = (sum(pool[key] for pool in real["pools"]) for key in ("bytes", "said"))
    if not expected == allocated == said:
        yield f"{expected} bytes, really {allocated} in {real['pools']}"
    if ours.pool.tokens != real["tokens"]:
        yield f"{ours.pool.tokens} tokens, really {real['tokens']}"
