"""How services that look at a repository name a file: by its path from the repository's root."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from glmdeploy import tokens
from glmdeploy.source.paths import repository

NO_FILES = ("", "<stdin>", "--set")
"""What stands for a file in the place of a value that no file holds."""


def root() -> Path:
    """The repository that the current folder is in, or the folder itself."""
    return repository(Path.cwd())


def in_repository(file: str) -> str | None:
    """The path from :func:`root`, with slashes; None for a file elsewhere, and for what is no file."""
    path = os.path.relpath(file, root()) if file not in NO_FILES else ".."
    return None if Path(path).parts[:1] == ("..",) else path


def uri(file: str) -> str:
    """The reference to a file: relative to :func:`root`, or absolute for one elsewhere."""
    path = in_repository(file)
    if path is not None or file in NO_FILES:
        return tokens.mask(quote(os.fsencode(path or file)))
    return tokens.mask(Path(file).absolute().as_uri())
