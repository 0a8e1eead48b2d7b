"""A profile's own file: read once, edited in memory, and replaced at once. What it extends is never touched."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from difflib import unified_diff
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmdeploy import redaction
from glmdeploy.authoring import editor
from glmdeploy.authoring.editor import EditError
from glmdeploy.errors import GlmdeployError
from glmdeploy.findings import Remove, at, dotted
from glmdeploy.profile.text.load import load, read_text
from glmdeploy.redaction import MASK
from glmdeploy.resources import profiles_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from glmdeploy.findings import Edit, KeyPath
    from glmdeploy.profile.text.document import Document

_STAGE: KeyPath = ("compile",)
"""The one mapping of a profile that says something when it is empty: that there is this stage."""


@dataclass(frozen=True)
class OwnFile:
    """The file ``name``: the text that it had when it was read, and the text that it is to have."""

    name: str
    saved: str
    text: str

    @classmethod
    def read(cls, name: str) -> OwnFile:
        """The file as it is; ``name`` is what reading a profile calls it (``Document.files[0]``).

        :raises GlmdeployError: if it cannot be read, or is nothing that can be replaced.
        """
        path = Path(name)
        if not path.is_file():
            raise GlmdeployError(f"{name} is not a file that can be edited")
        try:
            with _explained("read", path):
                # Bytes, so that line ends stay as they are.
                text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise GlmdeployError(f"{name} is not UTF-8") from None
        return cls(name=name, saved=text, text=text)

    @cached_property
    def document(self) -> Document:
        """The profile that the text gives, with what it extends. :raises ProfileError: if it gives none."""
        return load(self.name, own=self.text.encode("utf-8"))

    @cached_property
    def alone(self) -> Document:
        """What the text says by itself. :raises ProfileError: if it is no profile."""
        return read_text(self.text, self.name)

    def edited(self, *edits: Edit, override: bool = False) -> OwnFile:
        """The file with the edits made, one after the other. The profile must then say what they say, and no more.

        A mapping or list goes with its last entry. With ``override``, a value that stands in another file is set here.

        :raises EditError: if a value stands in another file, or an edit cannot be made safely.
        """
        if edits and _ships(self.name):
            raise EditError(f"{self.name} ships with glmdeploy", advice="copy it into your own folder, and edit that")
        file = self
        for edit in edits:
            file = file._edited(edit, override=override)
        return file

    def write(self) -> None:
        """Replace the file with the text, at once. Its mode stays, and a link to it goes on leading to it.

        :raises GlmdeployError: if it was changed since it was read, or cannot be written; it is as before then.
        """
        if self.text == self.saved:
            return
        real = Path(self.name).resolve()
        with _explained("write", real), _draft(real) as draft:
            # Although nothing is written into it: what is read-only is not to be replaced either.
            real.open("r+b").close()
            with draft.open("wb") as file:
                file.write(self.text.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            _dress(draft, like=real)
            if real.read_bytes() != self.saved.encode("utf-8"):
                raise GlmdeployError(f"{self.name} was changed meanwhile; nothing was written", advice="try again")
            draft.replace(real)

    def _edited(self, edit: Edit, *, override: bool) -> OwnFile:
        mine = edit.path in self.alone.marks
        if not mine and not override and (edit.path in self.document.marks or edit.path in self.document.removed):
            place = self.document.locate(edit.path)
            raise EditError(
                f"`{dotted(edit.path)}` is not written in {self.name}, but in {place.file}, line {place.line}",
                advice=("override it" if _ships(place.file) else "change it there, or override it")
                + f" in {self.name}",
            )
        step = Remove(path=self._whole(edit.path)) if mine and isinstance(edit, Remove) else edit
        changed = replace(self, text=editor.apply(self.text, [step], self.name))
        if _meaning(changed.document.data) != _meaning(edit.applied_to(self.document.data)):
            raise EditError(
                f"`{dotted(edit.path)}` in {self.name} covers what {self._uncovered(changed)} says",
                advice="edit it by hand",
            )
        return changed

    def _uncovered(self, changed: OwnFile) -> str:
        """The first place of another file that counts after a change, and did not before."""
        before = self.document.marks
        for path, mark in changed.document.marks.items():
            if mark.value.file != self.name and before.get(path) != mark:
                return f"{mark.value.file}, line {mark.value.line},"
        return "a file that it extends"

    def _whole(self, path: KeyPath) -> KeyPath:
        """The path of what goes with the entry at ``path``: itself, or the mapping or list of which it is all."""
        is_all = len(at(self.alone.data, path[:-1])) == 1 and len(path) > 1 and path[:-1] != _STAGE
        return self._whole(path[:-1]) if is_all else path


def _ships(name: str) -> bool:
    """Whether the file ships with glmdeploy, and is not worked on in a checkout of it."""
    path = Path(name).resolve()
    return path.is_relative_to(profiles_dir().resolve()) and not path.is_relative_to(Path.cwd())


@contextlib.contextmanager
def _explained(what: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = f"The new text goes into a draft in {path.parent} first." if what == "write" else None
        raise GlmdeployError(f"cannot {what} {path}: {error.strerror}", advice=advice) from None


@contextlib.contextmanager
def _draft(real: Path) -> Iterator[Path]:
    """An empty file that replaces ``real`` or goes: beside it, under a name that no shell pattern of profiles takes.

    Beside it, because a file is replaced at once within one file system only.
    """
    handle, name = tempfile.mkstemp(prefix=f".{real.name}.", suffix=".draft", dir=real.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _dress(draft: Path, *, like: Path) -> None:
    """Give the draft the file's owner, where this process may, and its mode."""
    status = like.stat()
    with contextlib.suppress(PermissionError):
        os.chown(draft, status.st_uid, status.st_gid)
    shutil.copymode(like, draft)


