"""Values side by side: changes of plans, what SGLang runs with, what an upgrade changes; as text and as data."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from glmdeploy import redaction
from glmdeploy.findings import Severity
from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.run import finding_data
from glmdeploy.report.text import finding_line, finding_text
from glmdeploy.report.view import shown
from glmdeploy.report.words import counted
from glmdeploy.report.wrap import lines, table, whole

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

_RULES = "what the guard rules then find"

_SYMBOL_COLORS = {"+": "green", "-": "red", "~": "yellow"}


def changes_text(changes: Sequence[Change], width: int = UNLIMITED) -> str:
    """Changes grouped by section, with Terraform's symbols."""
    made = []
    for section, group in groupby(changes, key=lambda change: change.section):
        made.append(click.style(section, bold=True))
        for change in group:
            name = whole(f"{_symbol(change.symbol)} {change.name}:")
            made += lines(f"  {name} {_sides(change)}", width, indent=6)
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


def explain_text(facts: Facts, rows: Sequence[Row], width: int = UNLIMITED, *, everything: bool = True) -> str:
    """A table of what SGLang runs with, and why; where the real SGLang was asked, with what it says otherwise.

    ``everything`` names the file of SGLang's that decides a value.
    """
    profile = facts.profile
    unknown = Counter(row.effective.why for row in rows if not row.effective.known)
    # A reason that holds for the whole profile is told once, below.
    shared = [why for why, count in unknown.items() if why and count > 1]
    gpu = f"{facts.rented}, the first of its GPUs" if len(facts.gpus) > 1 else facts.rented
    head = f"{profile.name}: SGLang {profile.sglang.version} on {gpu}, {facts.architecture or 'unknown model'}"
    made = [*lines(head, width), "", *table([_cells(row, shared, files=everything) for row in rows], width)]
    if shared:
        made += ["", *(line for why in shared for line in lines(redaction.mask(why), width))]
    if compared := [row.agrees for row in rows if row.agrees is not None]:
        made += ["", f"The real SGLang agrees on {compared.count(True)} of {len(compared)} values."]
    return "\n".join(made)


def _cells(row: Row, shared: Sequence[str], *, files: bool) -> list[str]:
    """Name, value and reason, with what the real SGLang says otherwise. Masked before a line's end parts a secret."""
    found = row.effective
    value = redaction.mask(shown(found.value)) if found.known else "not known"
    source = f"{found.origin} ({found.basis})" if found.basis else str(found.origin)
    reason = "" if found.why in shared else found.why or ""
    if reason and found.file and files:
        reason += f" ({found.file})"
    text = redaction.mask(": ".join(filter(None, (source, reason))))
    if row.real and not row.agrees:
        said = redaction.mask(f"SGLang itself says {shown(row.real[0])}")
        text += f"; {click.style(said, fg='red' if row.agrees is False else None)}"
    return [
        row.name.replace("_", "-"),
        click.style(value, bold=found.known, fg=None if found.known else "yellow"),
        text,
    ]


def explain_data(facts: Facts, rows: Sequence[Row], resolved: Resolved | None) -> dict[str, Any]:
    """The same as JSON data; ``log`` is the real SGLang's, where it was asked."""
    profile = facts.profile
    data: dict[str, Any] = {
        "profile": profile.name,
        "sglang": profile.sglang.version,
        "gpu": str(facts.gpu),
        "nodes": facts.nodes,
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


def upgrade_text(upgrade: Upgrade, width: int = UNLIMITED, *, everything: bool = True) -> str:
    """What the upgrade comes to, and under headings all that it changes.

    Without ``everything`` the first of many defaults, and of the findings a line each without remarks.
    """
    translated = upgrade.translation
    findings = [each for each in upgrade.findings if everything or each.severity is not Severity.INFO]
    text = finding_text if everything else finding_line
    titles = {
        "what the profile says": [line for change in translated.changes for line in _translated(change)],
        "what cannot be translated": [
            f"  {click.style('!', fg='red', bold=True)} {item.message}" for item in translated.impossible
        ],
        "SGLang's defaults, for what the profile leaves out": _first(_differences(upgrade.defaults), everything),
        "SGLang's own decisions": _first(_differences(upgrade.effective), everything),
        "image": [f"  ~ {upgrade.old_image} -> {_image(upgrade)}"] if _moves(upgrade) else [],
        _RULES: [text(each, width) for each in findings],
    }
    made = lines(f"{click.style(_versions(upgrade), bold=True)}: {_outcome(upgrade)}", width)
    for title, some in titles.items():
        made += lines(click.style(title, bold=True), width) if some else []
        made += some if title == _RULES else [below for line in some for below in lines(line, width, indent=6)]
    if remarks := len(upgrade.findings) - len(findings):
        more = f"{'  and ' if findings else ''}{counted(remarks, 'remark')} of the guard rules (--all shows them)"
        made += lines(more, width)
    return "\n".join(made)


def _versions(upgrade: Upgrade) -> str:
    return f"{upgrade.name}: SGLang {upgrade.source} -> {upgrade.target}"


def _outcome(upgrade: Upgrade) -> str:
    """Whether it can be made, and how much it changes in the profile."""
    translated = upgrade.translation
    if count := len(translated.impossible):
        return click.style(f"{counted(count, 'setting')} cannot be translated", fg="red")
    if not translated.changes:
        return "possible, every option is understood as it is"
    return f"possible, {counted(len(translated.changes), 'change')} to what the profile says"


def _first(some: list[str], everything: bool) -> list[str]:
    """All of them, or the first and how many there are besides."""
    if everything or len(some) <= FIRST + 1:
        return some
    return [*some[:FIRST], f"  and {len(some) - FIRST} more (--all shows them)"]


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
