"""``glmdeploy render``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporting import call

if TYPE_CHECKING:
    from pathlib import Path

    from snapshots import Shows


def test_to_a_file(tmp_path: Path, shows: Shows) -> None:
    target = tmp_path / "deploy.py"
    assert shows("render-to-a-file", "render", "b200-eagle-bf16kv", "-o", target)[0] == 0
    assert target.read_text() == call("render", "b200-eagle-bf16kv")[1]
    assert shows("render-no-folder", "render", "b200-eagle-bf16kv", "-o", tmp_path / "none" / "deploy.py")[0] == 1
