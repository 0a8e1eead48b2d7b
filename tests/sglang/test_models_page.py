"""docs/models.md has the families that ship, as ``python tests/model_rows.py`` writes them."""

from __future__ import annotations

from model_rows import PAGE, made


def test_the_table_is_of_what_ships() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert made(text) == text, "run python tests/model_rows.py"
