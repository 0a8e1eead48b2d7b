"""The rows of docs/faults.md, each written by the test that produces the fault.

``GLMDEPLOY_FAULTS_OUT=FILE pytest ...`` appends a line of JSON for every row that passed;
``python tests/fault_rows.py FILE`` takes them into tests/faults/rows.json, of which ``python tests/doc_pages.py`` makes
the page.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parent.parent
ROWS = ROOT / "tests" / "faults" / "rows.json"

REAL, STANDIN, NONE = "SGLang 0.5.23 on a CPU", "stand-in", "none"
"""What served: the real engine, the embedded cloud's, or nothing that the fault needed."""

HEAD = """<!-- Made by `python tests/doc_pages.py` of tests/faults/rows.json, which the tests write. -->
# Faults

What goes wrong in the life of a deployment, what is seen of it, and how long it takes until it is noticed. Every row
was produced by the test that it names, which also looks that nothing is lost and that no process, lock or half of a
file is left. `.ci/run` produces most of them each time; those that take minutes, and those of the real engine,
`.ci/nightly`. What a command leaves that ends on the way stands in
[operating.md](operating.md#what-an-end-on-the-way-leaves).
The times are of one machine with two cores; `--` is where nothing has to be noticed.

| fault | engine | what you see | noticed after | test |
|---|---|---|---|---|
"""


class Fault(Protocol):
    """Says what a fault led to; ``seconds`` from the fault until it was noticed."""

    def __call__(self, name: str, sees: str, *, engine: str = STANDIN, seconds: float | None = None) -> None: ...


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Fault:
    def row(name: str, sees: str, *, engine: str = STANDIN, seconds: float | None = None) -> None:
        path = Path(request.node.path).relative_to(ROOT)
        noticed = None if seconds is None else round(seconds, 1 if seconds < 10 else None)
        line = {"fault": name, "engine": engine, "sees": steady(sees), "seconds": noticed}
        line["test"] = f"{path}::{request.node.originalname}"
        if target := os.environ.get("GLMDEPLOY_FAULTS_OUT"):
            with Path(target).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")

    return row


def steady(text: str) -> str:
    """The text on one line, without what is another one each time: folders, ports, processes."""
    text = re.sub(r"/tmp/[^\s'\"]*", "/...", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", text)
    return " ".join(re.sub(r"\bprocess \d+", "process ...", text).split())


def page(rows: Iterable[dict[str, object]]) -> str:
    """The text of docs/faults.md."""
    lines = []
    for row in rows:
        seconds = "--" if row["seconds"] is None else f"{row['seconds']} s"
        sees = str(row["sees"]).replace("|", "\\|")
        lines.append(f"| {row['fault']} | {row['engine']} | {sees} | {seconds} | `{row['test']}` |\n")
    return HEAD + "".join(lines)


def known() -> list[dict[str, object]]:
    """The rows that were produced."""
    return json.loads(ROWS.read_text(encoding="utf-8")) if ROWS.exists() else []  # type: ignore[no-any-return]


def main(produced: Path) -> None:
    rows = {(row["fault"], row["engine"]): row for row in known()}
    for line in produced.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows[row["fault"], row["engine"]] = row
    ordered = sorted(rows.values(), key=lambda row: (str(row["test"]), str(row["fault"])))
    ROWS.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
