"""Which release of SGLang a launch is for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Note
from glmdeploy.errors import UsageError
from glmdeploy.findings import Severity
from glmdeploy.sglang import catalog
from glmdeploy.sglang.image import parse

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Span, Word
    from glmdeploy.authoring.launch.script import ImportOptions
    from glmdeploy.sglang.catalog import Catalog

_VERSION = re.compile(r"v?([0-9]+\.[0-9]+\.[0-9]+(?:\.?(?:post|rc|dev)[0-9]+)?)(?![0-9])")


def release(image: Word | None, wanted: ImportOptions) -> tuple[Catalog, list[Note]]:
    """The catalog of the release that was asked for, else of the one in the image's tag, else the newest.

    :raises UsageError: if there is no catalog of the release that was asked for.
    """
    known = catalog.versions()
    if wanted.sglang_version is not None:
        try:
            return catalog.load(wanted.sglang_version), []
        except catalog.UnknownVersion as error:
            raise UsageError(f"{error}; the nearest is {error.nearest}", advice=f"Known: {', '.join(known)}") from None
    tag = parse(image.text).tag if image else None
    match = _VERSION.match(tag or "")
    if image is None or match is None:
        what = "the image's tag" if image else "the text"
        return catalog.load(known[-1]), [
            _assumed(f"{what} does not say which SGLang it is for: {known[-1]} was assumed", image)
        ]
    version = match[1]
    try:
        return catalog.load(version), []
    except catalog.UnknownVersion as error:
        # A later build of the same sources is nearer than the release before them.
        builds = (each for each in known if each.startswith(f"{version}.post"))
        nearest = next(builds, error.nearest)
        message = f"there is no option catalog of SGLang {version}; {nearest} was taken, which is near"
        return catalog.load(nearest), [_assumed(message, image)]


def _assumed(message: str, image: Word | None) -> Note:
    span: Span = image.span if image else (0, 1)
    return Note(severity=Severity.WARNING, message=message, span=span, fix="name it with --sglang-version")
