"""Where recordings hold, how they are explained, and what a checkpoint's configuration tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from glmdeploy import gpus
from glmdeploy.sglang.decisions import recorded, trees
from glmdeploy.sglang.decisions.situation import Situation
from glmdeploy.sglang.decisions.trees import Decided

NOW = Situation(version="0.5.16", gpu=gpus.parse("H200:8"), quantization="fp8", env={}, values={})
ARCHITECTURE = "LlamaForCausalLM"


def obstacle(now: Situation, defaults: dict[str, Any] | None = None) -> str | None:
    recorded._capabilities.cache_clear()
    return recorded.obstacle(now, ARCHITECTURE, trees.load(ARCHITECTURE), defaults or {})


@pytest.mark.parametrize(
    "now",
    [
        NOW,
        replace(NOW, version="0.5.10"),
        replace(NOW, version="0.5.23"),
        # It was recorded on none, and is one of their kind: its capability is an H200's.
        replace(NOW, gpu=gpus.parse("H100:8")),
        replace(NOW, values={"moe_a2a_backend": "deepep", "device": "cuda", "load_format": None}),
        replace(NOW, values={"nnodes": 2, "dcp_size": None}),
    ],
)
def test_recordings_hold(now: Situation) -> None:
    assert obstacle(now, {"nnodes": 1}) is None


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (replace(NOW, version="0.5.9"), "what 0.5.9 decides is not known here"),
        (replace(NOW, gpu=gpus.parse("T4:8")), "what it decides on T4 is not known here"),
        (replace(NOW, gpu=replace(NOW.gpu, type="H20")), "what it decides on H20 is not known here"),
        (replace(NOW, values={"attn_cp_size": 2}), "what it decides with `attn-cp-size` is not known here"),
        (replace(NOW, values={"device": "cpu"}), "what it decides with `device` is not known here"),
        (
            replace(NOW, values={"moe_a2a_backend": "mooncake"}),
            "what it decides with `moe-a2a-backend` is not known here",
        ),
    ],
)
def test_recordings_do_not_hold(now: Situation, why: str) -> None:
    assert obstacle(now, {"nnodes": 1}) == f"SGLang decides, and {why}"


@pytest.mark.parametrize(
    ("architecture", "what"), [("OtherForCausalLM", "OtherForCausalLM"), (None, "this model"), ("", "this model")]
)
def test_nothing_was_recorded(architecture: str | None, what: str) -> None:
    why = f"SGLang decides, and what it decides for {what} is not known here"
    assert recorded.obstacle(NOW, architecture, None, {}) == why


@pytest.mark.parametrize(
    ("because", "words"),
    [
        ((), ""),
        (("tp_size",), "; it depends on `tp-size`"),
        # Both are the GPU, which is said once.
        (("major", "capability", "=page_size"), "; it depends on the GPU, `page-size`"),
        (("a", "b", "c", "d"), "; it depends on `a`, `b`, `c`, `d`"),
        (("a", "b", "c", "d", "e"), "; it depends on `a`, `b`, `c`, `d`, and more"),
    ],
)
def test_reasons(because: tuple[str, ...], words: str) -> None:
    one = Decided(value=1, recorded=True, because=because)
    assert recorded.reason(one, NOW) == f"as the real SGLang 0.5.16 resolved it on H200{words}"
    like = "as the real SGLang resolved it in every recording that is like this one in what decides"
    assert recorded.reason(replace(one, recorded=False), NOW) == f"{like}{words}"
    assert recorded.unsettled(one) == f"SGLang decides, and no recording tells what{words}"


@pytest.mark.parametrize(
    ("name", "version", "file"),
    [
        ("mem_fraction_static", "0.5.10", "server_args.py"),
        ("mem_fraction_static", "0.5.18", "server_args.py"),
        ("mem_fraction_static", "0.5.19", "arg_groups/memory_hook.py"),
        ("mem_fraction_static", "0.5.23", "arg_groups/memory_hook.py"),
        ("page_size", "0.5.14", "server_args.py"),
        ("page_size", "0.5.15.post1", "arg_groups/overrides.py"),
        ("attention_backend", "0.5.18", "arg_groups/overrides.py"),
        ("attention_backend", "0.5.19", "arg_groups/attention_hook.py"),
        ("speculative_num_steps", "0.5.13.post1", "arg_groups/speculative_hook.py"),
        ("dtype", "0.5.23", "server_args.py"),
    ],
)
def test_the_file_that_decides(name: str, version: str, file: str) -> None:
    assert recorded.file(name, version) == f"sglang/srt/{file}"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (None, None),
        ({}, "none"),
        ({"quantization_config": {}}, "none"),
        ({"quantization_config": {"quant_method": "FP8"}}, "fp8"),
        ({"compression_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
        ({"text_config": {"compression_config": {"quant_method": "awq"}}}, "awq"),
        ({"text_config": None}, "none"),
        ({"quantization_config": {"quant_method": "awq"}, "text_config": {"quantization_config": {"a": 1}}}, "awq"),
        # Without a method it is ModelOpt's, which has several ways to store weights.
        ({"quantization_config": {"quant_algo": "NVFP4"}}, "modelopt_fp4"),
        ({"quantization_config": {"quant_method": "modelopt", "quant_algo": "fp8"}}, "modelopt_fp8"),
        ({"quantization_config": {"quant_method": "ModelOpt", "quant_algo": "INT8"}}, "modelopt"),
        ({"quantization_config": {"quant_method": "modelopt"}}, "modelopt"),
    ],
)
def test_how_weights_are_stored(config: dict[str, Any] | None, told: str | None) -> None:
    assert recorded.stored(config) == told


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"vision_config": {"hidden_size": 1152, "vt_hidden_size": 7, "num_hidden_layers": 27}}, (27, 1152)),
        ({"vision_config": {"vt_hidden_size": 1152, "vt_num_hidden_layers": 27}}, (27, 1152)),
        ({"vision_config": None, "model_type": "llama"}, None),
        ({"vision_config": {"num_hidden_layers": 12}, "model_type": "glm4v_moe"}, (12, 1536)),
    ],
)
def test_vision_towers(config: dict[str, Any], told: tuple[int, int] | None) -> None:
    assert recorded.vision(config) == told
