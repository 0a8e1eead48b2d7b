"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import Shell, own_cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One embedded cloud for a module's tests."""
    yield from own_cloud(tmp_path_factory.mktemp("cloud"))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Shell]:
    """An embedded cloud for one test."""
    yield from own_cloud(tmp_path)
