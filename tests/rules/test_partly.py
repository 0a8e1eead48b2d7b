"""Who asks for a part of a profile that is refused is told so; who asks for another part is not."""

from __future__ import annotations

from typing import Any

import pytest

from glmdeploy.profile.models import Profile
from glmdeploy.profile.text.load import load
from glmdeploy.rules.gaps import Gap, gaps
from glmdeploy.rules.partly import PartFacts, Partly

OF_THE_GPU = ("gpu", "gpus")
OF_THE_MODEL = ("architecture", "quantization", "kind", "model")


def facts_without(*lost: tuple[str, ...]) -> PartFacts:
    """The facts of a profile in which what stands at these paths is not known."""
    paths = frozenset(lost)
    part: Any = Partly(Profile.read(load("b200-eagle-bf16kv").data), paths)
    return PartFacts.of(part, None, lost=paths)


@pytest.mark.parametrize("name", [*OF_THE_GPU, *OF_THE_MODEL])
@pytest.mark.parametrize(("lost", "hang"), [(("gpu",), OF_THE_GPU), (("model", "repo"), OF_THE_MODEL)])
def test_what_hangs_on_a_part_that_is_refused_is_refused(
    lost: tuple[str, ...], hang: tuple[str, ...], name: str
) -> None:
    facts = facts_without(lost)
    with gaps() as met:
        getattr(facts, name)
    assert (Gap.REFUSED in met) is (name in hang)


@pytest.mark.parametrize(
    ("lost", "asked", "refused"),
    [
        (("sglang", "env", "LOST"), "LOST", True),
        (("sglang", "env", "LOST"), "OTHER", False),
        (("server", "env", "LOST"), "LOST", True),
    ],
)
def test_a_variable_that_is_refused_is_not_known(lost: tuple[str, ...], asked: str, *, refused: bool) -> None:
    facts = facts_without(lost)
    with gaps() as met:
        facts.env.get(asked)
    assert (Gap.REFUSED in met) is refused


@pytest.mark.parametrize(
    ("lost", "settled"),
    [
        ([("server", "port")], True),
        ([("sglang", "env", "OTHER")], True),
        ([("sglang", "env", "SGLANG_ONE")], False),
        ([("server", "env", "OTHER"), ("server", "env", "SGLANG_ONE")], False),
        ([("sglang", "env")], False),
        ([("gpu",)], False),
        ([("model", "repo")], False),
    ],
)
def test_sglangs_decisions_hang_on_its_own_variables_the_gpu_and_the_model(
    lost: list[tuple[str, ...]], *, settled: bool
) -> None:
    assert facts_without(*lost).settled is settled
