"""JUnit XML: as its readers' schema has it, whatever text comes in."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from reporting import PROFILES, call, finding, run_of, write_profiles

from glmdeploy.findings import Severity
from glmdeploy.report.junit import suites, xml_text

if TYPE_CHECKING:
    import pytest
    from xmlschema import XMLSchema


@cache
def schema() -> XMLSchema:
    # Not while the tests are collected: each worker does that, and one of them needs this.
    from xmlschema import XMLSchema

    return XMLSchema(Path(__file__).parent.parent / "data" / "junit-10.xsd")


def read(text: str) -> ElementTree.Element:
    schema().validate(text)
    return ElementTree.fromstring(text.encode())


@given(st.text(), st.text(), st.text())
def test_any_text(message: str, name: str, reason: str) -> None:
    document = read(suites(run_of(finding(message, path=(name,)), finding(message, waived=reason))))
    failure = document.find(".//failure")
    assert failure is not None
    assert (failure.text or "").startswith("a.yaml:3:7: error GLM020: ")


@given(st.text())
def test_every_character_has_a_form(text: str) -> None:
    element = ElementTree.Element("x", a=xml_text(text))
    element.text = xml_text(text)
    ElementTree.fromstring(ElementTree.tostring(element, encoding="unicode").encode())
    assert xml_text("a\x00\x1b\ufffe\ud800\t\n") == "a\\x00\\x1b\\xfffe\\xd800\t\n"


def test_outcomes() -> None:
    run = run_of(
        finding(path=("sglang", "args", "tp")),
        finding("another", path=("sglang", "args", "tp")),
        finding("worth knowing", severity=Severity.INFO),
        finding("costly", severity=Severity.WARNING),
        finding(waived="measured"),
    )
    [suite] = read(suites(run))
    assert suite.attrib == {"name": "a.yaml", "tests": "5", "failures": "2", "skipped": "1", "errors": "0"}
    names = [case.get("name") for case in suite]
    assert names == ["GLM020 sglang.args.tp", "GLM020 sglang.args.tp (2)", "GLM020", "GLM020 (2)", "GLM020 (3)"]
    assert [case[0].tag for case in suite] == ["failure", "failure", "system-out", "system-out", "skipped"]
    assert suite[0][0].attrib == {"type": "error", "message": "something is wrong"}
    assert (suite[0][0].text or "").splitlines()[:2] == [
        "a.yaml:3:7: error GLM020: something is wrong",
        "  3 |   tp: 4",
    ]
    assert suite[4][0].get("message") == "waived: measured"
    assert read(suites(run)).attrib == {"name": "glmdeploy", "tests": "5", "failures": "2", "errors": "0"}


def test_strict_makes_warnings_failures() -> None:
    warning = finding(severity=Severity.WARNING)
    assert read(suites(run_of(warning, strict=True))).find(".//failure") is not None
    assert read(suites(run_of(warning))).find(".//failure") is None


def test_a_profile_without_findings_passes_one_test() -> None:
    [suite] = read(suites(run_of()))
    assert [(case.get("name"), len(case)) for case in suite] == [("validate", 0)]


def test_the_schema_holds_for_real_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = write_profiles(tmp_path)
    _, out, _ = call("validate", *names, "missing.yaml", "-", "--format", "junit", stdin="a: [")
    document = read(out)
    assert [suite.get("name") for suite in document] == [*names, "missing.yaml", "-"]
    failed = [int(suite.get("failures", "0")) > 0 for suite in document]
    assert failed == [*(code == 1 for _, code in PROFILES.values()), True, True]
