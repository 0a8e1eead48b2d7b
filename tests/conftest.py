"""What all tests share: fixtures of the end-to-end tests, and no time limits in property tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from support import Shell, own_cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# How fast an example runs says more about the machine than about the code.
settings.register_profile("glmdeploy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("glmdeploy")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("the real SGLang", "see tests/sglang_record.py")
    group.addoption("--record", action="store_true", help="ask the real SGLang what is not recorded, and record it")
    group.addoption("--ask-sglang", action="store_true", help="ask the real SGLang everything, recorded or not")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One embedded cloud for a module's tests."""
    yield from own_cloud(tmp_path_factory.mktemp("cloud"))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Shell]:
    """An embedded cloud for one test."""
    yield from own_cloud(tmp_path)
