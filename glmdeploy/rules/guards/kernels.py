"""Rules about DeepGEMM's kernels: compiled once before serving, kept in a volume, and usable on the serving GPU.

SGLang compiles them when it first needs them, for every batch size, before it answers (``_maybe_compile_deep_gemm_one_
type_all`` in ``sglang/srt/layers/deep_gemm_wrapper/compile_utils.py``, 0.5.11: "typically 10-20 mins").
"""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from glmdeploy.findings import Remove, Severity
from glmdeploy.gpus import BLACKWELL, HOPPER, SECONDS_AN_HOUR
from glmdeploy.rules.facts import FP8_GEMM, JIT_DEEP_GEMM
from glmdeploy.rules.rule import ISSUES, TWO_NODES, Rule, Scope, Topic, Violation, example
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.models import GLM_DSA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_WRAPPER = "sglang/srt/layers/deep_gemm_wrapper"
_CACHE = "SGLANG_DG_CACHE_DIR"
_GENERAL = "SGLANG_CACHE_DIR"


def _cache(facts: Facts) -> str | None:
    """Where the profile has DeepGEMM keep its kernels; None where it leaves that open, and the plan decides.

    SGLang overwrites DeepGEMM's own variable. From 0.5.18 on the default lies below its general cache.
    """
    if _CACHE in facts.env:
        return facts.env[_CACHE]
    general = facts.env.get(_GENERAL)
    tracks = version_key("0.5.18") <= version_key(facts.catalog.version)
    return f"{general}/deep_gemm" if general and tracks else None


def _kept(facts: Facts) -> bool:
    kernels, cache = facts.profile.volumes.kernels, _cache(facts)
    if kernels is None or cache is None:
        return False
    return PurePosixPath(posixpath.normpath(cache)).is_relative_to(kernels.mount)


def _not_compiled(facts: Facts) -> Iterator[Violation]:
    if not facts.compiles_at_start or facts.nodes > 1:  # of a cluster GLM233 tells what it costs
        return
    when = "the first cold start compiles" if _kept(facts) else "every cold start compiles"
    yield Violation(
        path=("compile",),
        key=True,
        message=f"there is no stage `compile`, so {when} DeepGEMM's kernels on {facts.gpu} before it answers",
    )


def _compiled_by_a_cluster(facts: Facts) -> Iterator[Violation]:
    if facts.nodes == 1 or not facts.compiles_at_start:
        return
    step = next((step for step in facts.cold_start() if step.name == "kernels"), None)
    spent = f", about ${facts.hourly * step.seconds / SECONDS_AN_HOUR:,.0f}" if facts.hourly and step else ""
    yield Violation(
        path=("cluster",),
        key=True,
        message=f"{'the first' if _kept(facts) else 'every'} cold start compiles DeepGEMM's kernels on all "
        f"{facts.gpu_count} GPUs before it answers{spent}: a cluster has no stage `compile`",
    )


def _lost(facts: Facts) -> Iterator[Violation]:
    kernels, cache = facts.profile.volumes.kernels, _cache(facts)
    if facts.profile.compile is None or kernels is None or cache is None or _kept(facts):
        return
    name = _CACHE if _CACHE in facts.env else _GENERAL
    path = facts.env_path(name)
    yield Violation(
        path=path,
        message=f"DeepGEMM's cache {cache} is not inside the kernels volume, which is mounted at {kernels.mount}",
        edits=(Remove(path=path),),
    )


def _other_gpu(facts: Facts) -> Iterator[Violation]:
    if facts.profile.compile and facts.gpu.type == "B200+" and facts.serves_with_deep_gemm:
        yield Violation(
            path=("gpu",),
            message=f"`gpu: {facts.profile.gpu}` may be a B200 for the stage `compile` and a B300 for the server",
        )


