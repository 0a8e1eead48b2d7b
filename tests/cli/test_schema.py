"""``glmdeploy schema``."""

from __future__ import annotations

from pathlib import Path

from reporting import call


def test_it_is_the_committed_one() -> None:
    committed = Path(__file__).parent.parent.parent / "schemas" / "profile.schema.json"
    assert call("schema") == (0, committed.read_text(), "")
