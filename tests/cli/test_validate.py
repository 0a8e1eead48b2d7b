"""``glmdeploy validate``: what it says, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from reporting import PROFILES, call, write_profiles

if TYPE_CHECKING:
    from snapshots import Shows

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_where_what_and_how(shows: Shows) -> None:
    assert shows("validate-error", "validate", EXAMPLES / "bad" / "fp8_with_eagle.yaml")[0] == 1


def test_json(shows: Shows) -> None:
    bad = EXAMPLES / "bad" / "unknown_key.yaml"
    code, out, err = shows("validate-json", "validate", "b200-eagle-bf16kv", bad, "--json")
    assert (code, err) == (1, "")
    data = json.loads(out)
    assert data["ok"] is False
    good, wrong = data["profiles"]
    assert (good["valid"], wrong["valid"]) == (True, False)
    assert len(good["digest"]) == 64


@pytest.mark.parametrize("name", PROFILES)
def test_each_thing_that_can_be_found(name: str, here: Path, shows: Shows) -> None:
    write_profiles(here)
    assert shows(f"validate-found-{name}", "validate", f"{name}.yaml")[0] == PROFILES[name][1]


def test_strict_fails_on_warnings(shows: Shows) -> None:
    warned = EXAMPLES / "bad" / "fp8_without_eagle.yaml"
    assert call("validate", str(warned))[0] == 0
    assert shows("validate-strict", "validate", warned, "--strict")[0] == 1
    assert call("validate", str(EXAMPLES / "good" / "waived.yaml"), "--strict")[0] == 0


def test_standard_input(shows: Shows) -> None:
    assert shows("validate-standard-input", "validate", "-", stdin="schema: 2\n")[0] == 1
