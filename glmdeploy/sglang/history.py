"""In which releases an option exists, and what to say about one that the pinned release does not have.

Reads the catalogs of all releases (about a tenth of a second): for explanations, not for what is well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.rewriting import rewrite


@dataclass(frozen=True, kw_only=True)
class Span:
    """The catalogued releases that accept something: the ``first`` and the ``last``, both included."""

    first: str
    last: str

    def outside(self, version: str) -> str | None:
        """``came in`` or ``went in`` with the release that made the difference; None where ``version`` lies inside."""
        key = version_key(version)
        if key < version_key(self.first):
            return f"came in {self.first}"
        if key > version_key(self.last):
            known = catalog.versions()
            return f"went in {known[known.index(self.last) + 1]}"
        return None


@cache
def flags() -> dict[str, Span]:
    """The span of every exact spelling of every option, dashes included."""
    spans: dict[str, Span] = {}
    for version in catalog.versions():
        for option in catalog.load(version).options:
            for flag in option.flags:
                first = spans[flag].first if flag in spans else version
                spans[flag] = Span(first=first, last=version)
    return spans


def unknown_option(key: str, value: Any, version: str) -> tuple[str, str | None]:
    """What became of an option that ``version`` lacks, as the end of a sentence, and what to write instead.

    Both are empty for a name that no release has as an exact spelling.
    """
    name = key.lstrip("-")
    span = flags().get(f"--{name}")
    reason = span.outside(version) if span else None
    return ("", None) if reason is None else (f": it {reason}", _replacement(name, value, version))


def _replacement(name: str, value: Any, version: str) -> str | None:
    new, steps = rewrite({name: value}, version)
    if not steps or not all(_takes(option, said, version, given=value) for option, said in new.items()):
        return None
    why = steps[-1].rename.why
    if not new:
        return f"remove it: {why}"
    words = [f"`{option}`" if said == value else f"`{option}: {_shown(said)}`" for option, said in new.items()]
    return f"write {' and '.join(words)}: {why}"


def _takes(name: str, value: Any, version: str, *, given: Any) -> bool:
    """Whether the release has the option by this exact name, and takes a value that the user did not give."""
    exact = (option for option in catalog.load(version).options if f"--{name}" in option.flags)
    return any(not option.choices or value == given or value in option.choices for option in exact)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
