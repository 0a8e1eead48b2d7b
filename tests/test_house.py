"""The shape of the package: twelve rooms, few words at the top, no circle, small files, one name for a thing.

The layers between the rooms are contracts in pyproject.toml; these are the rules that import-linter has no words for.
"""

from __future__ import annotations

import ast
import collections
import functools
import graphlib
import re
import sys
from pathlib import Path

import grimp
import pytest

from glmdeploy import resources

PACKAGE = Path(resources.__file__).parent
TESTS = Path(__file__).parent

ROOMS = {
    *("app", "authoring", "cli", "local", "operate", "plan"),
    *("profile", "report", "rules", "runtime", "sglang", "sizing"),
}
VOCABULARY = {"cron", "errors", "findings", "gpus", "records", "redaction", "resources"}

FILES = sorted(PACKAGE.rglob("*.py"))
IDS = [str(file.relative_to(PACKAGE)) for file in FILES]


@functools.cache
def nodes(file: Path) -> list[ast.AST]:
    """All nodes of a file's syntax tree."""
    return [*ast.walk(ast.parse(file.read_text(encoding="utf-8")))]


def test_top_level() -> None:
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name not in ("__pycache__", "data")} == (
        ROOMS
    )
    assert {path.stem for path in PACKAGE.glob("*.py")} == VOCABULARY | {"__init__", "__main__", "api"}


def test_no_circle_of_files() -> None:
    graph = grimp.build_graph("glmdeploy", exclude_type_checking_imports=False, cache_dir=None)
    needs = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(needs).prepare()


def test_a_file_is_small() -> None:
    for file in FILES:
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file


def test_a_test_file_is_small() -> None:
    long = {file.name for file in TESTS.rglob("*.py") if len(file.read_text(encoding="utf-8").splitlines()) > 500}
    assert not long


def test_no_import_needs_another_name() -> None:
    for file in FILES:
        for node in nodes(file):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert not [alias.asname for alias in node.names if alias.asname], f"{file}: {ast.unparse(node)}"


@pytest.mark.parametrize("file", [file for file in FILES if file.name == "__init__.py"], ids=str)
def test_a_face_only_says_what_the_room_is(file: Path) -> None:
    if file.parent in (PACKAGE, PACKAGE / "cli", PACKAGE / "local" / "standin" / "path" / "sglang"):
        return  # the version, the table of commands, and what takes the place of another's package
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert len(tree.body) == 1
    assert ast.get_docstring(tree), "a docstring and nothing else"


def test_no_private_name_is_taken_from_another_module() -> None:
    for file in FILES:
        own = [node for node in nodes(file) if isinstance(node, ast.ImportFrom) and is_own(node)]
        modules = {alias.name for node in own for alias in node.names}
        private = [alias.name for node in own for alias in node.names if re.match(r"_[^_]", alias.name)]
        private += [
            f"{node.value.id}.{node.attr}"
            for node in nodes(file)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
            if re.match(r"_[^_]", node.attr)
        ]
        assert not private, f"{file}: {private}"


def is_own(node: ast.ImportFrom) -> bool:
    assert not node.level, "names are absolute"
    return (node.module or "").startswith("glmdeploy")


STANDARD = {*sys.stdlib_module_names, "glmdeploy"}

KNOWS = {
    "modal": ("app", "operate", "local", "runtime"),
    "modal_proto": ("local", "operate"),
    "grpclib": ("local",),
    "yaml": ("profile/text",),
    "huggingface_hub": ("sizing/checkpoint.py", "operate/revision.py", "runtime/hub.py"),
    "hf_xet": ("runtime/xet.py",),
    "rich": ("report/grid.py",),
    "click": ("cli", "report"),
    "tree_sitter": ("authoring/launch/grammar.py",),
    "tree_sitter_bash": ("authoring/launch/grammar.py",),
    "cronsim": ("cron.py",),
    "jinja2": ("app/script.py",),
    "safetensors": ("local/standin/checkpoint.py", "local/standin/settings.py"),
}
"""Where a library is known, lazily or not."""


def imported(file: Path) -> set[str]:
    """The top-level modules that a file imports, anywhere in it."""
    found = set()
    for node in nodes(file):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_a_library_is_known_in_its_place() -> None:
    for file, name in zip(FILES, IDS, strict=True):
        for library in imported(file) & KNOWS.keys():
            assert name.startswith(KNOWS[library]), f"{name}: {library} belongs to {KNOWS[library]}"
        if name.startswith("runtime/"):
            assert imported(file) <= STANDARD | {"modal", "huggingface_hub", "hf_xet"}, name


def test_only_the_command_line_prints() -> None:
    """The containers, the processes that stand for SGLang and the builder of catalogs write logs of their own."""
    others = ("cli/", "runtime/", "local/", "sglang/real/", "sglang/catalog_build.py")
    for file, name in zip(FILES, IDS, strict=True):
        calls = nodes(file) if not name.startswith(others) else ()
        for node in calls:
            printing = isinstance(node, ast.Call) and ast.unparse(node.func) in PRINTING
            assert not printing, f"{name}: {ast.unparse(node)}"


PRINTING = {"print", "click.echo", "click.secho", "echo", "sys.stdout.write", "sys.stderr.write"}


def test_a_name_in_the_container_side_is_of_one_module() -> None:
    """The script that ``render`` writes holds all of these modules as one."""
    defined = [
        ast.unparse(name)
        for file in sorted((PACKAGE / "runtime").glob("*.py"))
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        for name in names_of(node)
    ]
    assert [name for name, count in collections.Counter(defined).items() if count > 1] == []


def names_of(node: ast.stmt) -> list[ast.expr]:
    """The names that a statement at the top of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [ast.Name(node.name)]
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign) else []


def test_no_scrap_of_a_module() -> None:
    """A module of less than 40 lines that only one other imports belongs into that other."""
    graph = grimp.build_graph("glmdeploy", exclude_type_checking_imports=False, cache_dir=None)
    scraps = [
        module
        for module in graph.modules
        if (file := PACKAGE.parent / (module.replace(".", "/") + ".py")).exists()
        and len(file.read_text(encoding="utf-8").splitlines()) < 40
        and len(graph.find_modules_that_directly_import(module)) == 1
    ]
    assert not [scrap for scrap in scraps if not scrap.startswith("glmdeploy.cli.")]
