"""Records: immutable values with named fields, as ``@dataclass(frozen=True, kw_only=True)`` makes them.

``dataclasses`` writes and compiles six methods for each class, which takes half a millisecond (Python 3.11), and the
shortest command needs a hundred classes. Records share their methods. To ``dataclasses.replace``, ``fields`` and
``asdict``, and to a type checker, they are dataclasses.
"""

from __future__ import annotations

import dataclasses
from dataclasses import field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """The class as a record. Methods that it has itself stay."""
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=True)(cls)
    fields = dataclasses.fields(made)
    made._record = _Shape(fields)
    for name, method in _METHODS.items():
        if name not in vars(made):
            setattr(made, name, method)
    found: type[T] = made
    return found


class _Shape:
    """What the methods need to know of a class."""

    __slots__ = ("compared", "defaults", "factories", "names")

    def __init__(self, fields: tuple[dataclasses.Field[Any], ...]) -> None:
        self.names = frozenset(each.name for each in fields)
        names = [each.name for each in fields if each.compare]
        self.compared: Callable[[dict[str, Any]], Any] = itemgetter(*names) if names else len
        self.defaults = {each.name: each.default for each in fields if each.default is not dataclasses.MISSING}
        self.factories: dict[str, Callable[[], Any]] = {
            each.name: each.default_factory for each in fields if each.default_factory is not dataclasses.MISSING
        }


def _init(self: Any, **given: Any) -> None:
    shape = self._record
    values = self.__dict__
    values.update(shape.defaults)
    for name, make in shape.factories.items():
        if name not in given:
            values[name] = make()
    values.update(given)
    if values.keys() != shape.names:
        lacking, unknown = sorted(shape.names - values.keys()), sorted(values.keys() - shape.names)
        raise TypeError(
            f"{type(self).__name__} lacks {lacking}" if lacking else f"{type(self).__name__} has no {unknown}"
        )


def _eq(self: Any, other: Any) -> Any:
    if type(self) is not type(other):
        return NotImplemented
    compared = self._record.compared
    return compared(self.__dict__) == compared(other.__dict__)


def _hash(self: Any) -> int:
    return hash(self._record.compared(self.__dict__))


def _repr(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in dataclasses.fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _setattr(self: Any, name: str, value: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


_METHODS = {
    "__init__": _init,
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
}
