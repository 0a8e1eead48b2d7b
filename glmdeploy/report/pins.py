"""What pinning a profile comes to: as text and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from glmdeploy.authoring.own_file import lines
from glmdeploy.authoring.pin import State
from glmdeploy.errors import ProfileError
from glmdeploy.findings import dotted
from glmdeploy.plan.impact import impact
from glmdeploy.plan.make import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.authoring.own_file import OwnFile
    from glmdeploy.authoring.pin import Pin
    from glmdeploy.profile.text.document import Document

_COLORS = {State.PINNED: "green", State.UNPINNED: "yellow", State.MOVED: "red"}


def pins_text(pins: Sequence[Pin]) -> str:
    """A line for each name; below it what it was and what it is, where these differ."""
    found = []
    for pin in pins:
        state = click.style(str(pin.state), fg=_COLORS[pin.state])
        found.append(f"{dotted(pin.path)}: {state}")
        found += [f"    {pin.new}"] if pin.old == pin.new else [f"  - {pin.old}", f"  + {pin.new}"]
    return "\n".join(found)


def pins_data(pins: Sequence[Pin], *, file: str, wrote: bool) -> dict[str, Any]:
    """The same as JSON data; ``wrote`` says whether the file was edited."""
    return {
        "profile": file,
        "written": wrote,
        "pinned": all(pin.state is State.PINNED for pin in pins),
        "pins": [
            {"path": dotted(pin.path), "of": pin.what, "state": str(pin.state), "old": pin.old, "new": pin.new}
            for pin in pins
        ],
    }


def edit_text(file: OwnFile) -> str:
    """The edit as a diff."""
    return "\n".join(lines(file))


def kernels_again(before: Document, after: Document) -> str | None:
    """That the compiled kernels are not those of the pinned names, for all that is known; None where that is so."""
    try:
        old, new = plan_of(before)[0].data(), plan_of(after)[0].data()
    except ProfileError:
        return None
    changed = impact(old, new).compile
    if not changed:
        return None
    names = " and ".join(f"`{each.section}.{each.name}`" for each in changed)
    return f"The next apply compiles the kernels anew: {names} decides them, and it is not known to be what it was."
