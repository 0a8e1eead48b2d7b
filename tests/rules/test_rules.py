"""Every rule has all its parts, its examples break it or do not, and its edits mend what it finds."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from glmdeploy.findings import Finding, Remove, RenameKey, SetValue, Severity
from glmdeploy.profile.text.load import load
from glmdeploy.report.rules import places
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check
from glmdeploy.rules.registry import rules
from glmdeploy.sglang.catalog import versions

if TYPE_CHECKING:
    from glmdeploy.findings import Edit
    from glmdeploy.rules.rule import Example, Rule

TODAY = date(2026, 11, 23)
PLACES = (Path(__file__).parent / "places.txt").read_text(encoding="utf-8").splitlines()

BROKEN = [(rule, example) for rule in rules() for example in rule.fails]


def name(value: Rule | Example) -> str:
    return getattr(value, "id", None) or " ".join((value.profile, *value.sets))


@cache
def findings(example: Example, *sets: str) -> list[Finding]:
    document = load(str(profiles_dir() / f"{example.profile}.yaml"), sets=(*example.sets, *sets))
    return [found for found in check(document, today=TODAY).findings if not found.waived]


@pytest.mark.parametrize("rule", rules(), ids=name)
def test_parts(rule: Rule) -> None:
    assert re.fullmatch(r"GLM\d{3}", rule.id)
    assert all((rule.title, rule.why, rule.fix, rule.sources, rule.fails, rule.passes))
    assert rule.title[0].islower() or not rule.title[1].islower(), "a title is no sentence"
    assert not rule.title.endswith(".")
    assert rule.why.endswith(".")
    assert not rule.fix.endswith("."), "a fix is a clause"
    assert "\n" not in rule.why
    for version in (rule.scope.since, rule.scope.until):
        assert version is None or version in versions()


@pytest.mark.parametrize(("rule", "example"), BROKEN, ids=name)
def test_fails(rule: Rule, example: Example) -> None:
    found = findings(example)
    mine = [finding for finding in found if finding.id == rule.id]
    assert mine, found
    errors = {finding.id for finding in found if finding.severity is Severity.ERROR}
    assert errors <= {rule.id}, "an example has one fault"
    for finding in mine:
        assert finding.message
        assert "None" not in finding.message, finding.message
        assert not finding.message.endswith(".")
    said = places((replace(rule, fails=(example,)),), lambda *_: mine).splitlines()
    assert said == [line for line in PLACES if line.startswith(f"{rule.id} | {name(example)} | ")]


def test_every_example_has_a_place() -> None:
    assert {tuple(line.split(" | ")[:2]) for line in PLACES} == {(rule.id, name(example)) for rule, example in BROKEN}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.id)
def test_passes(rule: Rule) -> None:
    for example in rule.passes:
        found = findings(example)
        assert rule.id not in {finding.id for finding in found}, example
        errors = [finding for finding in found if finding.severity is Severity.ERROR]
        assert not errors, f"a good example has no errors: {example}"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.id)
def test_edits_mend(rule: Rule) -> None:
    for example in rule.fails:
        for finding in findings(example):
            if finding.id != rule.id or not finding.edits:
                continue
            after = findings(example, *(assignment for edit in finding.edits for assignment in as_sets(edit, example)))
            assert finding.id not in {found.id for found in after}, f"the edits mend what was found: {example}"
            errors = [found for found in after if found.severity is Severity.ERROR]
            assert not errors, f"and break nothing: {example}"


def as_sets(edit: Edit, example: Example) -> list[str]:
    path = ".".join(map(str, edit.path))
    match edit:
        case SetValue():
            value = str(edit.value).lower() if isinstance(edit.value, bool) else edit.value
            return [f"{path}={value}"]
        case Remove():
            return [f"{path}=null"]
        case RenameKey():
            data = load(str(profiles_dir() / f"{example.profile}.yaml"), sets=example.sets).data
            for part in edit.path:
                data = data[part]
            return [f"{path}=null", f"{path.rpartition('.')[0]}.{edit.name}={data}"]
    raise AssertionError(f"{edit} is no edit of a rule")
