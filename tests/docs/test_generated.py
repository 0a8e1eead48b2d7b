"""The pages that are made from something else are as that is now, and what they show works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import profile_pages
import pytest
from doc_pages import PAGES, ROOT

from glmdeploy.profile.models import Profile
from glmdeploy.profile.text.load import load

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
        Profile.model_validate(load(str(file)).data)


def test_no_key_that_was_released_is_lost() -> None:
    """A key that goes stays in the record, so that the page can say so."""
    assert {key.path for key in profile_pages.listed()} == set(profile_pages.since())
