"""A file for SGLang's --config is read as SGLang reads it."""

from __future__ import annotations

import pytest

from glmdeploy.authoring.launch import config
from glmdeploy.authoring.launch.imported import Imported, import_script
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity
from glmdeploy.sglang import catalog


def words(text: str, version: str = "0.5.11") -> list[str]:
    return [word.text for word in config.read(Script(file="x.yaml", text=text), catalog.load(version)).words]


def imported(text: str, file: str = "x.yaml", **options: str) -> Imported:
    return import_script(
        Script(file=file, text=text), ImportOptions(**{"sglang_version": "0.5.11", "gpu": "H200:8", **options})
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tp: 8", ["--tp", "8"]),
        ("tp-size: '8'", ["--tp-size", "8"]),
        ("trust-remote-code: true", ["--trust-remote-code"]),
        ("trust-remote-code: yes", ["--trust-remote-code"]),
        ("trust-remote-code: Off", []),
        ("trust-remote-code: 'yes'", ["--trust-remote-code", "yes"]),
        ("chat-template: true", ["--chat-template", "true"]),
        ("cuda-graph-bs: [1, 2]", ["--cuda-graph-bs", "1", "2"]),
        ("cuda-graph-bs: []", []),
        ("mem-fraction-static: 0.90", ["--mem-fraction-static", "0.90"]),
        ("watchdog-timeout: 1e3", ["--watchdog-timeout", "1e3"]),
        ("chat-template: null", ["--chat-template", "None"]),
        ("chat-template: a b", ["--chat-template", "a b"]),
        ("json-model-override-args: {a: 1}", ["--json-model-override-args", "{'a': 1}"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_a_mapping_is_json_since_0_5_14() -> None:
    assert words("json-model-override-args: {a: 1}", "0.5.14") == ["--json-model-override-args", '{"a": 1}']


def test_import() -> None:
    result = imported(
        "model-path: zai-org/GLM-5.1-FP8\ntp: 8\ntrust-remote-code: true\nport: 8000\nhost: 10.0.0.1\n"
        "cuda-graph-bs: [1, 2, 4]\nmem-fraction-static: 0.85\n"
    )
    assert result.complete
    assert result.data is not None
    assert result.data["model"]["repo"] == "zai-org/GLM-5.1-FP8"
    assert result.data["server"]["port"] == 8000
    assert result.data["sglang"]["args"] == {
        "tp-size": 8,
        "trust-remote-code": True,
        "cuda-graph-bs": [1, 2, 4],
        "mem-fraction-static": 0.85,
    }


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("model-path: a/b\ntp_size: 8", (2, 1), "has no option `tp_size`"),
        ("model-path: a/b\ntp: eight", (2, 5), "`tp-size` cannot be `eight`"),
        ("model-path: a/b\nlora-strict-loading: true", (2, 22), "cannot set lora-strict-loading"),
        ("model-path: a/b\nport: 0x1F90\ntp: 0o10", (3, 5), "another number in YAML 1.1"),
        ("model-path: a/b\ncontext-length: 1_000", (2, 17), "another number in YAML 1.1"),
        ("tp: 8", (1, 1), "names no model"),
    ],
)
def test_faults_are_placed(text: str, place: tuple[int, int], message: str) -> None:
    [found] = [note for note in imported(text).notes if note.severity is Severity.ERROR]
    assert (found.location.line, found.location.column) == place
    assert message in found.message


def test_an_abbreviation_is_told() -> None:
    result = imported("model-path: a/b\ntp: 8\nmem-frac: 0.8\ntensor-parallel-size: 8\n")
    [found] = [note for note in result.notes if "beginning" in note.message]
    assert (found.location.line, found.location.column) == (3, 1)
    assert found.message.startswith("mem-frac was taken for mem-fraction-static")
    assert result.data is not None
    assert result.data["sglang"]["args"]["mem-fraction-static"] == 0.8


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("image: lmsysorg/sglang:v0.5.11\ncommand: sglang serve a/b\n", "image"),
        ("model-path: a/b\nimage: lmsysorg/sglang:v0.5.11\n", "image"),
        ("type: sglang\nport: 8000\n", "type"),
        ("colour: blue\n", "colour"),
        ("engine: {model-path: a/b}\n", "engine"),
    ],
)
def test_another_file_is_never_taken_for_one(text: str, key: str) -> None:
    with pytest.raises(ProfileError, match=f"`{key}` is no option of SGLang's") as raised:
        imported(text)
    assert raised.value.findings[0].expected is not None


@pytest.mark.parametrize("text", ["- a", "a: b: c", "a: 1\na: 2", "x", ""])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ProfileError):
        imported(text)


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("x.yaml", "sglang serve a/b", True),
        ("<stdin>", "# c\n---\n\nmodel-path: a/b\n", True),
        ("<stdin>", '"model-path": a/b\n', True),
        ("x.sh", "# c\nsglang serve a/b\n", False),
        ("x", "{ sglang serve a/b; }\n", False),
        ("x", ": ${A:=b}\n", False),
        ("x", "", False),
    ],
)
def test_which_texts_are_configuration_files(file: str, text: str, expected: bool) -> None:
    assert config.is_config(Script(file=file, text=text)) is expected
