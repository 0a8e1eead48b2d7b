"""A profile of which parts are refused, and its facts: who asks for such a part is told that it is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.profile.section import Section
from glmdeploy.records import record
from glmdeploy.rules.facts import Facts
from glmdeploy.rules.gaps import refused
from glmdeploy.sglang.decisions.watched import Watched
from glmdeploy.sglang.releases import PREFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from glmdeploy.findings import KeyPath

_HANG: Mapping[str, KeyPath] = {
    **dict.fromkeys(("gpu", "gpus"), ("gpu",)),
    **dict.fromkeys(("architecture", "quantization", "kind", "model", "model_loaded"), ("model", "repo")),
}
"""What facts work out of a part of the profile once and for all, and that part."""

_DECIDES = (("gpu",), ("model", "repo"))
"""The parts on which what SGLang decides depends, beside its options and its own variables."""

_ENVIRONMENTS = (("sglang", "env"), ("server", "env"))


class Partly:
    """A section of a profile with the paths in it that are not known; it answers as the section does."""

    def __init__(self, section: Section, lost: frozenset[KeyPath]) -> None:
        self._section = section
        self._lost = lost

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._section, name)
        if name == "given":
            return _Fields(value, {path[0] for path in self._lost})
        if (name,) in self._lost:
            refused()
        inner = frozenset(path[1:] for path in self._lost if path[0] == name and len(path) > 1)
        if not inner:
            return value
        if isinstance(value, Section):
            return Partly(value, inner)
        return Watched(value, {str(path[0]) for path in inner}, refused) if isinstance(value, dict) else value

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for name, _ in self._section:
            yield name, getattr(self, name)


class _Fields(set[str]):
    """The names of the fields that are set; of those that are not known it is not known either."""

    def __init__(self, names: Iterable[str], lost: set[str | int]) -> None:
        super().__init__(names)
        self._lost = lost

    def __contains__(self, name: object) -> bool:
        if name in self._lost:
            refused()
        return super().__contains__(name)


@record
class PartFacts(Facts):
    """The facts of such a profile."""

    lost: frozenset[KeyPath] = frozenset()

    def __getattribute__(self, name: str) -> Any:
        if name in _HANG and any(_within(path, _HANG[name]) for path in self.lost):
            refused()
        return super().__getattribute__(name)

    @property
    def settled(self) -> bool:
        variables = (path for path in self.lost if any(_within(path, part) for part in _ENVIRONMENTS))
        own = any(len(path) < 3 or str(path[2]).startswith(PREFIXES) for path in variables)
        return not own and not any(_within(path, part) for path in self.lost for part in _DECIDES)


def _within(one: KeyPath, other: KeyPath) -> bool:
    """Whether one of the paths leads to, or into, what the other leads to."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
