"""Writes glmdeploy/local/sdk_protocol.json: what of Modal's protocol this package uses, by the types that mypy finds.

    python tests/sdk_uses.py

A field counts where an expression of a message's type is asked for it, or a message is made with it; half a minute.
"""

from __future__ import annotations

import inspect
import json
import re
import tempfile
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modal_proto import api_pb2
from mypy import build
from mypy.main import process_options
from mypy.nodes import CallExpr, MemberExpr, NameExpr
from mypy.types import Instance, ProperType, UnionType, get_proper_type

from glmdeploy.local.control.plane import HANDLERS
from glmdeploy.local.sdk_parts import PROTOCOL, rpcs_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy.nodes import Expression
    from mypy.types import Type

TOP = Path(__file__).parents[1]
HERE = "modal_proto.api_pb2."
API: Any = api_pb2

CONFIGURATION = """
[mypy]
python_version = 3.11
strict = true
[mypy-modal.*]
follow_imports = skip
"""
"""The SDK's own sources use far more of the protocol, and must not count."""


def uses() -> dict[str, Any]:
    """What the package uses: RPCs, fields by message, constants."""
    types = _types()
    fields: set[tuple[str, str]] = set()
    for expression, found in types.items():
        if isinstance(expression, MemberExpr):
            fields |= {(name, expression.name) for name in _messages(types.get(expression.expr))}
        elif isinstance(expression, CallExpr):
            made = {name for name in _messages(found) if _last(expression.callee) == name.rpartition(".")[2]}
            fields |= {(name, field) for name in made for field in expression.arg_names if field}
    real = sorted((name, field) for name, field in fields if field in _kind(name).DESCRIPTOR.fields_by_name)
    by_message: dict[str, list[str]] = {}
    for name, field in real:
        by_message.setdefault(name, []).append(field)
    rpcs = rpcs_of(api_pb2)
    return {
        "rpcs": {name: rpcs[name] for name in sorted({*handled(), *asked()})},
        "fields": by_message,
        "constants": sorted(constants()),
    }


def handled() -> Iterator[str]:
    """The RPCs that the embedded cloud answers."""
    for handler in HANDLERS:
        for name, _ in inspect.getmembers(handler, inspect.isfunction):
            if not name.startswith("_"):
                yield "".join(part.capitalize() for part in name.split("_"))


def asked() -> set[str]:
    """The RPCs that are asked past the SDK's public functions."""
    return {name for text in sources() for name in re.findall(r"\brpc\(\s*\"(\w+)\"", text)}


def constants() -> set[str]:
    """The constants of enumerations that are named, and the messages that are not only read."""
    words = {word for text in sources() for word in re.findall(r"\bapi_pb2\.(\w+)", text)}
    return {word for word in words if hasattr(API, word)}


def sources() -> Iterator[str]:
    for path in sorted((TOP / "glmdeploy").rglob("*.py")):
        yield path.read_text("utf-8")


def written() -> str:
    """The file as it must be: an entry on each line."""
    blocks = []
    for name, content in uses().items():
        if isinstance(content, dict):
            lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
            blocks.append(f' "{name}": {{\n{lines}\n }}')
        else:
            lines = ",\n".join(f"  {json.dumps(value)}" for value in content)
            blocks.append(f' "{name}": [\n{lines}\n ]')
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def _types() -> dict[Expression, Type]:
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        file.write(CONFIGURATION)
        file.flush()
        rooms = chain.from_iterable(("-p", f"glmdeploy.{room}") for room in ("local", "operate", "report"))
        found, options = process_options(["--config-file", file.name, *rooms])
    options.export_types = True
    options.incremental = False
    return build.build(found, options).types


def _messages(kind: Type | None) -> list[str]:
    """The names of the messages that a value of this type may be."""
    proper: ProperType | None = get_proper_type(kind)
    if isinstance(proper, UnionType):
        return [name for item in proper.items for name in _messages(item)]
    name = proper.type.fullname if isinstance(proper, Instance) else ""
    inner = name.removeprefix(HERE)
    return [inner] if name.startswith(HERE) and hasattr(_kind(inner), "DESCRIPTOR") else []


def _kind(name: str) -> Any:
    kind = API
    for word in name.split("."):
        kind = getattr(kind, word, None)
    return kind


def _last(callee: Expression) -> str:
    return callee.name if isinstance(callee, MemberExpr | NameExpr) else ""


if __name__ == "__main__":
    PROTOCOL.write_text(written(), encoding="utf-8")
