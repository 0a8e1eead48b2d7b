"""Links of the pages lead somewhere: files and their parts, rules, commands with their options, files of the source.

What lies elsewhere on the network is looked at for its form alone.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from command_pages import commands
from page_blocks import ROOT, anchors, links, name, pages, prose

from glmdeploy.rules import registry

if TYPE_CHECKING:
    from pathlib import Path

PAGES = pages()
HISTORY = {"CHANGELOG.md"}
"""Pages that tell of what is no more."""


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links(page: Path) -> None:
    for line, link in links(page):
        place = f"{name(page)}:{line}: {link}"
        if link.startswith(("http://", "https://")):
            parts = urlsplit(link)
            assert parts.scheme == "https", place
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), place
            continue
        file, _, part = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), place
        assert target.is_relative_to(ROOT), place
        assert not part or part in anchors(target), place


def test_every_page_is_listed() -> None:
    index = {(ROOT / "docs" / link.partition("#")[0]).resolve() for _, link in links(ROOT / "docs" / "README.md")}
    assert {page for page in PAGES if page.parent == ROOT / "docs"} <= index | {ROOT / "docs" / "README.md"}


def _spans(page: Path) -> list[tuple[int, str]]:
    return [(line, span) for line, text in prose(page) for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)]


@cache
def _rules() -> frozenset[str]:
    return frozenset({*(rule.id for rule in registry.rules()), *registry.RETIRED})


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "rules.md"], ids=name)
def test_rules_are_there(page: Path) -> None:
    named = {each for _, line in prose(page) for each in re.findall(r"\bGLM\d{3}\b", line)}
    assert named <= _rules()


@pytest.mark.parametrize("page", [page for page in PAGES if name(page) not in HISTORY], ids=name)
def test_commands_are_there(page: Path) -> None:
    """What a page calls ``glmdeploy X --option`` in a line is a command with that option."""
    known = commands()
    for line, span in _spans(page):
        words = span.replace("\\|", " | ").split()
        if words[:1] != ["glmdeploy"] or len(words) == 1 or not re.fullmatch(r"[a-z][a-z-]*", words[1]):
            continue
        place = f"{name(page)}:{line}: {span}"
        depth = max((size for size in (1, 2, 3) if tuple(words[1 : 1 + size]) in known), default=0)
        if depth == 0 and words[1] in ("ready", "refused", "start"):  # lines of a container's log
            continue
        assert depth, place
        options = {each.partition("=")[0] for each in words[1 + depth :] if re.match(r"--?[a-z]", each)}
        assert options <= known[tuple(words[1 : 1 + depth])] | {"--help", "--version"}, place


@cache
def _sources() -> frozenset[str]:
    """Every file of the repository, by its path, and by what is left of that without its first folder or two."""
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, text=True, capture_output=True, check=True).stdout.split()
    inner = {"/".join(each.split("/")[skipped:]) for each in files for skipped in (1, 2)}
    return frozenset({*files, *inner})


UPSTREAM = ("sglang/srt/", "modal/", "_runtime/", "srt/")
"""What files of others are called by."""


@pytest.mark.parametrize("page", [page for page in PAGES if name(page) not in {*HISTORY, "docs/rules.md"}], ids=name)
def test_files_of_the_source_are_there(page: Path) -> None:
    for line, span in _spans(page):
        if re.fullmatch(r"[a-z_.]+/[a-z0-9_./-]+\.(?:py|json|txt|toml)", span) and not span.startswith(UPSTREAM):
            assert span in _sources(), f"{name(page)}:{line}: {span}"