def _unused(facts: Facts) -> Iterator[Violation]:
    if facts.profile.compile is None:
        return
    backend = facts.value(FP8_GEMM)
    if facts.gpu.major < HOPPER:
        reason = f"DeepGEMM does not run on {facts.gpu.type}"
    elif not facts.env_flag(JIT_DEEP_GEMM, default=True):
        reason = f"`{JIT_DEEP_GEMM}` is off"
    elif facts.block_fp8 and not facts.serves_with_deep_gemm and backend is not None:
        reason = f"matrices in FP8 are multiplied by `{backend}`"
    else:
        return
    yield Violation(
        path=("compile",),
        key=True,
        message=f"the stage `compile` rents {facts.gpu} for kernels that the server does not use: {reason}",
        edits=(Remove(path=("compile",)),),
    )


def _regression(facts: Facts) -> Iterator[Violation]:
    if facts.serves_with_deep_gemm:
        yield Violation(
            path=facts.path(FP8_GEMM) if facts.setting(FP8_GEMM) else ("sglang", "version"),
            message=f"SGLang {facts.catalog.version} multiplies FP8 with a DeepGEMM that was reported to end the "
            f"server on {facts.gpu.type}",
            edits=facts.put(FP8_GEMM, "cutlass"),
        )


REGRESSION = Rule(
    id="GLM013",
    title="regression of DeepGEMM in SGLang 0.5.12 on Blackwell",
    severity=Severity.ERROR,
    topic=Topic.KNOWN_ISSUE,
    why="With 0.5.12 GLM-5-FP8 stopped at CUDA graph capture with an illegal address inside DeepGEMM: on eight B300 in "
    "every run of one benchmark (#25551; 0.5.11 was fine with the same options), and on eight B200 with a later build "
    "of main (#26541; with `max-running-requests: 128`, while a run with another limit on CUDA graphs passed, and a "
    "newer DeepGEMM mended it). The post release that is catalogued here pins the same sgl-deep-gemm 0.1.0 as 0.5.12 "
    "(the wheels' metadata); 0.5.13 pins 0.1.2, and that this is the cure is inferred. The same benchmark went on with "
    "0.5.12 on B200 by leaving DeepGEMM out (InferenceX 1447).",
    fix="use 0.5.13.post1 or later, or write `fp8-gemm-backend: cutlass` under `sglang.args`",
    sources=(f"{ISSUES}25551", f"{ISSUES}26541", "https://github.com/SemiAnalysisAI/InferenceX/pull/1447"),
    check=_regression,
    fails=(
        example("sglang.version=0.5.12.post1", "sglang.image=lmsysorg/sglang:v0.5.12.post1-cu130"),
        example(
            "sglang.version=0.5.12.post1",
            "sglang.image=lmsysorg/sglang:v0.5.12.post1-cu130",
            "sglang.args.fp8-gemm-backend=deep_gemm",
        ),
    ),
    passes=(
        example(),
        example(
            "sglang.version=0.5.12.post1",
            "sglang.image=lmsysorg/sglang:v0.5.12.post1-cu130",
            "sglang.args.fp8-gemm-backend=cutlass",
        ),
        example(
            "sglang.version=0.5.12.post1",
            "sglang.image=lmsysorg/sglang:v0.5.12.post1-cu130",
            'sglang.env.SGLANG_ENABLE_JIT_DEEPGEMM="0"',
        ),
        example(
            "sglang.version=0.5.12.post1",
            "sglang.image=lmsysorg/sglang:v0.5.12.post1-cu130",
            profile="h200-eagle-bf16kv",
        ),
    ),
    scope=Scope(gpu_majors=(BLACKWELL,), architectures=(GLM_DSA,), since="0.5.12.post1", until="0.5.12.post1"),
)

