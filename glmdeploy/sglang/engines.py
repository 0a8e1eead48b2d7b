"""Other engines that people serve models with: how their launches show, and what their options are called in SGLang."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from glmdeploy.sglang import catalog
from glmdeploy.sglang.dialects import llama_cpp, others, tgi, trtllm, vllm
from glmdeploy.sglang.dialects.equivalent import Equivalent
from glmdeploy.sglang.renames import KEPT, rewrite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glmdeploy.sglang.catalog import Catalog


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """An engine that is not SGLang.

    ``commands`` start it, each with the words that must follow (``lmdeploy serve``), ``modules`` with ``python -m``. A
    program called ``server`` or ``main`` is this engine where it gets a file whose name ends with one of ``files``.
    ``images`` are patterns of the names that its images have, without registry and tag. ``options`` has what each of
    its own is in SGLang, by names without dashes and with hyphens.
    """

    name: str
    commands: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    options: Mapping[str, Equivalent] = field(default_factory=dict)


ENGINES: tuple[Engine, ...] = (
    Engine(
        name="vLLM",
        commands=("vllm serve",),
        modules=("vllm.entrypoints.openai.api_server", "vllm.entrypoints.cli.main", "vllm.entrypoints.api_server"),
        images=(r"(.*/)?[\w.-]*vllm[\w.-]*", r"(.*/)?vllm/[\w./-]+"),
        options=vllm.OPTIONS,
    ),
    Engine(
        name="TensorRT-LLM",
        commands=("trtllm-serve",),
        modules=("tensorrt_llm.commands.serve", "tensorrt_llm.serve"),
        images=(r"(.*/)?tensorrt[-_]?llm([\w./-]*)", r"(.*/)?trt-?llm[\w.-]*"),
        options=trtllm.OPTIONS,
    ),
    Engine(name="Triton Inference Server", commands=("tritonserver",), images=(r"(.*/)?tritonserver",)),
    Engine(
        name="TGI",
        commands=("text-generation-launcher", "text-generation-server serve"),
        images=(r"(.*/)?text-generation-inference[\w.-]*", r"(.*/)?huggingface-pytorch-tgi-inference[\w.-]*"),
        options=tgi.OPTIONS,
    ),
    Engine(
        name="TEI",
        commands=("text-embeddings-router",),
        images=(r"(.*/)?text-embeddings-inference[\w.-]*",),
        options=tgi.EMBEDDINGS,
    ),
    Engine(
        name="llama.cpp",
        commands=("llama-server", "llama-cli", "llama-run"),
        files=(".gguf",),
        modules=("llama_cpp.server",),
        images=(r"(.*/)?llama[.-]?cpp([\w./-]*)", r"(.*/)?llama-server[\w.-]*"),
        options=llama_cpp.OPTIONS,
    ),
    Engine(name="Ollama", commands=("ollama serve", "ollama run"), images=(r"(.*/)?ollama",)),
    Engine(
        name="LMDeploy",
        commands=("lmdeploy serve",),
        modules=("lmdeploy",),
        images=(r"(.*/)?lmdeploy[\w.-]*",),
        options=others.LMDEPLOY,
    ),
    Engine(
        name="Aphrodite",
        commands=("aphrodite run", "aphrodite serve"),
        modules=("aphrodite.endpoints.openai.api_server", "aphrodite.endpoints.cli"),
        images=(r"(.*/)?aphrodite(-engine|-openai)?",),
        options={**vllm.OPTIONS, **others.APHRODITE},
    ),
    Engine(
        name="MLC LLM",
        commands=("mlc_llm serve",),
        modules=("mlc_llm", "mlc_llm.serve", "mlc_llm.serve.server"),
        images=(r"(.*/)?mlc[-_]?llm[\w.-]*",),
        options=others.MLC,
    ),
    Engine(name="NIM", images=(r"(.*/)?nim/[\w./-]+",)),
)
"""Where two have an option of one name, the first is taken for it."""

SECRETS = frozenset({"api-key", "api-keys", "hf-token", "hf-api-token", "hft", "ngrok-authtoken"})
"""Options of those engines whose values are secrets; ``max-num-batched-tokens`` and the like are none."""

_PYTHON = re.compile(r"python[0-9.]*")
_MOST_OF_A_COMMAND = 2


def by_command(words: Sequence[str]) -> Engine | None:
    """The engine that a simple command starts: ``vllm serve``, ``python3 -m vllm.entrypoints.openai.api_server``."""
    name = words[0].rpartition("/")[2] if words else ""
    if _PYTHON.fullmatch(name):
        module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
        return next((each for each in ENGINES if module in each.modules), None) if module else None
    started = {" ".join((name, *words[1:length])) for length in range(1, _MOST_OF_A_COMMAND + 1)}
    return next((each for each in ENGINES if started & set(each.commands) or _by_file(each, name, words)), None)


def _by_file(engine: Engine, name: str, words: Sequence[str]) -> bool:
    return name in ("server", "main") and any(word.endswith(engine.files) for word in words if engine.files)


def by_image(image: str) -> Engine | None:
    """The engine that an image holds, by its name, whatever its registry, tag and digest."""
    name = re.sub(r":[\w.-]+$", "", image.partition("@")[0].lower())
    if "sglang" in name:
        return None
    return next((each for each in ENGINES if any(re.fullmatch(form, name) for form in each.images)), None)


def equivalent(option: str, engine: Engine | None = None) -> tuple[Engine, Equivalent] | None:
    """Whose an option is, and what it is in SGLang; None where no engine that is known has it.

    ``option`` is with or without dashes, with hyphens or underscores, and may be one of several settings in one
    (``--speculative-config.method``). ``engine`` is whose it is, where that is known; else it may be anybody's, and
    a name of one or two letters is nobody's.
    """
    name = option.lstrip("-").replace("_", "-").partition(".")[0]
    if engine is None and len(name) <= _MOST_OF_A_COMMAND:
        return None
    for each in (engine,) if engine else ENGINES:
        if found := each.options.get(name):
            return each, found
    for each in (engine,) if engine else ENGINES:
        if name.startswith("no-") and (denied := each.options.get(name.removeprefix("no-"))):
            return each, Equivalent(option=None, note=_switched_off(denied))
    return None


def is_secret(option: str, engine: Engine | None = None) -> bool | None:
    """Whether the value of an engine's option is a secret; None where no engine that is known has the option."""
    if equivalent(option, engine) is None:
        return None
    return option.lstrip("-").replace("_", "-") in SECRETS


