"""Write what a profile's names mean today into its own file: the model's commit, and the image's digest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from glmdeploy.authoring.own_file import OwnFile
from glmdeploy.errors import GlmdeployError
from glmdeploy.findings import SetValue, at
from glmdeploy.sglang.image import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from glmdeploy.findings import KeyPath
    from glmdeploy.profile.text.document import Document
    from glmdeploy.sglang.image import ImageReference

MODEL: KeyPath = ("model", "revision")
IMAGE: KeyPath = ("sglang", "image")

_COMMIT = re.compile("[0-9a-f]{40}")


class State(StrEnum):
    """What became of a name."""

    PINNED = "pinned"
    """It was pinned, and is what it was."""
    UNPINNED = "not pinned"
    MOVED = "moved"
    """It is pinned, and its name means something else by now."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A value of the profile as it is written, ``old``, and as it is to be, ``new``; ``what`` it is of."""

    path: KeyPath
    what: str
    state: State
    old: str
    new: str


def model_pin(document: Document, commit_of: Callable[[str, str], str], revision: str | None = None) -> Pin:
    """The pin of the model: to the commit of ``revision``, else of what the profile names. A commit is not asked for.

    ``commit_of`` tells the commit of a repository's revision.

    :raises GlmdeployError: where the profile names no model.
    """
    repo, old = _text(document, ("model", "repo")), _text(document, MODEL)
    pinned = _COMMIT.fullmatch(old) is not None
    name = revision or old
    new = name if _COMMIT.fullmatch(name) else commit_of(repo, name)
    return Pin(path=MODEL, what=repo, state=_state(pinned=pinned, same=old == new), old=old, new=new)


def image_pin(document: Document, digest_of: Callable[[ImageReference], str]) -> Pin:
    """The pin of the image: to the digest of its tag. An image with a digest and no tag is not asked for.

    :raises GlmdeployError: where the profile names no image.
    """
    old = _text(document, IMAGE)
    image = parse(old)
    fixed = image.digest is not None and image.tag is None
    new = old if fixed else str(image.at(digest_of(image)))
    pinned = image.digest is not None
    return Pin(path=IMAGE, what=image.name, state=_state(pinned=pinned, same=old == new), old=old, new=new)


def pinned(document: Document, pins: Sequence[Pin]) -> OwnFile:
    """The profile's own file with the pins made, not written yet. What it extends is overridden, not touched.

    :raises EditError: if a value cannot be changed safely.
    :raises GlmdeployError: if there is no file.
    """
    edits = [SetValue(path=pin.path, value=pin.new) for pin in pins if pin.new != pin.old]
    return OwnFile.read(document.files[0]).edited(*edits, override=True)


def _state(*, pinned: bool, same: bool) -> State:
    return State.UNPINNED if not pinned else State.PINNED if same else State.MOVED


def _text(document: Document, path: KeyPath) -> str:
    section, name = path
    found = document.data.get(str(section), {})
    value = at(document.data, path) if isinstance(found, dict) and name in found else None
    if not isinstance(value, str) or not value:
        raise GlmdeployError(f"the profile has no `{section}.{name}`", advice="see `glmdeploy validate`")
    return value
