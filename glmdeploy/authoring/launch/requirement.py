"""The releases of SGLang that commands name: what is installed, checked out, or run from an environment made for it.

Forms of a requirement: PEP 440 and PEP 508; a wheel's name: PEP 427; ``uvx name@version``: uv's reference.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Note
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown
from glmdeploy.redaction import mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.authoring.launch.launch import Word

_VERSION = r"v?([0-9]+\.[0-9]+\.[0-9]+(?:\.?(?:post|rc|dev)[0-9]+)?)(?![0-9])"
_REQUIRED = re.compile(
    rf"(?<![\w.-])sglang(?:\[[^\]]*\])?\s*(?:\(\s*)?(?:={{1,3}}|~=|@)\s*{_VERSION}|(?<![\w.-])sglang-{_VERSION}[-.]"
    rf"|sglang(?:\.git)?@(?:refs/tags/)?{_VERSION}",
    re.IGNORECASE,
)
_FILE = re.compile(rf"sglang[\w.]*?[-_:+]{_VERSION}", re.IGNORECASE)
_TAG = re.compile(_VERSION)

_WITH_VALUE = frozenset(
    {
        *("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-c", "--constraint", "--index", "-t"),
        *("--target", "--python", "-p", "--prefix", "--root", "--index-strategy", "--torch-backend", "--cache-dir"),
    }
)
"""Options of pip and uv that take a word."""
_INSTALLERS = re.compile(
    r"pip[0-9.]*|uvx?|pipx|poetry|pdm|rye|hatch|pixi|conda|mamba|micromamba|python[0-9.]*|apt|apt-get"
)


def releases(words: Sequence[Word]) -> Iterator[Word]:
    """The versions that a command names, each at its place, as ``0.5.11`` is written."""
    if not words:
        return
    name = words[0].text.rpartition("/")[2]
    texts = [word.text for word in words]
    if _INSTALLERS.fullmatch(name) or (name == "sudo" and len(texts) > 1):
        for word in words[1:]:
            if match := _REQUIRED.search(word.text):
                yield _version(word, match)
    elif name == "git" and (any("sgl-project/sglang" in text for text in texts) or texts[1:2] == ["checkout"]):
        for before, word in zip(texts[1:], words[2:], strict=False):
            match = _TAG.fullmatch(word.text.removeprefix("tags/"))
            if match and before in ("-b", "--branch", "checkout"):
                yield _version(word, match, start=len(word.text) - len(match[0]))


def beside(words: Sequence[Word]) -> Iterator[Note]:
    """What a command installs that is not SGLang, which a profile would build into its image."""
    texts = [word.text for word in words]
    if not _INSTALLERS.fullmatch(texts[0].rpartition("/")[2]) or "install" not in texts or "pip" not in " ".join(texts):
        return
    rest = words[texts.index("install") + 1 :]
    others = [
        word
        for before, word in zip([None, *rest], rest, strict=False)
        if not word.text.startswith("-")
        and (before is None or before.text not in _WITH_VALUE)
        and not re.match(r"(?:pip|uv|setuptools|wheel|sglang|sgl[-_]kernel)(?![\w-])|.*\bsglang\b|\.", word.text)
    ]
    if others:
        names = " ".join(shown(mask(word.text), 80) for word in others)
        message = f"what is installed beside SGLang was left out: {names}"
        span = (others[0].span[0], others[-1].span[1])
        yield Note(
            severity=Severity.WARNING,
            message=message,
            span=span,
            fix="add it under `sglang.image_steps` where it is needed",
        )


def of_file(word: Word) -> Word | None:
    """The release that the name of an image's file says: ``sglang_v0.5.11-cu130.sif``."""
    name = word.text.rpartition("/")[2]
    match = _FILE.search(name)
    return _version(word, match, start=len(word.text) - len(name)) if match else None


def _version(word: Word, match: re.Match[str], start: int = 0) -> Word:
    group = next(index for index, text in enumerate(match.groups(), start=1) if text is not None)
    begin, end = match.span(group)
    places = word.offsets[start + begin : start + end]
    span = (places[0], max(places) + 1) if places and not word.variables else word.span
    return replace(word, text=match[group], span=span, offsets=places)
