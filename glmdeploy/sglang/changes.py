"""What a new release asks of who maintains glmdeploy: the options that came, went and changed, and what is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.sglang import engines, releases
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.renames import RENAMES
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.sglang.catalog import Catalog

STEPS = (
    "write what was renamed into glmdeploy/sglang/renames.py",
    "record the release's own answers: pytest tests/sglang/real --record",
    "renew the schemas: glmdeploy schema --write",
    "read what it decides otherwise, then raise LAST of glmdeploy/sglang/decisions/situation.py",
    "hold the rules against it: glmdeploy rules --look",
)
"""What is left to do once the catalog is written, in its order."""


def changes(old: Catalog, new: Catalog) -> Iterator[str]:
    """Lines about what differs between a release and the next, and which of it nobody has looked at."""
    found = releases.diff(old, new)
    came = [each.name for each in found if each.field is None and each.old is None]
    for each in found:
        if each.field is None:
            yield f"+ {each.name}" if each.old is None else f"- {each.name}{_gone(each.name, came, new)}"
        elif each.field == "choices":
            gone, more = ", ".join(map(str, each.old or ())), ", ".join(map(str, each.new or ()))
            yield f"~ {each.name}: choices{f' without {gone}' if gone else ''}{f' and with {more}' if more else ''}"
        elif each.field == "deprecated" and each.new:
            yield f"~ {each.name}: deprecated: {each.new}{_gone(each.name, (), new)}"
        else:
            yield f"~ {each.name}: {each.field} {each.old} became {each.new}"
    known = {flag for option in new.options for flag in option.flags}
    meant = {equal.option for engine in engines.ENGINES for equal in engine.options.values() if equal.option}
    for option in sorted(meant):
        if f"--{option}" not in known:
            yield f"! glmdeploy/sglang/dialects names --{option}, which the release lacks"


def _gone(name: str, came: Sequence[str], new: Catalog) -> str:
    """What is known, or may be guessed, of where a spelling or a variable went."""
    key = name.removeprefix("--") if name.startswith("--") else f"${name}"
    if any(key in row.old and version_key(row.since) <= version_key(new.version) for row in RENAMES):
        return ""
    near = " or ".join(nearest(name, came, most=2))
    return f"   (no rename known: look at it{', maybe ' if near else ''}{near})"
