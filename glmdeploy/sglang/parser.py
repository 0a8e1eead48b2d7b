"""A real argparse parser from a catalog: it accepts what the release accepts and refuses what it refuses.

The conversions that are SGLang's own are rebuilt here where they change what is accepted. Their code is the
same in all releases from 0.5.8 to 0.5.23 that have them, but for ``--cuda-graph-config``, which began to
check the backend in 0.5.22. Upstream, under ``sglang/srt``: ``utils/common.py`` (``human_readable_int``,
``json_list_type``, ``nullable_str``), ``model_executor/cuda_graph_config.py``, and, for ``LoRAPathAction``
and the deprecated actions, ``server_args.py``, since 0.5.13.post1 ``arg_groups/argparse_actions.py``.
"""

from __future__ import annotations

import argparse
import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from glmdeploy.sglang.catalog import Catalog, Option

_SI = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_IEC = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def build_parser(catalog: Catalog, *, prog: str = "sglang") -> argparse.ArgumentParser:
    """The release's parser. Like SGLang's, it exits with code 2 and a message on stderr on wrong usage.

    A deprecated option logs a warning, as SGLang does (on stderr, unless logging is configured).
    """
    parser = argparse.ArgumentParser(prog=prog)
    for option in catalog.options:
        if option.action != "help":  # argparse has added its own
            parser.add_argument(*_spellings(option), **_keywords(option))
    return parser


def option_parser(option: Option) -> argparse.ArgumentParser:
    """A parser of this option alone, which need not be given. It has no help: that would be printed."""
    parser = argparse.ArgumentParser(prog="sglang", add_help=False)
    parser.add_argument(*_spellings(option), **{**_keywords(option), "required": False})
    return parser


def _spellings(option: Option) -> list[str]:
    if option.action != "boolean_optional":
        return list(option.flags)
    # BooleanOptionalAction derives the negative spellings itself.
    negative = {f"--no-{flag.removeprefix('--')}" for flag in option.flags}
    return [flag for flag in option.flags if flag not in negative]


def _keywords(option: Option) -> dict[str, Any]:
    default = list(option.default) if isinstance(option.default, tuple) else option.default
    keywords: dict[str, Any] = {
        "dest": option.dest,
        "default": default,
        "required": option.required,
    }
    if option.action == "store_true":
        return keywords | {"action": "store_true"}
    if option.action == "boolean_optional":
        return keywords | {"action": argparse.BooleanOptionalAction}
    keywords |= {"nargs": option.nargs, "const": option.const, "choices": option.choices}
    if option.type is not None:
        keywords["type"] = _converter(option)
    if option.action == "lora_paths":
        keywords["action"] = _LoraPaths
    elif option.action == "removed":
        keywords |= {"action": _Removed, "notice": option.deprecated}
    elif option.action != "store":
        keywords |= {"action": _Deprecated, "notice": option.deprecated, "stores": _STORES[option.action]}
    return keywords


def _converter(option: Option) -> Callable[[str], Any]:
    if option.type in ("cuda_graph_config", "cuda_graph_config_checked"):
        refused = ("tc_piecewise",) if option.type == "cuda_graph_config_checked" else ()
        return cuda_graph_config(option.json_keys or {}, refused)
    return _CONVERTERS[option.type or "str"]


class _LoraPaths(argparse.Action):
    """A list of adapters: paths, ``NAME=PATH``, or JSON objects with at least a name and a path.

    A bad object ends upstream in a traceback (exit code 1), not in a usage error, and so it does here.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, [self._adapter(text.strip()) for text in values or ()])

    @staticmethod
    def _adapter(text: str) -> Any:
        if not (text.startswith("{") and text.endswith("}")):
            return text
        adapter = json.loads(text)
        if not {"lora_name", "lora_path"} <= set(adapter):
            raise ValueError(f"{text!r} must have the keys lora_name and lora_path")
        return adapter


class _Deprecated(argparse.Action):
    """Warns, then stores what it was given, its constant, or nothing."""

    def __init__(self, *args: Any, notice: str, stores: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.notice = notice
        self.stores = stores

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        import logging  # a profile seldom has a deprecated option

        logging.getLogger(__name__).warning("%s is deprecated. %s", option_string, self.notice)
        if self.stores != "nothing":
            setattr(namespace, self.dest, self.const if self.stores == "const" else values)


class _Removed(argparse.Action):
    """Refuses with the message that names the replacement."""

    def __init__(self, *args: Any, notice: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.notice = notice

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        parser.error(self.notice)


def human_readable_int(text: str) -> int:
    """``64k`` is 64,000 and ``64Ki`` is 65,536; suffixes are case-sensitive, decimals for SI suffixes only.

    :raises argparse.ArgumentTypeError: for anything else that is no integer.
    """
    text = text.strip()
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]i|[kMGT])", text)
    if match is None:
        try:
            return int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"Invalid integer value: '{text}'. Use an integer, or a suffix of {', '.join((*_SI, *_IEC))}."
            ) from None
    number, suffix = match.groups()
    if suffix in _SI:
        return int(Decimal(number) * _SI[suffix])
    if "." in number:
        raise argparse.ArgumentTypeError(f"Decimals are not allowed with IEC suffixes like '{suffix}'.")
    return int(number) * _IEC[suffix]


def json_strict(text: str) -> Any:
    """JSON as orjson reads it: without the NaN and Infinity of Python's own reader. Not only lists."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        raise argparse.ArgumentTypeError(f"Invalid JSON list: {text}. Please provide a valid JSON list.") from None


def nullable_str(text: str) -> str | None:
    """The text, but None for ``None`` and for nothing."""
    return None if text in ("", "None") else text


def cuda_graph_config(
    keys: Mapping[str, tuple[str, ...]], refused_backends: tuple[str, ...]
) -> Callable[[str], dict[str, Any]]:
    """A converter for ``--cuda-graph-config``: settings by phase, each with the keys that ``keys`` allow."""

    def convert(text: str) -> dict[str, Any]:
        try:
            phases = _object(json.loads(text), "--cuda-graph-config")
        except json.JSONDecodeError as error:
            raise argparse.ArgumentTypeError(f"--cuda-graph-config must be JSON: {error}") from None
        for phase, settings in phases.items():
            place = f"--cuda-graph-config['{phase}']"
            if phase not in keys:
                raise argparse.ArgumentTypeError(f"{place}: unknown phase, expected one of {tuple(keys)}")
            for key, value in _object(settings, place).items():
                if key not in keys[phase]:
                    raise argparse.ArgumentTypeError(f"{place}: unknown key '{key}', expected one of {keys[phase]}")
                if key == "backend" and value in refused_backends:
                    raise argparse.ArgumentTypeError(f"{place}: the backend {value} was removed")
        return phases

    return convert


def _object(value: Any, place: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise argparse.ArgumentTypeError(f"{place} must be a JSON object, got {type(value).__name__}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_CONVERTERS: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "human_readable_int": human_readable_int,
    "json": json.loads,
    "json_strict": json_strict,
    "nullable_str": nullable_str,
}

_STORES: Mapping[str, str] = {
    "deprecated": "nothing",
    "deprecated_store": "value",
    "deprecated_store_true": "const",
    "deprecated_store_const": "const",
}
