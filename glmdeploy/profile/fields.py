"""What a value in a profile can be: forms, each of which reads a value and says what it takes in JSON Schema.

JSON Schema knows no error texts of its own, so every form that needs one adds the keyword ``errorMessage``
(understood by common editors and by ``glmdeploy.profile.schema``): what was expected, in words.

Regular expressions are compiled when a value is read with them: a profile has few of all values that there are.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from glmdeploy.profile.durations import describe, parse, pattern

if TYPE_CHECKING:
    from glmdeploy.findings import KeyPath

Json = dict[str, Any]
Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)


class Refused(Exception):
    """A value that a form does not take: ``expected`` says what it takes, ``path`` leads to the value."""

    def __init__(self, expected: str, path: KeyPath = ()) -> None:
        super().__init__(expected)
        self.expected = expected
        self.path = path

    def within(self, part: str | int) -> Refused:
        """The same, seen from a level above."""
        return Refused(self.expected, (part, *self.path))


class Form(Protocol[Value_co]):
    """What a value can be."""

    def read(self, value: object, /) -> Value_co:
        """The value as the models hold it. :raises Refused: if it is none."""

    def schema(self, definitions: Json, /) -> Json:
        """What JSON Schema says of it; sections that it refers to are added to the ``definitions``."""


def exact(body: str) -> str:
    """``body`` as a whole-string pattern that ECMA-262 and Python read alike.

    Python's ``$`` also matches before a final newline; the look-ahead makes both dialects mean the end.
    """
    return f"^(?:{body})$(?!\\n)"


def integral(value: object) -> object:
    """JSON Schema counts 8.0 as an integer, so the forms do."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Text:
    """A string that matches the whole of ``pattern``."""

    def __init__(self, pattern: str, expected: str) -> None:
        self.pattern, self.expected = pattern, expected

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def read(self, value: object) -> str:
        if isinstance(value, str) and self._compiled.fullmatch(value):
            return value
        raise Refused(self.expected)

    def schema(self, _: Json) -> Json:
        return {"type": "string", "pattern": exact(self.pattern), "errorMessage": self.expected}


def one_of(*words: str) -> Text:
    """A text that is one of the words."""
    return Text("|".join(words), f"one of: {', '.join(words)}")


class AnyText:
    """A string."""

    def read(self, value: object) -> str:
        if isinstance(value, str):
            return value
        raise Refused("a text")

    def schema(self, _: Json) -> Json:
        return {"type": "string"}


