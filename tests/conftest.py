"""What all tests share: fixtures of the end-to-end tests, and no time limits in property tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from support import Shell, own_cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ["snapshots"]

# How fast an example runs says more about the machine than about the code.
settings.register_profile("glmdeploy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("glmdeploy")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One embedded cloud for a module's tests."""
    yield from own_cloud(tmp_path_factory.mktemp("cloud"))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Shell]:
    """An embedded cloud for one test."""
    yield from own_cloud(tmp_path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
