"""The pages that are made from something else are as that is now, and what they show works."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import profile_pages
import pytest
from doc_pages import PAGES, ROOT

from glmdeploy import __version__
from glmdeploy.profile.models import Profile
from glmdeploy.profile.text.load import load
from glmdeploy.resources import schemas_dir
from glmdeploy.rules import registry
from glmdeploy.sglang.catalog import versions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("file", PAGES)
def test_fresh(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert PAGES[file](text) == text, "run python tests/doc_pages.py"


def test_every_example_of_the_reference_is_valid(tmp_path: Path) -> None:
    """Each example, laid over a profile that ships, is what the models take."""
    for key in profile_pages.listed():
        assert key.example is not None, f"{key.path} has no example: profile_pages.EXAMPLES"
        file = tmp_path / "example.json"
        file.write_text(json.dumps({"extends": "b200-eagle-bf16kv", **profile_pages.whole(key)}))
        Profile.read(load(str(file)).data)


def test_no_key_that_was_released_is_lost() -> None:
    """A key that goes stays in the record, so that the page can say so."""
    assert {key.path for key in profile_pages.listed()} == set(profile_pages.since())


def test_what_the_first_page_counts() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert f"{len(registry.rules())} rules" in text
    assert f"{len(versions())} releases of SGLang ({versions()[0]} to {versions()[-1]})" in text
    files = [json.loads(file.read_text()) for file in (schemas_dir() / "models").glob("*.json")]
    families = sum(len(each.get("families", ())) for each in files)
    assert round(families, -1) == 80, "about eighty families"


def test_the_changelog_is_of_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(\d[^]]*)\]", text, re.MULTILINE)[0] == __version__
