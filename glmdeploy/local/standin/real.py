"""Gives way to the real SGLang where that is installed and can serve what is asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from glmdeploy.errors import LocalCloudError
from glmdeploy.local.engine import engine
from glmdeploy.local.standin.settings import VERSION_VARIABLE
from glmdeploy.runtime.hosting import ENGINE_PYTHON, ENGINE_PYTHONPATH
from glmdeploy.runtime.launcher import LAUNCHER
from glmdeploy.sglang import catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEY = "--api-key="
"""How :data:`LAUNCHER` writes it, into this process's ``sys.argv`` alone."""


def give_way(module: str, arguments: Sequence[str]) -> str:
    """Become the real SGLang's ``module``, and do not return; or return why the stand-in answers.

    Either is told in the log. Ends the process with 1 where the profile asks for what cannot be.
    """
    release = os.environ.get(VERSION_VARIABLE) or catalog.versions()[-1]
    python = os.environ.get(ENGINE_PYTHON)
    try:
        found = engine(arguments, release, os.environ, Path(python) if python else None)
    except LocalCloudError as error:
        sys.exit(f"Engine: {error.message}\n{error.advice or ''}".rstrip())
    print(f"Engine: {found}", file=sys.stderr, flush=True)
    if found.python is not None:
        _become(found.python, module, arguments)
    return found.why


def _become(python: Path, module: str, arguments: Sequence[str]) -> None:
    """Replace this program. The key goes through a pipe again: the new one's arguments can be seen by everybody."""
    variables = {
        **os.environ,
        "PATH": f"{python.parent}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": os.environ[ENGINE_PYTHONPATH],
    }
    keys = [word for word in arguments if word.startswith(_KEY)]
    if not keys:
        os.execve(python, [str(python), "-m", module, *arguments], variables)
    pipe, key_end = os.pipe()
    os.set_inheritable(pipe, True)
    with os.fdopen(key_end, "wb") as file:
        file.write(keys[-1].removeprefix(_KEY).encode())
    rest = [word for word in arguments if not word.startswith(_KEY)]
    os.execve(python, [str(python), "-c", LAUNCHER, str(pipe), module, *rest], variables)
