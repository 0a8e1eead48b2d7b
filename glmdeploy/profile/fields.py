"""What a field of a profile can be: its scalars, each with one check for pydantic and for JSON Schema alike.

A duration is whole seconds (``7200``) or a text with a unit (``2h``, ``90m``, ``45s``); the accepted texts are one
regular expression with exact bounds, so that the JSON Schema and the models refuse the same ones.

JSON Schema knows no error texts of its own, so every annotation that needs one adds the keyword ``errorMessage``
(understood by common editors and by ``glmdeploy.profile.schema``): what was expected, in words.

Pydantic is imported when a model is built, not when this file is: whoever only reads the table needs none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

    Json = dict[str, Any]

UNITS = {"s": 1, "m": 60, "h": 3600}
_TEXT = re.compile(r"([1-9][0-9]{0,17})([smh])")


def parse(text: str) -> int:
    """Seconds of a duration text.

    :raises ValueError: when it is none.
    """
    match = _TEXT.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no duration")
    return int(match[1]) * UNITS[match[2]]


def pattern(low: int, high: int) -> str:
    """A regular expression (ECMA-262 and Python) of the texts that mean ``low`` to ``high`` seconds, both included."""
    parts = []
    for unit, seconds in UNITS.items():
        first, last = -(-low // seconds), high // seconds
        if first <= last:
            parts.append(f"(?:{_integers(max(first, 1), last)}){unit}")
    return f"^(?:{'|'.join(parts)})$(?!\\n)"


def _integers(low: int, high: int) -> str:
    """A regular expression of the decimal integers from ``low`` to ``high``, without leading zeros."""
    parts: list[str] = []
    while low <= high:
        # The widest block low..end in which a fixed prefix is followed by one free digit range and free digits.
        step = 1
        while low % (step * 10) == 0 and low + step * 10 - 1 <= high and low != 0:
            step *= 10
        digit = low // step % 10
        count = min(9 - digit, (high - low + 1) // step - 1)
        prefix = str(low // step // 10) if low // step >= 10 else ""
        last = digit + count
        tail = "[0-9]" * (len(str(step)) - 1)
        parts.append(f"{prefix}{digit if digit == last else f'[{digit}-{last}]'}{tail}")
        low += step * (count + 1)
    return "|".join(parts)


def describe(seconds: int) -> str:
    """A short text for people: ``24h``, ``15m``, ``90s``."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def exact(body: str) -> str:
    """``body`` as a whole-string pattern that ECMA-262 and Python read alike.

    Python's ``$`` also matches before a final newline; the look-ahead makes both dialects mean the end.
    """
    return f"^(?:{body})$(?!\\n)"


def integral(value: object) -> object:
    """JSON Schema counts 8.0 as an integer, so the models do."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class Text:
    """A string that matches the whole of ``pattern``."""

    pattern: str
    expected: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.str_schema(pattern=exact(self.pattern), strict=True, regex_engine="python-re")

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        return {"type": "string", "pattern": exact(self.pattern), "errorMessage": self.expected}


@dataclass(frozen=True)
class Whole:
    """An integer from ``low`` to ``high``, both included, of a ``unit`` if it has one."""

    low: int
    high: int
    unit: str = ""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        integer = core_schema.int_schema(ge=self.low, le=self.high, strict=True)
        return core_schema.no_info_before_validator_function(integral, integer)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        expected = str(self.low) if self.low == self.high else f"an integer from {self.low} to {self.high}"
        expected += f", in {self.unit}" if self.unit else ""
        return {"type": "integer", "minimum": self.low, "maximum": self.high, "errorMessage": expected}


@dataclass(frozen=True)
class Seconds:
    """A duration from ``low`` to ``high`` seconds, written as an integer or as a text with a unit."""

    low: int
    high: int

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        integer = core_schema.int_schema(ge=self.low, le=self.high, strict=True)
        return core_schema.no_info_before_validator_function(self._read, integer)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        return {
            "anyOf": [
                {"type": "integer", "minimum": self.low, "maximum": self.high},
                {"type": "string", "pattern": pattern(self.low, self.high)},
            ],
            "errorMessage": f"{describe(self.low)} to {describe(self.high)}, "
            "as whole seconds (900) or with a unit (15m, 2h, 45s)",
        }

    @staticmethod
    def _read(value: object) -> object:
        return parse(value) if isinstance(value, str) else integral(value)


@dataclass(frozen=True)
class Number:
    """A number above 0, up to ``high``; with ``low``, from that on."""

    high: float
    low: float | None = None

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.float_schema(gt=0 if self.low is None else None, ge=self.low, le=self.high, strict=True)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        expected = f"from {self.low:g} to {self.high:g}" if self.low is not None else f"above 0, at most {self.high:g}"
        return {**handler(schema), "errorMessage": f"a number {expected}"}


@dataclass(frozen=True)
class Bounds:
    """An amount of ``item``, or a list of two: what is asked for, and the limit that is never exceeded."""

    item: Number | Whole

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        one = self.item.__get_pydantic_core_schema__(source, handler)
        return core_schema.union_schema([one, core_schema.tuple_schema([one, one], strict=False)])

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        one = self.item.__get_pydantic_json_schema__(
            self.item.__get_pydantic_core_schema__(None, handler),  # type: ignore[arg-type]
            handler,
        )
        expected = one.pop("errorMessage")
        return {
            "anyOf": [one, {"type": "array", "items": one, "minItems": 2, "maxItems": 2}],
            "errorMessage": f"{expected}, or a list of two such: what is asked for, and the limit",
        }


@dataclass(frozen=True)
class Record:
    """A mapping with these keys, each of its own form; the ``needed`` ones must be there."""

    keys: tuple[tuple[str, Number | Whole | Text, str], ...]
    """Name, form, and meaning in a sentence."""
    needed: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        fields = {
            name: core_schema.typed_dict_field(
                form.__get_pydantic_core_schema__(source, handler), required=name in self.needed
            )
            for name, form, _ in self.keys
        }
        return core_schema.typed_dict_schema(fields, extra_behavior="forbid", strict=True)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        forms = {
            name: form.__get_pydantic_json_schema__(
                form.__get_pydantic_core_schema__(None, handler),  # type: ignore[arg-type]
                handler,
            )
            | {"description": about}
            for name, form, about in self.keys
        }
        return {
            "type": "object",
            "properties": forms,
            "required": list(self.needed),
            "additionalProperties": False,
        }


@dataclass(frozen=True)
class OneOrMore:
    """A text of ``item``'s form where it may stand ``alone``, or a list of such texts."""

    item: Text
    alone: bool = True

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        one = self.item.__get_pydantic_core_schema__(source, handler)
        more = core_schema.tuple_schema([one], variadic_item_index=0, min_length=1, strict=False)
        return core_schema.union_schema([one, more]) if self.alone else more

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        one: Json = {"type": "string", "pattern": exact(self.item.pattern)}
        if not self.alone:
            more = {"type": "array", "items": one, "minItems": 1}
            return {**more, "errorMessage": f"a list of which each is {self.item.expected}"}
        return {
            "anyOf": [one, {"type": "array", "items": one, "minItems": 1}],
            "errorMessage": f"{self.item.expected}, or a list of such",
        }


