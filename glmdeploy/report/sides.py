"""What differs between two sides, or between the profiles of two folders: as text and as data."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.authoring.sides import Side, comparable
from glmdeploy.findings import listed
from glmdeploy.plan.diff import diff
from glmdeploy.plan.impact import impact
from glmdeploy.plan.plan import digest
from glmdeploy.records import record
from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.outage import outage_data, outage_text
from glmdeploy.report.run import error_data, finding_data
from glmdeploy.report.text import error_text, finding_line
from glmdeploy.report.values import changes_text, diff_data, impact_text
from glmdeploy.report.words import counted
from glmdeploy.report.wrap import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.authoring.sides import Folder
    from glmdeploy.errors import ProfileError
    from glmdeploy.findings import Finding
    from glmdeploy.plan.diff import Change
    from glmdeploy.plan.impact import Impact


SAME = "no differences"

COMPILE = "compile command"
"""The section of a difference that the options of the compilation stand in."""


@record
class Difference:
    """Of two plans' data: ``old`` and ``new`` are what was compared, the digests are those of the plans.

    ``come`` and ``gone`` are the warnings that only one of them has; None where nobody judged one of the two.
    """

    old: Mapping[str, Any]
    new: Mapping[str, Any]
    digests: tuple[str, str]
    changes: tuple[Change, ...]
    again: Impact
    come: tuple[Finding, ...] | None = None
    gone: tuple[Finding, ...] | None = None

    @property
    def same(self) -> bool:
        return not self.changes


@record
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


def between(old: Side, new: Side) -> Difference:
    """The same of two sides, with the warnings that come and go."""
    found = difference(old.data, new.data)
    if old.warnings is None or new.warnings is None:
        return found
    return replace(found, come=_only_in(new.warnings, old.warnings), gone=_only_in(old.warnings, new.warnings))


def _only_in(some: Sequence[Finding], others: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings that others do not have at the same value: figures in their words may differ."""
    known = {(each.id, each.path, each.waived is None) for each in others}
    return tuple(each for each in some if (each.id, each.path, each.waived is None) not in known)


def difference_text(found: Difference, width: int = UNLIMITED, *, everything: bool = False) -> str:
    """The changes, what runs again because of them, what breaks for clients, and which warnings come and go.

    One line where nothing differs. ``everything`` tells the options of the compilation too where they are SGLang's.
    """
    lines = [SAME] if found.same else [*_changes(found, width, everything=everything)]
    for word, color, some in (("new", "yellow", found.come), ("gone", "green", found.gone)):
        lines += [f"{click.style(word, fg=color)}: {finding_line(each)}" for each in some or ()]
    return wrapped("\n".join(lines), width, indent=4)


def _changes(found: Difference, width: int, *, everything: bool) -> Iterator[str]:
    told, repeated = found.changes, 0
    if not everything:
        told = tuple(each for each in found.changes if not _repeats(each, found.changes))
        repeated = len(found.changes) - len(told)
    yield from changes_text(told, width).split("\n")
    if repeated:
        yield f"{click.style('compile command', bold=True)}: {counted(repeated, 'change')} as above (--all shows them)"
    yield from ["", *impact_text(found.again).split("\n")]
    yield from outage_text(found.old, found.new)


def _repeats(change: Change, others: Sequence[Change]) -> bool:
    """Whether it says of the compilation what is said of the server."""
    return change.section == COMPILE and any(
        (each.section, each.name, each.old, each.new) == ("sglang", change.name, change.old, change.new)
        for each in others
    )


def difference_data(found: Difference) -> dict[str, Any]:
    """The same as JSON data; without ``findings`` where nobody judged one of the two."""
    data = diff_data(found.digests, found.changes, found.again) | {"outages": outage_data(found.old, found.new)}
    if found.come is None or found.gone is None:
        return data
    findings = {"new": [*map(finding_data, found.come)], "gone": [*map(finding_data, found.gone)]}
    return data | {"findings": findings}


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
    found = between(old, new)
    return Pair(name=name, state="same" if found.same else "changed", found=found)


def pairs_text(some: Sequence[Pair], width: int = UNLIMITED, *, everything: bool = False) -> str:
    """What differs, profile by profile, and a summary."""
    lines = [line for pair in some for line in _pair_lines(pair, width, everything=everything)]
    return "\n".join([*lines, wrapped(_summary(some), width)])


def _pair_lines(pair: Pair, width: int, *, everything: bool) -> Iterator[str]:
    match pair.state:
        case "added":
            yield f"{click.style('+', fg='green')} {pair.name}: added"
        case "removed":
            yield f"{click.style('-', fg='red')} {pair.name}: removed"
        case "error":
            assert pair.error is not None
            yield f"{click.style('!', fg='red')} {pair.name}: cannot be compared"
            yield error_text(pair.error, width)
        case "changed":
            assert pair.found is not None
            yield click.style(f"~ {pair.name}", bold=True)
            inner = difference_text(pair.found, width if width >= UNLIMITED else width - 2, everything=everything)
            yield from (f"  {line}" if line else "" for line in inner.splitlines())
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
