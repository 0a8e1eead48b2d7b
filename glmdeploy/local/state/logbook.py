"""The logs of apps: what containers print, and what the embedded cloud did with them.

Per app, the last entries are in memory for those who follow, and the last 8 to 16 MiB in two files for those
who ask later, after a restart included.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.local.home import open_private

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from pathlib import Path

log = logging.getLogger(__name__)

_IN_MEMORY = 5000
_FILE_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line. ``id`` is its time, in nanoseconds since the epoch; ``source`` a number of FileDescriptor."""

    id: int
    function_id: str
    task_id: str
    call_id: str
    source: int
    text: str


class _AppLog:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: deque[Entry] = deque(maxlen=_IN_MEMORY)
        self.changed = asyncio.Event()

    def write(self, entries: Iterable[Entry]) -> None:
        with open_private(self.path) as file:
            file.writelines(json.dumps(vars(entry)) + "\n" for entry in entries)
            full = file.tell() > _FILE_LIMIT
        if full:
            self.path.replace(self.path.with_suffix(".old"))


class LogBook:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._apps: dict[str, _AppLog] = {}
        self._last_id = 0

    def append(
        self,
        app_id: str,
        *texts: str,
        source: int,
        function_id: str = "",
        task_id: str = "",
        call_id: str = "",
    ) -> None:
        """An entry for each text. Never fails: where the disk is full they are kept in memory alone."""
        entries = []
        for text in texts:
            self._last_id = max(time.time_ns(), self._last_id + 1)
            entry = Entry(
                id=self._last_id,
                function_id=function_id,
                task_id=task_id,
                call_id=call_id,
                source=source,
                text=text if text.endswith("\n") else f"{text}\n",
            )
            entries.append(entry)
        app = self._app(app_id)
        app.entries.extend(entries)
        app.changed.set()
        app.changed = asyncio.Event()
        try:
            app.write(entries)
        except OSError as fault:
            log.warning("a log entry of %s was not stored: %s", app_id, fault)

    def read(self, app_id: str) -> list[Entry]:
        """Every stored entry, oldest first. May be called in any thread."""
        entries = []
        path = self._path(app_id)
        for part in (path.with_suffix(".old"), path):
            try:
                lines = part.read_text(encoding="utf-8").splitlines()
            except FileNotFoundError:
                continue
            for line in lines:
                try:
                    entries.append(Entry(**json.loads(line)))
                except (ValueError, TypeError):
                    log.warning("%s has a line that was cut off", part)
        return entries

    def recent(self, app_id: str, count: int) -> int:
        """The id after which there are at most ``count`` entries in memory."""
        entries = self._app(app_id).entries
        return entries[-count - 1].id if len(entries) > count else 0

    async def follow(self, app_id: str, *, after: int) -> AsyncGenerator[Entry]:
        """Entries later than the id ``after`` that are still in memory, then new ones, for ever."""
        app = self._app(app_id)
        while True:
            changed = app.changed
            for entry in [entry for entry in app.entries if entry.id > after]:
                after = entry.id
                yield entry
            await changed.wait()

    def tail(self, app_id: str, task_id: str, *, sources: frozenset[int], count: int) -> list[str]:
        """The last lines of a container, for error messages."""
        lines = [
            entry.text.rstrip("\n")
            for entry in self._app(app_id).entries
            if entry.task_id == task_id and entry.source in sources
        ]
        return lines[-count:]

    def _app(self, app_id: str) -> _AppLog:
        if app_id not in self._apps:
            self._apps[app_id] = _AppLog(self._path(app_id))
        return self._apps[app_id]

    def _path(self, app_id: str) -> Path:
        return self._directory / f"{app_id}.jsonl"