@dataclass(frozen=True)
class About:
    """What a field means, in a sentence, and values to show as ``examples``."""

    text: str
    examples: tuple[object, ...] = ()

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        shown: Json = {"examples": list(self.examples)} if self.examples else {}
        return {**handler(schema), "description": self.text, **shown}


@dataclass(frozen=True)
class Mapping:
    """A mapping of texts to texts; with ``integers``, an integer stands for its digits."""

    key: Text
    value: Text
    integers: bool = False

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        value = self.value.__get_pydantic_core_schema__(source, handler)
        if self.integers:
            value = core_schema.no_info_before_validator_function(self._digits, value)
        return core_schema.dict_schema(self.key.__get_pydantic_core_schema__(source, handler), value, strict=True)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        text: Json = {"type": "string", "pattern": exact(self.value.pattern)}
        value: Json = {"anyOf": [text, {"type": "integer"}]} if self.integers else text
        return {
            "type": "object",
            "propertyNames": {"pattern": exact(self.key.pattern), "errorMessage": self.key.expected},
            "additionalProperties": {**value, "errorMessage": self.value.expected},
        }

    @staticmethod
    def _digits(value: object) -> object:
        value = integral(value)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


@dataclass(frozen=True)
class ArgValue:
    """A value of one SGLang option: a scalar, a list of strings and numbers, or a mapping for one that takes JSON."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        return {
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "items": {"type": ["string", "number"]}, "minItems": 1},
                {"type": "object"},
            ],
            "errorMessage": "a value, true or false for a switch, a list of strings and numbers, "
            "or a mapping for an option that takes JSON",
        }

    @staticmethod
    def _check(value: object) -> object:
        if isinstance(value, list):
            if not value or not all(
                isinstance(item, str | int | float) and not isinstance(item, bool) for item in value
            ):
                raise ValueError("not a list of strings and numbers")
        elif not isinstance(value, str | int | float | dict):
            raise ValueError("neither a scalar nor a list nor a mapping")
        return value


MAX_TIMEOUT = 86_400
"""Seconds: the longest ``timeout`` of a Modal function or class (modal 1.6.4)."""

LINE = r"[^\x00-\x1f\x7f]"
"""A character of a text on one line."""

_ENV_NAME = Text(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable: letters, digits, underscores")
TAG = Text(r"[A-Za-z0-9._-]{1,63}", "1 to 63 letters, digits, dashes, periods and underscores")

Name = Annotated[str, TAG]
EnvName = Annotated[str, _ENV_NAME]
Env = Annotated[
    dict[str, str],
    Mapping(_ENV_NAME, Text(LINE + "*", 'a string on one line or an integer (quote others: "true", "0.5")'), True),
]
Line = Annotated[str, Text(LINE + "+", "a text on one line")]
Cpu = Annotated[float | tuple[float, float], Bounds(Number(128))]
"""Cores to ask for; as a pair, also the limit."""
Memory = Annotated[int | tuple[int, int], Bounds(Whole(128, 4_194_304, "MiB"))]
"""In MiB, likewise."""
Timeout = Annotated[int, Seconds(1, MAX_TIMEOUT)]
Dollars = Annotated[float, Number(1_000_000)]
