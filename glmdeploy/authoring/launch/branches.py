"""The branches that a command of a shell text stands in: what decides whether it runs, and how often.

Two commands of one text are told apart by their paths: what stands in another branch of the same ``if`` never runs
together with this one, and what stands in a branch that this one stands in too has surely run before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.masking import masked
from glmdeploy.profile.text.characters import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.authoring.launch.words import RawWord

_NUMBERS = count(1)
"""Constructs of all texts, for a text inside another one is told apart from it."""

_SUCCEEDS = re.compile(
    r"\s*(?:(?:cd|pushd|popd|export|source|\.|mkdir|set|echo|printf|module|ulimit|pip3?|uv|apt|apt-get|conda|git|chmod"
    r"|sleep|true|:|declare|readonly|local|unset|umask|rm|cp|ln|touch|wait)(?:\s|$)|[A-Za-z_]\w*\+?=\S*\s*$)"
)
"""Commands that a script expects to succeed: ``cd /x && ...`` decides nothing."""
_FUNCTION = re.compile(r"\s*(?:function\s+)?([^\s()]+)")
_LIMIT = 70


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One branch of a construct. ``number`` tells constructs apart, ``branch`` the branches of one, from 0.

    ``kind`` is the word that opens the construct, or ``&&`` and ``||``. ``said`` is the condition as it is written, a
    pattern of ``case``, the head of a loop, or a function's name. ``final``: one branch always runs, and this is the
    last of them. ``head`` are a loop's own words.
    """

    kind: str
    number: int
    branch: int = 0
    said: str = ""
    final: bool = False
    head: tuple[RawWord, ...] = ()

    def same(self, other: Step) -> bool:
        """Whether both are the same branch."""
        return (self.number, self.branch) == (other.number, other.branch)

    @property
    def described(self) -> str:
        """When the branch is taken, to follow a value in a message."""
        said = shown(masked(" ".join(self.said.split())), _LIMIT)
        if self.kind == "if":
            return "in its `else`" if self.final else f"if `{said}`"
        if self.kind in ("&&", "||"):
            return f"{'if' if self.kind == '&&' else 'unless'} `{said}`"
        if self.kind == "case":
            return f"in the case `{said}`"
        if self.kind == "function":
            return f"in the function `{said}`"
        return "inside ( )" if self.kind == "(" else "in a loop" if self.kind != "{" else "inside { }"


def surely(before: Sequence[Step], now: Sequence[Step]) -> bool:
    """Whether what stands at ``before`` has run wherever what stands at ``now`` runs."""
    deciding = [step for step in before if step.kind != "{"]
    around = [step for step in now if step.kind != "{"]
    return len(deciding) <= len(around) and all(map(Step.same, deciding, around))


def never(before: Sequence[Step], now: Sequence[Step]) -> bool:
    """Whether what stands at ``before`` has no effect at ``now``: another branch, or the inside of ``( )``."""
    branches = {step.number: step.branch for step in now}
    if any(branches.get(step.number, step.branch) != step.branch for step in before):
        return True
    return any(step.kind == "(" and step.number not in branches for step in before)


@dataclass(kw_only=True)
class _Level:
    """A construct, with the conditions of ``&&`` and ``||`` in front of it."""

    chain: list[Step]
    step: Step
    patterns: int = 0


@dataclass
class Path:
    """The way to the place in ``text`` that is being read."""

    text: str
    levels: list[_Level] = field(default_factory=list)
    chain: list[Step] = field(default_factory=list)
    element: int = 0
    """Where the member of an and-or list begins that is being read."""
    condition: int | None = None

    def steps(self) -> tuple[Step, ...]:
        return (*(step for level in self.levels for step in (*level.chain, level.step)), *self.chain)

    def enter(self, kind: str, start: int) -> None:
        self.levels.append(_Level(chain=self.chain, step=Step(kind=kind, number=next(_NUMBERS))))
        self.chain, self.element = [], start

    def leave(self) -> None:
        if self.levels:
            self.chain = self.levels.pop().chain

    def word(self, name: str, start: int, end: int) -> None:
        """A reserved word at ``start``."""
        if name in ("if", "while", "until", "elif"):
            self.condition = end
        if name in ("else", "for", "select"):
            self.condition = None
        if name in ("elif", "else"):
            self._change("if", branch=1, final=name == "else", said="")
        elif name in ("then", "do") and self.condition is not None:
            said = self.text[self.condition : start].strip("; \t\n")
            self._change("if" if name == "then" else "", said=said)
            self.condition = None
        if name in ("then", "do", "else", "elif", "if", "while", "until", "{"):
            self.chain, self.element = [], end

    def _change(self, kind: str, *, said: str, branch: int = 0, final: bool = False) -> None:
        for level in reversed(self.levels):
            if level.step.kind == kind or (not kind and level.step.kind in ("while", "until", "for", "select")):
                level.step = replace(level.step, branch=level.step.branch + branch, final=final, said=said)
                return

    def head(self, start: int, end: int, *, item: bool) -> None:
        """What stands before the first command of a construct; ``item``: a pattern of ``case``."""
        text = self.text[start:end]
        self.element = end
        if not self.levels:
            return
        level = self.levels[-1]
        if item:
            pattern = text.strip().rstrip(")").strip()
            final = pattern == "*"
            level.step = replace(level.step, branch=level.patterns, said=pattern, final=final)
            level.patterns += 1
        elif level.step.kind == "function" and (name := _FUNCTION.match(text)):
            level.step = replace(level.step, said=name[1])
        elif level.step.kind in ("for", "select"):
            level.step = replace(level.step, said=text.strip("; \t\n"))

    def heads(self, words: Sequence[RawWord]) -> None:
        """The words behind ``for``: its variable, ``in``, and the values."""
        if self.levels and self.levels[-1].step.kind in ("for", "select"):
            self.levels[-1].step = replace(self.levels[-1].step, head=tuple(words))

    def operator(self, operator: str, start: int, end: int) -> None:
        said = self.text[self.element : start]
        if operator in ("&&", "||"):
            if operator == "||" or not _SUCCEEDS.match(said):
                self.chain = [*self.chain, Step(kind=operator, number=next(_NUMBERS), said=said.strip())]
        elif operator not in ("|", "|&", "("):
            self.chain = []
        if operator not in ("|", "|&"):
            self.element = end
