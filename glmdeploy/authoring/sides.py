"""What can be compared: a profile, a profile as a revision of a Git repository has it, or all of a folder.

What runs is the third kind of side; who knows the target resolves that (:mod:`glmdeploy.operate.deployed`).
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from glmdeploy.errors import ProfileError, UsageError
from glmdeploy.findings import Severity
from glmdeploy.plan.kernels import REVISION
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.git import Revision
from glmdeploy.profile.text.load import ENDINGS, load
from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from glmdeploy.findings import Finding
    from glmdeploy.profile.text.document import Document

LIVE, GIT = "live:", "git:"


@record
class Side:
    """The data of a plan (:meth:`glmdeploy.plan.plan.Plan.data`), and what the rules warn of on the way to it.

    ``warnings`` are None of what runs, which nobody judges again.
    """

    name: str
    data: Mapping[str, Any]
    warnings: tuple[Finding, ...] | None = None


@record
class Folder:
    """The profiles of a folder by file name: each a side, or the fault that keeps it from being one."""

    name: str
    sides: Mapping[str, Side | ProfileError] = field(default_factory=dict)


def live(text: str) -> tuple[str, int | None] | None:
    """The app and the version that ``live:APP`` or ``live:APP@VERSION`` names; None for another kind of side.

    :raises UsageError: for a version that is no number.
    """
    if not text.startswith(LIVE):
        return None
    app, at, version = text.removeprefix(LIVE).partition("@")
    number = version.removeprefix("v")
    if not app or (at and not (number.isascii() and number.isdigit() and int(number))):
        raise UsageError(f"{text}: write live:APP, or live:APP@VERSION with a number of its history")
    return app, int(number) if at else None


def side(text: str, overlays: Sequence[str] = (), sets: Sequence[str] = ()) -> Side | Folder:
    """The profile, or the folder of profiles, that ``text`` names; overlays of a revision are that revision's files.

    :raises ProfileError:
    :raises UsageError: for a revision that is not there, or is not named whole.
    """
    if text.startswith(GIT):
        revision, path = _named(text)
        paths = revision.folder(path)
        if paths is None:
            return _one(text, load(path, overlays=overlays, sets=sets, files=revision))
        return _all(text, paths, lambda path: load(path, overlays=overlays, sets=sets, files=revision))
    if text != "-" and Path(text).is_dir():
        found = sorted(path for path in Path(text).iterdir() if path.suffix in ENDINGS and path.name[0] != ".")
        paths = [str(path) for path in found if path.is_file()]
        return _all(text, paths, lambda path: load(path, overlays=overlays, sets=sets))
    return _one(text, load(text, overlays=overlays, sets=sets))


def document(text: str, overlays: Sequence[str] = (), sets: Sequence[str] = ()) -> Document:
    """The one profile that ``text`` names, read and not judged; of a revision with its own overlays.

    :raises ProfileError:
    :raises UsageError: for a folder, and for a revision that is not there, or is not named whole.
    """
    if text.startswith(GIT):
        revision, path = _named(text)
        folder = revision.folder(path) is not None
        files: Revision | None = revision
    else:
        path, files, folder = text, None, text != "-" and Path(text).is_dir()
    if folder:
        raise UsageError(f"{text} is a folder: name one profile")
    return load(path, overlays=overlays, sets=sets, files=files)


def _named(text: str) -> tuple[Revision, str]:
    name, colon, path = text.removeprefix(GIT).partition(":")
    if not (name and colon and path):
        raise UsageError(f"{text}: write git:REVISION:PATH, such as git:main:profiles/mine.yaml")
    return Revision(name), path


def _one(name: str, document: Document) -> Side:
    plan, findings = plan_of(document)
    warnings = tuple(each for each in findings if each.severity is not Severity.INFO)
    return Side(name=name, data=plan.data(), warnings=warnings)


def _all(name: str, paths: Sequence[str], read: Callable[[str], Document]) -> Folder:
    """The folder's profiles. What others of them extend, and is none by itself, is left out."""
    sides: dict[str, Side | ProfileError] = {}
    extended: set[str] = set()
    for path in paths:
        file = PurePosixPath(path).name
        try:
            document = read(path)
            extended |= {PurePosixPath(each).name for each in document.files[1:]}
            sides[file] = _one(path, document)
        except ProfileError as error:
            sides[file] = error
    kept = {file: each for file, each in sides.items() if isinstance(each, Side) or file not in extended}
    return Folder(name=name, sides=kept)


def comparable(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Both without the commit of the model where only one of them knows it: what is deployed has a commit always."""
    if ("commit" in old["model"]) == ("commit" in new["model"]):
        return old, new
    return _without_commit(old), _without_commit(new)


def _without_commit(data: Mapping[str, Any]) -> Mapping[str, Any]:
    model = {name: value for name, value in data["model"].items() if name != "commit"}
    found = {**data, "model": model}
    if decides := data.get("compile", {}).get("decides"):
        found["compile"] = {**data["compile"], "decides": {**decides, REVISION: model["revision"]}}
    return found
