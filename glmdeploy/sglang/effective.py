"""What SGLang will really run with: the profile's value, SGLang's default, or SGLang's own decision.

The decisions are data: for which releases, architectures and GPUs SGLang replaces an undecided value, and by what.
They were read from the real ``ServerArgs`` resolution of the 15 releases from 0.5.10 to 0.5.23, with the GPU's
capability simulated and GLM-5.1's configuration (upstream ``sglang/srt/server_args.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from glmdeploy.families import GLM_DSA
from glmdeploy.sglang.catalog import version_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.gpus import Gpu
    from glmdeploy.sglang.catalog import Catalog
    from glmdeploy.sglang.command import Setting


class Origin(StrEnum):
    PROFILE = "profile"
    DEFAULT = "default"
    SGLANG = "sglang"


@dataclass(frozen=True, kw_only=True)
class Effective:
    """A value and who decided it; ``why`` explains a decision of SGLang's."""

    value: Any
    origin: Origin
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Decision:
    dest: str
    undecided: tuple[object, ...]
    architecture: str
    gpu_major: int
    since: str
    until: str
    value: Any
    why: str


DECISIONS = (
    _Decision(
        dest="kv_cache_dtype",
        undecided=(None, "auto"),
        architecture=GLM_DSA,
        gpu_major=10,
        since="0.5.10",
        until="0.5.23",
        value="fp8_e4m3",
        why="sparse attention (DSA) on Blackwell: FP8 when the KV cache dtype is auto",
    ),
    _Decision(
        dest="kv_cache_dtype",
        undecided=(None, "auto"),
        architecture=GLM_DSA,
        gpu_major=9,
        since="0.5.10",
        until="0.5.23",
        value="bfloat16",
        why="sparse attention (DSA) on Hopper: BF16 when the KV cache dtype is auto",
    ),
)


def effective(
    settings: Mapping[str, Setting], catalog: Catalog, gpu: Gpu, architecture: str | None
) -> dict[str, Effective]:
    """The effective value of every option, by destination, as far as the data above tells."""
    values = {dest: Effective(value=default, origin=Origin.DEFAULT) for dest, default in catalog.defaults().items()}
    values |= {dest: Effective(value=setting.value, origin=Origin.PROFILE) for dest, setting in settings.items()}
    version = version_key(catalog.version)
    for decision in DECISIONS:
        if (
            decision.architecture == architecture
            and decision.gpu_major == gpu.major
            and version_key(decision.since) <= version <= version_key(decision.until)
            and values[decision.dest].value in decision.undecided
        ):
            values[decision.dest] = Effective(value=decision.value, origin=Origin.SGLANG, why=decision.why)
    return values
