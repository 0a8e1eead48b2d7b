"""Write an upgrade into the profile's own file, with comments, order and layout kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.editor import EditError
from glmdeploy.edits import AddAfter, Edit, Remove, RenameKey, SetValue
from glmdeploy.errors import GlmdeployError
from glmdeploy.own_file import OwnFile

if TYPE_CHECKING:
    from glmdeploy.findings import Path as Way
    from glmdeploy.sglang.translation import Change
    from glmdeploy.source import Document
    from glmdeploy.upgrade import Upgrade

_VERSION: Way = ("sglang", "version")
_IMAGE: Way = ("sglang", "image")


def write(document: Document, upgrade: Upgrade) -> None:
    """Edit the profile's file: the release, its image, and everything that the translation changes.

    The new text replaces the file at once, and only if it gives, with all that the profile extends, exactly the
    upgraded profile.

    :raises EditError: if a value stands in another file, or cannot be changed safely; the file is as before then.
    :raises GlmdeployError: if the upgrade is not possible, has no image, or the file cannot be written.
    """
    if upgrade.translation.impossible:
        raise GlmdeployError("what cannot be translated must be decided first; nothing was written")
    if upgrade.new_image is None:
        raise GlmdeployError(
            f"no image of SGLang {upgrade.target} follows from the tag of {upgrade.old_image}",
            advice="Name one with --image.",
        )
    edited = _edited(OwnFile.read(document.files[0]), upgrade)
    data = edited.document.data
    if {**data, "sglang": {"args": {}, "env": {}, **data["sglang"]}} != upgrade.data:
        raise EditError(f"the edited {edited.name} would not give the upgraded profile; nothing was written")
    edited.write()


def _edited(file: OwnFile, upgrade: Upgrade) -> OwnFile:
    for path, old, new in ((_VERSION, upgrade.source, upgrade.target), (_IMAGE, upgrade.old_image, upgrade.new_image)):
        if old != new:
            file = file.edited(SetValue(path=path, value=new))
    for change in upgrade.translation.changes:
        file = _changed(file, change)
    return file


def _changed(file: OwnFile, change: Change) -> OwnFile:
    """The file with the change made: a new setting takes the place of an old one, or stands behind the one before."""
    old = {_way(name): value for name, value in change.old.items()}
    last: Way | None = None
    for path, value in ((_way(name), value) for name, value in change.new.items()):
        before = next((other for other in old if other[:-1] == path[:-1]), None)
        if path in old:
            del old[path]
            file = file.edited(SetValue(path=path, value=value))
        elif path not in file.alone.marks and before is not None:
            file = file.edited(RenameKey(path=before, name=str(path[-1])))
            if old.pop(before) != value:
                file = file.edited(SetValue(path=path, value=value))
        elif path not in file.alone.marks:
            file = file.edited(_addition(file, path, value, after=last))
        last = path
    return file.edited(*(Remove(path=path) for path in old))


def _addition(file: OwnFile, path: Way, value: Any, after: Way | None) -> Edit:
    """The edit that adds a setting: behind another one, or in a section that begins behind the image."""
    if after is not None and after[:-1] == path[:-1]:
        return AddAfter(path=after, name=str(path[-1]), value=value)
    if path[:-1] not in file.alone.marks and _IMAGE in file.alone.marks:
        return AddAfter(path=_IMAGE, name=str(path[-2]), value={path[-1]: value})
    return SetValue(path=path, value=value)


def _way(name: str) -> Way:
    return ("sglang", "env", name.removeprefix("$")) if name.startswith("$") else ("sglang", "args", name)
