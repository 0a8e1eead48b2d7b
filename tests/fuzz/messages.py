"""Protobuf messages at random: whole ones, and one field changed.

Strings are names of things that there are, or hostile.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor as Field

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from google.protobuf.message import Message

DEPTH = 3
PREFIXES = {
    "app_id": "ap-",
    "function_id": "fu-",
    "call_id": "fc-",
    "volume_id": "vo-",
    "image_id": "im-",
    "secret_id": "st-",
    "class_id": "cs-",
    "task_id": "ta-",
    "definition_id": "de-",
    "input_id": "in-",
    "mount_id": "mo-",
}
HOSTILE = (
    *("", "/", ".", "..", "../../escaped", "/tmp/../x", "a\0b", "\u00f6", "-1", "1-x", "12-0", "main", "x" * 300),
    *("0" * 64, "A" * 64, "g" * 64, "* * * * *", "61 * * * *", "Mars/Olympus", "UTC", "/".join("d" * 50), "a/b.txt"),
    *("%00", "${A}", "\x1b[31m", "fu-1@v2", "f.*", "1e400", "nan"),
)
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    60,
    8000,
    1_799_999_000,
    1_800_000_000,
    2**31 - 1,
    -(2**31),
    2**63 - 1,
    -(2**63),
    2**32 - 1,
    2**64 - 1,
)
FLOATS = (0.0, 1.0, -1.0, 0.5, 1e300, math.inf, -math.inf, math.nan)
_RANGES = {
    Field.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    Field.CPPTYPE_UINT32: (0, 2**32 - 1),
    Field.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    Field.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_MEANT = ("_id", "_name", "path", "name", "type", "_ids")
"""Ends of names of fields that decide how far a request gets."""


def filled(kind: type[Message], chance: Random, names: Sequence[str], depth: int = DEPTH) -> Message:
    """A message of a kind with some of its fields."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        likely = 0.9 if field.name.endswith(_MEANT) else 0.3
        if chance.random() < likely and (depth or field.message_type is None):
            set_field(message, field, chance, names, depth)
    return message


def changed(message: Message, chance: Random, names: Sequence[str], depth: int = DEPTH) -> None:
    """Change one field of a message, or of one inside of it."""
    present = [(field, value) for field, value in message.ListFields() if field.message_type is not None]
    inner = [each for field, value in present for each in _messages(field, value)]
    if inner and depth and chance.random() < 0.6:
        changed(chance.choice(inner), chance, names, depth - 1)
        return
    if not message.DESCRIPTOR.fields:
        return
    field = chance.choice(message.DESCRIPTOR.fields)
    if chance.random() < 0.2:
        message.ClearField(field.name)
    else:
        set_field(message, field, chance, names, depth)


def _messages(field: Field, value: Any) -> list[Message]:
    if field.message_type.GetOptions().map_entry:
        return list(value.values()) if field.message_type.fields_by_name["value"].message_type else []
    return list(value) if field.is_repeated else [value]


def set_field(message: Message, field: Field, chance: Random, names: Sequence[str], depth: int) -> None:
    """Give a field a value; one that takes several gets another."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, item = field.message_type.fields
        entries = getattr(message, field.name)
        name = _value(key, chance, names, depth)
        if item.message_type is not None:
            entries[name].CopyFrom(_value(item, chance, names, depth))
        else:
            entries[name] = _value(item, chance, names, depth)
    elif field.is_repeated:
        values = getattr(message, field.name)
        if values and chance.random() < 0.3:
            del values[chance.randrange(len(values)) :]
        if field.message_type is not None:
            values.add().CopyFrom(_value(field, chance, names, depth))
        else:
            values.append(_value(field, chance, names, depth))
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(_value(field, chance, names, depth))
    else:
        setattr(message, field.name, _value(field, chance, names, depth))


def _value(field: Field, chance: Random, names: Sequence[str], depth: int) -> Any:
    kind = field.cpp_type
    if kind == Field.CPPTYPE_MESSAGE:
        return filled(field.message_type._concrete_class, chance, names, max(depth - 1, 0))
    if kind == Field.CPPTYPE_ENUM:
        return chance.choice([each.number for each in field.enum_type.values])
    if kind == Field.CPPTYPE_BOOL:
        return chance.random() < 0.5
    if kind in (Field.CPPTYPE_FLOAT, Field.CPPTYPE_DOUBLE):
        return chance.choice(FLOATS) if chance.random() < 0.7 else chance.uniform(-1, 1000)
    if field.type == Field.TYPE_BYTES:
        return chance.randbytes(chance.choice((0, 1, 8, 32)))
    if field.type == Field.TYPE_STRING:
        return _word(field.name, chance, names)
    low, high = _RANGES[kind]
    return chance.choice([number for number in NUMBERS if low <= number <= high])


def _word(name: str, chance: Random, names: Sequence[str]) -> str:
    prefix = next((prefix for ending, prefix in PREFIXES.items() if name.endswith((ending, f"{ending}s"))), None)
    fitting = [each for each in names if prefix and each.startswith(prefix)]
    if fitting and chance.random() < 0.8:
        return chance.choice(fitting)
    return chance.choice(names) if chance.random() < 0.5 else chance.choice(HOSTILE)
