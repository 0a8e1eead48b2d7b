"""What is started: shipped profiles on one GPU, with models whose layers are fewer and whose weights are random."""

from __future__ import annotations

from dataclasses import dataclass

ONE_GPU = ("gpu=H200", "sglang.args.tp=1")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A shipped ``profile`` with the values of ``sets``; ``layers`` of the model are kept, None for all."""

    name: str
    profile: str
    layers: int | None
    sets: tuple[str, ...] = ()
    tries: bool = False
    """Whether the hang watch and ``verify`` are tried on it."""


WITHOUT_DRAFT = tuple(
    f"sglang.args.speculative-{name}=null" for name in ("algorithm", "num-steps", "eagle-topk", "num-draft-tokens")
)

CASES = (
    Case(name="GLM-5.1-FP8, as it ships", profile="h200-eagle-bf16kv", layers=6),
    Case(
        name="GLM-5.1-FP8, all of the memory",
        profile="h200-eagle-bf16kv",
        layers=6,
        sets=("sglang.args.max-total-tokens=null",),
    ),
    Case(
        name="GLM-5.1-FP8, FP8 KV, no draft",
        profile="h200-eagle-bf16kv",
        layers=6,
        sets=(*WITHOUT_DRAFT, "sglang.args.max-total-tokens=null", "sglang.args.kv-cache-dtype=fp8_e4m3"),
    ),
    Case(
        name="GLM-4.5-Air-FP8, whole",
        profile="h100-glm45-air-fp8",
        layers=None,
        # Compiling the graphs of 58 sizes of prefills takes longer than all other cases together.
        sets=("sglang.args.mem-fraction-static=0.9", "sglang.args.disable-piecewise-cuda-graph=true"),
    ),
    Case(
        name="GLM-4.5-Air-FP8, tried",
        profile="h100-glm45-air-fp8",
        layers=8,
        sets=(
            *WITHOUT_DRAFT,
            "sglang.args.max-total-tokens=200000",
            "sglang.args.mem-fraction-static=0.9",
            "sglang.args.disable-piecewise-cuda-graph=true",
        ),
        tries=True,
    ),
)
