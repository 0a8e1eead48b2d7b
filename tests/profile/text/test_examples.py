"""Every file under examples/: the good give the data beside them, the bad the findings beside them.

``NAME.json`` is what a good file holds once its null entries are gone. ``NAME.expected`` has one line for each
finding of a bad file, in order: line, column, and words from the message.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import decode
from glmdeploy.profile.text.document import build
from glmdeploy.profile.text.yaml12 import FAST, PURE, read_mapping

EXAMPLES = Path(__file__).parent / "examples"
GOOD = sorted(EXAMPLES.glob("good/*.yaml"))
BAD = sorted(EXAMPLES.glob("bad/*.yaml"))


parsers = pytest.mark.parametrize("loader", [FAST, PURE], ids=["libyaml", "python"])


def name(path: Path) -> str:
    return path.stem


def test_there_are_examples() -> None:
    assert len(GOOD) > 5
    assert len(BAD) > 50


@parsers
@pytest.mark.parametrize("path", GOOD, ids=name)
def test_good(path: Path, loader: type) -> None:
    root = read_mapping(decode(path.read_bytes(), path.name), loader=loader)
    document = build(root, files=(path.name,))
    expected = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert json.dumps(document.data) == json.dumps(expected)  # as text, so that 1, 1.0 and true differ


@parsers
@pytest.mark.parametrize("path", BAD, ids=name)
def test_bad(path: Path, loader: type) -> None:
    expected = path.with_suffix(".expected").read_text("utf-8").splitlines()
    with pytest.raises(ProfileError) as caught:
        read_mapping(decode(path.read_bytes(), path.name), loader=loader)
    findings = caught.value.findings
    found = [f"{each.location.line}:{each.location.column} {each.message}" for each in findings]
    for line, want in zip(found, expected, strict=True):
        place, fragment = want.split(" ", 1)
        assert line.startswith(place + " ")
        assert fragment in line
    for each in findings:
        assert each.id == "yaml"
        assert each.severity is Severity.ERROR
        assert each.location.file == path.name
        assert each.location.text.replace("\t", "").isprintable()
