"""Which file a name means: profiles on the command line, and what a profile extends."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Protocol

from glmdeploy.errors import ProfileError
from glmdeploy.findings import Location
from glmdeploy.profile import stranger
from glmdeploy.profile.text.characters import MAX_BYTES, SourceText, check, decode, fault, shown
from glmdeploy.profile.text.document import Document, Node, build, merge
from glmdeploy.profile.text.yaml12 import read_mapping
from glmdeploy.records import record
from glmdeploy.resources import profiles_dir

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

    from glmdeploy.findings import Finding

LOCAL = Path("profiles")
ENDINGS = (".yaml", ".yml", ".json")


@record
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

    A bare name has no slash and no ending: it is looked for in ``profiles`` of the current folder, among the profiles
    that ship with the package, and last as a file of just that name.

    :raises ProfileError: when there is none.
    """
    if not source:
        raise ProfileError([fault("the name of the profile is empty", Location(file="", line=1, column=1))])
    bare = is_bare(source)
    tried = [folder / f"{source}.yaml" for folder in (LOCAL, profiles_dir()) if bare]
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
                f"there is no {'profile' if bare else 'file'} `{shown(source)}`",
                Location(file=source, line=1, column=1),
                expected=_offered() if bare else None,
                fix=_nearest(source, bare=bare, beside=Path(), shelves=(LOCAL, profiles_dir())),
            )
        ]
    )


def standard_input() -> Place:
    """The place of a profile on standard input: what it extends is relative to the current folder."""
    here = Path.cwd()
    return Place(name="<stdin>", path=here / "-", real=here / "-", boundary=repository(here))


def extended(value: str, by: Place, location: Location) -> Place:
    """The file that ``extends: value`` means in the file ``by``; a bare name is a profile that ships.

    :raises ProfileError: at ``location`` when there is none, or when it leaves the repository.
    """
    bare = is_bare(value)
    shipped = profiles_dir().resolve()
    folder = by.real.parent
    path = shipped / f"{value}.yaml" if bare else folder / value
    try:
        real = path.resolve()
        if not real.is_relative_to(by.boundary) and not real.is_relative_to(shipped):
            # Before the file is looked at: a profile must not find out what lies elsewhere on a machine.
            raise refused(
                f"`{shown(value)}` is outside the repository or folder of the profile, which it may not leave",
                location,
                fix="keep the files that a profile extends in its repository",
            )
        if not S_ISREG(real.stat().st_mode):
            raise refused(f"`{shown(value)}` is not a file", location)
    except FileNotFoundError:
        what = f"shipped profile `{shown(value)}`" if bare else f"file `{shown(value)}` beside `{by.name}`"
        near = _nearest(value, bare=bare, beside=folder, shelves=(shipped,))
        raise refused(f"there is no {what} to extend", location, fix=near) from None
    except (OSError, RuntimeError, ValueError) as error:
        raise refused(f"`{shown(value)}` cannot be read: {_reason(error)}", location) from None
    return Place(name=_name(real), path=real, real=real, boundary=by.boundary)


def read(place: Place) -> bytes:
    """The bytes of a file, and at most one more than may be read.

    :raises ProfileError:
    """
    try:
        with place.path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ProfileError([unreadable(place.name, error)]) from None


class Files(Protocol):
    """Where profiles are read from: this machine's disk, or a revision of a Git repository."""

    def named(self, source: str) -> Place:
        """As :func:`named`."""

    def extended(self, value: str, by: Place, location: Location) -> Place:
        """As :func:`extended`."""

    def read(self, place: Place) -> bytes:
        """As :func:`read`."""


class Disk:
    """The files of this machine."""

    named = staticmethod(named)
    extended = staticmethod(extended)
    read = staticmethod(read)


def unreadable(name: str, error: Exception) -> Finding:
    """The finding for a file that the system does not hand out."""
    return fault(f"`{shown(name)}` cannot be read: {_reason(error)}", Location(file=name, line=1, column=1))


def repository(folder: Path) -> Path:
    """The repository that a folder is in, or the folder itself."""
    for candidate in (folder, *folder.parents):
        try:
            if (candidate / ".git").exists():
                return candidate
        except OSError:  # a folder that may not be searched is nobody's repository
            continue
    return folder


def is_bare(name: str) -> bool:
    """Whether it is the name of a profile, and no path."""
    return bool(name) and "/" not in name and "\\" not in name and not name.endswith(ENDINGS)


def _name(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def refused(message: str, location: Location, *, fix: str | None = None) -> ProfileError:
    """That what ``extends`` names is not taken."""
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
    return "did you mean " + " or ".join(f"`{offers[stem]}`" for stem in near) + "?" if near else None


def _offered() -> str:
    """What a bare name can be."""
    shipped = ", ".join(f"`{file.stem}`" for file in _files(profiles_dir()))
    return f"the name of a file in `{LOCAL}`, or a profile that ships: {shipped}"


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix in ENDINGS)
    except (OSError, ValueError):
        return []


MAX_NESTING = 16
MAX_EXTENDS = 256


