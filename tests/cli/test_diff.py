"""``glmdeploy diff``: what changes between two profiles, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from snapshots import Shows

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize(
    ("name", "new", "code"),
    [
        ("same", "b200-eagle-bf16kv", 0),
        ("different", EXAMPLES / "good" / "public.yaml", 1),
        ("broken", EXAMPLES / "bad" / "unknown_key.yaml", 2),
        ("missing", "no-such-profile", 2),
    ],
)
def test_exit_codes(name: str, new: str | Path, code: int, shows: Shows) -> None:
    assert shows(f"diff-{name}", "diff", "b200-eagle-bf16kv", new)[0] == code
    found, out, _ = shows(f"diff-{name}-json", "diff", "b200-eagle-bf16kv", new, "--json")
    assert found == code
    data = json.loads(out)
    assert data["same"] == (code == 0) if code < 2 else data["error"]["findings"]


def test_exactly_the_change_is_shown(tmp_path: Path, shows: Shows) -> None:
    new = tmp_path / "new.yaml"
    new.write_text(
        "extends: b200-eagle-bf16kv\nsglang: {args: {mem-fraction-static: 0.85}}\nserver: {max_containers: 2}\n"
    )
    assert shows("diff-two-values", "diff", "b200-eagle-bf16kv", new)[0] == 1
