"""docs/faults.md is what the tests have produced, and every row names a test that is there."""

from __future__ import annotations

import ast

from fault_rows import PAGE, ROOT, known, page


def test_the_page_is_what_was_produced() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(known())


def test_every_row_names_a_test_that_is_there() -> None:
    for row in known():
        file, _, name = str(row["test"]).partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, row
