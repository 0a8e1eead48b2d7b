"""A mapping that tells when something was read that is not known, so that nothing is concluded from a stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

V = TypeVar("V")


class Watched(dict[str, V], Generic[V]):
    """A dict whose ``lost`` entries are not known, whether or not it holds something for them.

    Each question about one of them is counted in ``asked``, and ``noted`` is called. What looks at all entries in turn
    asks about none: it sees those that are there.
    """

    def __init__(self, data: Mapping[str, V], lost: Collection[str], noted: Callable[[], None] = lambda: None) -> None:
        super().__init__(data)
        self.lost = set(lost)
        self.asked = 0
        self._noted = noted

    def _note(self, key: object) -> None:
        if key in self.lost:
            self.asked += 1
            self._noted()

    def __getitem__(self, key: str) -> V:
        self._note(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._note(key)
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._note(key)
        return super().get(key, default)


def questions(values: Mapping[str, Any]) -> int:
    """How often something was asked for that is not known; 0 where all is."""
    return values.asked if isinstance(values, Watched) else 0


def unknown(values: Mapping[str, Any]) -> frozenset[str]:
    """The names of what is not known."""
    return frozenset(values.lost) if isinstance(values, Watched) else frozenset()
