"""Dump the real argument parser of an SGLang release as JSON; run by path in a venv that is not ours.

Usage: ``python catalog_probe.py OUTPUT NAME[,NAME...]`` with the unpacked wheel on ``PYTHONPATH``. Every NAME is a
top-level package that a machine without a GPU lacks; where it cannot be imported, a placeholder stands in.
Only the standard library is imported on this file's own account, and only ``ServerArgs.add_cli_args``,
``sglang.srt.environ`` and the sources' text are asked for: nothing is resolved, no model is read.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import pathlib
import re
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VARIABLE = re.compile(r"""["']((?:SGLANG|SGL)_[A-Z0-9_]+)["']""")
SOURCES = {".py", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".rs"}
ELSEWHERE = {"multimodal_gen", "test", "tests"}
"""The diffusion server, and what is no server."""


class Placeholder:
    """Whatever an absent package's name is used for at import time: constant, decorator, base class, type."""

    def __getattr__(self, name: str) -> Placeholder:
        return placeholder_for(name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # A bare decorator must hand the function back, or the module under it loses its own functions.
        return args[0] if len(args) == 1 and not kwargs and callable(args[0]) else Placeholder()

    def __getitem__(self, key: object) -> Placeholder:
        return Placeholder()

    def __or__(self, other: object) -> Placeholder:
        return Placeholder()

    __ror__ = __or__

    def __iter__(self) -> Iterator[object]:
        return iter(())

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> dict[str, str]:
        return {"type": "any"}

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        return ()


def placeholder_for(name: str) -> Placeholder:
    """The attribute ``name`` of an absent package.

    :raises AttributeError: for special methods, and for ``driver``: SGLang asks ``triton.runtime.driver``
        which device there is, and takes the CPU when that fails.
    """
    if name == "driver" or (name.startswith("__") and name.endswith("__")):
        raise AttributeError(name)
    return Placeholder()


class PlaceholderModule(types.ModuleType):
    """A package in which every name and every submodule exists."""

    __path__: list[str] = []  # noqa: RUF012  the import system demands this very attribute of a package
    __version__ = "0.0.0"

    def __getattr__(self, name: str) -> Placeholder:
        return placeholder_for(name)


class AbsentPackages(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for the named packages, after every real finder has failed to."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.used: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        top = fullname.partition(".")[0]
        if top not in self.names:
            return None
        self.used.add(top)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return PlaceholderModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""

    def install(self) -> None:
        """Join the import system, but keep ``find_spec`` honest: SGLang asks it what is really installed."""
        sys.meta_path.append(self)
        real_find_spec = importlib.util.find_spec

        def find_spec(name: str, package: str | None = None) -> importlib.machinery.ModuleSpec | None:
            spec = real_find_spec(name, package)
            return None if spec is not None and spec.loader is self else spec

        importlib.util.find_spec = find_spec


def tolerate_missing_backends() -> None:
    """Let SGLang register its processors with transformers classes that lack their backend (torchvision).

    transformers replaces such a class by a dummy that raises ImportError on any use.
    """
    utils = importlib.import_module("transformers.utils.import_utils")
    dummy = utils.DummyObject

    def getattribute(cls: type, name: str) -> Any:
        try:
            return type.__getattribute__(cls, name)
        except AttributeError:
            if name.startswith("_"):
                raise
            return lambda *args, **kwargs: None

    dummy.__getattribute__ = getattribute


def plain(value: object) -> object:
    """The value as JSON; what JSON cannot hold becomes ``{"repr": ...}``, sets are sorted."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, set | frozenset):
        return [plain(item) for item in sorted(value, key=str)]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return {"repr": repr(value)}


def describe(action: argparse.Action) -> dict[str, object]:
    """One option as argparse holds it; ``extra`` has what SGLang's own action classes add."""
    convert = action.type
    choices = action.choices
    return {
        "flags": list(action.option_strings),
        "dest": action.dest,
        "action": type(action).__name__,
        "type": None if convert is None else getattr(convert, "__name__", repr(convert)),
        "json_keys": json_keys(convert),
        "choices": None if choices is None else plain(choices if isinstance(choices, set) else list(choices)),
        "default": plain(action.default),
        "const": plain(action.const),
        "nargs": action.nargs,
        "required": action.required,
        "help": action.help,
        "extra": {
            name: plain(getattr(action, name))
            for name in ("new_flag", "const_value", "error_message")
            if hasattr(action, name)
        },
    }


def json_keys(convert: object) -> object:
    """For the type of ``--cuda-graph-config``: the keys that it allows in each phase's settings."""
    if getattr(convert, "__name__", None) != "parse_cuda_graph_config_arg":
        return None
    return plain(sys.modules[str(getattr(convert, "__module__", ""))].__dict__["ALLOWED_KEYS_PER_PHASE"])


def fields(server_args: type) -> list[str]:
    """The fields of ServerArgs: a msgspec structure in newer releases, a dataclass before."""
    struct_fields = getattr(server_args, "__struct_fields__", None)
    return list(struct_fields or (field.name for field in dataclasses.fields(server_args)))


def environment() -> list[dict[str, object]]:
    """Every variable that ``sglang.srt.environ`` declares, with the class that parses it and its default."""
    module = importlib.import_module("sglang.srt.environ")
    variables: list[dict[str, object]] = []
    for name, declared in vars(module.Envs).items():
        if isinstance(declared, module.EnvField):
            computed = callable(declared.default)
            variables.append(
                {
                    "name": name,
                    "type": type(declared).__name__,
                    "default": plain(declared.default() if computed else declared.default),
                    "computed": computed,
                    "former_name": getattr(declared, "deprecated_name", None),
                }
            )
    return variables


def named_variables(package: pathlib.Path) -> list[str]:
    """Every variable of SGLang's whose name its server's sources have as a string."""
    files = (file for file in package.rglob("*") if file.suffix in SOURCES)
    texts = (file.read_text("utf-8", "replace") for file in files if not ELSEWHERE & {*file.relative_to(package).parts})
    return sorted({name for text in texts for name in VARIABLE.findall(text)})


def main(output: str, names: str) -> None:
    # transformers looks for optional packages when it is imported: it must meet the truth, so it comes first.
    transformers = importlib.import_module("transformers")
    for name in ("AutoProcessor", "AutoConfig", "AutoTokenizer"):
        getattr(transformers, name)
    tolerate_missing_backends()
    absent = AbsentPackages(frozenset(names.split(",")))
    absent.install()
    server_args = importlib.import_module("sglang.srt.server_args").ServerArgs
    parser = argparse.ArgumentParser()
    server_args.add_cli_args(parser)
    document = {
        "options": [describe(action) for action in parser._actions if action.option_strings],
        "fields": fields(server_args),
        "env": environment(),
        "named_variables": named_variables(pathlib.Path(importlib.import_module("sglang").__path__[0])),
        "placeholders": sorted(absent.used),
        "transformers": transformers.__version__,
    }
    pathlib.Path(output).write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    # This folder, whose modules have names like parser and environment: no foreign package shall find them.
    sys.path.pop(0)
    main(*sys.argv[1:])
