"""What the tests of the reporters share: findings, profiles, and the command line in this process."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import TYPE_CHECKING, Any

from glmdeploy import cli
from glmdeploy.findings import Finding, Location, SetValue, Severity
from glmdeploy.report.run import Judged, Run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMATS = ("pretty", "json", "sarif", "junit", "github")

TOKEN = "hf_" + "aB3dE6gH9j" * 3 + "kLmN"
"""Has the form of a token, and is none."""

PROFILES = {
    "clean": ("extends: b200-eagle-bf16kv\n", 0),
    "error": ("extends: b200-eagle-bf16kv\nsglang: {args: {tp: 4}}\n", 1),
    "warning": ("extends: b200-nospec-bf16kv\nsglang: {args: {kv-cache-dtype: fp8_e4m3}}\n", 0),
    "waived": (
        "extends: b200-nospec-bf16kv\nsglang: {args: {kv-cache-dtype: fp8_e4m3}}\n"
        "waive: [{rule: GLM004, reason: measured, until: 2099-01-01}]\n",
        0,
    ),
    "schema": ("extends: b200-eagle-bf16kv\nserver: {scaledown_windw: 3}\n", 1),
    "option": ("extends: b200-eagle-bf16kv\nsglang: {args: {no-such-option: 3}}\n", 1),
    "release": ("extends: b200-eagle-bf16kv\nsglang: {version: 9.9.9}\n", 1),
    "broken": ("name: [1, 2\nserver: {\n", 1),
    "empty": ("", 1),
}
"""A profile for each thing that can be found, and the exit code of its validation."""


def finding(message: str = "something is wrong", **values: Any) -> Finding:
    place = Location(file="a.yaml", line=3, column=7, text="  tp: 4", length=1)
    return Finding(**{"id": "GLM020", "severity": Severity.ERROR, "location": place, "message": message, **values})


def fixable(**values: Any) -> Finding:
    return finding(edits=(SetValue(path=("sglang", "args", "tp"), value=8),), **values)


def run_of(*findings: Finding, strict: bool = False) -> Run:
    return Run(profiles=(Judged(profile="a.yaml", findings=findings),), strict=strict)


def write_profiles(folder: Path) -> list[str]:
    """All of :data:`PROFILES` as files of a repository; their names."""
    (folder / ".git").mkdir()
    for name, (text, _) in PROFILES.items():
        (folder / f"{name}.yaml").write_text(text)
    return [f"{name}.yaml" for name in PROFILES]


def call(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """A call of the command line in this process: exit code, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _stdin(stdin):
        code = cli.run(arguments)
    return code, out.getvalue(), err.getvalue()


@contextlib.contextmanager
def _stdin(text: str) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(text.encode()))
    try:
        yield
    finally:
        sys.stdin = before
