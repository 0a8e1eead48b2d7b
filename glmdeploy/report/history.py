"""The versions of a deployed app, as text in the width of a terminal and as data."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.report.grid import Cell, columns
from glmdeploy.report.plan_rows import said
from glmdeploy.report.status import version_data
from glmdeploy.report.values import change_data
from glmdeploy.report.view import clean
from glmdeploy.report.words import moment
from glmdeploy.report.wrap import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from glmdeploy.operate.versions import Entry, Versions
    from glmdeploy.plan.diff import Change

NARROW = 70
"""Columns."""
FIRST = 2
"""How many changes a line names."""


def history_text(found: Versions, width: int, *, now: datetime | None = None, zone: tzinfo | None = None) -> list[str]:
    """A line for each version, the newest first: number, whether it is live, when, by whom, what it changed."""
    present = now or datetime.now(UTC)
    rows = [_row(each, present, zone) for each in found.entries]
    # Too narrow for columns side by side, what a version changed stands below the rest of it.
    lines = columns(rows, width) if width >= NARROW else table([_below(row) for row in rows], width)
    if found.left_out:
        lines.append(f"and {found.left_out} older ones (--all)")
    return lines


def _below(row: Sequence[Cell]) -> list[str]:
    *head, what, proof = row
    cells = (click.style(cell.text, **_STYLES.get(cell.style, {})) if cell.text else "" for cell in (*head, proof))
    return [*cells, what.text]


_STYLES: Mapping[str, Mapping[str, Any]] = {"bold": {"bold": True}, "green": {"fg": "green"}, "red": {"fg": "red"}}


def _row(each: Entry, now: datetime, zone: tzinfo | None) -> list[Cell]:
    version = each.version
    return [
        Cell(text=f"{version.number:>3}", style="bold"),
        Cell(text="live" if each.live else "", style="green"),
        Cell(text=moment(version.at, now, zone=zone)),
        Cell(text=clean(version.by)),
        Cell(text=_what(each)),
        Cell(text=each.proof or "", style="red" if each.proof == "refused" else ""),
    ]


def _what(each: Entry) -> str:
    """What kind of version it is, and what it changed."""
    version, note = each.version, clean(each.version.note)
    kinds = {"rollback": f"rollback to {version.rollback_version}", "rollover": "fresh containers"}
    words = [kinds.get(version.kind, "" if version.kind == "standard" else version.kind)]
    if each.origin is None:
        words.append("not deployed by glmdeploy")
    elif each.first:
        words.append("created")
    elif each.changes:
        words.append(short_changes(each.changes))
    elif each.changes is not None and version.kind == "standard":
        words.append("deployed again")
    if note and note != each.profile and version.kind == "standard":
        words.append(f"“{note}”")
    return "; ".join(filter(None, words))


def short_changes(changes: Sequence[Change], first: int = FIRST) -> str:
    """The first of them in few words: ``max-running-requests 48 → 40, server.min_containers + 1, and 3 more``."""
    told = _without_echoes(changes)
    named = ", ".join(map(_short, told[:first]))
    more = len(told) - first
    return f"{named}, and {more} more" if more > 0 else named


def _without_echoes(changes: Sequence[Change]) -> list[Change]:
    """SGLang's options first; what the kernels' compiler is told alike is not said again."""
    options = {(each.name, each.new) for each in changes if each.section == "sglang"}
    told = [each for each in changes if each.section != "compile command" or (each.name, each.new) not in options]
    return sorted(told, key=lambda each: each.section != "sglang")


def _short(change: Change) -> str:
    if change.section == "glmdeploy":
        return "another release of glmdeploy"
    own = change.section == "sglang"
    name = change.name.removeprefix("--") if own else f"{change.section}.{change.name}"
    if change.symbol == "+":
        return f"{name} + {said(change.name, change.new)}"
    if change.symbol == "-":
        return f"without {name}"
    return f"{name} {said(change.name, change.old)} → {said(change.name, change.new)}"


def history_data(found: Versions) -> dict[str, Any]:
    """The same as JSON data, with every change."""
    return {"app": found.app, "versions": [_data(each) for each in found.entries], "older": found.left_out}


def _data(each: Entry) -> dict[str, Any]:
    version = each.version
    return {
        **version_data(version, each.origin),
        "live": each.live,
        "profile": each.profile,
        "tag": version.tag or None,
        "note": version.note or None,
        "foreign": each.origin is None,
        "origin": each.origin.number if each.origin else None,
        "rollback_allowed": version.rollback_allowed,
        "changes": None if each.changes is None else [change_data(change) for change in each.changes],
        "proof": each.proof,
        "client": version.client or None,
    }
