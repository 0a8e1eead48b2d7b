"""What an embedded cloud remembers by name, read from its files: nothing is started, nothing is changed.

For a shell that completes a word: Modal's messages and the daemon's own records are not imported.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

DEPLOYED = 3
"""``APP_STATE_DEPLOYED`` of Modal's protocol (1.6.4)."""


def deployed(database: Path) -> dict[str, list[int]]:
    """The versions of each deployed app, the newest first, by its name; empty where nothing can be read."""
    found: dict[str, list[int]] = {}
    for name, version in _rows(
        database,
        "SELECT app.name, deployment.version FROM app LEFT JOIN deployment ON app.id = deployment.app_id "
        f"WHERE app.state = {DEPLOYED} ORDER BY app.name, deployment.version DESC",
    ):
        found.setdefault(name, []).extend([] if version is None else [version])
    return found


def secrets(database: Path) -> list[str]:
    """The names of the secrets."""
    return [name for (name,) in _rows(database, "SELECT DISTINCT name FROM secret ORDER BY name")]


def _rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    """From a copy: where a daemon was killed, to open the database itself would write beside it."""
    with contextlib.suppress(OSError, sqlite3.Error), tempfile.TemporaryDirectory(prefix="glmdeploy-names-") as folder:
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{database}{suffix}", f"{folder}/{database.name}{suffix}")
        copy = Path(folder) / database.name
        if copy.exists():
            with contextlib.closing(sqlite3.connect(copy)) as connection:
                return connection.execute(query).fetchall()
    return []
