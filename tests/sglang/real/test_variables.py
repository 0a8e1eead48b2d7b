"""``glmdeploy/sglang/variables.txt`` against the sources of releases."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from glmdeploy.sglang import catalog, environment, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.sglang.oracle import Oracle

NAME = re.compile(r"""["']((?:SGLANG|SGL)_[A-Z0-9_]+)["']""")
SOURCES = {".py", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".rs"}
ELSEWHERE = {"multimodal_gen", "test", "tests"}
"""The diffusion server, and what is no server."""

NO_READING = {"SGLANG_OLD_NAME", "SGLANG_DUMPER_", "SGLANG_ENABLE_SPEC_V2"}
"""A name in a docstring, a prefix, and what is read only to say that it does nothing any more."""


@pytest.mark.parametrize("version", ["0.5.10", "0.5.16", "0.5.23"])
def test_undeclared_variables(oracle: Callable[[str], Oracle], version: str) -> None:
    oracle(version)
    where = environment.existing(version, Path(os.environ["GLMDEPLOY_ORACLE"]))
    assert where
    release = catalog.load(version)
    former = {variable.former_name for variable in release.env.values()}
    read = set(names(where.source / "sglang")) - release.env.keys() - former - NO_READING
    listed = {name for name, span in variables.undeclared().items() if span.outside(version) is None}
    assert listed - release.env.keys() - former == read


def names(root: Path) -> Iterator[str]:
    for file in root.rglob("*"):
        if file.suffix in SOURCES and not ELSEWHERE & set(file.relative_to(root).parts):
            yield from NAME.findall(file.read_text(encoding="utf-8", errors="replace"))
