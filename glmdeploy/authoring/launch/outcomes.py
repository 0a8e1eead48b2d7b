"""The values that a variable may have at a place of a script: which one is taken, what the others are, and when."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, takewhile
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.branches import never, surely
from glmdeploy.authoring.launch.masking import holds_secret, masked
from glmdeploy.profile.text.characters import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.authoring.launch.branches import Step
    from glmdeploy.authoring.launch.launch import Note, Word

MAX_SETTINGS = 12
"""Of one variable that are kept apart; of more, the first and the last."""
_LIMIT = 240


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One of the values that a variable gets; ``words`` is None where it is unset.

    ``path`` are the branches in which that is done. ``added`` are the words that ``+=`` added. ``notes`` belong to the
    value whatever words it has.
    """

    words: tuple[Word, ...] | None
    path: tuple[Step, ...] = ()
    added: tuple[Word, ...] | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """A variable's value: one word, or several for an array; the last that the text gives it.

    ``others`` is what it may still be from before, ``last`` says more of its words where that matters.
    """

    words: tuple[Word, ...]
    array: bool = False
    exported: bool = False
    others: tuple[Setting, ...] = ()
    last: Setting | None = None

    @property
    def settings(self) -> tuple[Setting, ...]:
        """All that it may be, in the order of the text."""
        return (*self.others, self.last or Setting(words=self.words))


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What a variable is at one place: ``taken``, and ``others`` that it could be as well, None for "not set"."""

    taken: Setting | None
    others: tuple[Setting | None, ...] = ()
    hidden: Setting | None = None
    """A later value that was given inside of ``( )``, and ended with it."""

    @property
    def certain(self) -> bool:
        """Whether the text leaves no doubt."""
        taken = _text(self.taken)
        return self.hidden is None and all(_text(other) == taken for other in self.others)


def held(variable: Variable | None, path: Sequence[Step]) -> Held:
    """What a variable is for a command in the branches of ``path``."""
    settings = variable.settings if variable else ()
    seen = [each for each in settings if not never(each.path, path)]
    lost = [each for each in settings if each not in seen and _inside(each, path)]
    hidden = lost[-1] if lost and (not seen or settings.index(seen[-1]) < settings.index(lost[-1])) else None
    possible: list[Setting | None] = []
    for each in reversed(seen):
        possible.append(each)
        if surely(each.path, path) or _exhaustive([setting for setting in possible if setting], path):
            break
    else:
        possible.append(None)
    # A default that the text tells says more than what only the command line would.
    taken = possible[0]
    if taken is not None and taken.words is not None and not _known(taken):
        taken = next((each for each in possible if _known(each)), taken)
    others = list(possible)
    others.remove(taken)
    return Held(taken=taken, others=tuple(others), hidden=hidden)


def _known(setting: Setting | None) -> bool:
    return setting is not None and setting.words is not None and not any(word.unknown for word in setting.words)


def _inside(setting: Setting, path: Sequence[Step]) -> bool:
    numbers = {step.number for step in path}
    return any(step.kind == "(" and step.number not in numbers for step in setting.path)


def settled(earlier: Sequence[Setting], new: Setting) -> tuple[Setting, ...]:
    """What a variable may still be from before, once it has a new value."""
    left = [each for each in earlier if not surely(new.path, each.path)]
    return tuple(left if len(left) <= MAX_SETTINGS else (left[0], *left[-MAX_SETTINGS + 1 :]))


def _exhaustive(possible: Sequence[Setting], path: Sequence[Step]) -> bool:
    """Whether one of the settings is surely made: each branch of a construct that always runs one has its own."""
    for each in possible:
        deciding = [step for step in each.path if step.kind != "{"]
        around = list(takewhile(lambda pair: pair[0].same(pair[1]), zip(deciding, _deciding(path), strict=False)))
        if len(deciding) != len(around) + 1 or not deciding[-1].final:
            continue
        last = deciding[-1]
        branches = {
            other[-1].branch
            for setting in possible
            if len(other := _deciding(setting.path)) == len(deciding) and other[-1].number == last.number
        }
        if branches >= set(range(last.branch)):
            return True
    return False


def _deciding(path: Sequence[Step]) -> list[Step]:
    return [step for step in path if step.kind != "{"]


def described(name: str, value: Held, path: Sequence[Step]) -> str:
    """All that a variable may be, and which of it was taken."""
    if value.hidden is not None:
        inside, outside = _value(name, value.hidden), _value(name, value.taken)
        return f"${name} is set to {inside} inside ( ) only, which ends there; here it is {outside}"
    uncertain = [each for each in (value.taken, *value.others) if each and not surely(each.path, path)]
    base = next((each for each in value.others if each is None or surely(each.path, path)), None)
    if value.taken in uncertain and all(each.added is not None for each in uncertain):
        added = ", ".join(
            f"{_shown(name, each.added or ())} was added ({_when(each, path)})" for each in reversed(uncertain)
        )
        return f"${name} is set under a condition: {added}; without that it is {_value(name, base)}"
    taken = f"{_value(name, value.taken)} was taken"
    if value.taken in uncertain and value.taken:
        taken += f" ({_when(value.taken, path)})"
    others = [
        f"{_value(name, each)} {_when(each, path) if each in uncertain and each else 'otherwise'}"
        for each in value.others
        if _text(each) != _text(value.taken)
    ]
    return f"${name} is set under a condition: {taken}; it is {', or '.join(others)}"


def possible(name: str, value: Held) -> str:
    """The values that a variable may have, as a message may show them."""
    values = (value.taken, value.hidden or value.taken, *value.others)
    return " or ".join(dict.fromkeys(_value(name, each) for each in values))


def _when(setting: Setting, path: Sequence[Step]) -> str:
    around = {(step.number, step.branch) for step in path}
    steps = [step for step in setting.path if step.kind != "{" and (step.number, step.branch) not in around]
    return " and ".join(step.described for step in steps[-2:]) or "always"


def _text(setting: Setting | None) -> tuple[str, ...] | None:
    return None if setting is None or setting.words is None else tuple(word.text for word in setting.words)


def _value(name: str, setting: Setting | None) -> str:
    if setting is None or setting.words is None:
        return "not set"
    return _shown(name, setting.words)


def _shown(name: str, words: Sequence[Word]) -> str:
    """A variable's value as a message may show it."""
    text = " ".join(word.text for word in words)
    if not text:
        return "empty"
    if holds_secret(name, None):
        return "a secret"
    unknown = set(chain.from_iterable(word.unknown for word in words))
    return f"`{shown(text if text in unknown else masked(text), _LIMIT)}`"
