"""What a new release changed is listed, with what nobody has looked at yet."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from glmdeploy.sglang import catalog
from glmdeploy.sglang.changes import changes

VERSIONS = catalog.versions()


@pytest.mark.parametrize(("old", "new"), list(pairwise(VERSIONS)))
def test_each_spelling_that_came_or_went(old: str, new: str) -> None:
    before, after = ({flag for each in catalog.load(one).options for flag in each.flags} for one in (old, new))
    lines = list(changes(catalog.load(old), catalog.load(new)))
    assert {line[2:] for line in lines if line.startswith("+ --")} == after - before
    assert {line[2:].split()[0] for line in lines if line.startswith("- --")} == before - after


def test_renames_that_are_known_are_not_asked_about() -> None:
    lines = {line.split()[1]: line for line in changes(catalog.load("0.5.19"), catalog.load("0.5.20"))}
    assert lines["--cuda-graph-bs"] == "- --cuda-graph-bs"
    assert "no rename known" in lines["--enable-expert-distribution-metrics"]


def test_a_new_name_is_guessed() -> None:
    old = catalog.load("0.5.23")
    renamed = replace(old.find("page-size"), flags=("--pages-size",), dest="pages_size")
    options = tuple(renamed if option.dest == "page_size" else option for option in old.options)
    lines = list(changes(old, replace(old, version="0.5.24", options=options)))
    assert "+ --pages-size" in lines
    assert "- --page-size   (no rename known: look at it, maybe --pages-size)" in lines
    assert "! glmdeploy/sglang/dialects names --page-size, which the release lacks" in lines


def test_the_newest_release_leaves_no_name_open() -> None:
    lines = changes(catalog.load(VERSIONS[-2]), catalog.load(VERSIONS[-1]))
    assert not [line for line in lines if line.startswith("!")]
