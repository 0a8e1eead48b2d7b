"""Which file a name means: profiles on the command line, and what a profile extends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from glmdeploy.errors import ProfileError
from glmdeploy.findings import Location
from glmdeploy.resources import profiles_dir
from glmdeploy.source.text import MAX_BYTES, fault, shown

if TYPE_CHECKING:
    from glmdeploy.findings import Finding

_LOCAL = Path("profiles")
_ENDINGS = (".yaml", ".yml", ".json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A file to read. ``name`` is what messages call it, ``real`` is it with all links resolved.

    What it extends is looked for beside ``real``, and must lie below ``boundary`` or ship with the package.
    """

    name: str
    path: Path
    real: Path
    boundary: Path


def named(source: str) -> Place:
    """The file that a path or a bare profile name on the command line means.

    A bare name has no slash and no ending: it is looked for in ``profiles`` of the current folder, among the
    profiles that ship with the package, and last as a file of just that name.

    Raises :class:`ProfileError` when there is none.
    """
    if not source:
        raise ProfileError([fault("the name of the profile is empty", Location(file="", line=1, column=1))])
    bare = _is_bare(source)
    tried = [folder / f"{source}.yaml" for folder in (_LOCAL, profiles_dir()) if bare]
    tried.append(Path(source))
    try:
        for path in tried:
            if path.exists():
                real = path.resolve()
                name = str(path) if bare else source
                return Place(name=name, path=path, real=real, boundary=repository(real.parent))
    except (OSError, RuntimeError, ValueError) as error:
        raise ProfileError([unreadable(source, error)]) from None
    raise ProfileError(
        [
            fault(
                f"there is no {'profile' if bare else 'file'} {shown(source)}",
                Location(file=source, line=1, column=1),
                expected=f"One of {', '.join(map(str, tried))}." if bare else None,
                fix=_nearest(source, bare=bare, beside=Path(), shelves=(_LOCAL, profiles_dir())),
            )
        ]
    )


def standard_input() -> Place:
    """The place of a profile on standard input: what it extends is relative to the current folder."""
    here = Path.cwd()
    return Place(name="<stdin>", path=here / "-", real=here / "-", boundary=repository(here))


def extended(value: str, by: Place, location: Location) -> Place:
    """The file that ``extends: value`` means in the file ``by``; a bare name is a profile that ships.

    Raises :class:`ProfileError` at ``location`` when there is none, or when it leaves the repository.
    """
    bare = _is_bare(value)
    shipped = profiles_dir().resolve()
    folder = by.real.parent
    path = shipped / f"{value}.yaml" if bare else folder / value
    try:
        real = path.resolve()
        if not real.is_relative_to(by.boundary) and not real.is_relative_to(shipped):
            # Before the file is looked at: a profile must not find out what lies elsewhere on a machine.
            raise _refused(
                f"{shown(value)} is outside {by.boundary}, which a profile may not leave",
                location,
                fix="Keep the files that a profile extends in its repository.",
            )
        if not S_ISREG(real.stat().st_mode):
            raise _refused(f"{shown(value)} is not a file", location)
    except FileNotFoundError:
        what = f"shipped profile {shown(value)}" if bare else f"file {shown(value)} beside {by.name}"
        near = _nearest(value, bare=bare, beside=folder, shelves=(shipped,))
        raise _refused(f"there is no {what} to extend", location, fix=near) from None
    except (OSError, RuntimeError, ValueError) as error:
        raise _refused(f"{shown(value)} cannot be read: {_reason(error)}", location) from None
    return Place(name=_name(real), path=real, real=real, boundary=by.boundary)


def read(place: Place) -> bytes:
    """The bytes of a file, and at most one more than may be read. Raises :class:`ProfileError`."""
    try:
        with place.path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ProfileError([unreadable(place.name, error)]) from None


def unreadable(name: str, error: Exception) -> Finding:
    """The finding for a file that the system does not hand out."""
    return fault(f"{shown(name)} cannot be read: {_reason(error)}", Location(file=name, line=1, column=1))


def repository(folder: Path) -> Path:
    """The repository that a folder is in, or the folder itself."""
    for candidate in (folder, *folder.parents):
        try:
            if (candidate / ".git").exists():
                return candidate
        except OSError:  # a folder that may not be searched is nobody's repository
            continue
    return folder


def _is_bare(name: str) -> bool:
    return bool(name) and "/" not in name and "\\" not in name and not name.endswith(_ENDINGS)


def _name(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _refused(message: str, location: Location, *, fix: str | None = None) -> ProfileError:
    return ProfileError([fault(message, location, path=("extends",), fix=fix)])


def _reason(error: Exception) -> str:
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, RuntimeError):  # pathlib's word for ELOOP before Python 3.13
        return "its links run in a circle"
    return str(error)


def _nearest(name: str, *, bare: bool, beside: Path, shelves: tuple[Path, ...]) -> str | None:
    """Names like the one that was not found: of files in its folder, or of profiles on the ``shelves``."""
    from difflib import get_close_matches  # only a failure needs it

    written = Path(name)
    offers = {file.stem: str(written.parent / file.name) for file in _files(beside / written.parent)}
    profiles = {file.stem: file.stem for shelf in shelves for file in _files(shelf)}
    offers = offers | profiles if bare else profiles | offers
    near = get_close_matches(written.name if bare else written.stem, offers, cutoff=0.5)
    return "Did you mean " + " or ".join(offers[stem] for stem in near) + "?" if near else None


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix in _ENDINGS)
    except (OSError, ValueError):
        return []
