"""Launches that their authors published as working: every one becomes a profile, and no check finds an error in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from glmdeploy.authoring.launch.imported import import_script
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.findings import Severity

PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text(encoding="utf-8"))
"""Each with the address of its page at a commit, the GPUs that it is for, the image where the page names one, the
variables and the command. Where a page names no GPU, the smallest is taken that its author's others run on. ``rules``
are those of a known issue that its author did not meet: what upstream's users reported stands against it."""


def name(launch: dict[str, Any]) -> str:
    page = launch["source"].rpartition("/")[2].partition(".md")[0].removesuffix(".sh")
    return f"{page}-{PUBLISHED.index(launch)}"


def test_there_are_enough_of_many_families() -> None:
    models = {word for launch in PUBLISHED for word in launch["command"].split() if "/" in word}
    assert len([launch for launch in PUBLISHED if "rules" not in launch]) >= 100
    assert len({model.partition("/")[0] for model in models}) >= 10


@pytest.mark.parametrize("launch", PUBLISHED, ids=name)
def test_no_error(launch: dict[str, Any]) -> None:
    variables = "".join(f"export {key}={value}\n" for key, value in launch["env"].items())
    passed = "".join(f"-e {key} " for key in launch["env"])
    image = f"docker run --gpus all {passed}{launch['image']} " if "image" in launch else ""
    script = Script(file="launch.sh", text=variables + image + launch["command"])
    imported = import_script(script, ImportOptions(gpu=launch["gpu"], public=True))
    assert [note.message for note in imported.notes if note.severity is Severity.ERROR] == []
    assert imported.complete
    assert imported.checked is not None
    found = imported.checked.findings
    errors = {each.id: each.message for each in found if each.severity is Severity.ERROR}
    assert sorted(errors) == launch.get("rules", []), errors
