"""Every row of docs/faults.md names a test that is there."""

from __future__ import annotations

import ast

from fault_rows import ROOT, known


def test_every_row_names_a_test_that_is_there() -> None:
    for row in known():
        file, _, name = str(row["test"]).partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, row
