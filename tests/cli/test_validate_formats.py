"""Every format on everything that can be found: standard output is that format alone, the exit code is the same."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from reporting import FORMATS, PROFILES, call, write_profiles

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_profiles(tmp_path)


def is_alone(form: str, out: str) -> bool:
    """Whether the text is of the format, and of nothing else."""
    match form:
        case "json":
            return set(json.loads(out)) == {"ok", "profiles"}
        case "sarif":
            return bool(json.loads(out)["version"] == "2.1.0")
        case "junit":
            return ElementTree.fromstring(out).tag == "testsuites"
        case "github":
            return all(line.startswith(("::error ", "::warning ", "::notice ")) for line in out.splitlines())
    return bool(re.match(r"\S+|standard input: (ok|\d+ )", out.splitlines()[-1]))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", PROFILES)
def test_each_profile(form: str, name: str) -> None:
    code, out, err = call("validate", f"{name}.yaml", "--format", form)
    assert is_alone(form, out), out
    assert (code, err) == (PROFILES[name][1], "")


@pytest.mark.parametrize("form", FORMATS)
def test_standard_input(form: str) -> None:
    for text, expected in PROFILES.values():
        code, out, err = call("validate", "-", "--format", form, stdin=text)
        assert is_alone(form, out)
        assert (code, err) == (expected, "")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["missing.yaml", "no-such-profile", "", "clean.yaml/below"])
def test_a_file_that_is_not_there(form: str, name: str) -> None:
    code, out, err = call("validate", name, "--format", form)
    assert is_alone(form, out)
    assert (code, err) == (1, "")


@pytest.mark.parametrize("form", FORMATS[1:])
def test_several_profiles_and_a_broken_one_among_them(form: str) -> None:
    code, out, err = call("validate", "clean.yaml", "missing.yaml", "broken.yaml", "error.yaml", "--format", form)
    assert is_alone(form, out)
    assert (code, err) == (1, "")
    assert "GLM020" in out
    assert "missing.yaml" in out


@pytest.mark.parametrize("form", FORMATS)
def test_a_bad_argument(form: str) -> None:
    code, out, err = call("validate", "clean.yaml", "--set", "gpu", "--format", form)
    assert is_alone(form, out)
    assert (code, err) == (1, "")
    assert "--set" in out


@pytest.mark.parametrize("form", FORMATS[1:])
def test_a_fix_keeps_standard_output_for_the_format(form: str, tmp_path: Path) -> None:
    text = "extends: b200-eagle-bf16kv\nsglang:\n  args:\n    tp: 8\n    api-key: sesame-open\n"
    (tmp_path / "leak.yaml").write_text(text)
    for flag in ("--diff", "--fix"):
        code, out, err = call("validate", "leak.yaml", flag, "--format", form)
        assert is_alone(form, out)
        assert code == (flag == "--diff")
        assert "sesame" not in out + err
        assert "GLM063" in err
    assert "api-key" not in (tmp_path / "leak.yaml").read_text()


def test_json_is_a_format() -> None:
    assert call("validate", "error.yaml", "--json") == call("validate", "error.yaml", "--format", "json")
    code, out, err = call("validate", "error.yaml", "--json", "--format", "sarif")
    assert (code, err) == (2, "")
    assert "contradict" in json.loads(out)["error"]["message"]


@pytest.mark.parametrize("arguments", [("--json",), ("--format", "json"), ("--format=json",)])
def test_wrong_usage_as_json(arguments: tuple[str, ...]) -> None:
    code, out, _ = call("validate", "clean.yaml", *arguments, "--ignore", "GLM999")
    assert code == 2
    assert "GLM999" in json.loads(out)["error"]["message"]


@pytest.mark.parametrize("form", FORMATS)
def test_strict(form: str) -> None:
    assert call("validate", "warning.yaml", "--format", form)[0] == 0
    assert call("validate", "warning.yaml", "--strict", "--format", form)[0] == 1
    ignoring = ("--ignore", "GLM", "--select", "GLM020")
    assert call("validate", "warning.yaml", "--strict", "--format", form, *ignoring)[0] == 0
    # A waived finding and remarks fail nothing.
    assert call("validate", "waived.yaml", "--strict", "--format", form, "--select", "GLM004")[0] == 0


@pytest.mark.parametrize("form", FORMATS)
def test_a_folder_is_all_of_its_profiles(form: str) -> None:
    """What is broken beyond recognition, or empty, is no profile; it is counted, and no format is disturbed."""
    code, out, err = call("validate", ".", "--format", form)
    assert code == 1
    assert err == "left out 2 files that are no profiles: broken.yaml, empty.yaml\n"
    if form == "pretty":
        assert out.splitlines()[-1].startswith("7 profiles: ")
    else:
        assert is_alone(form, out)
    if form == "json":
        found = [each["profile"] for each in json.loads(out)["profiles"]]
        assert found == sorted(f"{name}.yaml" for name in PROFILES if name not in ("broken", "empty"))


def test_other_commands_tell_the_number_of_warnings_in_one_line() -> None:
    code, _, err = call("command", "waived.yaml")
    assert (code, err) == (0, "3 warnings: `glmdeploy validate waived.yaml` shows them\n")
    assert call("command", "warning.yaml")[2] == "4 warnings: `glmdeploy validate warning.yaml` shows them\n"
    assert call("command", "warning.yaml", "-q")[2] == call("-q", "command", "warning.yaml")[2] == ""
