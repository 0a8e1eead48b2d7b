"""How often a loop runs its commands, and with which values, where its head says it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Note
from glmdeploy.authoring.launch.masking import masked
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.authoring.launch.branches import Step
    from glmdeploy.authoring.launch.launch import Launch, Word

MAX_ROUNDS = 1000

_RANGE = re.compile(r"\{(-?[0-9]{1,6})\.\.(-?[0-9]{1,6})(?:\.\.(-?[0-9]{1,6}))?\}")
_LIST = re.compile(r"\{([^{},\s]+(?:,[^{},\s]+)+)\}")
_SEQUENCE = re.compile(r"(?:\$\(|`)\s*seq\s+([-0-9 ]{1,30}?)\s*[)`]")
_COUNTED = re.compile(
    r"for\s*\(\(\s*(\w+)\s*=\s*([0-9]{1,6})\s*;\s*(\w+)\s*(<=?)\s*([0-9]{1,6})\s*;\s*(?:\+\+(\w+)|(\w+)\+\+)\s*\)\)"
)
_NAMES = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True, kw_only=True, slots=True)
class Loop:
    """A loop's variable and its values; None where the text does not tell them."""

    name: str
    values: tuple[Word, ...] | None


def of_words(words: Sequence[Word]) -> Loop | None:
    """The loop of ``NAME in VALUES``."""
    if len(words) < 2 or words[1].text != "in":
        return None
    values: list[Word] = []
    for word in words[2:]:
        made = list(_values(word))
        if any(each.unknown for each in made) or len(values) + len(made) > MAX_ROUNDS:
            return Loop(name=words[0].text, values=None)
        values += made
    return Loop(name=words[0].text, values=tuple(values))


def counted(step: Step, word: Word) -> Loop | None:
    """The loop of ``for ((i = 0; i < 4; i++))``, its values at the place of ``word``."""
    match = _COUNTED.match(step.said)
    if match is None or {match[3], match[6] or match[7]} != {match[1]}:
        return None
    last = int(match[5]) + (match[4] == "<=")
    numbers = range(int(match[2]), min(last, int(match[2]) + MAX_ROUNDS))
    return Loop(name=match[1], values=tuple(_made(word, str(number)) for number in numbers))


def _values(word: Word) -> Iterator[Word]:
    if match := _RANGE.fullmatch(word.text):
        first, last, step = int(match[1]), int(match[2]), abs(int(match[3] or 1)) or 1
        numbers = range(first, last + 1, step) if first <= last else range(first, last - 1, -step)
        yield from (_made(word, str(number)) for number in numbers[: MAX_ROUNDS + 1])
    elif match := _LIST.fullmatch(word.text):
        yield from (_made(word, text) for text in match[1].split(","))
    elif word.unknown == (word.text,) and (match := _SEQUENCE.fullmatch(word.text)):
        given = [int(text) for text in match[1].split() if re.fullmatch(r"-?[0-9]{1,6}", text)]
        if len(given) not in (1, 2, 3) or (len(given) == 3 and given[1] <= 0):
            yield word
            return
        first, step, last = (1, 1, given[0]) if len(given) == 1 else (given[0], (given[1:-1] or [1])[0], given[-1])
        yield from (_made(word, str(number)) for number in range(first, last + 1, step)[: MAX_ROUNDS + 1])
    else:
        yield word


def _made(word: Word, text: str) -> Word:
    return replace(word, text=text, offsets=(word.span[0],) * len(text), unknown=(), raw="")


def told(path: Sequence[Step], known: dict[int, Loop], launch: Launch) -> Note | None:
    """What the loops around a launch make of it."""
    place = launch.place
    around = [step for step in path if step.kind in ("for", "select", "while", "until")]
    if not around:
        return None
    loops = [known.get(step.number) for step in around]
    if all(loop is not None and loop.values is not None for loop in loops):
        whole = [loop for loop in loops if loop and loop.values is not None]
        count = prod(len(loop.values or ()) for loop in whole)
        if count == 1:
            return None
        if _of_nodes(launch, [loop.name for loop in whole], count):
            message = f"this loop starts {_NAMES[count] if count < len(_NAMES) else count} nodes of one launch, as"
            return Note(severity=Severity.INFO, message=f"{message} a cluster does by itself", span=place)
        number = _NAMES[count] if count < len(_NAMES) else str(count)
        taken = ", ".join(f"{loop.name}={_shown(loop.values[:1])}" for loop in whole if loop.values)
        of = "; ".join(f"{loop.name} is {_shown(loop.values or ())}" for loop in whole)
        message = f"{number} servers are launched by this loop ({of}), one was taken: {taken}"
    else:
        step = next(step for step, loop in zip(around, loops, strict=True) if loop is None or loop.values is None)
        what = shown(masked(" ".join(step.said.split()))) or step.kind
        if step.kind in ("for", "select") and _of_nodes(launch, (), None):
            message = f"this loop (`{what}`) was taken to start the nodes of one launch, as a cluster does by itself"
            return Note(severity=Severity.INFO, message=message, span=place)
        said = "is repeated" if step.kind in ("while", "until") else "launches several servers"
        message = f"this launch stands in a loop that {said} (`{what}`), how often is not known; one was taken"
    return Note(severity=Severity.WARNING, message=message, span=place, fix="import one launch of them on its own")


def _of_nodes(launch: Launch, names: Sequence[str], count: int | None) -> bool:
    """Whether the loops start the nodes of one launch: as many, or told apart by a variable of theirs.

    ``count`` is None where it is not known how often they run.
    """
    nodes, rank = launch.said("--nnodes"), launch.said("--node-rank")
    if nodes is None or rank is None or nodes.text == "1":
        return False
    return count is None or bool(nodes.unknown) or nodes.text == str(count) or not {*names}.isdisjoint(rank.variables)


def _shown(words: Sequence[Word]) -> str:
    return shown(", ".join(masked(word.text) for word in words), 80)