class Flag:
    """True or false."""

    def read(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise Refused("true or false")

    def schema(self, _: Json) -> Json:
        return {"type": "boolean"}


class Whole:
    """An integer from ``low`` to ``high``, both included, of a ``unit`` if it has one."""

    def __init__(self, low: int, high: int, unit: str = "") -> None:
        self.low, self.high, self.unit = low, high, unit

    @property
    def expected(self) -> str:
        expected = str(self.low) if self.low == self.high else f"an integer from {self.low} to {self.high}"
        return f"{expected}, in {self.unit}" if self.unit else expected

    def read(self, value: object) -> int:
        value = integral(value)
        if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
            return value
        raise Refused(self.expected)

    def schema(self, _: Json) -> Json:
        return {"type": "integer", "minimum": self.low, "maximum": self.high, "errorMessage": self.expected}


class Seconds:
    """A duration from ``low`` to ``high`` seconds, written as an integer or as a text with a unit."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    @property
    def expected(self) -> str:
        limits = f"{describe(self.low)} to {describe(self.high)}"
        return f"{limits}, as whole seconds (900) or with a unit (15m, 2h, 45s)"

    def read(self, value: object) -> int:
        try:
            value = parse(value) if isinstance(value, str) else integral(value)
        except ValueError:
            raise Refused(self.expected) from None
        if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
            return value
        raise Refused(self.expected)

    def schema(self, _: Json) -> Json:
        return {
            "anyOf": [
                {"type": "integer", "minimum": self.low, "maximum": self.high},
                {"type": "string", "pattern": pattern(self.low, self.high)},
            ],
            "errorMessage": self.expected,
        }


class Number:
    """A number above 0, up to ``high``; with ``low``, from that on."""

    def __init__(self, high: float, low: float | None = None) -> None:
        self.high, self.low = high, low

    @property
    def expected(self) -> str:
        limits = f"from {self.low:g} to {self.high:g}" if self.low is not None else f"above 0, at most {self.high:g}"
        return f"a number {limits}"

    def read(self, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            enough = value > 0 if self.low is None else value >= self.low
            if enough and value <= self.high:
                return float(value)
        raise Refused(self.expected)

    def schema(self, _: Json) -> Json:
        least: Json = {"exclusiveMinimum": 0} if self.low is None else {"minimum": self.low}
        return {"type": "number", **least, "maximum": self.high, "errorMessage": self.expected}


class Bounds(Generic[Value]):
    """An amount of ``item``, or a list of two: what is asked for, and the limit that is never exceeded."""

    def __init__(self, item: Form[Value]) -> None:
        self.item = item

    def read(self, value: object) -> Value | tuple[Value, Value]:
        if not isinstance(value, list | tuple):
            return self.item.read(value)
        if len(value) != 2:
            raise Refused("a list of two")
        return self.item.read(value[0]), self.item.read(value[1])

    def schema(self, definitions: Json) -> Json:
        one = self.item.schema(definitions)
        expected = one.pop("errorMessage")
        return {
            "anyOf": [one, {"type": "array", "items": one, "minItems": 2, "maxItems": 2}],
            "errorMessage": f"{expected}, or a list of two such: what is asked for, and the limit",
        }


class Listed(Generic[Value]):
    """A list of ``least`` to ``most`` values of ``item``'s form."""

    def __init__(self, item: Form[Value], least: int = 0, most: int | None = None) -> None:
        self.item, self.least, self.most = item, least, most

    def read(self, value: object) -> tuple[Value, ...]:
        if not isinstance(value, list | tuple) or len(value) < self.least:
            raise Refused("a list")
        if self.most is not None and len(value) > self.most:
            raise Refused(f"a list of {self.most} at most")
        found = []
        for index, item in enumerate(value):
            try:
                found.append(self.item.read(item))
            except Refused as refused:
                raise refused.within(index) from None
        return tuple(found)

    def schema(self, definitions: Json) -> Json:
        least: Json = {"minItems": self.least} if self.least else {}
        most: Json = {} if self.most is None else {"maxItems": self.most}
        return {"type": "array", "items": self.item.schema(definitions), **least, **most}


class Texts(Listed[str]):
    """A list of texts, one at least, which is told of as a whole."""

    def __init__(self, item: Text) -> None:
        super().__init__(item, 1)
        self.expected = f"a list of which each is {item.expected}"

    def schema(self, definitions: Json) -> Json:
        found = super().schema(definitions)
        del found["items"]["errorMessage"]
        return {**found, "errorMessage": self.expected}


class OneOrMore:
    """A text of ``item``'s form, or a list of such texts."""

    def __init__(self, item: Text) -> None:
        self.item, self.more = item, Texts(item)

    def read(self, value: object) -> str | tuple[str, ...]:
        return self.more.read(value) if isinstance(value, list | tuple) else self.item.read(value)

    def schema(self, definitions: Json) -> Json:
        one, more = self.item.schema(definitions), self.more.schema(definitions)
        del one["errorMessage"], more["errorMessage"]
        return {"anyOf": [one, more], "errorMessage": f"{self.item.expected}, or a list of such"}


class Record:
    """A mapping with these keys, each of its own form; the ``needed`` ones must be there."""

    def __init__(self, *keys: tuple[str, Number | Whole | Text, str], needed: tuple[str, ...] = ()) -> None:
        """``keys`` have a name, a form, and the meaning in a sentence."""
        self.keys, self.needed = keys, needed

    def read(self, value: object) -> dict[str, Any]:
        if not isinstance(value, dict) or not set(self.needed) <= value.keys():
            raise Refused(f"a mapping with {' and '.join(self.needed)}")
        forms = {name: form for name, form, _ in self.keys}
        found = {}
        for key, item in value.items():
            try:
                found[key] = forms[key].read(item)
            except KeyError:
                raise Refused(f"one of: {', '.join(forms)}", (key,)) from None
            except Refused as refused:
                raise refused.within(key) from None
        return found

    def schema(self, definitions: Json) -> Json:
        return {
            "type": "object",
            "properties": {name: form.schema(definitions) | {"description": about} for name, form, about in self.keys},
            "required": list(self.needed),
            "additionalProperties": False,
        }


class Mapping(Generic[Value]):
    """A mapping of texts of ``key``'s form to values of ``value``'s; without a ``key``, of any texts."""

    def __init__(self, key: Text | None, value: Form[Value]) -> None:
        self.key, self.value = key, value

    def read(self, value: object) -> dict[str, Value]:
        if not isinstance(value, dict):
            raise Refused("a mapping")
        found = {}
        for name, item in value.items():
            try:
                found[self.key.read(name) if self.key else name] = self.value.read(item)
            except Refused as refused:
                raise refused.within(name) from None
        return found

    def schema(self, definitions: Json) -> Json:
        names: Json = {}
        if self.key:
            names = {"propertyNames": {"pattern": exact(self.key.pattern), "errorMessage": self.key.expected}}
        return {"type": "object", **names, "additionalProperties": self.value.schema(definitions)}


class WordOr(Generic[Value]):
    """A ``word``, or a value of another form."""

    def __init__(self, word: str, other: Form[Value], expected: str) -> None:
        self.word, self.other, self.expected = word, other, expected

    def read(self, value: object) -> Value | str:
        return self.word if value == self.word else self.other.read(value)

    def schema(self, definitions: Json) -> Json:
        one = self.other.schema(definitions)
        return {"anyOf": [one, {"type": "string", "const": self.word}], "errorMessage": self.expected}


class Digits(Text):
    """Such a text, or an integer, which stands for its digits."""

    def read(self, value: object) -> str:
        value = integral(value)
        return super().read(str(value) if isinstance(value, int) and not isinstance(value, bool) else value)

    def schema(self, _: Json) -> Json:
        text = {"type": "string", "pattern": exact(self.pattern)}
        return {"anyOf": [text, {"type": "integer"}], "errorMessage": self.expected}


class ArgValue:
    """A value of one SGLang option: a scalar, a list of strings and numbers, or a mapping for one that takes JSON."""

    expected = (
        "a value, true or false for a switch, a list of strings and numbers, or a mapping for an option that takes JSON"
    )

    def read(self, value: object) -> Any:
        if isinstance(value, list):
            plain = (isinstance(item, str | int | float) and not isinstance(item, bool) for item in value)
            if value and all(plain):
                return value
        elif isinstance(value, str | int | float | dict):
            return value
        raise Refused(self.expected)

    def schema(self, _: Json) -> Json:
        return {
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "items": {"type": ["string", "number"]}, "minItems": 1},
                {"type": "object"},
            ],
            "errorMessage": self.expected,
        }


MAX_TIMEOUT = 86_400
"""Seconds: the longest ``timeout`` of a Modal function or class (modal 1.6.4)."""

LINE = r"[^\x00-\x1f\x7f]"
"""A character of a text on one line."""

TAG = Text(r"[A-Za-z0-9._-]{1,63}", "1 to 63 letters, digits, dashes, periods and underscores")
ENV_NAME = Text(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable: letters, digits, underscores")
ENV = Mapping(ENV_NAME, Digits(LINE + "*", 'a string on one line or an integer (quote others: "true", "0.5")'))
ONE_LINE = Text(LINE + "+", "a text on one line")
CORES = Bounds(Number(128))
MEBIBYTES = Bounds(Whole(128, 4_194_304, "MiB"))
TIMEOUT = Seconds(1, MAX_TIMEOUT)
FLAG = Flag()
