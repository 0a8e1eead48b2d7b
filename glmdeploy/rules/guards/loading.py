"""Rules about what a cold start reads and compiles: the checkpoint from its volume, and the caches of kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Remove, Severity
from glmdeploy.rules.rule import AT_0_5_23, PULLS, Rule, Scope, Topic, Violation, as_written, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_PREFETCH, _NO_MMAP, _FORMAT = "weight_loader_prefetch_checkpoints", "weight_loader_disable_mmap", "load_format"
_OVERLAP = "startup_weight_load_mode"
_CRASH = "SGLANG_CRASH_ON_JIT_COMPILE"

_LOADER = "sglang/srt/model_loader/loader.py"
_MEASURED = f"{PULLS}37806"

_LARGE = 100_000_000_000
"""Bytes of a checkpoint from which its load is most of a cold start: a minute and more."""

_MMAP = (None, "auto", "safetensors")
"""Formats whose files SGLang maps into memory and faults in page by page."""

_PACKAGES = {
    "fastsafetensors": "fastsafetensors",
    "runai_streamer": "runai-model-streamer",
    "instanttensor": "instanttensor",
}
"""Formats that another package reads: its name. SGLang's wheels require none of them (0.5.8 to 0.5.23)."""

_OVERLAPPING = ("LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
"""Architectures of ``_SUPPORTED_ARCHITECTURES`` in ``startup_weight_load.py`` (0.5.18 to 0.5.23)."""

_SHARED = (
    *("SGLANG_CACHE_DIR", "SGLANG_JIT_CACHE_DIR", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"),
    *("FLASHINFER_WORKSPACE_BASE", "TVM_FFI_CACHE_DIR", "CUDA_CACHE_PATH", "TILELANG_CACHE_DIR"),
)
"""Variables of caches that every process of a server writes; DeepGEMM's is not among them, which one process writes."""


def _slow_load(facts: Facts) -> Iterator[Violation]:
    model = facts.model_loaded
    if model is None or model.weights < _LARGE or facts.setting(_PREFETCH) or facts.value(_NO_MMAP):
        return
    if facts.value(_FORMAT) in _MMAP:
        also = "" if facts.between("0.5.16", None) else "; here the threads that load read beside it"
        yield Violation(
            path=("sglang", "args"),
            key=True,
            message=f"{model.weights / 1e9:.0f} GB are read from the volume page by page, where "
            f"`weight-loader-prefetch-checkpoints: true` reads whole files ahead{also}",
        )


def _too_large_for_the_cache(facts: Facts) -> Iterator[Violation]:
    model, memory = facts.model_loaded, facts.profile.server.memory
    # A pair is what is asked for and the limit.
    limit = memory[-1] if isinstance(memory, tuple | list) else memory
    if model is None or limit is None or not facts.value(_PREFETCH):
        return
    if limit * 2**20 < model.weights:
        yield Violation(
            path=("server", "memory"),
            message=f"`memory` is {limit:,} MiB, and the {model.weights / 1e9:.0f} GB that are read ahead need "
            f"{-(-model.weights // 2**20):,} MiB of page cache",
        )


def _idle_prefetch(facts: Facts) -> Iterator[Violation]:
    if not facts.value(_PREFETCH):
        return
    option = _NO_MMAP if facts.value(_NO_MMAP) else _FORMAT if facts.value(_FORMAT) in _PACKAGES else None
    if option:
        why = f"`{option.replace('_', '-')}: {as_written(facts.value(option))}`"
        yield Violation(
            path=facts.path(_PREFETCH),
            message=f"nothing is read ahead with {why}, which reads the files in its own way",
            edits=facts.drop(_PREFETCH),
        )


def _no_overlap(facts: Facts) -> Iterator[Violation]:
    if facts.value(_OVERLAP) == "overlap" and facts.architecture and facts.architecture not in _OVERLAPPING:
        yield Violation(
            path=facts.path(_OVERLAP),
            message=f"SGLang ends at start: it loads {facts.architecture} only in series",
            edits=facts.drop(_OVERLAP),
        )


def _other_package(facts: Facts) -> Iterator[Violation]:
    if isinstance(used := facts.value(_FORMAT), str) and (package := _PACKAGES.get(used)):
        yield Violation(
            path=facts.path(_FORMAT),
            message=f"`{used}` needs the package {package}, which SGLang {facts.catalog.version} does not bring",
        )


def _presharded(facts: Facts) -> Iterator[Violation]:
    if facts.value(_FORMAT) == "presharded":
        yield Violation(
            path=facts.path(_FORMAT),
            message="the first start writes all shards once more, beside the model in the weights volume",
        )


def _shared_cache(facts: Facts) -> Iterator[Violation]:
    for name in _SHARED:
        folder = facts.env.get(name)
        if folder and facts.in_volume(folder):
            path = facts.env_path(name)
            yield Violation(
                path=path,
                message=f"all processes of all containers write the cache {folder} in the volume, over a network",
                edits=(Remove(path=path),),
            )


def _nothing_compiled(facts: Facts) -> Iterator[Violation]:
    if facts.env_flag(_CRASH) and facts.profile.compile is None:
        path = facts.env_path(_CRASH)
        yield Violation(
            path=path,
            message=f"with `{_CRASH}` SGLang ends at the first of its own kernels that it would compile, and no stage "
            "compiles beforehand",
            edits=(Remove(path=path),),
        )


_OPEN = "sglang.env.SGLANG_DG_CACHE_DIR=null"

SLOW_LOAD = Rule(
    id="GLM145",
    title="large checkpoint that is read page by page",
    severity=Severity.INFO,
    topic=Topic.TIME,
    why="SGLang maps the files into memory, and each rank faults its pages in as it needs them: over a network that is "
    "many small reads. GLM-5.2-FP8, 704 GiB on Lustre for eight H20, was not loaded after 20 minutes, and in 42.6 s "
    "with whole files read ahead (#37806). From Modal's volumes nobody reported either; they give 1 to 3 GB a second, "
    "so that 700 GB take 4 minutes at the best. What is read ahead goes to the page cache. From 0.5.16 on the option "
    "switches the loading in several threads off, so that the two do not compete; before, both read at once.",
    fix="try `weight-loader-prefetch-checkpoints: true` under `sglang.args`, and compare the seconds in SGLang's "
    '"Load weight end" line',
    sources=(_MEASURED, f"{PULLS}20843", f"{_LOADER} (0.5.11, 0.5.15.post1, 0.5.16, 0.5.23)"),
    check=_slow_load,
    fails=(example(), example(profile=AT_0_5_23)),
    passes=(
        example("sglang.args.weight-loader-prefetch-checkpoints=true"),
        example("sglang.args.weight-loader-disable-mmap=true"),
        example("sglang.args.load-format=fastsafetensors"),
        example("sglang.version=0.5.10", "sglang.image=lmsysorg/sglang:v0.5.10-cu130"),
        example(profile="local-cpu"),
    ),
    scope=Scope(since="0.5.11"),
)

CACHE_TOO_SMALL = Rule(
    id="GLM146",
    title="less memory than the checkpoint that is read ahead",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="`weight-loader-prefetch-checkpoints` reads all files into the page cache as fast as it can, without waiting "
    "for what was read to be used. Pages count in the memory of the container. Where they do not fit, the first ones "
    "are gone before they are used, and are read again: another engine's prefetch helped with nothing at that size "
    "until it was bounded (tokenspeed #833). Without `memory` a container may use what its machine has.",
    fix="leave `memory` out, raise it above the size of the checkpoint, or remove `weight-loader-prefetch-checkpoints`",
    sources=(
        "sglang/srt/model_loader/weight_utils.py, _prefetch_all_checkpoints (0.5.11, 0.5.23)",
        "https://github.com/lightseekorg/tokenspeed/pull/833",
    ),
    check=_too_large_for_the_cache,
    fails=(example("sglang.args.weight-loader-prefetch-checkpoints=true", "server.memory=262144"),),
    passes=(
        example("sglang.args.weight-loader-prefetch-checkpoints=true"),
        example("sglang.args.weight-loader-prefetch-checkpoints=true", "server.memory=1048576"),
        example("server.memory=262144"),
        example(
            "sglang.args.weight-loader-prefetch-checkpoints=true", "server.memory=262144", profile="h100-glm45-air-fp8"
        ),
    ),
    scope=Scope(since="0.5.11"),
)

IDLE_PREFETCH = Rule(
    id="GLM147",
    title="reading ahead that does not happen",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="Files are read ahead only where SGLang maps safetensors into memory. With `weight-loader-disable-mmap`, and "
    "with formats that another package reads, `weight-loader-prefetch-checkpoints` is taken and does nothing.",
    fix="keep one of the two",
    sources=(f"{_LOADER} (0.5.11, 0.5.23)", "sglang/srt/model_loader/weight_utils.py (0.5.11, 0.5.23)"),
    check=_idle_prefetch,
    fails=(
        example("sglang.args.weight-loader-prefetch-checkpoints=true", "sglang.args.weight-loader-disable-mmap=true"),
        example("sglang.args.weight-loader-prefetch-checkpoints=true", "sglang.args.load-format=fastsafetensors"),
    ),
    passes=(
        example("sglang.args.weight-loader-prefetch-checkpoints=true"),
        example("sglang.args.weight-loader-prefetch-checkpoints=true", "sglang.args.load-format=safetensors"),
        example("sglang.args.weight-loader-disable-mmap=true"),
    ),
    scope=Scope(since="0.5.11"),
)

NO_OVERLAP = Rule(
    id="GLM148",
    title="overlapped loading for a model that has none",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="`startup-weight-load-mode: overlap` reads the files while CUDA graphs are captured. SGLang has a list of "
    "three architectures for which it does (Llama, Qwen2, Qwen3) and ends with a ValueError for every other one.",
    fix="remove `startup-weight-load-mode`",
    sources=("sglang/srt/model_executor/model_runner_components/startup_weight_load.py (0.5.18, 0.5.23)",),
    check=_no_overlap,
    fails=(example("sglang.args.startup-weight-load-mode=overlap", profile=AT_0_5_23),),
    passes=(
        example("sglang.args.startup-weight-load-mode=serial", profile=AT_0_5_23),
        example("sglang.args.startup-weight-load-mode=overlap", "model.repo=acme/other", profile=AT_0_5_23),
    ),
    scope=Scope(since="0.5.18"),
)

OTHER_PACKAGE = Rule(
    id="GLM149",
    title="load format whose package SGLang does not bring",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="`fastsafetensors`, `runai_streamer` and, from 0.5.22 on, `instanttensor` read faster than SGLang's own "
    "loader, by their makers' figures (instanttensor: DeepSeek-R1 on eight H200 in 15.3 s instead of 160). Each needs "
    "a package that SGLang's wheel does not require, or only as an extra; without it the start ends with an "
    "ImportError on rented GPUs. Whether an image has it was not looked up.",
    fix="use an image that has the package, or leave `load-format` out",
    sources=(
        "METADATA of the wheels (0.5.8 to 0.5.23)",
        "sglang/srt/model_loader/weight_utils.py (0.5.11, 0.5.23)",
        f"{_LOADER} (0.5.11, 0.5.23)",
    ),
    check=_other_package,
    fails=(
        example("sglang.args.load-format=fastsafetensors"),
        example("sglang.args.load-format=runai_streamer"),
        example("sglang.args.load-format=instanttensor", profile=AT_0_5_23),
    ),
    passes=(example(), example("sglang.args.load-format=safetensors")),
)

PRESHARDED = Rule(
    id="GLM150",
    title="shards that a server writes into the weights volume",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="`load-format: presharded` loads as usual the first time and then writes what each rank needs, of the size of "
    "the checkpoint, into a folder `presharded` beside the model or where `presharded_path` of "
    "`model-loader-extra-config` says. Later starts read that. Here servers write it: into a volume that several may "
    "write at once, and not at all where it is mounted read-only. The stage `download` knows nothing of it.",
    fix="leave `load-format` out",
    sources=(f"{_LOADER}, PreshardedModelLoader (0.5.17)", f"{PULLS}24256"),
    check=_presharded,
    fails=(example("sglang.args.load-format=presharded", profile=AT_0_5_23),),
    passes=(example(profile=AT_0_5_23),),
    scope=Scope(since="0.5.17"),
)

SHARED_CACHE = Rule(
    id="GLM151",
    title="kernel cache that several containers write over a network",
    severity=Severity.WARNING,
    topic=Topic.KNOWN_ISSUE,
    why="Triton, Inductor, FlashInfer and SGLang's own compiler make files and rename them, from every rank of every "
    "container. On network storage that was reported to end in EBUSY (triton #11512), and thousands of small files are "
    "slow to read there. Left open, the stage `compile` has these caches on its own disk, and each server gets them "
    "from the volume as one file.",
    fix="remove the variable",
    sources=(
        "https://github.com/triton-lang/triton/issues/11512",
        "sglang/srt/environ.py, third_party_cache_defaults (0.5.18, 0.5.23)",
    ),
    check=_shared_cache,
    fails=(
        example("sglang.env.TRITON_CACHE_DIR=/dg-cache/triton"),
        example("server.env.TORCHINDUCTOR_CACHE_DIR=/model-cache/inductor"),
        example(_OPEN, "sglang.env.SGLANG_CACHE_DIR=/dg-cache", profile=AT_0_5_23),
    ),
    passes=(
        example(),
        example("sglang.env.TRITON_CACHE_DIR=/tmp/triton"),
        example(_OPEN, profile=AT_0_5_23),
    ),
)

NOTHING_COMPILED = Rule(
    id="GLM152",
    title="compiling that is forbidden where nothing was compiled",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="SGLANG_CRASH_ON_JIT_COMPILE lets a server end, instead of compiling, when a kernel of SGLang's own is not in "
    "its cache; DeepGEMM's, FlashInfer's and Triton's are not concerned. With a stage `compile` the cache is filled, "
    "from the kernels that its two short requests need: graphs and long prompts can need another one, and then the "
    "variable ends a server that would have been a minute late. That is why glmdeploy does not set it.",
    fix="add a stage `compile`, or remove the variable",
    sources=("sglang/kernels/jit/utils/compile/loader.py (0.5.20, 0.5.23)",),
    check=_nothing_compiled,
    fails=(example('sglang.env.SGLANG_CRASH_ON_JIT_COMPILE="1"', "compile=null", profile=AT_0_5_23),),
    passes=(
        example('sglang.env.SGLANG_CRASH_ON_JIT_COMPILE="1"', profile=AT_0_5_23),
        example('sglang.env.SGLANG_CRASH_ON_JIT_COMPILE="0"', "compile=null", profile=AT_0_5_23),
        example("compile=null", profile=AT_0_5_23),
    ),
    scope=Scope(since="0.5.20"),
)

RULES = (
    *(SLOW_LOAD, CACHE_TOO_SMALL, IDLE_PREFETCH, NO_OVERLAP),
    *(OTHER_PACKAGE, PRESHARDED, SHARED_CACHE, NOTHING_COMPILED),
)
