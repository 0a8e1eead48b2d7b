"""What differs between two sides, or between the profiles of two folders: as text and as data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.authoring.sides import Side, comparable
from glmdeploy.plan.diff import diff
from glmdeploy.plan.impact import impact
from glmdeploy.plan.plan import digest
from glmdeploy.report.outage import outage_data, outage_text
from glmdeploy.report.run import error_data
from glmdeploy.report.text import error_text
from glmdeploy.report.values import changes_text, diff_data, impact_text
from glmdeploy.report.words import counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.authoring.sides import Folder
    from glmdeploy.errors import ProfileError
    from glmdeploy.plan.diff import Change
    from glmdeploy.plan.impact import Impact


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Of two plans' data: ``old`` and ``new`` are what was compared, the digests are those of the plans."""

    old: Mapping[str, Any]
    new: Mapping[str, Any]
    digests: tuple[str, str]
    changes: tuple[Change, ...]
    again: Impact

    @property
    def same(self) -> bool:
        return not self.changes


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A file name of two folders, of which one at least has a profile of that name."""

    name: str
    found: Difference | None = None
    state: str
    """``same``, ``changed``, ``added``, ``removed`` or ``error``."""
    error: ProfileError | None = None


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    """What differs between the data of two plans."""
    before, after = comparable(old, new)
    return Difference(
        old=before,
        new=after,
        digests=(digest(old), digest(new)),
        changes=diff(before, after),
        again=impact(before, after),
    )


def difference_text(found: Difference) -> str:
    """The changes, what runs again because of them, and what breaks for clients; one line where nothing differs."""
    if found.same:
        return "No changes."
    text = f"{changes_text(found.changes)}\n\n{impact_text(found.again)}"
    return "\n".join([text, *outage_text(found.old, found.new)])


def difference_data(found: Difference) -> dict[str, Any]:
    """The same as JSON data."""
    return diff_data(found.digests, found.changes, found.again) | {"outages": outage_data(found.old, found.new)}


def pairs(before: Folder, after: Folder) -> tuple[Pair, ...]:
    """The profiles of two folders, by file name."""
    return tuple(
        _pair(name, before.sides.get(name), after.sides.get(name))
        for name in sorted(before.sides.keys() | after.sides.keys())
    )


def _pair(name: str, old: Side | ProfileError | None, new: Side | ProfileError | None) -> Pair:
    for each in (new, old):
        if each is not None and not isinstance(each, Side):
            return Pair(name=name, state="error", error=each)
    if not isinstance(old, Side):
        return Pair(name=name, state="added")
    if not isinstance(new, Side):
        return Pair(name=name, state="removed")
    found = difference(old.data, new.data)
    return Pair(name=name, state="same" if found.same else "changed", found=found)


def pairs_text(some: Sequence[Pair]) -> str:
    """What differs, profile by profile, and a summary."""
    return "\n".join([*(line for pair in some for line in _pair_lines(pair)), _summary(some)])


def _pair_lines(pair: Pair) -> Iterator[str]:
    match pair.state:
        case "added":
            yield f"{click.style('+', fg='green')} {pair.name}: added"
        case "removed":
            yield f"{click.style('-', fg='red')} {pair.name}: removed"
        case "error":
            assert pair.error is not None
            yield f"{click.style('!', fg='red')} {pair.name}: cannot be compared"
            yield error_text(pair.error)
        case "changed":
            assert pair.found is not None
            yield click.style(f"~ {pair.name}", bold=True)
            yield from (f"  {line}" if line else "" for line in difference_text(pair.found).splitlines())
            yield ""


def _summary(some: Sequence[Pair]) -> str:
    counts = Counter(pair.state for pair in some)
    words = {"changed": "different", "same": "the same", "error": "in trouble"}
    named = [f"{counts[state]} {words.get(state, state)}" for state in _STATES if counts[state]]
    return f"{counted(len(some), 'profile')}: {listed(named)}." if some else "No profiles in either folder."


_STATES = ("changed", "added", "removed", "same", "error")


def pairs_data(some: Sequence[Pair]) -> dict[str, Any]:
    """The same as JSON data."""
    return {
        "same": all(pair.state == "same" for pair in some),
        "profiles": [
            {"name": pair.name, "state": pair.state}
            | (difference_data(pair.found) if pair.found else {})
            | (error_data(pair.error) if pair.error else {})
            for pair in some
        ],
    }
