"""A tiny model, a container's directory, and a stand-in engine that serves the one in the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from standin_process import ARGUMENTS, Engine, start

from glmdeploy.local import tiny_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "GLM-5.1-FP8"
    tiny_model.write(directory, "zai-org/GLM-5.1-FP8")
    return directory


@pytest.fixture(scope="session")
def container(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory like a container's first one on the path: a ``glmdeploy`` with the runtime alone."""
    root = tmp_path_factory.mktemp("container")
    (root / "glmdeploy" / "runtime").mkdir(parents=True)
    for package in (root / "glmdeploy", root / "glmdeploy" / "runtime"):
        (package / "__init__.py").write_text('__version__ = "deployed"\n')
    return root


@pytest.fixture(scope="session")
def engine(model: Path, container: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    log = tmp_path_factory.mktemp("log") / "engine.log"
    engine = start(model, container, log, *ARGUMENTS, GLMDEPLOY_STANDIN_START_SECONDS="0.3")
    try:
        seen = engine.statuses_until_healthy()
        assert set(seen[:-1]) == {503}
        yield engine
    finally:
        engine.process.kill()
        engine.process.wait()
