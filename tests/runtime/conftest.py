"""What the tests of downloads share: a hub that can be made to fail, its files, and a volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faulty_hub import faulty, repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from faulty_hub import FaultyHub


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hub's own files."""
    return repository(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def hub(source: Path) -> Iterator[FaultyHub]:
    with faulty(source.parents[1]) as one:
        yield one


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    return tmp_path / "volume"
