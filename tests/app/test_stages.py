"""What the stages' own app has, and the deployed one has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from glmdeploy.app import build
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load

if TYPE_CHECKING:
    from pathlib import Path

PLAN, _ = plan_of(load("b200-eagle-bf16kv"))


def carried(folder: Path) -> set[str]:
    return {file.name for file in (folder / "glmdeploy").rglob("*.py") if "sglang" in file.parts}


def test_what_asks_sglang_is_not_deployed(tmp_path: Path) -> None:
    build.build(PLAN, tmp_path)
    assert carried(tmp_path) == set()


@pytest.mark.parametrize("wanted", ["checks", "rehearsal"])
def test_what_asks_sglang_is_there_when_it_is_asked(wanted: str, tmp_path: Path) -> None:
    made = build.stages(PLAN, tmp_path, **{wanted: True})
    assert carried(tmp_path) == {"image_probe.py", "oracle_probe.py", "catalog_probe.py"}
    assert (made.preflight is not None, made.rehearse is not None) == (wanted == "checks", wanted == "rehearsal")
