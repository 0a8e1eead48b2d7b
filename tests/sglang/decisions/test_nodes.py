"""What several machines change of what was recorded on one."""

from __future__ import annotations

from typing import Any

import pytest

from glmdeploy import gpus
from glmdeploy.sglang.decisions.nodes import decided, fuses_across_nodes
from glmdeploy.sglang.decisions.situation import Situation
from glmdeploy.sglang.decisions.trees import OPEN, Decided
from glmdeploy.sglang.decisions.watched import Watched


def situation(version: str = "0.5.16", gpu: str = "H200:8", **values: Any) -> Situation:
    return Situation(version=version, gpu=gpus.parse(gpu), quantization=None, env={}, values=values)


def one(value: Any) -> Decided:
    return Decided(value=value, recorded=True, because=("tp_size",))


@pytest.mark.parametrize(
    ("version", "gpu", "fuses"),
    [
        ("0.5.13.post1", "B200:8", False),
        ("0.5.14", "B200:8", True),
        ("0.5.23", "B300:8", True),
        ("0.5.23", "H200:8", False),
        ("0.5.23", "RTX-PRO-6000:8", False),
    ],
)
def test_fusion(version: str, gpu: str, *, fuses: bool) -> None:
    now = situation(version, gpu, nnodes=2)
    assert fuses_across_nodes(now) is fuses
    found = decided(now, {"allreduce_fusion": one("auto")}, {"allreduce_fusion": "off"})["allreduce_fusion"]
    assert found.value == ("auto" if fuses else "off")
    assert found.because[-1] == ("tp_size" if fuses else "nnodes")


def test_what_is_asked_for_stands() -> None:
    found = decided(situation(nnodes=2), {"allreduce_fusion": one("trtllm")}, {"allreduce_fusion": "trtllm"})
    assert found["allreduce_fusion"].value == "trtllm"


@pytest.mark.parametrize(("recorded", "asked", "value"), [("cuda_ipc", None, "cpu"), ("cpu", None, "cpu")])
def test_images(recorded: str, asked: str | None, value: str) -> None:
    found = decided(situation(nnodes=2), {"mm_feature_transport": one(recorded)}, {"mm_feature_transport": asked})
    assert found["mm_feature_transport"].value == value


def test_nothing_is_recorded_of_several() -> None:
    found = decided(situation(nnodes=4), {"page_size": one(64)}, {"page_size": None})
    assert (found["page_size"].value, found["page_size"].recorded) == (64, False)
    alone = {"page_size": one(64)}
    assert decided(situation(nnodes=1), alone, {"page_size": None}) == alone == decided(situation(), alone, {})


def test_where_nobody_knows_how_many() -> None:
    now = Situation(
        version="0.5.16", gpu=gpus.parse("H200:8"), quantization=None, env={}, values=Watched({"nnodes": 1}, {"nnodes"})
    )
    found = decided(now, {"allreduce_fusion": one("auto"), "page_size": one(64)}, {"allreduce_fusion": "off"})
    assert (found["allreduce_fusion"].value, found["allreduce_fusion"].lost) == (OPEN, True)
    assert found["page_size"] == one(64)
