"""How long a cold start takes, and what comes before the first one: steps with the source of each figure.

Nothing here was measured on Modal by us. A figure is one that somebody measured or reported, and says so; a range goes
from the shortest to the longest that was.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from glmdeploy.records import record
from glmdeploy.sglang import models

if TYPE_CHECKING:
    from glmdeploy.sizing.model import Model


@record
class Step:
    """A part of a timeline: ``seconds`` are an estimate, ``basis`` tells from what.

    ``least`` is the shortest time that was measured or reported; nobody should count on less. ``most`` is the longest.
    """

    name: str
    seconds: int
    basis: str
    least: int
    most: int


FIRST_START = 52
"""Seconds from SGLang's start to its being ready, at the least, for a model that needs no time to load: 52 to 64 s were
measured with 0.5.11 on an H100, of which about 30 are imports and 25 the engine."""

_FIRST_START_MOST = 64

_IMPORTS, _ENGINE = 30, 25

_GRAPHS = 162
"""Seconds that fewer CUDA graphs saved of 573 in one start (Kimi K2.6, tp 8, B200): what many may take."""

_REFERENCE = 704 * 1024**3
"""Bytes of GLM-5.1-FP8, whose load from a Modal Volume onto eight B200 was reported to take 5 to 7 minutes."""

_LOAD, _LOAD_LEAST = 360, 300
_LOAD_BASIS = (
    "GLM-5.1-FP8 was reported to load in 5 to 7 minutes from a Modal Volume: 2.1 GB a second (Modal: 1 to 3; one user "
    "measured 0.92)"
)

_EACH = "each container of a cluster is taken to read all of it, as SGLang does for whatever part a rank keeps"
"""``safetensors_weights_iterator`` (``sglang/srt/model_loader/weight_utils.py``, 0.5.11) reads every tensor of every
file in each rank; the ranks of a host share what the host has read."""

_SLOWEST_VOLUME = 920_000_000
"""Bytes a second: the least that a user measured of a Modal Volume."""

_COMPILE, _COMPILE_LEAST, _COMPILE_MOST = 750, 600, 1200
_KERNELS_BASIS = "10 to 15 minutes were reported for DeepGEMM's kernels; SGLang's own log says 10 to 20"

_FIRST_REQUEST, _FIRST_REQUEST_LEAST, _FIRST_REQUEST_MOST = 60, 20, 90

HUB_RATE = 300_000_000
"""Bytes a second from the Hugging Face Hub: "a few hundred megabytes" (Modal, very_large_models)."""

_SLOWEST_HUB = 200_000_000
"""The same, if a few hundred are two."""

VOLUME_RATE = 3_000_000_000
"""Bytes a second that a Modal Volume takes at most: "one to three gigabytes" (Modal, very_large_models)."""


def weight_load(model: Model) -> int:
    """Seconds to load the checkpoint from a volume onto the GPUs."""
    return ceil(model.weights * _LOAD / _REFERENCE)


def download(model: Model, rate: int = HUB_RATE) -> int:
    """Seconds to bring the checkpoint from the Hub into a volume at ``rate`` bytes a second."""
    return ceil(model.weights / rate)


def cold_start(model: Model | None, *, compiled: bool, nodes: int = 1) -> tuple[Step, ...]:
    """The steps from a container's start to its first answer; ``compiled`` tells whether kernels are cached.

    Without a model, the steps that every model takes. Of a cluster each container goes through all of them, side by
    side: how long Modal looks for that many hosts at once is not known.
    """
    basis = "measured with 0.5.11 on an H100"
    least, most = FIRST_START - _ENGINE, _FIRST_START_MOST - _ENGINE
    steps = [Step(name="imports", seconds=_IMPORTS, least=least, most=most, basis=basis)]
    if model is not None:
        least, most = ceil(model.weights * _LOAD_LEAST / _REFERENCE), ceil(model.weights / _SLOWEST_VOLUME)
        each = _LOAD_BASIS if nodes == 1 else f"{_LOAD_BASIS}; {_EACH}"
        steps.append(Step(name="weights", seconds=weight_load(model), least=least, most=most, basis=each))
        if model.quantization == "fp8" and not compiled:
            steps.append(_kernels())
    steps.append(
        Step(
            name="engine",
            seconds=_ENGINE,
            least=_ENGINE,
            most=_ENGINE + _GRAPHS,
            basis="measured with 0.5.11 on an H100: KV pool, CUDA graphs and warm-up of a tiny model; fewer graphs "
            "saved Kimi K2.6 162 s, as was reported",
        )
    )
    if model is not None and model.architecture == models.GLM_DSA:
        basis = "measured with 0.5.11 on an H100: about 60 s on a fresh machine, 20 s with warm caches, once above 90 s"
        times = {"seconds": _FIRST_REQUEST, "least": _FIRST_REQUEST_LEAST, "most": _FIRST_REQUEST_MOST}
        steps.append(Step(name="first answer", basis=basis, **times))
    return tuple(steps)


def before_the_first(model: Model, *, compiles: bool) -> tuple[Step, ...]:
    """What is done once, before any container serves: the download on a CPU, and the compile stage on the GPUs.

    The image's build comes beside them, of which nothing is known here.
    """
    steps = [
        Step(
            name="download",
            seconds=download(model),
            least=download(model, VOLUME_RATE),
            most=download(model, _SLOWEST_HUB),
            basis="no GPU; the Hub gives a few hundred MB a second, and a volume takes 3 GB at most, as Modal reported",
        )
    ]
    if compiles:
        parts = [step for step in cold_start(model, compiled=False) if step.name in ("imports", "weights", "kernels")]
        known = any(step.name == "kernels" for step in parts)
        kernels = _KERNELS_BASIS if known else "how long its kernels take beside the reported load is not known"
        steps.append(
            Step(
                name="compile",
                seconds=sum(step.seconds for step in parts),
                least=sum(step.least for step in parts),
                most=sum(step.most for step in parts),
                basis=f"on the serving GPUs, and again only when what decides the kernels changes; {kernels}",
            )
        )
    return tuple(steps)


def _kernels() -> Step:
    return Step(
        name="kernels",
        seconds=_COMPILE,
        least=_COMPILE_LEAST,
        most=_COMPILE_MOST,
        basis=_KERNELS_BASIS,
    )
