"""Whether the profile's schema takes some data: asked of jsonschema and of our own walk, which must agree."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from glmdeploy.profile.faults import faults
from glmdeploy.profile.schema import load


@cache
def validator() -> Draft202012Validator:
    return Draft202012Validator(load())


def accepts(data: Any) -> bool:
    """What both say."""
    valid = validator().is_valid(data)
    found = list(faults(data, load()))
    assert valid == (not found), found or "a validator refuses it, and no fault is found"
    return valid