def _meaning(data: Any) -> str:
    """The data as text that is equal for equal data, whatever its order; empty mappings and lists count as absent."""

    def full(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        inner = {key: full(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item not in ({}, [], None)}

    # As JSON, because 1, 1.0 and true are equal in Python.
    return json.dumps(full(data), sort_keys=True)


_WORD = 8
"""Characters from which on a part of a secret is looked for in the whole text: shorter ones mean other things too."""


def lines(file: OwnFile, *, secrets: Iterable[KeyPath] = ()) -> Iterator[str]:
    """The diff's lines without their ends, as ``patch -p0`` takes them; none where nothing changes.

    ``secrets`` are the paths of secrets in the text as it was. They are masked wherever they stand, like everything
    that has the form of a secret; such a diff is to be read, not to be applied.
    """
    paths = tuple(secrets)
    words = _words(read_text(file.saved, file.name), paths) if paths else []
    before, after = (
        io.StringIO(_hidden(text, file.name, paths, words), newline="\n").readlines()
        for text in (file.saved, file.text)
    )
    for line in unified_diff(before, after, file.name, file.name):
        yield line.removesuffix("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _words(document: Document, paths: tuple[KeyPath, ...]) -> list[str]:
    """The values at the paths, and their parts where they may be written over several lines; the longest first."""
    values = [str(at(document.data, leaf)) for leaf in _leaves(document, paths)]
    return sorted({word for value in values for word in (value, *value.split()) if len(word) >= _WORD}, key=len)[::-1]


def _hidden(text: str, name: str, paths: tuple[KeyPath, ...], words: list[str]) -> str:
    if paths:
        mark = "\ufeff" if text.startswith("\ufeff") else ""
        text = mark + _masked(text.removeprefix(mark), read_text(text, name), paths)
    for word in words:
        text = text.replace(word, MASK)
    return redaction.mask(text)


def _masked(text: str, document: Document, paths: tuple[KeyPath, ...]) -> str:
    """The text with the values at the paths masked where they are written, on all of their lines."""
    rows = text.splitlines(keepends=True)
    places = [place for mark in document.marks.values() for place in (mark.key, mark.value) if place]
    values = {document.marks[leaf].value for leaf in _leaves(document, paths)}
    for value in sorted(values, key=lambda place: (place.line, place.column), reverse=True):
        start, end = value.column - 1, value.column - 1 + value.length
        written = value.text[start:end]
        following = min((place.line for place in places if place.line > value.line), default=len(rows) + 1)
        between = range(value.line, following - 1)
        # Text on several lines. Otherwise only comments stand before the next key or value.
        if written.startswith(("|", ">")) or any(not re.match(r"\s*(?:#|$)", rows[row]) for row in between):
            for row in between:
                rows[row] = re.sub(r"\S[^\r\n]*", MASK, rows[row])
        if written:
            first = rows[value.line - 1]
            rows[value.line - 1] = first[:start] + MASK + first[end:]
    return "".join(rows)


def _leaves(document: Document, paths: tuple[KeyPath, ...]) -> list[KeyPath]:
    """The scalars at the paths and below them."""
    return [
        place
        for place in document.marks
        if any(place[: len(path)] == path for path in paths) and not isinstance(at(document.data, place), dict | list)
    ]
