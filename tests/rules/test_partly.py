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


@pytest.mark.parametrize("name", [*OF_THE_GPU, *OF_THE_MODEL])
@pytest.mark.parametrize(("lost", "hang"), [(("gpu",), OF_THE_GPU), (("model", "repo"), OF_THE_MODEL)])
def test_what_hangs_on_a_part_that_is_refused_is_refused(
    lost: tuple[str, ...], hang: tuple[str, ...], name: str
) -> None:
    paths = frozenset({lost})
    part: Any = Partly(Profile.read(load("b200-eagle-bf16kv").data), paths)
    facts = PartFacts.of(part, None, lost=paths)
    with gaps() as met:
        getattr(facts, name)
    assert (Gap.REFUSED in met) is (name in hang)
