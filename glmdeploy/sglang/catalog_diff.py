"""What changes between the option catalogs of two releases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.sglang.catalog import Catalog

OPTION_FIELDS = ("action", "type", "choices", "default", "nargs", "required", "deprecated", "replacement")
VARIABLE_FIELDS = ("type", "default", "computed", "former_name")


@dataclass(frozen=True, kw_only=True)
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
