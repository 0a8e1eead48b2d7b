"""A plan as one text that another release can read and deploy again, and back: what is archived, and what is saved.

The canonical data leaves out what follows from it in this release, the keywords of Modal's decorators; the body has
them too. It is not trusted: whoever reads it compares the digest.
"""

from __future__ import annotations

import dataclasses
import json
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from glmdeploy.plan.plan import FORMAT, Made, Option, Plan

T = TypeVar("T")

STAGES = ("download", "compile", "server")


class BodyError(ValueError):
    """What was read is no plan, or one that this release does not understand; the message says why."""


def body(plan: Plan) -> str:
    """The text, a line of JSON."""
    stages = {name: getattr(plan, name) for name in STAGES}
    keywords = {
        name: {option: _encoded(value.keywords) for option, value in stage.options.items()}
        for name, stage in stages.items()
        if stage is not None
    }
    return json.dumps({"plan": plan.data(), "keywords": keywords}, sort_keys=True, ensure_ascii=False)


def read_body(text: str | bytes) -> Plan:
    """The plan of a text.

    :raises BodyError:
    """
    try:
        content = json.loads(text)
        data, keywords = content["plan"], content["keywords"]
        if data.get("format") != FORMAT:
            raise BodyError(f"its format is {data.get('format')!r}, and this glmdeploy reads {FORMAT}")
        plan: Plan = _read(Plan, data, keywords)
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        if isinstance(fault, BodyError):
            raise
        raise BodyError(f"no plan of this release of glmdeploy: {type(fault).__name__}: {fault}") from None
    if plan.data() != data:
        raise BodyError("it has values that this glmdeploy does not know")
    return plan


def _read(kind: type[T], data: dict[str, Any], keywords: dict[str, Any]) -> T:
    hints = get_type_hints(kind, localns={"Mapping": dict})
    values: dict[str, Any] = {}
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in names:
        if name == "options":
            values[name] = {
                option: Option(value=_tuples(data[option]), keywords=_decoded(known))
                for option, known in keywords.items()
            }
        elif name in data:
            values[name] = _value(hints[name], data[name], keywords.get(name, {}))
        elif type(None) in get_args(hints[name]):
            values[name] = None
    return kind(**values)


def _value(hint: Any, value: Any, keywords: dict[str, Any]) -> Any:
    """A value of JSON as the type that it was."""
    if get_origin(hint) in (Union, UnionType):
        kinds = [each for each in get_args(hint) if each is not type(None)]
        for kind in kinds:
            if isinstance(value, _json_type(kind)):
                return _value(kind, value, keywords)
        raise BodyError(f"a {type(value).__name__} where {' or '.join(map(str, kinds))} was expected")
    if not isinstance(value, _json_type(hint)):
        raise BodyError(f"a {type(value).__name__} where {hint} was expected")
    if dataclasses.is_dataclass(hint):
        return _read(hint, value, keywords)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], item, {}) for item in value)
    if isinstance(value, dict):
        arguments: tuple[Any, ...] = get_args(hint) or (Any,)
        inner = arguments[-1]
        return {name: item if inner is Any else _value(inner, item, {}) for name, item in value.items()}
    return value


def _json_type(hint: Any) -> Any:
    if hint is Any:
        return object
    if dataclasses.is_dataclass(hint):
        return dict
    origin = get_origin(hint) or hint
    if origin is tuple:
        return list
    return origin if origin in (str, int, bool, float, list) else dict


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _encoded(value: Any) -> Any:
    """JSON of a decorator's keywords, with what JSON has no form for named."""
    if isinstance(value, Made):
        return {"made": value.name, "keywords": _encoded(value.keywords)}
    if isinstance(value, tuple):
        return {"tuple": [_encoded(item) for item in value]}
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    if hasattr(value, "items"):
        return {"mapping": {name: _encoded(item) for name, item in value.items()}}
    return value


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "made" in value:
        return Made(name=value["made"], keywords=_decoded(value["keywords"]))
    if "tuple" in value:
        return tuple(_decoded(item) for item in value["tuple"])
    return {name: _decoded(item) for name, item in value["mapping"].items()}
