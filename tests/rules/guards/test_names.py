"""Names and places that are taken: the rule and Modal's SDK refuse the same."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import modal
from hypothesis import given
from hypothesis import strategies as st
from judged import changed, facts_of
from modal._utils.mount_utils import validate_mount_points
from modal._utils.name_utils import check_object_name, check_tag_dict
from modal.exception import InvalidError

from glmdeploy.app import build
from glmdeploy.plan.make import plan_of
from glmdeploy.plan.plan import app_tags
from glmdeploy.profile.text.load import load
from glmdeploy.rules.guards import names
from glmdeploy.runtime import hosting

if TYPE_CHECKING:
    import pytest

FACTS = facts_of()
PLAN, _ = plan_of(load("b200-eagle-bf16kv"))

# The whole of what the schema takes for a name, and more often than chance what is one letter off an app's id.
NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,63}", fullmatch=True) | st.from_regex(
    r"ap-[A-Za-z0-9_]{21,23}", fullmatch=True
)
MOUNTS = st.from_regex(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,5}){1,3}", fullmatch=True) | st.from_regex(
    r"/(root|tmp)(/?[a-z]{1,3})?", fullmatch=True
)


def refused(function: object, *arguments: object) -> bool:
    try:
        function(*arguments)  # type: ignore[operator]
    except InvalidError:
        return True
    return False


def taken(**changes: object) -> list[str]:
    """The messages of the rule when parts of the flagship's profile are others."""
    profile = changed(FACTS.profile, **changes)
    return [violation.message for violation in names.TAKEN.check(dataclasses.replace(FACTS, profile=profile))]


@given(NAMES)
def test_modal_refuses_the_names_that_the_rule_refuses(name: str) -> None:
    volumes = FACTS.profile.volumes
    weights = changed(volumes.weights, name=name)
    assert refused(check_object_name, name, "App") is bool(taken(app=name))
    assert refused(modal.Volume.from_name, name) is bool(taken(volumes=changed(volumes, weights=weights)))
    key = changed(FACTS.profile.secrets.api_key, name=name)  # type: ignore[arg-type]
    secrets = changed(FACTS.profile.secrets, api_key=key)
    assert refused(check_object_name, name, "Secret") is bool(taken(secrets=secrets))


@given(MOUNTS)
def test_modal_refuses_the_mounts_that_the_rule_refuses(mount: str) -> None:
    volumes = FACTS.profile.volumes
    moved = changed(volumes, weights=changed(volumes.weights, mount=mount))
    ours = f"{mount}/".startswith(f"{build.REMOTE}/")
    modals = refused(validate_mount_points, "Volume", {mount: modal.Volume.from_name("weights")})
    assert (modals or ours) is bool(taken(volumes=moved))


@given(st.dictionaries(NAMES, NAMES, max_size=3))
def test_modal_takes_every_tag_that_the_schema_takes(tags: dict[str, str]) -> None:
    check_tag_dict(tags)
    assert bool(taken(tags=tags)) is bool(set(tags) & set(app_tags(dataclasses.replace(PLAN, tags={}))))


def test_our_own_places_are_where_the_rule_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build.REMOTE == names.OWN_FOLDER
    for name in names.OWN_VARIABLES:
        monkeypatch.setenv(name, "9999")
    assert (hosting.local_root(), hosting.local_port(8000)) == ("9999", 9999)
