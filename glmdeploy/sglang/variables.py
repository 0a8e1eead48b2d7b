"""Environment variables: whether a release reads one, and what a name that it does not read may have meant.

The catalogs have what ``sglang/srt/environ.py`` declares; ``variables.txt``, beside this file, has what the rest of
the sources reads all the same. Only SGLang's own names are judged, those that begin with :data:`PREFIXES`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from glmdeploy.sglang import catalog
from glmdeploy.sglang.history import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.sglang.catalog import Catalog

FILE = Path(__file__).with_name("variables.txt")

PREFIXES = ("SGLANG_", "SGL_")

_BOOLEANS = ("true", "1", "yes", "y", "false", "0", "no", "n")
_NUMBERS = {"int": int, "float": float}


def is_read(name: str, release: Catalog) -> bool:
    """Whether the release looks at the variable under this name."""
    if name in release.env:
        return True
    span = undeclared().get(name)
    return span is not None and span.outside(release.version) is None


def present_name(name: str, release: Catalog) -> str | None:
    """What the release calls a variable that it still takes under a former name; None for any other.

    Every ``SGL_NAME`` stands for ``SGLANG_NAME``, with a warning (``sglang/srt/environ.py``, 0.5.8 to 0.5.23).
    """
    if name.startswith("SGL_") and is_read(new := name.replace("SGL_", "SGLANG_", 1), release):
        return new
    return next((new for new, variable in release.env.items() if variable.former_name == name), None)


def outside(name: str, version: str) -> str | None:
    """``came in`` or ``went in`` with a release, for a variable that others read; None for one that none reads."""
    read = [one for one in catalog.versions() if is_read(name, catalog.load(one))]
    return Span(first=read[0], last=read[-1]).outside(version) if read else None


def similar(name: str, release: Catalog) -> str | None:
    """The declared variable whose name is most like this one, if any is."""
    # Worth its import time only once something is wrong.
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, release.env, n=1, cutoff=0.8)), None)


def expected(name: str, text: str, release: Catalog) -> str | None:
    """What SGLang would have to find in the variable, where it cannot read ``text`` and takes its default instead.

    As ``EnvBool``, ``EnvInt`` and ``EnvFloat`` of ``sglang/srt/environ.py`` read it.
    """
    kind = release.env[name].type if name in release.env else "str"
    if kind == "bool":
        return None if text.lower() in _BOOLEANS else "true or false"
    if kind not in _NUMBERS:
        return None
    try:
        _NUMBERS[kind](text)
    except ValueError:
        return "an integer" if kind == "int" else "a number"
    return None


@cache
def undeclared() -> Mapping[str, Span]:
    """The variables that are read and not declared, with the releases that do so."""
    lines = (line.split() for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {name: Span(first=first, last=last) for name, first, last in lines}
