"""The mutants themselves: each is another program, and the tests that judge them can tell."""

from __future__ import annotations

import ast
import json
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from mutation import campaign, plugin, runs
from mutation.mutants import ROOT, Mutant, code_of, files, of_file, tree_of

if TYPE_CHECKING:
    from pathlib import Path

FILE = "glmdeploy/plan/diff.py"


def test_each_mutant_is_another_program_of_its_own() -> None:
    same = ast.dump(ast.parse((ROOT / FILE).read_text()))
    trees = [ast.dump(tree_of(mutant)) for mutant in of_file(FILE)]
    assert len(trees) > 20
    assert same not in trees
    assert len(set(trees)) == len(trees)


@pytest.mark.parametrize("file", files())
def test_each_has_a_name_of_its_own_and_compiles(file: str) -> None:
    mutants = of_file(file)
    assert len({mutant.id for mutant in mutants}) == len(mutants)
    for mutant in mutants[::25]:
        assert code_of(mutant).co_qualname == mutant.function


def test_words_are_left_alone() -> None:
    changes = "\n".join(mutant.change for file in files() for mutant in of_file(file))
    assert "https://" not in changes
    assert not [each for file in files() for each in of_file(file) if each.function.endswith("__str__")]


def test_explanations_are_of_a_kind() -> None:
    explained = json.loads(runs.EXPLAINED.read_text())
    assert explained
    for each, (kind, why) in explained.items():
        assert each.partition("::")[0] in files(), each
        assert kind in runs.KINDS, each
        assert len(why) > 10, each


def test_the_record_is_what_is_said_of_it() -> None:
    lines = [json.loads(line) for line in runs.RECORD.read_text().splitlines()]
    assert len({line["id"] for line in lines}) == len(lines) > 200
    assert {line["outcome"] for line in lines} <= {"killed", "late", "survived", "unreached", "impossible"}
    assert all(line["by"] for line in lines if line["outcome"] == "killed")


@pytest.mark.thorough
def test_a_test_that_looks_notices_and_one_that_does_not_does_not(tmp_path: Path) -> None:
    mutant: Mutant = next(each for each in of_file(FILE) if each.function == "diff")
    looks = "tests/plan/test_outage.py::test_further_volumes_and_secrets_differ_by_name"
    blind = "tests/plan/test_outage.py::test_a_plan_of_before_there_were_kinds_is_a_web_function"
    for test, outcome in ((looks, "killed"), (blind, "survived")):
        folder = tmp_path / outcome
        folder.mkdir()
        [verdict] = campaign.judged([(mutant, [test])], folder, seconds_of={}, jobs=1, show=False)
        assert verdict.outcome == outcome


@pytest.mark.thorough
def test_what_a_function_made_while_its_module_was_read_changes_too(tmp_path: Path) -> None:
    file = "glmdeploy/rules/guards/companions.py"
    mutant = next(each for each in of_file(file) if each.function == "_off" and each.change.startswith("not "))
    [verdict] = campaign.judged(
        [(mutant, ["tests/rules/test_rules.py::test_passes[GLM196]"])], tmp_path, seconds_of={}, jobs=1, show=False
    )
    assert verdict.outcome == "killed"


def test_what_another_test_has_asked_before_is_asked_anew() -> None:
    module = ModuleType("of_a_test")
    exec("import functools\n\n@functools.cache\ndef asked(): return object()\n", vars(module))
    before = module.asked()
    assert module.asked() is before
    plugin.fresh(SimpleNamespace(module=module))
    assert module.asked() is not before
    plugin.fresh(SimpleNamespace())
