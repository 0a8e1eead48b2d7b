"""The profile's schema offers every option of every release, and refuses no more than it did without them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from validators import accepts

from glmdeploy.profile import schema
from glmdeploy.profile.fields import Refused
from glmdeploy.profile.models import Profile
from glmdeploy.profile.text.load import load
from glmdeploy.sglang import catalog
from glmdeploy.sglang.command import RESERVED

OFFERED: dict[str, dict[str, Any]] = schema.load()["$defs"]["Sglang"]["properties"]["args"]["properties"]
BASE = load("b200-eagle-bf16kv").data


@pytest.mark.parametrize("version", catalog.versions())
def test_every_option_that_a_profile_may_set_is_offered(version: str) -> None:
    for option in catalog.load(version).options:
        name = option.canonical.removeprefix("--")
        assert (name in OFFERED) == (option.dest not in RESERVED and option.action not in ("help", "removed")) or (
            option.action == "removed"  # an older release has it
        )


def test_texts_say_what_and_since_when() -> None:
    assert OFFERED["tp-size"]["description"] == "The tensor parallelism size."
    assert OFFERED["dsa-prefill-backend"]["description"].endswith("(SGLang since 0.5.13.post1)")
    assert OFFERED["nsa-prefill-backend"]["description"].endswith("(SGLang until 0.5.19)")
    assert OFFERED["nsa-prefill-backend"]["deprecated"]
    assert OFFERED["kv-cache-dtype"]["examples"][:2] == ["auto", "fp8_e5m2"]
    assert all(option["description"] for option in OFFERED.values())


@given(
    name=st.sampled_from(sorted(OFFERED)) | st.text(max_size=5),
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    ).filter(lambda value: value is not None),
)
def test_the_schema_takes_what_the_models_take(name: str, value: Any) -> None:
    data = copy.deepcopy(BASE)
    data["sglang"]["args"][name] = value
    try:
        Profile.read(data)
        accepted = True
    except Refused:
        accepted = False
    assert accepts(data) == accepted
