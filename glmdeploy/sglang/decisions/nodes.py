"""What SGLang decides otherwise where several machines serve together (``--nnodes``).

In every release from 0.5.10 to 0.5.23 that is named here, and no more: ``nnodes`` stands in ``server_args.py`` and
``arg_groups`` beside it only in checks, in what is decided for AMD's GPUs and NVLink racks (GB200), and in the decode
context parallelism of which nothing is claimed. The recordings are of one machine, so nothing is called recorded;
``tests/sglang/real/test_nodes.py`` asks the real resolution.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from glmdeploy.gpus import BLACKWELL
from glmdeploy.sglang.decisions.trees import OPEN
from glmdeploy.sglang.decisions.watched import questions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.sglang.decisions.situation import Situation
    from glmdeploy.sglang.decisions.trees import Decided

FUSION, TRANSPORT = "allreduce_fusion", "mm_feature_transport"
"""``cuda_ipc`` is of one machine's processes; on several it is ``cpu``, NVLink racks (GB200) apart. Source:
``arg_groups/model_overrides/qwen3_vl.py`` and ``arg_groups/serving_hook.py`` (0.5.20 to 0.5.23)."""

NODES = "nnodes"


def fuses_across_nodes(now: Situation) -> bool:
    """Whether SGLang switches allreduce fusion on by itself although there are several machines.

    Until 0.5.13 never; from 0.5.14 on on Blackwell, as if all of its machines were joined by NVLink. Source: the
    condition with ``nnodes == 1`` in ``server_args.py`` (0.5.10 to 0.5.14) and
    ``_flashinfer_allreduce_fusion_auto_enable`` (``arg_groups/overrides.py``, 0.5.15.post1 to 0.5.23).
    """
    return now.since("0.5.14") and now.gpu.major == BLACKWELL


def decided(now: Situation, found: Mapping[str, Decided], asked: Mapping[str, Any]) -> Mapping[str, Decided]:
    """What the recordings of one machine say, for as many as there are; ``asked`` are the options' own values."""
    before = questions(now.values)
    several = now.several_nodes
    if questions(now.values) > before:  # how many there are is not known
        lost = {name: replace(found[name], value=OPEN, recorded=False, lost=True) for name in _DIFFER & found.keys()}
        return {**found, **lost}
    if not several:
        return found
    known = {name: replace(one, recorded=False) for name, one in found.items()}
    if FUSION in known and not fuses_across_nodes(now):
        known[FUSION] = _unless_decided(known[FUSION], asked[FUSION], asked[FUSION])
    if TRANSPORT in known and known[TRANSPORT].value == "cuda_ipc":
        known[TRANSPORT] = _unless_decided(known[TRANSPORT], asked[TRANSPORT], "cpu")
    return known


def _unless_decided(one: Decided, asked: Any, instead: Any) -> Decided:
    """What is asked for where that stands, ``instead`` where SGLang made something else of it."""
    return one if one.value == asked else replace(one, value=instead, because=(*one.because, NODES))


_DIFFER = {FUSION, TRANSPORT}
