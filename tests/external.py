"""Programs of others that some tests run: Node.js with what ``tests/tools`` names, a browser, shells.

Where one is missing the test is skipped, and says so; with ``--tools``, as CI has it, it fails.
``npm ci --prefix tests/tools --ignore-scripts`` brings what Node.js runs.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

MODULES = Path(__file__).parent / "tools" / "node_modules"


def program(*names: str) -> str:
    """The first of these programs that is installed, as a path."""
    for name in names:
        if found := shutil.which(name):
            return found
    return missing(" or ".join(names))


def node_module(name: str) -> Path:
    """The folder of a package that Node.js runs."""
    folder = MODULES / name
    return folder if folder.is_dir() else missing(f"tests/tools/node_modules/{name}")


def missing(what: str) -> NoReturn:
    """Skip the test that needs this, or fail it where CI has to have everything."""
    reason = f"{what} is not installed"
    if os.environ.get("GLMDEPLOY_TEST_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)
