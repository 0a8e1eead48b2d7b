"""Which words start a server: SGLang's, with the arguments that it gets, or another engine's."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Note, Word
from glmdeploy.findings import Severity
from glmdeploy.sglang import engines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.sglang.engines import Engine

MODULE = "sglang.launch_server"

_PYTHON = re.compile(r"python[0-9.]*|pypy[0-9.]*")


def started(words: Sequence[Word]) -> tuple[Sequence[Word], tuple[Note, ...]] | None:
    """``sglang.launch_server`` or ``serve`` and the words behind it, where the words run either, with notes."""
    name = words[0].text.rpartition("/")[2]
    if name == "sglang" and len(words) > 1 and words[1].text == "serve":
        return _served(words[1:])
    at = module(words)
    if at is None and (file := _file(words)):
        return words[file:], ()
    if at is None or words[at].text != MODULE:
        return None
    own = words[1 : at - 1]
    notes = [_left_out("python's own options were left out", own)] if own else []
    return words[at:], tuple(notes)


def _file(words: Sequence[Word]) -> int | None:
    """Where the module's own file stands that ``python [OPTIONS] FILE`` runs."""
    if _PYTHON.fullmatch(words[0].text.rpartition("/")[2]) is None:
        return None
    at = next((index for index, word in enumerate(words) if index and not word.text.startswith("-")), None)
    return at if at is not None and re.fullmatch(r"(?:.*/)?sglang/launch_server\.py", words[at].text) else None


def module(words: Sequence[Word]) -> int | None:
    """Where the module stands that ``python [OPTIONS] -m MODULE`` runs."""
    if _PYTHON.fullmatch(words[0].text.rpartition("/")[2]) is None:
        return None
    at = 1
    while at < len(words) - 1 and words[at].text.startswith("-"):
        if words[at].text == "-m":
            return at + 1
        at += 2 if words[at].text in ("-W", "-X") else 1
    return None


def _served(words: Sequence[Word]) -> tuple[Sequence[Word], tuple[Note, ...]]:
    """As ``sglang/cli/serve.py`` (0.5.23) reads it: the model may come first without its option's name."""
    if len(words) > 1 and not words[1].text.startswith("-"):
        words = [words[0], Word(text="--model-path", span=words[1].span), *words[1:]]
    kept: list[Word] = []
    dropped: list[Word] = []
    notes: list[Note] = []
    skip = False
    for word in words:
        if word.text == "--model-type=diffusion" or (skip and word.text == "diffusion"):
            message = "this starts SGLang's server of diffusion models, which a profile does not serve"
            notes.append(Note(severity=Severity.ERROR, message=message, span=word.span))
        if skip or word.text == "--model-type" or word.text.startswith("--model-type="):
            dropped.append(word)
        else:
            kept.append(word)
        skip = not skip and word.text == "--model-type"
    message = "--model-type was left out: it only tells `sglang serve` which of its servers to start"
    return kept, (*notes, *((_left_out(message, dropped),) if dropped else ()))


def _left_out(message: str, words: Sequence[Word]) -> Note:
    return Note(severity=Severity.INFO, message=message, span=(words[0].span[0], words[-1].span[1]))


def other(words: Sequence[Word], *, first: bool) -> Engine | None:
    """The other engine that the words start; behind other words only where they plainly do."""
    if not first and len(words) < 2:
        return None
    return engines.by_command([word.text for word in words])


def module_of(words: Sequence[Word]) -> Engine | None:
    """The other engine whose module ``-m MODULE`` runs, where the text does not tell by which Python."""
    return engines.by_command(["python", *(word.text for word in words)])


def named_in(text: str) -> bool:
    """Whether a text names what starts a server, of SGLang or another engine."""
    return _named().search(text) is not None


@cache
def _named() -> re.Pattern[str]:
    names = [re.escape(name) for each in engines.ENGINES for name in (*each.commands, *each.modules)]
    return re.compile(rf"{re.escape(MODULE)}\b|\bsglang\s+serve\b|\b(?:{'|'.join(names) or '(?!)'})\s")
