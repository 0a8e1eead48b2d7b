"""Launches from the field: what ``import`` makes of each, what the checks say of it, and what ``size`` does."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from field_cases import CASES as FIELD
from field_cases import Case
from more_cases import CASES as MORE
from node_cases import CASES as NODES
from support import one_in

from glmdeploy.authoring.launch.imported import import_script
from glmdeploy.authoring.launch.script import ImportOptions, Script, decode
from glmdeploy.errors import GlmdeployError, ProfileError
from glmdeploy.findings import Severity
from glmdeploy.sglang import command
from glmdeploy.sizing import size

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.imported import Imported
    from glmdeploy.findings import Finding

HERE = Path(__file__).parent

CASES = (*FIELD, *MORE, *NODES)
PROFILES = [case for case in CASES if case.profile]


def outcome(case: Case) -> tuple[Imported | None, str, tuple[Finding, ...]]:
    """What was imported, all that was said of the launch, and the findings about it."""
    return imported(HERE / case.folder / case.file, case.gpu, case.version)


@cache
def imported(file: Path, gpu: str | None, version: str | None) -> tuple[Imported | None, str, tuple[Finding, ...]]:
    try:
        script = decode(file.read_bytes(), file.name)
        result = import_script(script, ImportOptions(gpu=gpu, sglang_version=version))
    except ProfileError as error:
        return None, "\n".join(map(said, error.findings)), tuple(error.findings)
    except GlmdeployError as error:
        return None, f"{error} {error.advice}", ()
    return result, "\n".join(map(said, result.notes)), result.notes


def said(finding: Finding) -> str:
    return " ".join(filter(None, (finding.message, finding.expected, finding.fix)))


def by_id(cases: Any) -> Any:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.file)


def test_every_launch_is_expected_to_give_something() -> None:
    given = {HERE / case.folder / case.file for case in CASES}
    assert given == {file for file in (HERE / "field").rglob("*") if file.is_file()}


@by_id(CASES)
def test_import(case: Case) -> None:
    result, text, findings = outcome(case)
    complete = result is not None and result.complete
    assert complete == case.profile, text
    if case.nothing:
        assert result is None or result.text is None
    for part in case.says:
        assert part in text
    for part in case.silent:
        assert part not in text
    errors = {found.location.line for found in findings if found.severity is Severity.ERROR}
    assert set(case.lines) <= errors, text
    if result is not None and result.data is not None:
        for path, value in case.data.items():
            assert at(result.data, path) == value, path
        for path in case.without:
            with pytest.raises(KeyError):
                at(result.data, path)


def at(data: Any, path: str) -> Any:
    section, _, rest = path.partition(".args.")
    parts = [*section.split("."), *(["args", rest] if rest else [])]
    for part in parts:
        data = data[part]
    return data


@by_id(PROFILES)
def test_checks(case: Case) -> None:
    result, text, _ = outcome(case)
    assert result is not None, text
    assert result.checked is not None
    found = {each.id for each in result.checked.findings}
    assert set(case.finds) <= found
    assert not set(case.finds_not) & found
    errors = [f"{each.id}: {each.message}" for each in result.checked.findings if each.severity is Severity.ERROR]
    if case.errors is not None:
        assert bool(errors) == case.errors, errors


@by_id(one_in(4, PROFILES))
def test_round_trip(case: Case) -> None:
    """What `command` prints comes back as the same arguments."""
    result, text, _ = outcome(case)
    assert result is not None, text
    assert result.checked is not None
    facts = result.checked.facts
    assert facts is not None
    assert result.data is not None
    printed = command.shell(facts.command, None)
    options = ImportOptions(
        gpu=result.data["gpu"], sglang_version=result.data["sglang"]["version"], repo=result.data["model"]["repo"]
    )
    again = import_script(Script(file="command.sh", text=printed), options)
    assert again.checked is not None
    assert again.checked.facts is not None
    assert again.checked.facts.command == facts.command


@by_id([case for case in CASES if case.size])
def test_size(case: Case) -> None:
    result, text, _ = outcome(case)
    assert result is not None, text
    assert result.checked is not None
    facts = result.checked.facts
    assert facts is not None
    assert size.size(facts, size.dimensions(facts)).answer == case.size
