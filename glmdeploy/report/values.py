"""Values side by side: changes of plans, what SGLang runs with, what an upgrade changes; as text and as data."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from glmdeploy import redaction
from glmdeploy.report.grid import UNLIMITED, Cell, columns
from glmdeploy.report.run import finding_data
from glmdeploy.report.text import finding_text
from glmdeploy.report.view import shown
from glmdeploy.report.wrap import lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.authoring.upgrade import Difference, Upgrade
    from glmdeploy.plan.diff import Change
    from glmdeploy.plan.impact import Impact
    from glmdeploy.rules.facts import Facts
    from glmdeploy.sglang import translation
    from glmdeploy.sglang.explain import Row
    from glmdeploy.sglang.real.oracle import Resolved

FIRST = 3
"""How many changes a line names: all of them stand in the list of changes."""

_SYMBOL_COLORS = {"+": "green", "-": "red", "~": "yellow"}


def changes_text(changes: Sequence[Change], width: int = UNLIMITED) -> str:
    """Changes grouped by section, with Terraform's symbols."""
    made = []
    for section, group in groupby(changes, key=lambda change: change.section):
        made.append(click.style(section, bold=True))
        for change in group:
            made += lines(f"  {_symbol(change.symbol)} {change.name}: {_sides(change)}", width, indent=6)
    return "\n".join(made)


def changes_line(changes: Sequence[Change]) -> str:
    """The first of them on one line: ``sglang --tp-size: 8 -> 4, environment X: + 1, and 3 more``."""
    symbols = {"+": "+ ", "-": "- ", "~": ""}
    named = [f"{each.section} {each.name}: {symbols[each.symbol]}{_sides(each)}" for each in changes[:FIRST]]
    return ", ".join(named) + (f", and {len(changes) - FIRST} more" if len(changes) > FIRST else "")


def _sides(change: Change) -> str:
    """The old value and the new one, as far as there are both."""
    return " -> ".join(redaction.mask(shown(value)) for value in (change.old, change.new) if value is not None)


def impact_text(found: Impact) -> str:
    """Which stages a change has run again, and why; what is in the volumes already is not known here."""
    stages = {"download": found.download, "compile": found.compile}
    lines = [f"  {name}: {changes_line(changes)}" for name, changes in stages.items() if changes]
    if not lines:
        return "Stages to run again: none, weights and kernels serve on."
    return "\n".join(["Stages to run again, where the volumes do not have what they make:", *lines])


def change_data(change: Change) -> dict[str, Any]:
    """One change as JSON data."""
    return {"section": change.section, "name": change.name, "old": change.old, "new": change.new}


def diff_data(digests: tuple[str, str], changes: Sequence[Change], found: Impact) -> dict[str, Any]:
    """Two plans' difference as JSON data, with their digests; ``stages`` says what runs again and why."""
    old, new = digests
    return {
        "same": not changes,
        "old": old,
        "new": new,
        "changes": [change_data(change) for change in changes],
        "stages": {
            "download": [change_data(change) for change in found.download],
            "compile": [change_data(change) for change in found.compile],
        },
    }


def explain_text(facts: Facts, rows: Sequence[Row], width: int = UNLIMITED) -> str:
    """A table of what SGLang runs with; where the real SGLang was asked, with what it says otherwise."""
    profile = facts.profile
    unknown = Counter(row.effective.why for row in rows if not row.effective.known)
    # A reason that holds for the whole profile is told once, below.
    shared = [why for why, count in unknown.items() if why and count > 1]
    gpu = f"{facts.gpu}, the first of its GPUs" if len(facts.gpus) > 1 else str(facts.gpu)
    lines = [
        f"{profile.name}: SGLang {profile.sglang.version} on {gpu}, {facts.architecture or 'unknown model'}",
        "",
        *columns([cells for row in rows for cells in _cells(row, shared)], width),
    ]
    lines += ["", *shared] if shared else []
    if compared := [row.agrees for row in rows if row.agrees is not None]:
        lines += ["", f"The real SGLang agrees on {compared.count(True)} of {len(compared)} values."]
    return "\n".join(lines)


def _cells(row: Row, shared: Sequence[str]) -> Iterator[list[Cell]]:
    """The row, and one below it where the real SGLang says otherwise. Masked before a line's end can part a secret."""
    found = row.effective
    value = redaction.mask(shown(found.value)) if found.known else "not known"
    reason = f"{found.why or ''} ({found.file})" if found.file else found.why or ""
    yield [
        Cell(text=row.name.replace("_", "-")),
        Cell(text=value, style="bold" if found.known else "yellow"),
        Cell(text=f"{found.origin} ({found.basis})" if found.basis else str(found.origin)),
        Cell(text="" if found.why in shared else redaction.mask(reason)),
    ]
    if row.real and not row.agrees:
        said = redaction.mask(f"SGLang itself says {shown(row.real[0])}")
        yield [Cell(text=""), Cell(text=""), Cell(text=""), Cell(text=said, style="red" if row.agrees is False else "")]


