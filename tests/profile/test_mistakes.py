"""The mistakes that people make most: each gives one message with what to write, and `--fix` mends what is no question.

The cases are data (``tests/data/mistakes.yaml``): what is written in place of what, and what is said of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from faulty_profiles import GOOD, validate, written

from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity
from glmdeploy.profile.text.load import load, read_text
from glmdeploy.rules.check import check

FILE = Path(__file__).parents[1] / "data" / "mistakes.yaml"
CASES: list[dict[str, Any]] = read_text(FILE.read_text(encoding="utf-8"), FILE.name).data["mistakes"]
MENDED = [case for case in CASES if "mended" in case]


def made(case: dict[str, Any]) -> str:
    assert GOOD.count(case["instead_of"]) == 1, case["instead_of"]
    return GOOD.replace(case["instead_of"], case["written"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
@pytest.mark.usefixtures("here")
def test_one_message(case: dict[str, Any]) -> None:
    written(made(case))
    try:
        findings = check(load("p.yaml")).findings
    except ProfileError as error:
        findings = error.findings
    [found] = [each for each in findings if each.severity is Severity.ERROR]
    line = found.location.text.strip()
    assert (found.message, found.fix, line) == (case["says"], case["fix"], case["at"])
    assert bool(found.edits) == ("mended" in case)
    assert len([each for each in findings if each.id == "knowledge"]) <= 1


@pytest.mark.parametrize("case", MENDED, ids=lambda case: str(case["name"]))
@pytest.mark.usefixtures("here")
def test_mended_without_asking(case: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    path = written(made(case))
    code, _, err = validate(capsys, "--fix", "p.yaml")
    assert case["mended"] in [line.strip() for line in path.read_text().splitlines()], err
    assert code == 0, err


def test_there_are_many() -> None:
    assert len(CASES) >= 40
    assert len(MENDED) >= 15
    assert len({case["name"] for case in CASES}) == len(CASES)
