"""Seconds and dollars come from figures that were measured or published, and say so."""

from __future__ import annotations

import re

import pytest

from glmdeploy import gpus
from glmdeploy.sizing import cost, timeline
from glmdeploy.sizing.model import Model, known


def model(repo: str) -> Model:
    found = known(repo)
    assert found
    return found


GLM51, AIR = model("zai-org/GLM-5.1-FP8"), model("zai-org/GLM-4.5-Air-FP8")


def test_weights_load_as_reported() -> None:
    assert timeline.weight_load(GLM51) == pytest.approx(360, abs=2), "5 to 7 minutes"
    assert timeline.weight_load(model("zai-org/GLM-5.1")) == pytest.approx(720, rel=0.01), "twice the bytes"
    # Modal tells 1 to 3 GB a second for a volume.
    assert 1e9 < GLM51.weights / timeline.weight_load(GLM51) < 3e9


def test_downloads_at_the_rates_that_modal_tells() -> None:
    assert timeline.download(GLM51) == pytest.approx(42 * 60, rel=0.01)
    assert timeline.download(GLM51, timeline.VOLUME_RATE) == pytest.approx(252, rel=0.01)


def test_a_cold_start() -> None:
    steps = {step.name: step for step in timeline.cold_start(GLM51, compiled=True)}
    assert list(steps) == ["imports", "weights", "engine", "first answer"]
    uncompiled = {step.name: step for step in timeline.cold_start(GLM51, compiled=False)}
    assert set(uncompiled) - set(steps) == {"kernels"}
    assert 10 * 60 <= uncompiled["kernels"].least < uncompiled["kernels"].seconds <= 15 * 60
    for step in uncompiled.values():
        assert 0 < step.least <= step.seconds <= step.most
        assert "measured" in step.basis or "reported" in step.basis


def test_before_the_first_start() -> None:
    download, compiling = timeline.before_the_first(GLM51, compiles=True)
    assert (download.name, compiling.name) == ("download", "compile")
    assert download.seconds == timeline.download(GLM51)
    steps = timeline.cold_start(GLM51, compiled=False)
    assert compiling.seconds == sum(step.seconds for step in steps if step.name in ("imports", "weights", "kernels"))
    for step in (download, compiling):
        assert 0 < step.least < step.seconds < step.most
        assert "reported" in step.basis
    assert [step.name for step in timeline.before_the_first(GLM51, compiles=False)] == ["download"]
    # A checkpoint without kernels of DeepGEMM is loaded all the same.
    assert timeline.before_the_first(AIR, compiles=True)[1].seconds < compiling.seconds


def test_only_fp8_in_blocks_is_compiled() -> None:
    for other in (AIR, model("zai-org/GLM-4.5-Air"), None):
        assert timeline.cold_start(other, compiled=False) == timeline.cold_start(other, compiled=True)


def test_a_start_of_a_model_of_which_nothing_is_known() -> None:
    steps = timeline.cold_start(None, compiled=True)
    assert sum(step.least for step in steps) == timeline.FIRST_START == 52
    assert sum(step.seconds for step in steps) <= 64


@pytest.mark.parametrize("name", gpus.TYPES)
def test_every_gpu_has_a_price(name: str) -> None:
    price = gpus.PRICES[name]
    assert 0.5 < price.dollars < 10
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", price.date)
    assert price.source.startswith("`modal billing rates`" if name == "B300" else "https://modal.com/pricing")


def test_dollars() -> None:
    b200 = gpus.parse("B200:8")
    assert cost.hourly(b200) == pytest.approx(8 * 3600 * 0.001736)
    assert cost.of(b200, 86_400) == pytest.approx(1200, abs=1)
    assert cost.hourly(b200, {}) is None
    assert cost.of(b200, 60, {}) is None
