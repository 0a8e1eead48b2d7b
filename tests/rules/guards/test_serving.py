"""The rules about kinds of server and containers know what the SDK and the container side know."""

from __future__ import annotations

from modal._image import _REGISTRY_AUTH_KEY_SETS

from glmdeploy.profile.serving import of_one_kind
from glmdeploy.rules.guards.resources import REGISTRIES
from glmdeploy.rules.guards.serving import INSTEAD, STOPPING
from glmdeploy.runtime.engine import STOP_SECONDS


def test_every_field_of_one_kind_has_something_instead() -> None:
    assert INSTEAD.keys() == of_one_kind().keys()


def test_the_registries_are_those_that_the_sdk_tells_apart() -> None:
    ours = {keys for sets in REGISTRIES.values() for keys in sets}
    assert ours == {frozenset(keys) for sets in _REGISTRY_AUTH_KEY_SETS.values() for keys in sets}
    assert len(REGISTRIES) == len(_REGISTRY_AUTH_KEY_SETS)


def test_an_engine_gets_as_long_as_the_rule_says() -> None:
    assert STOPPING == STOP_SECONDS
