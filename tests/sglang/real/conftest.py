"""The real SGLang, where its environments may be built: GLMDEPLOY_ORACLE names the folder that they are kept in."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from glmdeploy.sglang.environment import ProbeError
from glmdeploy.sglang.oracle import Oracle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def oracle() -> Iterator[Callable[[str], Oracle]]:
    """The real SGLang of a release, one for all tests. Skips where it cannot be had, and says why."""
    cache = os.environ.get("GLMDEPLOY_ORACLE")
    if not cache:
        pytest.skip("GLMDEPLOY_ORACLE does not name a folder for the real SGLang's environments (1.5 GB)")
    with ExitStack() as stack:
        oracles: dict[str, Oracle] = {}

        def of(version: str) -> Oracle:
            if version not in oracles:
                try:
                    oracles[version] = stack.enter_context(Oracle(version, cache=Path(cache)))
                except ProbeError as error:
                    pytest.skip(f"the real SGLang {version} cannot be installed here: {error} {error.advice}")
            return oracles[version]

        yield of