def _switched_off(denied: Equivalent) -> str:
    return f"leave out `{denied.option}`" if denied.option else "nothing need be switched off"


WORDS: Mapping[str, Mapping[str, str]] = {
    "kv-cache-dtype": {
        "fp8": "fp8_e4m3",
        "float8_e4m3fn": "fp8_e4m3",
        "float8_e5m2": "fp8_e5m2",
    },
    "tool-call-parser": {
        "hermes": "qwen25",
        "llama3_json": "llama3",
        "llama4_pythonic": "pythonic",
        "deepseek_v3": "deepseekv3",
        "deepseek_v31": "deepseekv31",
        "deepseek_v32": "deepseekv32",
        "deepseek_v4": "deepseekv4",
        "qwen3_xml": "qwen3_coder",
        "openai": "gpt-oss",
        "minimax_m2": "minimax-m2",
    },
    "reasoning-parser": {
        "deepseek_r1": "deepseek-r1",
        "deepseek_v3": "deepseek-v3",
        "openai_gptoss": "gpt-oss",
        "granite": "granite_thinking_parser",
        "minimax_m2_append_think": "minimax-append-think",
        "minimax_m2": "minimax",
        "hunyuan_a13b": "hunyuan",
        "nemotron_v3": "nemotron_3",
    },
    "attention-backend": {
        "FLASH_ATTN": "fa3",
        "FLASHINFER": "flashinfer",
        "FLASHMLA": "flashmla",
        "TRITON_ATTN": "triton",
        "TRITON_MLA": "triton",
        "ROCM_AITER_FA": "aiter",
        "FLEX_ATTENTION": "flex_attention",
        "TORCH_SDPA": "torch_native",
    },
    "grammar-backend": {"guidance": "llguidance"},
    "dtype": {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"},
}
"""Values of vLLM's that SGLang's option of the name calls otherwise.

Sources: vLLM's help of ``--kv-cache-dtype`` (``fp8`` is ``fp8_e4m3``), vllm/tool_parsers and vllm/reasoning (the names
that are registered), vllm/v1/attention/backends/registry.py; SGLang's sglang/srt/function_call/function_call_parser.py
and sglang/srt/parser/reasoning_parser.py. vLLM's FLASH_ATTN is FlashAttention 3 on Hopper.
"""


def word(option: str, value: object, release: Catalog) -> str | None:
    """What the release calls a value that another engine writes so; None where the release takes it, or has none."""
    choices = release.find(option).choices if _has(release, option) else None
    if not choices or value in choices or not isinstance(value, str):
        return None
    known = WORDS.get(option, {})
    meant = known.get(value, known.get(value.lower()))
    return meant if meant in choices else None


def spelled(option: str, version: str) -> dict[str, object]:
    """What the release calls an option of the newest one, with the value where only one will do; empty: it has none.

    A switch that became values of others is told by those.
    """
    release = catalog.load(version)
    if _has(release, option) and not release.find(option).deprecated:
        return {option: None}
    for value in (KEPT, True):
        names, steps = rewrite({option: value}, version)
        if steps and all(_has(release, name) for name in names):
            return {name: None if said is KEPT else said for name, said in names.items()}
    return {option: None} if _has(release, option) else {}


def _has(release: Catalog, option: str) -> bool:
    return any(f"--{option}" in each.flags for each in release.options)
