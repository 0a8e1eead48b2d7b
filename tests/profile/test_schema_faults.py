"""Faults of a profile's shape: a null where a value is needed is reported where it stands, a GPU is suggested."""

from __future__ import annotations

import pytest
from faulty_profiles import GOOD, written

from glmdeploy.profile.text.load import load
from glmdeploy.rules.check import check


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("gpu: B200:8", "gpu: null", ("gpu",)),
        ("gpu: B200:8", "gpu:", ("gpu",)),
        ("gpu: B200:8", "gpu: ~", ("gpu",)),
        ("app: small", "app: null", ("app",)),
        ("  version: 0.5.11", "  version: null", ("sglang", "version")),
        ("model: {repo: zai-org/GLM-5.1-FP8,", "model: {repo: null,", ("model", "repo")),
        ("  weights: {name: weights,", "  weights: {name: null,", ("volumes", "weights", "name")),
    ],
)
@pytest.mark.usefixtures("here")
def test_at_its_own_line(old: str, new: str, path: tuple[str, ...]) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new)
    written(text)
    (found,) = [each for each in check(load("p.yaml")).findings if each.id == "schema"]
    assert found.path == path
    lines = text.split("\n")
    assert found.location.line == next(number for number, line in enumerate(lines, 1) if new in line)
    assert lines[found.location.line - 1][found.location.column - 1 :].startswith(path[-1])
    said = "has no value" if new.endswith(":") else "is null"
    assert f"`{'.'.join(path)}` {said}" in found.message
    assert (found.fix or "").startswith(f"write `{path[-1]}: ")


@pytest.mark.parametrize(
    ("gpu", "fix"),
    [
        ("h200:8", "write `H200:8`"),
        ("H20O:8", "did you mean `H200:8`?"),
        ("[B200:8, b300]", "write `B300`"),
        ("V9:8", None),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_slip_in_a_gpu(gpu: str, fix: str | None) -> None:
    written(GOOD.replace("gpu: B200:8", f"gpu: {gpu}"))
    assert fix in {found.fix for found in check(load("p.yaml")).findings if found.path[:1] == ("gpu",)}


@pytest.mark.usefixtures("here")
def test_what_is_not_there_at_all_is_lacking() -> None:
    written(GOOD.replace("gpu: B200:8\n", ""))
    (found,) = [each for each in check(load("p.yaml")).findings if each.id == "schema"]
    assert found.message == "the profile lacks the key `gpu`"


@pytest.mark.usefixtures("here")
def test_a_null_that_only_removes_is_no_fault() -> None:
    written(GOOD.replace("    tp: 8", "    tp: 8\n    max-total-tokens: null"))
    assert "schema" not in {found.id for found in check(load("p.yaml")).findings}
