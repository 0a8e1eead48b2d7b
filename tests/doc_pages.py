"""The pages that are made from something else: ``python tests/doc_pages.py`` writes them anew.

Each is a function of what ships, so that a test and ``git diff`` in CI say where a page is stale.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import command_pages
import fault_rows
import model_rows
import profile_pages

from glmdeploy.cli.rules import made

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent

PAGES: dict[str, Callable[[str], str]] = {
    "docs/commands.md": lambda _: command_pages.page(),
    "docs/faults.md": lambda _: fault_rows.page(fault_rows.known()),
    "docs/models.md": model_rows.made,
    "docs/profile-reference.md": lambda _: profile_pages.page(),
    "tests/docs/since.json": lambda _: profile_pages.record(),
}
"""What each page is, from what it is now. What is made from the rules, ``glmdeploy rules --write`` makes too."""


def pages() -> dict[str, str]:
    """The texts of all pages that are made, by their paths."""
    texts = {file: make(_text(file)) for file, make in PAGES.items()}
    return {**texts, **made(ROOT)}


def _text(file: str) -> str:
    path = ROOT / file
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main() -> None:
    os.environ.pop("COLUMNS", None)
    for file, text in pages().items():
        if _text(file) != text:
            (ROOT / file).write_text(text, encoding="utf-8")
            print(f"wrote {file}")


if __name__ == "__main__":
    main()
