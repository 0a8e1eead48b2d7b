"""An embedded cloud for tests: one daemon for all that only use it, and one in the test process on demand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import connect

from glmdeploy.local import cloud

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    import modal

    from glmdeploy.local.cloud import Cloud

APPS = Path(__file__).parent / "apps"


@pytest.fixture(scope="session")
def load_app() -> Callable[[str], ModuleType]:
    """Import a file of ``apps`` by its bare name, as a script's own module is found in a container."""

    def load(name: str) -> ModuleType:
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, APPS / f"{name}.py")
            assert spec is not None
            assert spec.loader is not None
            sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
        return sys.modules[name]

    return load


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A real daemon, shared by every test that leaves it running."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLMDEPLOY_HOME", str(tmp_path_factory.mktemp("cloud")))
        started = cloud.start()
    yield started
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLMDEPLOY_HOME", str(started.home))
        cloud.stop()


@pytest.fixture(scope="session")
def client(daemon: Cloud) -> modal.Client:
    return connect(daemon)