NOT_COMPILED = Rule(
    id="GLM017",
    title="kernels of DeepGEMM that nothing compiles beforehand",
    severity=Severity.WARNING,
    topic=Topic.KNOWN_ISSUE,
    why="SGLang multiplies matrices in FP8 with DeepGEMM on Hopper and Blackwell, also where FlashInfer runs the "
    "experts, and compiles its kernels for all batch sizes before the first answer: 10 to 15 minutes for the first "
    "users, 10 to 20 by SGLang's own log. All GPUs are rented meanwhile, and the start-up time limit may pass. The "
    "stage `compile` does it once; for a `cluster` there is none (GLM233). SGLANG_JIT_DEEPGEMM_FAST_WARMUP=1 makes it "
    "a few minutes instead, by leaving out most of the larger batch sizes.",
    fix="add `compile: {timeout: 1h}` with a kernels volume",
    sources=(
        f"{_WRAPPER}/compile_utils.py (0.5.11)",
        "sglang/srt/layers/quantization/fp8_utils.py (0.5.10 to 0.5.23)",
        f"{ISSUES}29170",
        "https://github.com/sgl-project/sglang/pull/18823",
    ),
    check=_not_compiled,
    fails=(
        example("compile=null"),
        example("compile=null", "volumes.kernels=null", "sglang.env.SGLANG_DG_CACHE_DIR=null"),
        example("compile=null", profile="h200-eagle-bf16kv"),
    ),
    passes=(
        example(),
        example("compile=null", "sglang.args.fp8-gemm-backend=triton"),
        example("compile=null", 'sglang.env.SGLANG_ENABLE_JIT_DEEPGEMM="false"'),
        example("compile=null", 'sglang.env.SGLANG_JIT_DEEPGEMM_FAST_WARMUP="1"'),
        example("compile=null", "model.repo=nvidia/GLM-5.1-NVFP4"),
        example(profile="h100-glm45-air-fp8"),
    ),
    scope=Scope(gpu_majors=(HOPPER, BLACKWELL), architectures=(GLM_DSA,)),
)

COMPILED_BY_A_CLUSTER = Rule(
    id="GLM233",
    title="kernels of DeepGEMM that a cluster's start compiles",
    severity=Severity.INFO,
    topic=Topic.TIME,
    why="SGLang's compiler needs the same ranks as the server, and the stage `compile` has one container (GLM231). So "
    "what it would do once is done at a cold start, in all containers at once and at the price of all their GPUs: 10 "
    "to 15 minutes were reported. Where SGLANG_DG_CACHE_DIR names the kernels volume the first start keeps them there; "
    "else each start does it again.",
    fix="allow for it in `server.startup_timeout`, name the kernels volume in SGLANG_DG_CACHE_DIR, or shorten it with "
    "SGLANG_JIT_DEEPGEMM_FAST_WARMUP=1",
    sources=(f"{_WRAPPER}/compile_utils.py (0.5.11)", "sglang/compile_deep_gemm.py (0.5.11)"),
    check=_compiled_by_a_cluster,
    fails=(
        example(*TWO_NODES, "sglang.args.dist-timeout=3600"),
        example(*TWO_NODES, "sglang.args.dist-timeout=3600", "sglang.env.SGLANG_DG_CACHE_DIR=null"),
    ),
    passes=(
        example(*TWO_NODES, 'sglang.env.SGLANG_JIT_DEEPGEMM_FAST_WARMUP="1"'),
        example("compile=null"),
        example(*TWO_NODES, "model.repo=nvidia/GLM-5.1-NVFP4"),
    ),
    scope=Scope(gpu_majors=(HOPPER, BLACKWELL)),
)

