"""What all measurements share: how commands are run, the machine that they ran on, and a table in Markdown."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from glmdeploy import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""As installed by pip: with bytecode that is compiled once."""

PACKAGES = ("modal", "click", "PyYAML", "rich", "aiohttp", "huggingface_hub", "check-jsonschema")
"""Whose versions say what was compared with what."""


def machine() -> str:
    """The processor, its cores, memory and system, in one line."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{_processor()}, {os.cpu_count()} cores, {gib:.0f} GiB, {platform.system()} {platform.release()}"


def versions() -> str:
    """Of Python, of glmdeploy and of what is measured beside it."""
    found = [f"Python {platform.python_version()}", f"glmdeploy {__version__}"]
    return ", ".join([*found, *(f"{name} {_version(name)}" for name in PACKAGES)])


def now() -> str:
    """Date and load, as a line says it."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load average {os.getloadavg()[0]:.1f}"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    name = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "")
    return " ".join(name.split()) or platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
