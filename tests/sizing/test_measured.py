"""The estimate against what was measured, by us and in logs of others: each row within what it says itself."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))
estimates = importlib.import_module("estimates")

ROWS: list[dict[str, Any]] = estimates.measured()["rows"]
ANSWERS: list[dict[str, Any]] = estimates.measured()["answers"]


def named(row: dict[str, Any]) -> str:
    return f"{row['repo'].partition('/')[2]}-{row['figure']}-{row['measured']}"


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_within_what_the_row_says(row: dict[str, Any]) -> None:
    assert abs(estimates.off(row)) <= row["within"]


@pytest.mark.parametrize("row", ANSWERS, ids=lambda row: row["case"])
def test_the_answer(row: dict[str, Any]) -> None:
    assert estimates.answer(row) == row["answer"]


def test_what_started_is_never_said_not_to_fit_and_what_ran_out_is_never_said_to_fit() -> None:
    for row in ANSWERS:
        assert row["answer"] != ("fits" if "out of memory" in row["happened"] else "does not fit")
        assert "out of memory" in row["happened"] or "started" in row["happened"]


def test_the_tolerances_are_tight() -> None:
    """Twice what the figures of a kind are off by at most, and no more: else a row could not fail."""
    for row in ROWS:
        assert row["within"] <= (0.8 if row["figure"] == estimates.FREE else 2.1)
        assert row["figure"] in estimates.FIGURES


def test_the_table_of_the_docs_is_what_the_estimates_say() -> None:
    """`python benchmarks --only estimates` writes it anew."""
    page = importlib.import_module("page")
    assert page.found("estimates") == page.block(estimates.tables())
