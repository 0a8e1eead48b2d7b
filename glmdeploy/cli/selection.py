"""``--select`` and ``--ignore``: which findings count."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from glmdeploy.findings import Finding


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--select`` and ``--ignore``, passed on as ``select`` and ``ignore``."""

    @click.option(
        "--select",
        multiple=True,
        metavar="IDS",
        help="Report only these: ids of rules or their beginnings (GLM02), with commas; may be repeated. "
        "What keeps a profile from being judged is reported all the same.",
    )
    @click.option("--ignore", multiple=True, metavar="IDS", help="Report all but these; the longer of two ids wins.")
    @functools.wraps(function)
    def wrapped(**arguments: Any) -> Any:
        return function(**arguments)

    return wrapped


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is reported and can fail: ids and their beginnings. No ``selected`` selects everything."""

    selected: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def covers(self, finding: Finding) -> bool:
        """Whether the finding counts: by the longest name that it begins with, and ``ignored`` wins a tie."""
        wanted = _longest(finding.id, self.selected) if self.selected else 0
        return wanted > _longest(finding.id, self.ignored)

    def of(self, findings: Iterable[Finding], *, judged: bool) -> tuple[Finding, ...]:
        """The findings that count.

        Where the rules could not be ``judged``, a selection of rules must not pass for their having found nothing:
        what kept them from it counts unless it is ignored by name.
        """
        blocked = not judged and any(name.startswith("GLM") for name in self.selected)
        return tuple(
            finding
            for finding in findings
            if self.covers(finding) or (blocked and _longest(finding.id, self.ignored) < 0)
        )


def _longest(name: str, beginnings: Iterable[str]) -> int:
    return max((len(beginning) for beginning in beginnings if name.startswith(beginning)), default=-1)


def selection(select: Iterable[str], ignore: Iterable[str]) -> Selection:
    """The selection of two options' values. :raises UsageError: for what no finding's id begins with."""
    return Selection(selected=_names(select), ignored=_names(ignore))


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(_known(name.strip()) for value in values for name in value.split(",") if name.strip())


def _known(name: str) -> str:
    from glmdeploy.rules import RETIRED, rules
    from glmdeploy.rules.topics import CHECKS

    ids = [rule.id for rule in rules()]
    if name.lower() in CHECKS:
        return name.lower()
    if name.upper().startswith("GLM") and any(known.startswith(name.upper()) for known in ids):
        return name.upper()
    if name.upper() in RETIRED:
        raise UsageError(f"{name.upper()} is no rule any more: {RETIRED[name.upper()]}")
    raise unknown(name, [*ids, *CHECKS])


def unknown(name: str, known: Iterable[str]) -> UsageError:
    """The error for an id that is none, with the nearest one."""
    import difflib  # only a failure needs it

    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    hint = f"did you mean {by_lower[near[0]]}? " if near else ""
    return UsageError(f"there is no rule {name}", advice=f"{hint}`glmdeploy rules` lists them")
