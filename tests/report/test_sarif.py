"""SARIF: as its schema has it, and as code-scanning services want it."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, FormatChecker
from reporting import TOKEN, call, finding, run_of, write_profiles

from glmdeploy import __version__
from glmdeploy.findings import CHECKS, Location, Severity
from glmdeploy.report.run import replacement
from glmdeploy.report.sarif import log
from glmdeploy.rules.registry import rules

SCHEMA = json.loads((Path(__file__).parent.parent / "data" / "sarif-schema-2.1.0.json").read_text())
VALIDATOR = Draft7Validator(SCHEMA, format_checker=FormatChecker())

FAULTY = "extends: b200-eagle-bf16kv\nsglang:\n  args:\n    tp: 4\n    api-key: sesame-open\n    no-such: 1\n"


def results(text: str) -> list[dict[str, Any]]:
    document = json.loads(text)
    VALIDATOR.validate(document)
    found: list[dict[str, Any]] = document["runs"][0]["results"]
    return found


def validated(folder: Path, text: str) -> list[dict[str, Any]]:
    (folder / "a.yaml").write_text(text)
    return results(call("validate", "a.yaml", "--format", "sarif")[1])


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_schema_refuses_something() -> None:
    assert not VALIDATOR.is_valid({"version": "2.1.0", "runs": [{"tool": {}}]})


def test_the_schema_holds_for_real_runs(tmp_path: Path) -> None:
    names = write_profiles(tmp_path)
    code, out, _ = call("validate", *names, "missing.yaml", "-", "--format", "sarif", stdin="a: [")
    assert code == 1
    found = results(out)
    uris = {result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in found}
    assert {"error.yaml", "broken.yaml", "missing.yaml", "%3Cstdin%3E"} <= uris
    assert {result["ruleId"] for result in found} >= {"GLM004", "GLM020", "yaml", "schema", "sglang"}


@given(st.text(), st.text(), st.text(), st.integers(1, 9), st.integers(1, 9))
def test_any_text(message: str, file: str, line: str, column: int, length: int) -> None:
    place = Location(file=file, line=1, column=min(column, len(line) + 1), text=line, length=length)
    [rule] = [each for each in rules() if each.id == finding().id]
    document = log(run_of(finding(message, location=place, waived=message), finding(message, fix=line)), [rule])
    VALIDATOR.validate(json.loads(json.dumps(document)))


def test_tool() -> None:
    [run] = log(run_of(), rules())["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("glmdeploy", __version__)
    assert [each["id"] for each in driver["rules"]] == [*(rule.id for rule in rules()), *CHECKS]
    for each in driver["rules"]:
        # What GitHub asks for: https://docs.github.com/en/code-security/reference/code-scanning/sarif-support-for-code-scanning
        assert each["name"].isalnum()
        assert 0 < len(each["shortDescription"]["text"]) <= 1024
        assert each["fullDescription"]["text"]
        assert each["help"]["text"]
        assert each["defaultConfiguration"]["level"] in ("error", "warning", "note")
        assert all(" " not in tag for tag in each["properties"]["tags"])
    assert run["columnKind"] == "unicodeCodePoints"
    assert run["originalUriBaseIds"]["%SRCROOT%"]["uri"] == f"{Path.cwd().as_uri()}/"


def test_result(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    profiles = tmp_path / "deploy"
    profiles.mkdir()
    (profiles / "a b.yaml").write_text(FAULTY)
    _, out, _ = call("validate", "deploy/a b.yaml", "--format", "sarif", "--select", "GLM020")
    [result] = results(out)
    rule = json.loads(out)["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]
    assert rule["id"] == result["ruleId"] == "GLM020"
    assert result["level"] == "error"
    assert result["suppressions"] == []
    [location] = result["locations"]
    assert location["logicalLocations"] == [{"fullyQualifiedName": "sglang.args.tp"}]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "deploy/a%20b.yaml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 4, "startColumn": 9, "endColumn": 10, "snippet": {"text": "4"}},
        "contextRegion": {"startLine": 4, "snippet": {"text": "    tp: 4"}},
    }


def test_uris_are_relative_to_the_repository_and_not_to_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.yaml").write_text(FAULTY)
    (tmp_path / "deep" / "b.yaml").write_text(FAULTY)
    monkeypatch.chdir(tmp_path / "deep")
    _, out, _ = call(
        "validate", "../a.yaml", str(tmp_path / "deep" / "b.yaml"), "--format", "sarif", "--select", "GLM020"
    )
    uris = [result["locations"][0]["physicalLocation"]["artifactLocation"] for result in results(out)]
    assert [uri["uri"] for uri in uris] == ["a.yaml", "deep/b.yaml"]
    monkeypatch.chdir("/")
    _, out, _ = call("validate", "b200-nospec-bf16kv", "--format", "sarif", "--overlay", str(tmp_path / "a.yaml"))
    assert all("locations" in result for result in results(out))


def test_fingerprints_stay_when_lines_move_and_numbers_change(tmp_path: Path) -> None:
    def prints(text: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for result in validated(tmp_path, text):
            found.setdefault(result["ruleId"], []).append(result["partialFingerprints"]["primaryLocationLineHash"])
        return found

    before = prints(FAULTY)
    assert before == prints(
        "# one\n# more\n" + FAULTY.replace("tp: 4", "tp: 4  # note").replace("args:", "args: # here")
    )
    assert before["GLM020"] == prints(FAULTY.replace("tp: 4", "tp: 2"))["GLM020"]
    every = [each for group in before.values() for each in group]
    assert len(set(every)) == len(every)


def test_results_alike_are_numbered() -> None:
    found = log(run_of(finding("one"), finding("two")), rules())["runs"][0]["results"]
    one, two = (result["partialFingerprints"]["primaryLocationLineHash"] for result in found)
    assert (one.partition(":")[0], one[-2:], two[-2:]) == (two.partition(":")[0], ":1", ":2")


def test_what_profiles_share_is_one_result(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(FAULTY)
    for name in ("x", "y"):
        (tmp_path / f"{name}.yaml").write_text(f"extends: base.yaml\nname: {name}\n")
    _, out, _ = call("validate", "x.yaml", "y.yaml", "--format", "sarif", "--select", "GLM020")
    assert len(results(out)) == 1


def test_waived() -> None:
    [result] = log(run_of(finding(waived="measured")), rules())["runs"][0]["results"]
    assert result["suppressions"] == [{"kind": "inSource", "justification": "measured"}]


def test_levels() -> None:
    found = log(run_of(*(finding(str(severity), severity=severity) for severity in Severity)), rules())
    assert [result["level"] for result in found["runs"][0]["results"]] == ["error", "warning", "note"]


def applied(text: str, region: dict[str, int], new: str) -> str:
    """A replacement made as a reader of SARIF makes it."""
    lines = [*text.splitlines(keepends=True), ""]
    starts = [sum(map(len, lines[:row])) for row in range(len(lines))]
    first = starts[region["startLine"] - 1] + region["startColumn"] - 1
    last = starts[region["endLine"] - 1] + region["endColumn"] - 1
    return text[:first] + new + text[last:]


def test_a_fix_is_what_validate_fix_does(tmp_path: Path) -> None:
    found = {result["ruleId"]: result for result in validated(tmp_path, FAULTY) if "fixes" in result}
    assert "GLM063" in found
    for identity, result in found.items():
        [fix] = result["fixes"]
        [change] = fix["artifactChanges"]
        assert change["artifactLocation"]["uri"] == "a.yaml"
        [piece] = change["replacements"]
        by_reader = applied(FAULTY, piece["deletedRegion"], piece.get("insertedContent", {}).get("text", ""))
        (tmp_path / "a.yaml").write_text(FAULTY)
        call("validate", "a.yaml", "--fix", "--select", identity)
        assert (tmp_path / "a.yaml").read_text() == by_reader
    assert "sesame" not in json.dumps(found)


def test_no_fix_where_values_are_not_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: base.yaml\n")
    (tmp_path / "base.yaml").write_text(FAULTY)
    for arguments in (("a.yaml",), ("base.yaml", "--set", "name=x")):
        found = results(call("validate", *arguments, "--format", "sarif")[1])
        assert found
        assert not any("fixes" in result for result in found)


def test_no_fix_of_what_is_no_file() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pipe = Path(folder) / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_text, args=(FAULTY,))
        writer.start()
        found = results(call("validate", str(pipe), "--format", "sarif")[1])
        writer.join()
    assert "GLM063" in {result["ruleId"] for result in found}
    assert not any("fixes" in result for result in found)


@given(st.text("ab\r\n :", max_size=12), st.text("ab\r\n :", max_size=12))
def test_replacement(before: str, after: str) -> None:
    change = replacement("a.yaml", before, after)
    if change is None:
        assert before == after
        return
    region = {
        "startLine": change.start_line,
        "startColumn": change.start_column,
        "endLine": change.end_line,
        "endColumn": change.end_column,
    }
    assert applied(before, region, change.text) == after


def test_no_token_in_a_snippet() -> None:
    line = f"key: {TOKEN} # {TOKEN}"
    place = Location(file="a.yaml", line=1, column=6, text=line, length=len(TOKEN))
    document = log(run_of(finding(location=place)), rules())
    assert TOKEN not in json.dumps(document)
    region = document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 1, "startColumn": 6, "endColumn": 6 + len(TOKEN), "snippet": {"text": "hf_***"}}
