"""Stands for the watch for hangs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Watch:
    """Notices nothing."""

    def __init__(self, *, url: str, api_key: str | None, settings: Mapping[str, Any], caches: Sequence[Path]) -> None:
        pass

    def see(self, line: bytes) -> None:
        """A line of the engine's output."""

    def run(self, pid: int, stopping: threading.Event) -> str | None:
        """None when ``stopping`` is set."""
        stopping.wait()
        return None
