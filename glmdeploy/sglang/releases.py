"""Environment variables: whether a release reads one, and what a name that it does not read may have meant.

The catalogs have what ``sglang/srt/environ.py`` declares; ``variables.txt``, beside this file, has what the rest of
the sources reads all the same. Only SGLang's own names are judged, those that begin with :data:`PREFIXES`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmdeploy.records import record
from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import boolean, version_key
from glmdeploy.sglang.renames import rewrite
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.sglang.catalog import Catalog

FILE = Path(__file__).with_name("variables.txt")

PREFIXES = ("SGLANG_", "SGL_")

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
    return next(iter(nearest(name, release.env, most=1)), None)


def expected(name: str, text: str, release: Catalog) -> str | None:
    """What SGLang would have to find in the variable, where it cannot read ``text`` and takes its default instead.

    As ``EnvBool``, ``EnvInt`` and ``EnvFloat`` of ``sglang/srt/environ.py`` read it.
    """
    kind = release.env[name].type if name in release.env else "str"
    if kind == "bool":
        return "true or false" if boolean(text) is None else None
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


@record
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


OPTION_FIELDS = ("action", "type", "choices", "default", "nargs", "required", "deprecated", "replacement")
VARIABLE_FIELDS = ("type", "default", "computed", "former_name")


@record
class Difference:
    """One spelling of an option (``--x``), or one variable, that differs.

    ``field`` is None for one that came (``old`` is None) or went (``new`` is None); the other side is then what the
    spelling stands for (its canonical one), or the variable's type. Otherwise ``field`` is what has another value;
    for ``choices``, ``old`` are those that went and ``new`` those that came.
    """

    name: str
    field: str | None
    old: Any
    new: Any


def diff(old: Catalog, new: Catalog) -> tuple[Difference, ...]:
    """Every difference, options first, in alphabetical order."""
    return (*sorted(_options(old, new), key=_key), *sorted(_variables(old, new), key=_key))


def _key(difference: Difference) -> tuple[str, str]:
    return difference.name, difference.field or ""


def _options(old: Catalog, new: Catalog) -> Iterator[Difference]:
    before = {flag: option for option in old.options for flag in option.flags}
    after = {flag: option for option in new.options for flag in option.flags}
    for flag in before.keys() | after.keys():
        if flag not in after:
            yield Difference(name=flag, field=None, old=before[flag].canonical, new=None)
        elif flag not in before:
            yield Difference(name=flag, field=None, old=None, new=after[flag].canonical)
        elif flag == after[flag].canonical:
            for field in OPTION_FIELDS:
                yield from _field(flag, field, getattr(before[flag], field), getattr(after[flag], field))


def _variables(old: Catalog, new: Catalog) -> Iterator[Difference]:
    for name in old.env.keys() | new.env.keys():
        if name not in new.env:
            yield Difference(name=name, field=None, old=old.env[name].type, new=None)
        elif name not in old.env:
            yield Difference(name=name, field=None, old=None, new=new.env[name].type)
        else:
            for field in VARIABLE_FIELDS:
                yield from _field(name, field, getattr(old.env[name], field), getattr(new.env[name], field))


def _field(name: str, field: str, old: Any, new: Any) -> Iterator[Difference]:
    if field == "choices" and old and new:
        old, new = tuple(x for x in old if x not in new), tuple(x for x in new if x not in old)
    if old != new:
        yield Difference(name=name, field=field, old=old, new=new)
