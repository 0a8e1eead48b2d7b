"""How long the stages and a cold start take. All figures are estimates, each from something measured or reported.

Time spent waiting for GPUs, and pulling an image that Modal has not cached, is in none of them: nobody measured it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from glmdeploy import families

if TYPE_CHECKING:
    from glmdeploy.sizing.model import Model


@dataclass(frozen=True, kw_only=True)
class Step:
    """A part of a cold start: ``seconds`` are an estimate, ``basis`` tells from what.

    ``least`` is the shortest time that was measured or reported; nobody should count on less.
    """

    name: str
    seconds: int
    basis: str
    least: int


FIRST_START = 52
"""Seconds from SGLang's start to its being ready, at the least, for a model that needs no time to load: 52 to 64 s were
measured with 0.5.11 on an H100, of which about 30 are imports and 25 the engine."""

_IMPORTS, _ENGINE = 30, 25

_REFERENCE = 704 * 1024**3
"""Bytes of GLM-5.1-FP8, whose load from a Modal Volume onto eight B200 was reported to take 5 to 7 minutes."""

_LOAD, _LOAD_LEAST = 360, 300
_LOAD_BASIS = "GLM-5.1-FP8 was reported to load in 5 to 7 minutes from a Modal Volume: 2.1 GB a second (Modal: 1 to 3)"

_COMPILE, _COMPILE_LEAST = 750, 600

_FIRST_REQUEST, _FIRST_REQUEST_LEAST = 60, 20

HUB_RATE = 300_000_000
"""Bytes a second from the Hugging Face Hub: "a few hundred megabytes" (Modal, very_large_models)."""

VOLUME_RATE = 3_000_000_000
"""Bytes a second that a Modal Volume takes at most: "one to three gigabytes" (Modal, very_large_models)."""


def weight_load(model: Model) -> int:
    """Seconds to load the checkpoint from a volume onto the GPUs."""
    return ceil(model.weights * _LOAD / _REFERENCE)


def download(model: Model, rate: int = HUB_RATE) -> int:
    """Seconds to bring the checkpoint from the Hub into a volume at ``rate`` bytes a second."""
    return ceil(model.weights / rate)


def cold_start(model: Model | None, *, compiled: bool) -> tuple[Step, ...]:
    """The steps from a container's start to its first answer; ``compiled`` tells whether kernels are cached.

    Without a model, the steps that every model takes.
    """
    steps = [
        Step(name="imports", seconds=_IMPORTS, least=FIRST_START - _ENGINE, basis="measured with 0.5.11 on an H100")
    ]
    if model is not None:
        least = ceil(model.weights * _LOAD_LEAST / _REFERENCE)
        steps.append(Step(name="weights", seconds=weight_load(model), least=least, basis=_LOAD_BASIS))
        if model.quantization == "fp8" and not compiled:
            basis = "10 to 15 minutes were reported for DeepGEMM's kernels"
            steps.append(Step(name="kernels", seconds=_COMPILE, least=_COMPILE_LEAST, basis=basis))
    basis = "measured with 0.5.11 on an H100: KV pool, CUDA graphs and warm-up of a tiny model"
    steps.append(Step(name="engine", seconds=_ENGINE, least=_ENGINE, basis=basis))
    if model is not None and model.architecture == families.GLM_DSA:
        basis = "measured with 0.5.11 on an H100: about 60 s on a fresh machine, 20 s with warm caches"
        steps.append(Step(name="first answer", seconds=_FIRST_REQUEST, least=_FIRST_REQUEST_LEAST, basis=basis))
    return tuple(steps)