def load(
    source: str,
    *,
    overlays: Sequence[str] = (),
    sets: Sequence[str] = (),
    stdin: IO[str] | IO[bytes] | None = None,
    own: bytes | None = None,
    files: Files | None = None,
) -> Document:
    """Reads a profile: ``source`` is a path, a bare profile name, or ``-`` for standard input.

    What it extends lies below it, ``overlays`` lie above it in their order, and ``sets`` come last. Mappings merge
    deeply, everything else is replaced, and a null removes its key. ``stdin`` stands in for the process's own standard
    input, and ``own`` for what the profile's own file holds. All files are read from ``files``: the disk by default.

    :raises ProfileError: with every fault of every file and argument that could be read.
    """
    findings: list[Finding] = []
    shelf = files or Disk()
    reader = _Reader(findings, shelf)
    root: Node | None = None
    with _collecting(findings):
        if source == "-":
            place = standard_input()
            root = reader.layer(place, text=_read_stream(place, stdin or sys.stdin))
        else:
            place = shelf.named(source)
            root = reader.layer(place, text=None if own is None else decode(own, place.name))
    for overlay in overlays:
        with _collecting(findings):
            over = reader.layer(shelf.named(overlay))
            root = merge(root, over, stay=True) if root and over else root
    if sets:
        root = _set(root, sets, findings)
    if root is None or findings:
        raise ProfileError(list(dict.fromkeys(findings)))
    return build(root, files=tuple(reader.files.values()))


def _set(root: Node | None, arguments: Sequence[str], findings: list[Finding]) -> Node | None:
    """The tree with the arguments' values, which are set only where nothing is wrong so far."""
    from glmdeploy.profile.text.sets import apply, parse  # most runs set nothing, and need not wait for it

    settings = []
    for argument in arguments:
        with _collecting(findings):
            settings.append(parse(argument))
    if root is None or findings:
        return None
    for setting in settings:
        with _collecting(findings):
            root = apply(root, setting)
    return root


def read_text(text: str, file: str) -> Document:
    """The document of one text alone, as it is written: nulls stay, and ``extends`` is a key like any other.

    :raises ProfileError:
    """
    return build(read_mapping(check(text, file)), files=(file,), keep_nulls=True)


@contextmanager
def _collecting(findings: list[Finding]) -> Iterator[None]:
    try:
        yield
    except ProfileError as error:
        findings.extend(error.findings)


class _Reader:
    """Reads files, each once, with what they extend. ``files`` has the names of those that were read."""

    def __init__(self, findings: list[Finding], shelf: Files) -> None:
        self._shelf = shelf
        self.files: dict[Path, str] = {}
        self._findings = findings
        self._nodes: dict[Path, Node | None] = {}
        self._extends = 0

    def layer(self, place: Place, *, text: SourceText | None = None, above: tuple[Place, ...] = ()) -> Node | None:
        """A file merged over what it extends, or None where it cannot be read; ``above`` extend it.

        Faults of what it extends are collected, and the rest is merged to find more.
        """
        own = self._read(place, text)
        if own is None or not isinstance(own.value, dict) or "extends" not in own.value:
            return own
        entries = dict(own.value)
        extends = entries.pop("extends").node
        result = Node(value=entries, location=own.location)
        if extends.value is None:
            return result
        below: Node | None = None
        for value in extends.value if isinstance(extends.value, tuple) else (extends,):
            with _collecting(self._findings):
                base = self._base(value, (*above, place))
                below = merge(below, base) if below and base else below or base
        return merge(below, result) if below else result

    def _base(self, value: Node, above: tuple[Place, ...]) -> Node | None:
        if not isinstance(value.value, str) or not value.value:
            raise refused(
                f"`extends` takes the name of a file, or a list of such names, not {_what(value)}", value.location
            )
        place = self._shelf.extended(value.value, above[-1], value.location)
        reals = [each.real for each in above]
        if place.real in reals:
            circle = [each.name for each in above[reals.index(place.real) :]]
            raise refused(f"profiles extend each other in a circle: {' → '.join([*circle, circle[0]])}", value.location)
        if len(above) > MAX_NESTING:
            raise refused(f"more than {MAX_NESTING} profiles extend one another", value.location)
        self._extends += 1
        if self._extends > MAX_EXTENDS:
            raise refused(f"a profile extends more than {MAX_EXTENDS} others, repetitions counted", value.location)
        return self.layer(place, above=above)

    def _read(self, place: Place, text: SourceText | None) -> Node | None:
        if place.real not in self._nodes:
            self._nodes[place.real] = None
            self.files[place.real] = place.name
            with _collecting(self._findings):
                self._nodes[place.real] = _mapping(text or decode(self._shelf.read(place), place.name))
        return self._nodes[place.real]


def _mapping(source: SourceText) -> Node:
    """The root of a text. :raises ProfileError: with one finding where it is a file of another kind."""
    try:
        return read_mapping(source)
    except ProfileError:
        if other := stranger.text(source.text, source.file):
            raise ProfileError([stranger.finding(other, source.place(0), source.file)]) from None
        raise


def _what(node: Node) -> str:
    return "empty text" if node.value == "" else node.kind


def _read_stream(place: Place, stream: IO[str] | IO[bytes] | None) -> SourceText:
    if stream is None:
        raise ProfileError([fault("standard input is closed", Location(file=place.name, line=1, column=1))])
    try:
        # The bytes below a text stream, so that its encoding and its newlines are this package's matter.
        data = getattr(stream, "buffer", stream).read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ProfileError([unreadable(place.name, error)]) from None
    return check(data, place.name) if isinstance(data, str) else decode(data, place.name)
