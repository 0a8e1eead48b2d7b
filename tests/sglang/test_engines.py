"""What other engines' options are in SGLang: each name there is one, in the releases that are said to have it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy.redaction import is_secret_name
from glmdeploy.sglang import catalog, engines
from glmdeploy.sglang.command import read

if TYPE_CHECKING:
    from glmdeploy.sglang.catalog import Catalog

RELEASES = [catalog.load(version) for version in catalog.versions()]
NEWEST = RELEASES[-1]
TABLE = [(engine, name, equal) for engine in engines.ENGINES for name, equal in engine.options.items()]
OURS = sorted({equal.option for _, _, equal in TABLE if equal.option})
OTHERS = {name for _, name, _ in TABLE}


def has(release: Catalog, name: str) -> bool:
    return any(f"--{name}" in option.flags for option in release.options)


def engine(name: str) -> engines.Engine:
    return next(each for each in engines.ENGINES if each.name == name)


@pytest.mark.parametrize("of", [each for each in engines.ENGINES if each.options], ids=lambda engine: engine.name)
def test_each_name_is_an_option_of_the_newest_release(of: engines.Engine) -> None:
    values = {choice for option in NEWEST.options for choice in option.choices or ()}
    for name, equal in of.options.items():
        assert name == name.lower().strip("-")
        assert "_" not in name
        assert equal.option is None or has(NEWEST, equal.option), name
        assert equal.option or equal.note, f"{name}: where there is none, it says why"
        assert not (equal.note or "").endswith("."), name
        for word in re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)(?:: [^`]*)?`", equal.note or ""):
            assert has(NEWEST, word) or word in values, f"{name}: {word}"


@pytest.mark.parametrize("release", RELEASES, ids=lambda each: each.version)
def test_a_release_is_told_its_own_spelling(release: Catalog) -> None:
    for option in OURS:
        ours = engines.spelled(option, release.version)
        assert all(has(release, name) for name in ours)
        assert bool(ours) >= has(release, option)
        for name, said in ours.items():
            choices = release.find(name).choices
            assert said is None or choices is None or said in choices


def test_spellings() -> None:
    assert engines.spelled("cuda-graph-bs-decode", "0.5.11") == {"cuda-graph-bs": None}
    assert engines.spelled("disable-cuda-graph", "0.5.11") == {"disable-cuda-graph": None}
    assert engines.spelled("disable-cuda-graph", "0.5.23") == {
        "cuda-graph-backend-decode": "disabled",
        "cuda-graph-backend-prefill": "disabled",
    }
    assert engines.spelled("dcp-size", "0.5.8") == {}


def test_the_tables_are_wide() -> None:
    assert len(engine("vLLM").options) > 200
    assert len(engine("llama.cpp").options) > 100
    assert len(engine("TGI").options) > 50


@pytest.mark.parametrize("option", engines.WORDS)
def test_words_are_values_of_a_release(option: str) -> None:
    taken = {choice for release in RELEASES for choice in release.find(option).choices or () if has(release, option)}
    for theirs, ours in engines.WORDS[option].items():
        assert ours in taken, (theirs, ours)


def test_a_word_that_is_taken_stays() -> None:
    assert engines.word("tool-call-parser", "hermes", NEWEST) is None
    assert engines.word("tool-call-parser", "hermes", RELEASES[0]) == "qwen25"
    assert engines.word("kv-cache-dtype", "fp8", NEWEST) == "fp8_e4m3"
    assert engines.word("kv-cache-dtype", "fp8_e5m2", NEWEST) is None
    assert engines.word("attention-backend", "flash_attn", NEWEST) is None
    assert engines.word("no-such-option", "fp8", NEWEST) is None


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("vllm serve Qwen/Qwen3-8B", "vLLM"),
        ("/opt/venv/bin/vllm serve x", "vLLM"),
        ("python3 -m vllm.entrypoints.openai.api_server --model x", "vLLM"),
        ("python -u -m vllm.entrypoints.cli.main serve x", "vLLM"),
        ("trtllm-serve x", "TensorRT-LLM"),
        ("tritonserver --model-repository /m", "Triton Inference Server"),
        ("text-generation-launcher --model-id x", "TGI"),
        ("text-embeddings-router --model-id x", "TEI"),
        ("llama-server -m x.gguf", "llama.cpp"),
        ("./build/bin/llama-cli -m x.gguf", "llama.cpp"),
        ("./server -m /models/x.gguf -c 2048", "llama.cpp"),
        ("python -m llama_cpp.server --model x", "llama.cpp"),
        ("ollama serve", "Ollama"),
        ("ollama run llama3", "Ollama"),
        ("lmdeploy serve api_server x", "LMDeploy"),
        ("aphrodite run x", "Aphrodite"),
        ("mlc_llm serve x", "MLC LLM"),
        ("python -m mlc_llm serve x", "MLC LLM"),
        ("vllm bench serve", None),
        ("ollama pull llama3", None),
        ("./server --port 80", None),
        ("python -m sglang.launch_server --model x", None),
        ("python -m http.server", None),
        ("python -m", None),
        ("sglang serve x", None),
        ("", None),
    ],
)
def test_by_command(command: str, name: str | None) -> None:
    found = engines.by_command(command.split())
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("vllm/vllm-openai:v0.11.0", "vLLM"),
        ("rocm/vllm", "vLLM"),
        ("nvcr.io/nvidia/vllm:25.10-py3", "vLLM"),
        ("public.ecr.aws/deep-learning-containers/vllm:0.11-gpu", "vLLM"),
        ("localhost:5000/me/vllm-openai@sha256:0123", "vLLM"),
        ("nvcr.io/nvidia/tensorrt-llm/release:1.1.0", "TensorRT-LLM"),
        ("nvcr.io/nvidia/tritonserver:25.10-trtllm-python-py3", "Triton Inference Server"),
        ("ghcr.io/huggingface/text-generation-inference:3.3.5", "TGI"),
        ("ghcr.io/huggingface/text-embeddings-inference:1.8", "TEI"),
        ("ghcr.io/ggml-org/llama.cpp:server-cuda", "llama.cpp"),
        ("ghcr.io/ggerganov/llama.cpp:full", "llama.cpp"),
        ("ollama/ollama", "Ollama"),
        ("openmmlab/lmdeploy:latest-cu12", "LMDeploy"),
        ("alpindale/aphrodite-openai", "Aphrodite"),
        ("nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8", "NIM"),
        ("lmsysorg/sglang:v0.5.23", None),
        ("me/sglang-not-vllm:1", None),
        ("nvcr.io/nvidia/pytorch:25.10-py3", None),
        ("python:3.12", None),
        ("", None),
    ],
)
def test_by_image(image: str, name: str | None) -> None:
    found = engines.by_image(image)
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("option", "of", "ours"),
    [
        ("--gpu-memory-utilization", "vLLM", "mem-fraction-static"),
        ("gpu_memory_utilization", "vLLM", "mem-fraction-static"),
        ("--speculative-config.method", "vLLM", "speculative-algorithm"),
        ("--no-enable-prefix-caching", "vLLM", "disable-radix-cache"),
        ("--no-enable-lora", "vLLM", None),
        ("num-shard", "TGI", "tp-size"),
        ("session-len", "LMDeploy", "context-length"),
        ("ngl", "llama.cpp", None),
    ],
)
def test_whose_an_option_is(option: str, of: str, ours: str | None) -> None:
    found = engines.equivalent(option)
    assert found is not None
    assert (found[0].name, found[1].option) == (of, ours)


def test_secrets_among_them() -> None:
    named = {name for name in OTHERS if is_secret_name(name.replace("-", "_"))}
    assert named - engines.SECRETS == {"max-prompt-adapter-token", "allow-credentials"}, "a number and a switch"
    assert engines.SECRETS <= OTHERS
    assert engines.is_secret("--max-num-batched-tokens") is False
    assert engines.is_secret("--api_key") is True
    assert engines.is_secret("--no-such-option") is None


def test_short_names_are_anybodys() -> None:
    assert engines.equivalent("-c") is None
    assert engines.equivalent("--no-such-option") is None
    known = engines.equivalent("-c", engine("llama.cpp"))
    assert known is not None
    assert known[1].option == "context-length"


def problem(key: str, value: Any, version: str = "0.5.23") -> Any:
    _, problems = read({key: value}, catalog.load(version))
    assert len(problems) == 1
    return problems[0]


VLLM = {
    "gpu-memory-utilization": "mem-fraction-static",
    "max-model-len": "context-length",
    "max-num-seqs": "max-running-requests",
    "max-num-batched-tokens": "chunked-prefill-size",
    "lora-modules": "lora-paths",
    "max-cpu-loras": "max-loaded-loras",
    "block-size": "page-size",
    "hf-overrides": "json-model-override-args",
    "guided-decoding-backend": "grammar-backend",
    "seed": "random-seed",
    "root-path": "fastapi-root-path",
    "limit-mm-per-prompt": "limit-mm-data-per-request",
}


@pytest.mark.parametrize("key", VLLM)
@pytest.mark.parametrize("version", ["0.5.8", "0.5.23"])
def test_options_of_vllm_in_a_profile(key: str, version: str) -> None:
    found = problem(key, 8, version)
    assert found.message == f"SGLang {version} has no option `{key}`, which is vLLM's"
    assert f"`{VLLM[key]}`" in found.fix


@pytest.mark.parametrize(
    "key",
    ["swap-space", "disable-log-requests", "enable-prefix-caching", "enable-auto-tool-choice", "enable-reasoning"],
)
def test_options_without_counterpart(key: str) -> None:
    found = problem(key, 4)
    assert "there is none: " in found.fix
    assert "did you mean" not in found.fix
    assert found.instead is None


def test_what_means_the_same_is_renamed() -> None:
    assert problem("block-size", 64).instead == {"page-size": 64}
    assert problem("gpu-memory-utilization", 0.9).instead is None
    assert problem("enforce-eager", True).instead is None
    assert problem("cudagraph-capture-sizes", [1, 2], "0.5.11").instead == {"cuda-graph-bs": [1, 2]}


def test_the_release_is_told_when_it_has_none() -> None:
    found = problem("mm-processor-cache-gb", 2, "0.5.8")
    assert found.fix == "remove it: SGLang's `mm-preprocess-cache-size-mb` came in 0.5.18"


def test_values_of_other_engines() -> None:
    found = problem("kv-cache-dtype", "fp8")
    assert found.instead == {"kv-cache-dtype": "fp8_e4m3"}
    assert "fp8_e4m3" in found.fix
    assert problem("reasoning-parser", "deepseek_r1").instead == {"reasoning-parser": "deepseek-r1"}
    assert problem("tool-call-parser", "hermes", "0.5.8").instead == {"tool-call-parser": "qwen25"}
    assert problem("guided-decoding-backend", "guidance").fix.startswith("write `grammar-backend: llguidance`")


def test_slips_in_values() -> None:
    assert problem("kv-cache-dtype", "FP8_E4M3").instead == {"kv-cache-dtype": "fp8_e4m3"}
    assert problem("kv-cache-dtype", "fp8_e4m2").instead is None
    assert problem("kv-cache-dtype", "int8").instead is None
    assert problem("schedule-policy", "fcsf").instead == {"schedule-policy": "fcfs"}
    glm = problem("tool-call-parser", "glm46")
    assert glm.instead is None
    assert "`glm45` or `glm47`" in glm.fix or "`glm47` or `glm45`" in glm.fix


def test_signs_in_a_key() -> None:
    assert problem("reasoning_parser", "glm45").instead == {"reasoning-parser": "glm45"}
    assert problem("reasoning-parsr", "glm45").instead is None


def test_the_key_that_was_written_is_kept() -> None:
    assert problem("kv-cache-dtyp", "fp8").instead == {"kv-cache-dtyp": "fp8_e4m3"}


def test_another_engines_name_that_argparse_takes_for_something_else() -> None:
    found = problem("quantize", "fp8")
    assert found.message.startswith("`quantize` is a switch")
    assert "`quantization`" in found.fix
    assert problem("quantize-and-serve", "fp8").fix is None


def test_reserved_options_have_their_places() -> None:
    found = problem("model-id", "x/y")
    assert found.message.endswith("which is TGI's")
    assert found.fix == "remove it: that comes from `model.repo` and the mount of `volumes.weights`"
