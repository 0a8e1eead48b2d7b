"""What pyproject.toml declares is what is imported, and constraints.txt names one version that it allows."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).parents[1]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
RUNTIME = [Requirement(line) for line in PROJECT["dependencies"]]
TEST = [Requirement(line) for line in PROJECT["optional-dependencies"]["test"]]
DISTRIBUTIONS = packages_distributions()


def imported(folder: str) -> dict[str, Path]:
    """The packages that are imported below a folder, each with a file that does; none of Python's or of its own."""
    found = {}
    for path in sorted((TOP / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            found |= {name.split(".")[0]: path for name in names}
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names and name != "glmdeploy"}


@pytest.mark.parametrize(("folder", "declared"), [("glmdeploy", RUNTIME), ("tests", [*RUNTIME, *TEST])])
def test_what_is_imported_is_declared(folder: str, declared: list[Requirement]) -> None:
    names = {canonicalize_name(requirement.name) for requirement in declared}
    found = imported(folder)
    assert len(found) > 5
    for module, path in found.items():
        # A module that is not installed is imported in another interpreter: torch, where SGLang is.
        for distribution in DISTRIBUTIONS.get(module, []):
            assert canonicalize_name(distribution) in names, f"{path.relative_to(TOP)} imports {module}"


@pytest.mark.parametrize("requirement", [*RUNTIME, *TEST], ids=lambda requirement: requirement.name)
def test_a_range_begins_somewhere_and_holds_the_exact_version(requirement: Requirement) -> None:
    assert any(each.operator == ">=" for each in requirement.specifier)
    lines = [line for line in (TOP / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    exact = dict(line.split("==") for line in lines)
    assert exact[canonicalize_name(requirement.name)] in requirement.specifier
