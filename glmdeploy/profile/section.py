"""A section of a profile: a class whose fields each say, in one place, what they take, mean and default to.

From that come the objects that a profile is read into, its JSON Schema, and what Modal's decorators take. An object
has what the profile says as attributes of its own, and what is left out from its class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform, overload

from glmdeploy.profile.fields import Refused

if TYPE_CHECKING:
    from collections import abc
    from typing import NoReturn, Self

    from glmdeploy.profile.decorators import ModalOption
    from glmdeploy.profile.fields import Form, Json

Value = TypeVar("Value")

NEEDED: Any = object()
"""The default of a field that a profile must set."""


class Field:
    """What is declared of a field. ``key`` is what a profile calls it."""

    __slots__ = ("about", "default", "examples", "form", "key", "option")

    def __init__(
        self,
        form: Form[Any],
        about: str,
        option: ModalOption | None,
        key: str,
        default: Any,
        examples: tuple[object, ...],
    ) -> None:
        self.form, self.about, self.option = form, about, option
        self.key, self.default, self.examples = key, default, examples

    def read(self, value: object) -> Any:
        """The value as the section holds it. :raises Refused: if it is none."""
        return None if value is None and self.default is None else self.form.read(value)

    def schema(self, definitions: Json) -> Json:
        """The JSON Schema of the field; sections that it refers to are added to the ``definitions``."""
        found = self.form.schema(definitions)
        title: Json = {} if "$ref" in found else {"title": self.key.replace("_", " ").title()}
        if self.default is None:
            found = {"anyOf": [found, {"type": "null"}]}
        default: Json = {} if self.default is NEEDED else {"default": _data(self.default, whole=True)}
        examples: Json = {"examples": list(self.examples)} if self.examples else {}
        return {**found, **title, "description": self.about, **default, **examples}


@overload
def field(
    form: Form[Value],
    about: str,
    option: ModalOption | None = None,
    *,
    key: str = "",
    examples: tuple[object, ...] = (),
) -> Value: ...
@overload
def field(
    form: Form[Value],
    about: str,
    option: ModalOption | None = None,
    *,
    default: Value,
    examples: tuple[object, ...] = (),
) -> Value: ...
def field(
    form: Form[Any],
    about: str,
    option: ModalOption | None = None,
    *,
    key: str = "",
    default: Any = NEEDED,
    examples: tuple[object, ...] = (),
) -> Any:
    """A field of ``form``, with what it means in a sentence, and what it is to Modal.

    One without a ``default`` must be set; one whose default is None may be null. ``key`` is its key in a profile, where
    its name cannot be.
    """
    return Field(form, about, option, key, default, examples)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Section:
    """A mapping of a profile with keys of its own. It is a form itself: of a field that holds such a mapping."""

    declared: ClassVar[abc.Mapping[str, Field]] = {}
    """The fields by name, in their order."""
    _by_key: ClassVar[abc.Mapping[str, tuple[str, Field]]] = {}
    _needed: ClassVar[abc.Set[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        own = {name: each for name, each in vars(cls).items() if isinstance(each, Field)}
        for name, each in own.items():
            each.key = each.key or name
            if each.default is NEEDED:
                delattr(cls, name)
            else:
                setattr(cls, name, each.default)
        cls.declared = {**cls.declared, **own}
        cls._by_key = {each.key: (name, each) for name, each in cls.declared.items()}
        cls._needed = frozenset(name for name, each in cls.declared.items() if each.default is NEEDED)

    def __init__(self, **given: Any) -> None:
        if not self._needed <= given.keys() <= self.declared.keys():
            raise TypeError(f"{type(self).__name__} has other fields than {', '.join(given)}")
        vars(self).update(given)

    @classmethod
    def read(cls, value: object, /) -> Self:
        """The section that a mapping of a document is. :raises Refused: at the first place that is none of it."""
        if not isinstance(value, dict):
            raise Refused("a mapping")
        found = {}
        for key, item in value.items():
            if key not in cls._by_key:
                raise Refused("a key of the section", (key,))
            name, each = cls._by_key[key]
            try:
                found[name] = each.read(item)
            except Refused as refused:
                raise refused.within(key) from None
        for name in cls._needed - found.keys():
            raise Refused("this key", (cls.declared[name].key,))
        return cls(**found)

    @classmethod
    def schema(cls, definitions: Json, /) -> Json:
        """A reference to the section's definition, which is added to the ``definitions``."""
        if cls.__name__ not in definitions:
            definitions[cls.__name__] = cls.definition(definitions)
        return {"$ref": f"#/$defs/{cls.__name__}"}

    @classmethod
    def definition(cls, definitions: Json) -> Json:
        """The JSON Schema of the section; sections in it are added to the ``definitions``."""
        needed = [each.key for name, each in cls.declared.items() if name in cls._needed]
        return {
            "title": cls.__name__,
            "description": (cls.__doc__ or "").partition("\n")[0],
            "type": "object",
            "properties": {each.key: each.schema(definitions) for each in cls.declared.values()},
            **({"required": needed} if needed else {}),
            "additionalProperties": False,
        }

    @property
    def given(self) -> abc.Set[str]:
        """The names of the fields that the profile sets."""
        return vars(self).keys()

    def data(self, *, whole: bool = False) -> dict[str, Any]:
        """What was set, by key, in the order of the declaration; with ``whole`` the defaults as well."""
        return {
            each.key: _data(getattr(self, name), whole=whole)
            for name, each in self.declared.items()
            if whole or name in self.given
        }

    def __iter__(self) -> abc.Iterator[tuple[str, Any]]:
        """The fields with their values."""
        return ((name, getattr(self, name)) for name in self.declared)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it may hold mappings

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name} of a profile cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name} of a profile cannot be deleted")


def _data(value: Any, *, whole: bool) -> Any:
    if isinstance(value, Section):
        return value.data(whole=whole)
    return [_data(item, whole=whole) for item in value] if isinstance(value, tuple) else value
