"""How a container looks after its engine: the variables that SGLang gets for it, and the settings of the watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.plan.plan import Health
from glmdeploy.runtime.caches import CACHES

if TYPE_CHECKING:
    from glmdeploy.rules.facts import Facts

_WATCHDOG = 300
"""Seconds: SGLang's own default of ``watchdog-timeout`` (0.5.8 to 0.5.23)."""

_INFORMED = ("info", "debug")
"""Log levels at which SGLang prints its "Decode batch" lines (``scheduler_metrics_mixin.py``, 0.5.10 to 0.5.23)."""


CACHE_FOLDERS = {
    "SGLANG_CACHE_DIR": "sglang",
    "SGLANG_JIT_CACHE_DIR": "jit",
    "SGLANG_DG_CACHE_DIR": "deep_gemm",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "FLASHINFER_WORKSPACE_BASE": "flashinfer",
    "TVM_FFI_CACHE_DIR": "tvm-ffi",
    "CUDA_CACHE_PATH": "nv",
    "TILELANG_CACHE_DIR": "tilelang",
}
"""Where SGLang's compilers keep kernels: by variable, the folder below that of the caches.

FlashInfer appends ``.cache/flashinfer`` to its own. SGLang's own kernels are tvm-ffi's until 0.5.17, and have
``SGLANG_JIT_CACHE_DIR`` from 0.5.18 on.
"""

_FOLLOWERS = frozenset(CACHE_FOLDERS) - {"SGLANG_CACHE_DIR", "SGLANG_JIT_CACHE_DIR", "TVM_FFI_CACHE_DIR"}
"""Those that ``SGLANG_CACHE_DIR`` moves from 0.5.18 on, TileLang's from 0.5.21 on (``sglang/srt/environ.py``,
``third_party_cache_defaults``)."""


def caches(facts: Facts) -> dict[str, str]:
    """The variables of the kernel caches that the profile leaves open, where a stage compiles beforehand.

    FlashInfer's folder also has the kernels that NVIDIA compiled. Up to 0.5.15.post1 a package of the image holds them
    (``flashinfer_cubin``, the wheels' metadata); 0.5.16 and 0.5.17 need no such package, and an image of theirs may
    have them in the usual folder. From 0.5.18 on SGLang itself uses another one.
    """
    if facts.profile.compile is None:
        return {}
    moved = set(_FOLLOWERS) if "SGLANG_CACHE_DIR" in facts.env and facts.between("0.5.18", None) else set()
    if not facts.between("0.5.21", None):
        moved.discard("TILELANG_CACHE_DIR")
    if facts.between("0.5.16", "0.5.17"):
        moved.add("FLASHINFER_WORKSPACE_BASE")
    return {
        name: f"{CACHES}/{folder}"
        for name, folder in CACHE_FOLDERS.items()
        if name not in facts.env and name not in moved and (name in facts.catalog.env or not name.startswith("SGLANG_"))
    }


def defaults(facts: Facts, seconds: int) -> dict[str, str]:
    """Variables that SGLang's process gets where the profile does not set them; its start may take ``seconds``.

    ``SGLANG_WARMUP_TIMEOUT``: unset, SGLang's own warm-up request gives up after 600 s and ends the server, while
    kernels may take 10 to 20 minutes (``http_server.py``, 0.5.8 to 0.5.23).
    ``SGLANG_HEALTH_CHECK_TIMEOUT``: seconds until /health answers 503; 20 unset, and a long prompt
    takes longer (#22511).
    ``SGLANG_CUDA_COREDUMP_BEFORE_CRASH``: from 0.5.13.post1 a crash waits a minute for core dumps
    (``tokenizer_manager.py``), in which the container serves nobody.
    """
    own = {
        **caches(facts),
        "SGLANG_WARMUP_TIMEOUT": str(seconds),
        "SGLANG_HEALTH_CHECK_TIMEOUT": str(facts.profile.server.health.limit),
    }
    if "SGLANG_CUDA_COREDUMP_BEFORE_CRASH" in facts.catalog.env:
        own["SGLANG_CUDA_COREDUMP_BEFORE_CRASH"] = "0"
    return {name: value for name, value in own.items() if name not in facts.env}


def health(facts: Facts) -> Health:
    """The settings of the watch."""
    section, watchdog = facts.profile.server.health, facts.value("watchdog_timeout")
    return Health(
        interval=section.interval,
        timeout=section.timeout,
        limit=section.limit,
        compiling=int(watchdog) if isinstance(watchdog, int | float) else _WATCHDOG,
        decoding=_decoding(facts),
        ranks=_ranks(facts),
    )


def _decoding(facts: Facts) -> str:
    """``decode_moments`` of /v1/loads are there from 0.5.17 on (``load_snapshot.py``)."""
    if facts.value("skip_tokenizer_init"):
        return "off"
    if str(facts.value("log_level")).lower() in _INFORMED:
        return "lines"
    return "loads" if facts.between("0.5.17", None) else "off"


def _ranks(facts: Facts) -> int:
    """Without attention's data parallelism /health answers 200 when one rank of several lives (0.5.10 to 0.5.23).

    /v1/loads is no message to the ranks from 0.5.13.post1 on, and only then tells something of one that hangs.
    """
    ranks = facts.number("dp_size") or 1
    return ranks if ranks > 1 and facts.attention_groups == 1 and facts.between("0.5.13.post1", None) else 0
