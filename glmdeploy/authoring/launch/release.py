"""Which release of SGLang a launch is for: what the text says wherever it does, else the newest that takes it all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch import options
from glmdeploy.authoring.launch.launch import Note
from glmdeploy.authoring.launch.respelled import refused, respelled
from glmdeploy.errors import UsageError
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown
from glmdeploy.sglang import catalog
from glmdeploy.sglang.image import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.authoring.launch.launch import Launch, Span, Word
    from glmdeploy.authoring.launch.script import ImportOptions
    from glmdeploy.sglang.catalog import Catalog

_VERSION = re.compile(r"(?<![0-9A-Za-z.])v?([0-9]+\.[0-9]+\.[0-9]+(?:\.?(?:post|rc|dev)[0-9]+)?)(?![0-9])")
_FIRST_SEEN = 3
"""Options that a message names one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """The launch as the release reads it, and what is to be told about the choice."""

    catalog: Catalog
    launch: Launch
    notes: tuple[Note, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fit:
    """How a release takes the launch: ``refused`` as written, ``lost`` are what no known rename brings back."""

    catalog: Catalog
    launch: Launch
    refused: tuple[str, ...]
    lost: int


def release(read: Callable[[Catalog], Launch], wanted: ImportOptions) -> Release:
    """The release that was asked for, else the one that the text names, else the newest that takes every option.

    ``read`` gives the launch as a release reads it: a file for SGLang's ``--config`` means other words to each. Where
    no release takes all, it is the one that takes most.

    :raises UsageError: if there is no catalog of the release that was asked for.
    """
    known = catalog.versions()
    if wanted.sglang_version is not None:
        try:
            found = catalog.load(wanted.sglang_version)
        except catalog.UnknownVersion as error:
            raise UsageError(f"{error}; the nearest is {error.nearest}", advice=f"known: {', '.join(known)}") from None
        return Release(catalog=found, launch=read(found), notes=())
    launch = read(catalog.load(known[-1]))
    word, version, notes = named(launch)
    if word is None or version is None:
        return _fitting(read, launch)
    try:
        found = catalog.load(version)
    except catalog.UnknownVersion as error:
        # A later build of the same sources is nearer than the release before them.
        builds = (each for each in known if each.startswith(f"{version}.post"))
        nearest = next(builds, error.nearest)
        found = catalog.load(nearest)
        message = f"there is no option catalog of SGLang {version}; {nearest} was taken, which is near"
        notes = [*notes, _assumed(message, word.span)]
    return Release(catalog=found, launch=read(found), notes=tuple(notes))


def named(launch: Launch) -> tuple[Word | None, str | None, list[Note]]:
    """The word of the text that tells the release, the release, and what to say where others tell another one.

    What is installed is nearer to the launch than the tag of the image in which that is done.
    """
    image = launch.container.image if launch.container else None
    tag = tagged(image)
    told = [
        (word, version)
        for word in launch.releases
        if (version := _version(word.text)) and not _outside(word, image, launch)
    ]
    if not told:
        return (image, tag, []) if tag else (None, None, [])
    word, version = told[-1]
    notes = [
        _assumed(f"SGLang {other} is named here, and {version} nearer to the launch, which was taken", each.span)
        for each, other in told[:-1]
        if other != version
    ]
    if image is not None and tag not in (None, version) and image.span != word.span:
        message = f"the image's tag says SGLang {tag}, but the text names {version} beside it, which was taken"
        notes.append(_assumed(message, image.span))
    return word, version, notes


def _outside(word: Word, image: Word | None, launch: Launch) -> bool:
    """Whether a release is named before the command that brings its own image, such as ``docker run``."""
    start = launch.place[0]
    return image is not None and word.span[1] <= start <= image.span[0]


def tagged(image: Word | None) -> str | None:
    """The release in an image's tag: in that of an image of SGLang's, or one that is catalogued."""
    reference = parse(image.text) if image else None
    version = _version(reference.tag or "") if reference else None
    if reference is None or version is None:
        return None
    return version if "sglang" in reference.name.lower() or version in catalog.versions() else None


def _version(text: str) -> str | None:
    match = _VERSION.search(text)
    return match[1] if match else None


def _fitting(read: Callable[[Catalog], Launch], newest: Launch) -> Release:
    """The newest release that takes every option, else the one that takes most of them."""
    image = newest.container.image if newest.container else None
    span = image.span if image else (0, 1)
    what = "the image's tag" if image and not image.unknown else "the text"
    first = best = _fit(newest, catalog.load(catalog.versions()[-1]))
    fits = [first]
    for version in reversed(catalog.versions()[:-1]):
        if not best.refused:
            break
        other = catalog.load(version)
        fits.append(_fit(read(other), other))
        best = min(best, fits[-1], key=lambda fit: (fit.lost, len(fit.refused)))
    message = f"{what} does not say which SGLang it is for: {best.catalog.version} was assumed"
    if len({fit.refused for fit in fits}) == 1:
        pass  # what all refuse alike says nothing of the release, and is told at its place
    elif best.refused:
        message += ", the newest of those that take most of its options; none takes all"
    elif best is not first:
        message += f", the newest that takes every option; {first.catalog.version} refuses {_listed(first.refused)}"
    return Release(catalog=best.catalog, launch=best.launch, notes=(_assumed(message, span),))


def _fit(launch: Launch, found: Catalog) -> _Fit:
    given, notes = options.split(launch.words, found)
    told = (note.message for note in (*launch.notes, *notes) if note.severity is Severity.ERROR)
    wrong = [message.replace(f" {found.version} ", " ") for message in told]
    faulty = refused(given, found)
    lost = refused(respelled(given, found)[0], found) if faulty else []
    names = tuple(shown(each.name) for each in faulty)
    return _Fit(catalog=found, launch=launch, refused=(*names, *wrong), lost=len(lost) + len(wrong))


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _FIRST_SEEN
    return ", ".join(names[:_FIRST_SEEN]) + (f" and {more} more" if more > 0 else "")


def _assumed(message: str, span: Span) -> Note:
    return Note(severity=Severity.WARNING, message=message, span=span, fix="name it with --sglang-version")
