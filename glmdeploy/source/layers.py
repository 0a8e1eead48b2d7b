"""A profile with what it extends below it, and with overlays and single values on top."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from glmdeploy.errors import ProfileError
from glmdeploy.findings import Location
from glmdeploy.source.document import Document, build
from glmdeploy.source.merge import merge
from glmdeploy.source.nodes import Node
from glmdeploy.source.paths import Place, extended, named, read, standard_input, unreadable
from glmdeploy.source.text import MAX_BYTES, SourceText, check, decode, fault
from glmdeploy.source.yaml12 import read_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import IO

    from glmdeploy.findings import Finding

MAX_NESTING = 16
MAX_EXTENDS = 256


def load(
    source: str,
    *,
    overlays: Sequence[str] = (),
    sets: Sequence[str] = (),
    stdin: IO[str] | IO[bytes] | None = None,
    own: bytes | None = None,
) -> Document:
    """Reads a profile: ``source`` is a path, a bare profile name, or ``-`` for standard input.

    What it extends lies below it, ``overlays`` lie above it in their order, and ``sets`` come last. Mappings
    merge deeply, everything else is replaced, and a null removes its key. ``stdin`` stands in for the
    process's own standard input, and ``own`` for what the profile's own file holds.

    Raises :class:`ProfileError` with every fault of every file and argument that could be read.
    """
    findings: list[Finding] = []
    reader = _Reader(findings)
    root: Node | None = None
    with _collecting(findings):
        if source == "-":
            place = standard_input()
            root = reader.layer(place, text=_read_stream(place, stdin or sys.stdin))
        else:
            place = named(source)
            root = reader.layer(place, text=None if own is None else decode(own, place.name))
    for overlay in overlays:
        with _collecting(findings):
            over = reader.layer(named(overlay))
            root = merge(root, over, stay=True) if root and over else root
    if sets:
        root = _set(root, sets, findings)
    if root is None or findings:
        raise ProfileError(list(dict.fromkeys(findings)))
    return build(root, files=tuple(reader.files.values()))


def _set(root: Node | None, arguments: Sequence[str], findings: list[Finding]) -> Node | None:
    """The tree with the arguments' values, which are set only where nothing is wrong so far."""
    from glmdeploy.source.sets import apply, parse  # most runs set nothing, and need not wait for it

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

    Raises :class:`ProfileError`.
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

    def __init__(self, findings: list[Finding]) -> None:
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
            raise _refused(f"extends takes the name of a file, or a list of such names, not {_what(value)}", value.location)
        place = extended(value.value, above[-1], value.location)
        reals = [each.real for each in above]
        if place.real in reals:
            circle = [each.name for each in above[reals.index(place.real) :]]
            raise _refused(f"profiles extend each other in a circle: {' → '.join([*circle, circle[0]])}", value.location)
        if len(above) > MAX_NESTING:
            raise _refused(f"more than {MAX_NESTING} profiles extend one another", value.location)
        self._extends += 1
        if self._extends > MAX_EXTENDS:
            raise _refused(f"a profile extends more than {MAX_EXTENDS} others, repetitions counted", value.location)
        return self.layer(place, above=above)

    def _read(self, place: Place, text: SourceText | None) -> Node | None:
        if place.real not in self._nodes:
            self._nodes[place.real] = None
            self.files[place.real] = place.name
            with _collecting(self._findings):
                self._nodes[place.real] = read_mapping(text or decode(read(place), place.name))
        return self._nodes[place.real]


def _what(node: Node) -> str:
    return "empty text" if node.value == "" else node.kind


def _refused(message: str, location: Location) -> ProfileError:
    return ProfileError([fault(message, location, path=("extends",))])


def _read_stream(place: Place, stream: IO[str] | IO[bytes] | None) -> SourceText:
    if stream is None:
        raise ProfileError([fault("standard input is closed", Location(file=place.name, line=1, column=1))])
    try:
        # The bytes below a text stream, so that its encoding and its newlines are this package's matter.
        data = getattr(stream, "buffer", stream).read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ProfileError([unreadable(place.name, error)]) from None
    return check(data, place.name) if isinstance(data, str) else decode(data, place.name)
