"""Write an upgrade into the profile's own file, with comments, order and layout kept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmdeploy import editor, source
from glmdeploy.editor import EditError
from glmdeploy.edits import AddAfter, Edit, Remove, RenameKey, SetValue
from glmdeploy.errors import GlmdeployError
from glmdeploy.findings import Path as Way
from glmdeploy.findings import dotted
from glmdeploy.resources import profiles_dir

if TYPE_CHECKING:
    from glmdeploy.sglang.translation import Change
    from glmdeploy.source import Document
    from glmdeploy.upgrade import Upgrade

_VERSION: Way = ("sglang", "version")
_IMAGE: Way = ("sglang", "image")


def write(document: Document, upgrade: Upgrade) -> None:
    """Edit the profile's file: the release, its image, and everything that the translation changes.

    The new text replaces the file at once, and only after it was read back with all that the profile extends and gave
    exactly the upgraded profile.

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
    path = Path(document.files[0])
    if path.resolve().is_relative_to(profiles_dir().resolve()) and not path.resolve().is_relative_to(Path.cwd()):
        raise EditError(f"{path} ships with glmdeploy", advice="Copy it into your own folder, and edit that.")
    try:
        # Bytes, so that line ends stay as they are.
        text = path.read_bytes().decode("utf-8")
        _replace(path, _edited(text, document, upgrade), upgrade.data)
    except OSError as error:
        raise GlmdeployError(f"cannot write {path}: {error.strerror}") from None


def _edited(text: str, document: Document, upgrade: Upgrade) -> str:
    pen = _Pen(text, document)
    for path, old, new in ((_VERSION, upgrade.source, upgrade.target), (_IMAGE, upgrade.old_image, upgrade.new_image)):
        if old != new:
            pen.set(path, new)
    for change in upgrade.translation.changes:
        pen.change(change)
    return pen.text


def _replace(path: Path, text: str, intended: dict[str, Any]) -> None:
    real = path.resolve()
    # Beside the file, where `extends` finds what it found before; a name that no shell pattern of profiles takes.
    draft = real.with_name(f".{real.name}.upgrade")
    try:
        draft.write_bytes(text.encode("utf-8"))
        data = source.load(str(draft)).data
        for section in ("args", "env"):
            data["sglang"].setdefault(section, {})
        if data != intended:
            raise EditError(f"the edited {path} would not give the upgraded profile; nothing was written")
        shutil.copymode(real, draft)
        draft.replace(real)
    finally:
        draft.unlink(missing_ok=True)


class _Pen:
    """The file's own text, edited step by step."""

    def __init__(self, text: str, document: Document) -> None:
        self.text = text
        self._document = document

    def set(self, path: Way, value: Any) -> None:
        self._require(path)
        self._edit(SetValue(path=path, value=value))

    def change(self, change: Change) -> None:
        old = {_way(name): value for name, value in change.old.items()}
        for path in old:
            self._require(path)
        last: Way | None = None
        for path, value in ((_way(name), value) for name, value in change.new.items()):
            if path in old:
                del old[path]
                self.set(path, value)
            elif not self._has(path):
                before = next((other for other in old if other[:-1] == path[:-1]), None)
                if before is None:
                    self._add(path, value, after=last)
                else:
                    self._edit(RenameKey(path=before, name=str(path[-1])))
                    if old.pop(before) != value:
                        self.set(path, value)
            last = path
        for path in old:
            self._remove(path)

    def _edit(self, step: Edit) -> None:
        self.text = editor.apply(self.text, [step], self._document.files[0])

    def _own(self) -> Document:
        return source.read_text(self.text, self._document.files[0])

    def _has(self, path: Way) -> bool:
        return path in self._own().marks

    def _require(self, path: Way) -> None:
        if not self._has(path):
            place = self._document.locate(path)
            raise EditError(
                f"`{dotted(path)}` is not written in {self._document.files[0]}, but in {place.file}, line {place.line}",
                advice="Upgrade that profile, or write the value into this one first.",
            )

    def _add(self, path: Way, value: Any, after: Way | None = None) -> None:
        own = self._own().data
        holder: Any = own
        for part in path[:-1]:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if holder is None and len(path) > 1:
            self._add(path[:-1], {path[-1]: value}, after=_IMAGE if self._has(_IMAGE) else None)
            return
        if not holder or not isinstance(holder, dict):
            raise EditError(f"`{dotted(path[:-1])}` in {self._document.files[0]} is empty", advice="Edit it by hand.")
        sibling = after or (*path[:-1], next(reversed(holder)))
        self._edit(AddAfter(path=sibling, name=str(path[-1]), value=value))

    def _remove(self, path: Way) -> None:
        holder: Any = self._own().data
        for part in path[:-1]:
            holder = holder[part]
        if len(holder) == 1 and len(path) > 1:
            self._remove(path[:-1])  # a mapping without entries says as much as none
        else:
            self._edit(Remove(path=path))


def _way(name: str) -> Way:
    return ("sglang", "env", name.removeprefix("$")) if name.startswith("$") else ("sglang", "args", name)
