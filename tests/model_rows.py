"""The table of docs/models.md, made from what ships of families (``schemas/models``) and of recordings.

``python tests/doc_pages.py`` writes it anew.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from glmdeploy.resources import schemas_dir
from glmdeploy.sglang.architectures import ARCHITECTURES
from glmdeploy.sglang.decisions import trees
from glmdeploy.sizing import model

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGIN, END = "<!-- made by tests/doc_pages.py -->\n", "<!-- end -->\n"
HEAD = (
    "| family | published by | class | attention | reasoning parser | tool-call parser | from | values "
    "| sizes that ship |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)


def rows() -> Iterator[str]:
    """A line for each family, in the order of the files."""
    for file in sorted((schemas_dir() / "models").glob("*.json")):
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        for name, each in data.get("families", {}).items():
            kind = ARCHITECTURES.get(each["architecture"])
            attention = kind.attention + (", experts" if kind.experts else "") if kind else "--"
            mine = [repo for repo, entry in data.get("models", {}).items() if entry["family"] == name]
            sized = [repo for repo in mine if model.known(repo)]
            parsers = [each.get(key) or "--" for key in ("reasoning_parser", "tool_call_parser")]
            cells = (
                *(name, each["organisation"], f"`{each['architecture']}`", attention),
                *(*parsers, each.get("since") or "all"),
                *("recorded" if trees.load(each["architecture"]) else "--", ", ".join(sized) or "--"),
            )
            yield f"| {' | '.join(cells)} |\n"


def table() -> str:
    """The generated part of the page."""
    return HEAD + "".join(rows())


def made(text: str) -> str:
    """The text of the page with the table as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"
