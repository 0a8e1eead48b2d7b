"""What is computed from the GPU's memory against the real resolution, at the edges of SGLang's own conditions.

Sources of the edges: ``ServerArgs._handle_gpu_memory_settings``, ``reserve_for_graph_mb`` and
``_generate_prefill_cuda_graph_batch_sizes`` (``sglang/srt/server_args.py``, 0.5.10 to 0.5.18), from 0.5.19 on
``handle_gpu_memory_settings`` (``sglang/srt/arg_groups/memory_hook.py``).

The GPUs have a memory that no GPU has. With 1000 MiB the static fraction, of which SGLang keeps three places, tells
each MiB of the reserve, and may well be negative.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy import gpus
from glmdeploy.sglang import catalog
from glmdeploy.sglang.command import Setting
from glmdeploy.sglang.decisions.formulas import OF
from glmdeploy.sglang.effective import Effective, effective, resolved
from glmdeploy.sglang.real import samples, situations
from glmdeploy.sglang.real.checkpoints import CHECKPOINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from glmdeploy.sglang.real.oracle import Answers

EXACT = 1000
"""MiB of the GPU whose fraction tells each MiB that is reserved."""

DENSE = ("LlamaForCausalLM", "none")
LATENT = ("DeepseekV3ForCausalLM", "fp8")
SEEING = ("Qwen3VLForConditionalGeneration", "none")
EXPERTS = ("Qwen3MoeForCausalLM", "none")

EAGLE = {
    "speculative-algorithm": "EAGLE",
    "speculative-num-steps": 2,
    "speculative-eagle-topk": 1,
    "speculative-num-draft-tokens": 3,
}
GROUPS = {"dp-size": 4, "enable-dp-attention": True}

CASES: Mapping[str, tuple[tuple[str, str], Mapping[str, Any]]] = {
    "nothing": (DENSE, {}),
    "latent": (LATENT, {}),
    "vision": (SEEING, {}),
    "no chunks": (DENSE, {"chunked-prefill-size": -1}),
    "no chunks, and a limit of the prefill": (DENSE, {"chunked-prefill-size": -1, "max-prefill-tokens": 4096}),
    "the least that counts as active": (DENSE, {"chunked-prefill-size": 1024}),
    "more than the least": (DENSE, {"chunked-prefill-size": 2050}),
    "few requests": (DENSE, {"max-running-requests": 3}),
    "few requests, and graphs for more": (DENSE, {"max-running-requests": 3, "cuda-graph-max-bs-decode": 16}),
    "pipeline": (DENSE, {"pp-size": 2}),
    "pipeline of large chunks": (DENSE, {"pp-size": 2, "chunked-prefill-size": 16384}),
    "large chunks": (DENSE, {"chunked-prefill-size": 16384}),
    "few tokens": (DENSE, {"max-total-tokens": 300, "page-size": 1}),
    "short context": (DENSE, {"context-length": 304}),
    "no prefill graphs": (DENSE, {"disable-prefill-cuda-graph": True}),
    "no graphs": (DENSE, {"disable-cuda-graph": True}),
    "no graphs, latent": (LATENT, {"disable-cuda-graph": True}),
    "no decode graphs": (DENSE, {"disable-decode-cuda-graph": True}),
    "no backend of decode graphs": (DENSE, {"cuda-graph-backend-decode": "disabled"}),
    "prefill apart": (DENSE, {"disaggregation-mode": "prefill"}),
    "decode apart": (DENSE, {"disaggregation-mode": "decode"}),
    "decode apart, latent": (LATENT, {"disaggregation-mode": "decode"}),
    "decode apart, many requests": (DENSE, {"disaggregation-mode": "decode", "max-running-requests": 3000}),
    "decode apart, a draft": (
        LATENT,
        {"disaggregation-mode": "decode", "max-running-requests": 1000, **EAGLE},
    ),
    "groups": (EXPERTS, GROUPS),
    "groups and large graphs": (EXPERTS, GROUPS | {"cuda-graph-max-bs-decode": 304}),
    "groups and graphs that are not large": (EXPERTS, GROUPS | {"cuda-graph-max-bs-decode": 300}),
    "groups, prefill apart": (EXPERTS, GROUPS | {"disaggregation-mode": "prefill"}),
    "groups, decode apart": (EXPERTS, GROUPS | {"disaggregation-mode": "decode"}),
    "one group": (EXPERTS, {"enable-dp-attention": True}),
    "groups by their new name": (EXPERTS, {"attn-dp-size": 4}),
    "groups by both names": (EXPERTS, {"attn-dp-size": 4, "enable-dp-attention": True}),
    "DeepEP": (EXPERTS, {"moe-a2a-backend": "deepep"}),
    "DeepEP and few prefill graphs": (EXPERTS, {"moe-a2a-backend": "deepep", "cuda-graph-max-bs-prefill": 256}),
    "DeepEP and graphs that do not break": (
        EXPERTS,
        {"moe-a2a-backend": "deepep", "cuda-graph-backend-prefill": "full"},
    ),
    "DeepEP, latent": (LATENT, {"moe-a2a-backend": "deepep"}),
    "DeepEP without graphs": (EXPERTS, {"moe-a2a-backend": "deepep", "disable-cuda-graph": True}),
    "DeepEP without prefill graphs": (EXPERTS, {"moe-a2a-backend": "deepep", "disable-prefill-cuda-graph": True}),
    "DeepEP, prefill apart": (EXPERTS, {"moe-a2a-backend": "deepep", "disaggregation-mode": "prefill"}),
    "DeepEP, decode apart": (EXPERTS, {"moe-a2a-backend": "deepep", "disaggregation-mode": "decode"}),
    "a draft": (LATENT, EAGLE),
    "a draft of n-grams": (DENSE, {"speculative-algorithm": "NGRAM"}),
    "steps": (LATENT, EAGLE | {"speculative-num-draft-tokens": 8}),
    "a tree": (LATENT, EAGLE | {"speculative-eagle-topk": 4, "speculative-num-draft-tokens": 8}),
    **{
        f"prefill graphs to {largest}": (DENSE, {"chunked-prefill-size": 8192, PREFILL: largest})
        for PREFILL in ("cuda-graph-max-bs-prefill", "piecewise-cuda-graph-max-tokens")
        for largest in (3, 4, 32, 47, 48, 256, 287, 288, 512, 575, 576, 1024, 1279, 1280, 4096, 4607, 4608, 5120, 8192)
    },
    "prefill graphs beyond the context": (
        DENSE,
        {"cuda-graph-max-bs-prefill": 512, "piecewise-cuda-graph-max-tokens": 512, "context-length": 304},
    ),
}
"""What is asked for beside 8 ranks, of which architecture; in the words of 0.5.23, and of releases that have others."""

LEARNT_WRONG = {
    "0.5.15.post1": [("prefill apart", "mem_fraction_static", -3.944, -3.608)],
    "0.5.17": [("DeepEP, latent", "mem_fraction_static", -8.232, -5.672)],
}
"""What the recordings that decisions were learnt from do not show: prefill has no graphs there."""

SPARSE = ("GlmMoeDsaForCausalLM", "fp8")
LARGE_CASES: tuple[Mapping[str, Any], ...] = (
    {},
    {"tp-size": 2},
    {"tp-size": 4},
    {"pp-size": 2},
    {"chunked-prefill-size": -1, "max-prefill-tokens": 8192},
    {"chunked-prefill-size": 1024, "cuda-graph-max-bs-decode": 8},
    {"cuda-graph-max-bs-decode": 64},
    {"max-running-requests": 10},
    {"max-running-requests": 10, "cuda-graph-max-bs-decode": 300},
    {"speculative-algorithm": "EAGLE"},
    {"disable-prefill-cuda-graph": True},
    {"enable-lora": True, "max-lora-rank": 16, "lora-target-modules": "q_proj"},
    {"enable-symm-mem": True},
    GROUPS | {"cuda-graph-max-bs-decode": 300},
    GROUPS | {"cuda-graph-max-bs-decode": 301},
    GROUPS | {"disable-cuda-graph": True},
)
"""Of a GLM-5.1, whose rows tell of GPUs from 60 GiB on."""

RELEASES = (
    *("0.5.10", "0.5.13.post1", "0.5.14", "0.5.15.post1", "0.5.16", "0.5.17", "0.5.19", "0.5.21", "0.5.22", "0.5.23"),
)
"""Those in which the formulas changed, and the one before each."""

EDGES = (20479, 20480, 35839, 35840, 61439, 61440, 61441, 163839, 163840)
LARGE = (61440, 163839, 163840)
LARGE_RELEASES = ("0.5.10", "0.5.13.post1", "0.5.14", "0.5.16", "0.5.22")
EDGE_RELEASES = ("0.5.19", "0.5.20", "0.5.23")
EDGE_CASES: tuple[Mapping[str, Any], ...] = (
    {"tp-size": 3},
    {"tp-size": 4},
    {"tp-size": 8, "chunked-prefill-size": 2048, "cuda-graph-max-bs-decode": 8},
)


@pytest.fixture(autouse=True)
def types(monkeypatch: pytest.MonkeyPatch) -> None:
    for memory in (EXACT, *EDGES):
        monkeypatch.setitem(gpus.TYPES, _type(memory), replace(gpus.TYPES["H200"], memory_mib=memory))  # type: ignore[arg-type]


def _type(memory: int) -> str:
    return f"H200-{memory}"


def wrong(
    real: Answers, subject: tuple[str, str], args: Mapping[str, Any], memory: int, names: Iterable[str] = OF
) -> tuple[int, list[tuple[str, Any, Any]]]:
    """How many values were compared, and those that differ: the name, what is claimed, what is true."""
    architecture, quantization = subject
    release = catalog.load(real.version)
    options = situations.in_release({"tp-size": 8, **args}, real.version)
    config = CHECKPOINTS[architecture].configured(quantization)
    answer = real.resolve(situations.words(options), gpu=_type(memory), config=config)
    if "not allowed; allowed: (" in (answer.error or ""):
        return 0, []  # The release has no such backend.
    assert answer.error is None, (real.version, args, answer.stderr)
    true = {**answer.values, **resolved(answer.values)}
    told = _told(options, release, memory, architecture, config)
    known = [name for name in names if told[name].known and true.get(name) is not None]
    return len(known), [(name, told[name].value, true[name]) for name in known if told[name].value != true[name]]


def _told(
    options: Mapping[str, Any], release: catalog.Catalog, memory: int, architecture: str, config: Mapping[str, Any]
) -> dict[str, Effective]:
    known = {option.dest: option for option in release.options}
    settings = {
        dest: Setting(option=known[dest], key=dest, value=value, words=())
        for dest, value in samples.given(options, release).items()
    }
    gpu = gpus.parse(f"{_type(memory)}:8")
    return effective(settings, release, gpu, architecture, own={"model_path": "/model"}, config=config)


@pytest.mark.parametrize("version", RELEASES)
def test_each_mib_of_the_reserve(oracle: Callable[[str], Answers], version: str) -> None:
    real = oracle(version)
    compared, found = 0, []
    for name, (subject, args) in CASES.items():
        count, differing = wrong(real, subject, args, EXACT)
        compared += count
        found += [(name, *each) for each in differing]
    assert found == LEARNT_WRONG.get(version, [])
    assert compared > 2.5 * len(CASES)


@pytest.mark.parametrize("version", EDGE_RELEASES)
def test_gpus_of_each_size(oracle: Callable[[str], Answers], version: str) -> None:
    real = oracle(version)
    found = [
        (memory, args, *each) for memory in EDGES for args in EDGE_CASES for each in wrong(real, DENSE, args, memory)[1]
    ]
    assert found == []


@pytest.mark.parametrize("version", LARGE_RELEASES)
def test_rows(oracle: Callable[[str], Answers], version: str) -> None:
    real = oracle(version)
    found = [
        (memory, args, *each)
        for memory in LARGE
        for args in LARGE_CASES
        for each in wrong(real, SPARSE, args, memory, names=(*OF, "prefill_cuda_graph", "allreduce_fusion"))[1]
    ]
    assert found == []