LOST = Rule(
    id="GLM018",
    title="compiled kernels that are not kept",
    severity=Severity.ERROR,
    topic=Topic.KNOWN_ISSUE,
    why="DeepGEMM's kernels go to the folder that SGLANG_DG_CACHE_DIR names (SGLang sets DeepGEMM's own variable from "
    "it); from 0.5.18 on SGLANG_CACHE_DIR moves it too. Where a profile names one outside the kernels volume, they end "
    "with the container: the stage `compile` rents its GPUs for up to an hour and reports success, and each server "
    "compiles again. Left open, glmdeploy keeps them on the container's disk and carries them through the volume.",
    fix="remove the variable, or set it under `sglang.env` to the mount of `volumes.kernels`",
    sources=(f"{_WRAPPER}/compile_utils.py (0.5.11, 0.5.23)", "sglang/srt/environ.py (0.5.18)"),
    check=_lost,
    fails=(
        example("sglang.env.SGLANG_DG_CACHE_DIR=/dg-cache-2"),
        example("sglang.env.SGLANG_DG_CACHE_DIR=dg-cache"),
        example("sglang.env.SGLANG_DG_CACHE_DIR=/dg-cache/../root"),
        example("volumes.kernels.mount=/kernels"),
        example("server.env.SGLANG_DG_CACHE_DIR=/root/.cache/deep_gemm"),
        example(
            "sglang.env.SGLANG_DG_CACHE_DIR=null",
            "sglang.env.SGLANG_CACHE_DIR=/root/.cache/sglang",
            profile="b200-eagle-bf16kv-0.5.23",
        ),
    ),
    passes=(
        example(),
        example("sglang.env.SGLANG_DG_CACHE_DIR=null"),
        example("sglang.env.SGLANG_DG_CACHE_DIR=null", "sglang.env.SGLANG_CACHE_DIR=/root/.cache/sglang"),
        example("sglang.env.SGLANG_DG_CACHE_DIR=/dg-cache/0.5.11/"),
        example("sglang.env.SGLANG_DG_CACHE_DIR=null", "server.env.SGLANG_DG_CACHE_DIR=/dg-cache"),
        example(
            "sglang.env.SGLANG_DG_CACHE_DIR=null",
            "sglang.env.SGLANG_CACHE_DIR=/dg-cache",
            profile="b200-eagle-bf16kv-0.5.23",
        ),
    ),
)

OTHER_GPU = Rule(
    id="GLM019",
    title="kernels compiled on a GPU that may not be the serving one",
    severity=Severity.WARNING,
    topic=Topic.KNOWN_ISSUE,
    why="Modal gives a B200 or a B300 for `B200+`, to the stage `compile` and to each server anew. DeepGEMM looks a "
    "kernel up by its compiler, the architecture and the source, which carries choices made for the GPU at hand, its "
    "number of multiprocessors among them; what is not found is compiled at the cold start that the stage was to "
    "spare. Whether a B300 finds a B200's kernels was not tried.",
    fix="write `gpu: B200` with the same count, which Modal takes literally",
    sources=(
        "https://modal.com/docs/guide/gpu",
        "https://github.com/deepseek-ai/DeepGEMM/blob/main/csrc/jit/compiler.hpp",
    ),
    check=_other_gpu,
    fails=(example("gpu=B200+:8"),),
    passes=(
        example(),
        example("gpu=B200+:8", "compile=null"),
        example(profile="h200-eagle-bf16kv"),
    ),
    scope=Scope(gpu_majors=(BLACKWELL,), architectures=(GLM_DSA,)),
)

UNUSED = Rule(
    id="GLM103",
    title="compile stage for kernels that the server does not use",
    severity=Severity.WARNING,
    topic=Topic.KNOWN_ISSUE,
    why="The stage loads the whole model on rented GPUs to compile DeepGEMM's kernels, and its tool forces DeepGEMM on "
    "for itself. A server that multiplies FP8 with other kernels, has DeepGEMM switched off, or runs on a GPU before "
    "Hopper never looks at them.",
    fix="remove `compile`, or let SGLang use DeepGEMM",
    sources=("sglang/compile_deep_gemm.py (0.5.11)", f"{_WRAPPER}/configurer.py (0.5.11)"),
    check=_unused,
    fails=(
        example("sglang.args.fp8-gemm-backend=triton"),
        example('sglang.env.SGLANG_ENABLE_JIT_DEEPGEMM="0"'),
    ),
    passes=(
        example(),
        example("sglang.args.fp8-gemm-backend=deep_gemm"),
        example("sglang.args.fp8-gemm-backend=triton", "sglang.args.moe-runner-backend=deep_gemm"),
        example("compile=null", 'sglang.env.SGLANG_ENABLE_JIT_DEEPGEMM="0"'),
    ),
)

RULES = (REGRESSION, NOT_COMPILED, COMPILED_BY_A_CLUSTER, LOST, OTHER_GPU, UNUSED)