def explain_data(facts: Facts, rows: Sequence[Row], resolved: Resolved | None) -> dict[str, Any]:
    """The same as JSON data; ``log`` is the real SGLang's, where it was asked."""
    profile = facts.profile
    data: dict[str, Any] = {
        "profile": profile.name,
        "sglang": profile.sglang.version,
        "gpu": str(facts.gpu),
        "architecture": facts.architecture,
        "values": [_row_data(row) for row in rows],
    }
    return data if resolved is None else data | {"log": list(resolved.log)}


def _row_data(row: Row) -> dict[str, Any]:
    found = row.effective
    data = {
        "name": row.name,
        "value": found.value,
        "known": found.known,
        "source": str(found.origin),
        "why": found.why,
        "file": found.file,
        "basis": found.basis and str(found.basis),
    }
    return data | ({"sglang": row.real[0], "agrees": row.agrees} if row.real else {})


def upgrade_text(upgrade: Upgrade) -> str:
    """Everything that the upgrade changes, under headings."""
    translated = upgrade.translation
    titles = {
        "what the profile says": [line for change in translated.changes for line in _translated(change)],
        "what cannot be translated": [
            f"  {click.style('!', fg='red', bold=True)} {item.message}" for item in translated.impossible
        ],
        "SGLang's defaults, for what the profile leaves out": _differences(upgrade.defaults),
        "SGLang's own decisions": _differences(upgrade.effective),
        "what the guard rules then find": [*map(finding_text, upgrade.findings)],
        "image": [f"  ~ {upgrade.old_image} -> {_image(upgrade)}"] if _moves(upgrade) else [],
    }
    lines = [click.style(f"{upgrade.name}: SGLang {upgrade.source} -> {upgrade.target}", bold=True)]
    for title, some in titles.items():
        lines += [click.style(title, bold=True), *some] if some else []
    if not (translated.changes or translated.impossible):
        lines.append("Every option is understood as it is.")
    return "\n".join(lines)


def _translated(change: translation.Change) -> Iterator[str]:
    symbol = "~" if change.new and change.old else "+" if change.new else "-"
    yield f"  {_symbol(symbol)} {' -> '.join(_settings(side) for side in (change.old, change.new) if side)}"
    yield f"      {change.why}"


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.removeprefix('$')}: {shown(value)}" for name, value in settings.items())


def _differences(some: Sequence[Difference]) -> list[str]:
    return [f"  ~ {item.name}: {shown(item.old)} -> {shown(item.new)}" for item in some]


def _moves(upgrade: Upgrade) -> bool:
    return upgrade.source != upgrade.target or upgrade.old_image != upgrade.new_image


def _image(upgrade: Upgrade) -> str:
    if upgrade.new_image is None:
        return "? (the tag does not name the release: give --image)"
    dropped = "; the old digest is dropped, `glmdeploy pin` writes the new one" if upgrade.unpinned else ""
    if not upgrade.guessed:
        return upgrade.new_image + (f" ({dropped.removeprefix('; ')})" if dropped else "")
    return f"{upgrade.new_image} (suggested from the tag; not looked up{dropped})"


def upgrade_data(upgrade: Upgrade, *, written: bool) -> dict[str, Any]:
    """The same as JSON data; ``written`` says whether the profile's file was edited."""
    translated = upgrade.translation
    return {
        "profile": upgrade.name,
        "from": upgrade.source,
        "to": upgrade.target,
        "possible": not translated.impossible,
        "written": written,
        "changes": [
            {"old": dict(change.old), "new": dict(change.new), "why": change.why, "source": change.source}
            for change in translated.changes
        ],
        "impossible": [{"option": item.key, "message": item.message} for item in translated.impossible],
        "defaults": [_difference_data(item) for item in upgrade.defaults],
        "effective": [_difference_data(item) for item in upgrade.effective],
        "findings": [finding_data(finding) for finding in upgrade.findings],
        "image": {"old": upgrade.old_image, "new": upgrade.new_image, "verified": False, "unpinned": upgrade.unpinned},
    }


def _difference_data(item: Difference) -> dict[str, Any]:
    return {"option": item.name, "old": item.old, "new": item.new}


def _symbol(symbol: str) -> str:
    return click.style(symbol, fg=_SYMBOL_COLORS[symbol])
