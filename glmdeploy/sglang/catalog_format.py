"""From what the probe dumped to a catalog file, and back to text: pure functions, no IO.

The names that SGLang's own action and type functions get in a catalog are decided here. A function that has
no name here is an error, not a guess: someone has to read what it accepts, and teach it to
:mod:`glmdeploy.sglang.parser`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from glmdeploy.sglang.catalog import usual, version_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glmdeploy.sglang.catalog import HelpPool

_ACTIONS: Mapping[str, str] = {
    "_StoreAction": "store",
    "_StoreTrueAction": "store_true",
    "_HelpAction": "help",
    "BooleanOptionalAction": "boolean_optional",
    "LoRAPathAction": "lora_paths",
    "DeprecatedAction": "deprecated",
    "DeprecatedAliasStoreAction": "deprecated_store",
    "DeprecatedStoreTrueAction": "deprecated_store_true",
    "DeprecatedStoreConstAction": "deprecated_store_const",
}

_TYPES: Mapping[str, str] = {
    "str": "str",
    "int": "int",
    "float": "float",
    "human_readable_int": "human_readable_int",
    "nullable_str": "nullable_str",
    "loads": "json",
    "json_list_type": "json_strict",
    "parse_cuda_graph_config_arg": "cuda_graph_config",
    # Any text but the removed tc_piecewise, which is not among the choices of the options that use it.
    "parse_cuda_graph_backend_arg": "str",
}

_ENV_TYPES: Mapping[str, str] = {
    "EnvBool": "bool",
    "EnvInt": "int",
    "EnvFloat": "float",
    "EnvStr": "str",
    "EnvTuple": "tuple",
    "EnvJSON": "json",
}

_CALLS_ITSELF_DEPRECATED = re.compile(r"[\[(]?(deprecated|removed)\b|note: --[\w-]+ is deprecated", re.IGNORECASE)
_SUPPRESS = "==SUPPRESS=="
_EMPTY: Mapping[str, Any] = dict.fromkeys(("choices", "deprecated", "replacement", "json_keys")) | {"required": False}


class UnknownShape(Exception):
    """The parser of a release has an action, type or variable class that has no name in a catalog yet."""


def document(raw: Mapping[str, Any], *, version: str, wheel: str, wheel_sha256: str) -> dict[str, Any]:
    """The content of a catalog file.

    :raises UnknownShape: where the probe saw something that this module does not know.
    """
    # The two came together: since there is a type for the backend, the configuration's type uses it as well.
    checked = any(option["type"] == "parse_cuda_graph_backend_arg" for option in raw["options"])
    graph_config = "cuda_graph_config_checked" if checked else "cuda_graph_config"
    return {
        "version": version,
        "wheel": wheel,
        "wheel_sha256": wheel_sha256,
        "transformers": raw["transformers"],
        "placeholders": raw["placeholders"],
        "options": [_option(option, raw["fields"], graph_config) for option in raw["options"]],
        "env": {variable["name"]: _env_var(variable) for variable in raw["env"]},
    }


def wordings(raw: Mapping[str, Any]) -> dict[str, str | None]:
    """The help text of every option, by its first spelling."""
    return {option["flags"][0]: _help(option) for option in raw["options"]}


def pool_help(wordings_of: Mapping[str, Mapping[str, str | None]]) -> HelpPool:
    """The help texts of several releases, by release and first spelling, with repeated ones told once."""
    pool: HelpPool = {}
    for version in sorted(wordings_of, key=version_key):
        for flag, text in wordings_of[version].items():
            history = pool.setdefault(flag, {})
            if not history or next(reversed(history.values())) != text:
                history[version] = text
    return {flag: pool[flag] for flag in sorted(pool)}


def dump(content: Mapping[str, Any]) -> str:
    """JSON text with one entry of each table a line, so that two releases can be compared line by line."""
    fields = []
    for key, value in content.items():
        if isinstance(value, dict):
            lines = [f"{_json(name)}:{_json(entry)}" for name, entry in value.items()]
            fields.append(f"{_json(key)}:{{\n" + ",\n".join(lines) + "\n}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            fields.append(f"{_json(key)}:[\n" + ",\n".join(map(_json, value)) + "\n]")
        else:
            fields.append(f"{_json(key)}:{_json(value)}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _option(raw: Mapping[str, Any], fields: Sequence[str], graph_config: str) -> dict[str, Any]:
    flags = raw["flags"]
    extra = raw["extra"]
    refusal = extra.get("error_message")
    action = "removed" if refusal else _name(_ACTIONS, raw["action"], "action")
    kind = _name(_TYPES, raw["type"] or "str", "type")
    entry = {
        "flags": flags,
        "dest": _field(raw["dest"], flags, fields),
        "action": action,
        "type": graph_config if kind == "cuda_graph_config" else kind,
        "nargs": raw["nargs"],
        "choices": raw["choices"],
        "default": raw["default"],
        "const": extra.get("const_value", raw["const"]),
        "required": raw["required"],
        "deprecated": refusal or _deprecation(raw),
        "replacement": extra.get("new_flag"),
        "json_keys": raw["json_keys"],
    }
    if raw["nargs"] == 0:
        entry["type"] = None
    left_out = {**_EMPTY, **usual(action, flags, raw["nargs"])}
    return {key: value for key, value in entry.items() if key not in left_out or value != left_out[key]}


def _field(dest: str, flags: Sequence[str], fields: Sequence[str]) -> str:
    """The field of ServerArgs that the option sets.

    In older releases ``from_cli_args`` copies some over by hand (``args.tp_size =
    args.tensor_parallel_size``); the field is then the namesake of another of the option's spellings.
    """
    if dest in fields:
        return dest
    namesakes = [flag.lstrip("-").replace("-", "_") for flag in flags]
    return next((name for name in namesakes if name in fields), dest)


def _deprecation(raw: Mapping[str, Any]) -> str | None:
    """What SGLang says about an option that it calls deprecated: its help text, else the replacement."""
    text = _help(raw)
    if text and _CALLS_ITSELF_DEPRECATED.match(text):
        return text
    if replacement := raw["extra"].get("new_flag"):
        return f"Use {replacement} instead."
    return "It has no effect." if raw["action"] == "DeprecatedAction" else None


def _help(raw: Mapping[str, Any]) -> str | None:
    text = raw["help"]
    if text is None or text == _SUPPRESS:
        return None
    expanded: str = text % {**raw, "prog": "sglang"}
    return expanded


def _env_var(raw: Mapping[str, Any]) -> dict[str, Any]:
    kind = _name(_ENV_TYPES, raw["type"].removesuffix("WithAlias"), "variable class")
    entry = {
        "type": kind,
        "default": raw["default"],
        "computed": raw["computed"] or None,
        "former_name": raw["former_name"],
    }
    return {key: value for key, value in entry.items() if value is not None}


def _name(names: Mapping[str, str], raw: str, what: str) -> str:
    try:
        return names[raw]
    except KeyError:
        raise UnknownShape(f"no name in a catalog for the {what} {raw}") from None


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
