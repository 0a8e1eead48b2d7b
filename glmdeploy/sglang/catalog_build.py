"""Make the option catalog of a release from its published wheel.

``python -m glmdeploy.sglang.catalog_build VERSION`` installs nothing beside glmdeploy, and never SGLang itself: the
wheel's real parser is asked by :mod:`glmdeploy.sglang.real.catalog_probe` in :mod:`an environment of its own
<glmdeploy.sglang.real.environment>`. Beside the catalog it brings the help texts and ``variables.txt`` up to date; what
the tests ask of the release, ``pytest tests/sglang/real --record`` records.

The names that SGLang's own action and type functions get in a catalog are decided here. A function that has no name
here is an error, not a guess: someone has to read what it accepts, and teach it to :mod:`glmdeploy.sglang.parser`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmdeploy.errors import GlmdeployError
from glmdeploy.resources import schemas_dir
from glmdeploy.sglang import catalog, releases
from glmdeploy.sglang.catalog import usual, version_key
from glmdeploy.sglang.changes import STEPS, changes
from glmdeploy.sglang.real import catalog_probe, environment
from glmdeploy.sglang.real.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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

_NO_READING = {"SGLANG_OLD_NAME", "SGLANG_DUMPER_", "SGLANG_ENABLE_SPEC_V2"}
"""A name in a docstring, a prefix, and what is read only to say that it does nothing any more."""

_CALLS_ITSELF_DEPRECATED = re.compile(r"[\[(]?(deprecated|removed)\b|note: --[\w-]+ is deprecated", re.IGNORECASE)
_SUPPRESS = "==SUPPRESS=="
_EMPTY: Mapping[str, Any] = dict.fromkeys(("choices", "deprecated", "replacement", "json_keys")) | {"required": False}


class CatalogBuildError(GlmdeployError):
    """The wheel is not the recorded one, or its parser has something that a catalog cannot say yet."""


class UnknownShape(Exception):
    """The parser of a release has an action, type or variable class that has no name in a catalog yet."""


def build(
    version: str, *, out: Path | None = None, cache: Path | None = None, python: Path | None = None
) -> list[Path]:
    """Write ``<version>.json``, bring the files that tell of all releases up to date, and return the paths of all.

    These are ``help.json`` beside it, and ``variables.txt`` of glmdeploy itself, unless ``out`` says otherwise.
    ``out`` is the folder of the catalogs, by default the one that glmdeploy reads. ``cache`` keeps wheels and
    environments for the next build (by default below the user's cache folder). ``python`` is an interpreter that
    has all packages already, the right transformers included, and is used as it is.
    Building is deterministic: the same wheel gives the same bytes on every machine.

    :raises CatalogBuildError: see there. Nothing is written then.
    :raises ProbeError: if a download or the probe fails. Nothing is written then either.
    """
    folder = out or schemas_dir() / "sglang"
    path = folder / f"{version}.json"
    raw, wheel = dump_of(version, cache=cache, python=python, recorded=path)
    texts = {path: catalog_text(raw, version, wheel), folder / "help.json": help_with(folder, version, wordings(raw))}
    if out is None:
        texts[releases.FILE] = variables_with(folder, version, undeclared(raw))
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")
    catalog.help_pool.cache_clear()
    return list(texts)


def dump_of(
    version: str, *, cache: Path | None = None, python: Path | None = None, recorded: Path | None = None
) -> tuple[dict[str, Any], Path]:
    """What the probe dumps of a release, and the wheel; see :func:`build`. ``recorded`` is an earlier catalog.

    :raises CatalogBuildError: if the wheel is not that of ``recorded``, or the machine shows in the dump.
    :raises ProbeError: if a download or the probe fails.
    """
    cache = cache or environment.default_cache()
    with tempfile.TemporaryDirectory(prefix="glmdeploy-catalog-") as folder:
        scratch = Path(folder)
        place = (
            Environment(interpreter=python, source=scratch / "source") if python else environment.build(version, cache)
        )
        wheel = environment.download(version, cache, place.interpreter)
        if recorded and recorded.exists() and (known := catalog.read(recorded).wheel_sha256) != _checksum(wheel):
            raise CatalogBuildError(
                f"the wheel of SGLang {version} is not the one that its catalog was made from",
                advice=f"recorded: {known}\ndownloaded: {_checksum(wheel)} ({wheel})",
            )
        if python:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(place.source)
        return _ask_twice(place, scratch), wheel


def catalog_text(raw: Mapping[str, Any], version: str, wheel: Path) -> str:
    """The catalog file of the release whose parser was dumped.

    :raises CatalogBuildError: if there is something in it that a catalog cannot say yet.
    """
    try:
        return dump(document(raw, version=version, wheel=wheel.name, wheel_sha256=_checksum(wheel)))
    except UnknownShape as error:
        raise CatalogBuildError(f"SGLang {version} has something new: {error}") from error


def undeclared(raw: Mapping[str, Any]) -> set[str]:
    """The variables that the sources read without declaring them."""
    declared = {name for variable in raw["env"] for name in (variable["name"], variable["former_name"])}
    return set(raw["named_variables"]) - declared - _NO_READING


def _checksum(wheel: Path) -> str:
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def help_with(folder: Path, version: str, own: Mapping[str, str | None]) -> str:
    """``help.json`` of the folder's catalogs and of the release whose wordings are ``own``."""
    pool = catalog.help_pool(folder)
    wordings_of = {
        other: {
            option.flags[0]: catalog.help_text(pool, option.flags[0], other)
            for option in catalog.read(folder / f"{other}.json").options
        }
        for other in catalog.catalogued(folder)
    }
    return dump(pool_help(wordings_of | {version: own}))


def variables_with(folder: Path, version: str, own: set[str]) -> str:
    """``variables.txt`` for the folder's catalogs and for the release that reads ``own`` without declaring them."""
    others = [other for other in catalog.catalogued(folder) if other != version]
    reading = {
        name: {other for other in others if version_key(span.first) <= version_key(other) <= version_key(span.last)}
        for name, span in releases.undeclared().items()
    }
    for name in own:
        reading.setdefault(name, set()).add(version)
    heading = [line for line in releases.FILE.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    spans = {name: sorted(those, key=version_key) for name, those in sorted(reading.items()) if those}
    return "\n".join([*heading, *(f"{name} {those[0]} {those[-1]}" for name, those in spans.items())]) + "\n"


def _ask_twice(place: Environment, scratch: Path) -> dict[str, Any]:
    """The probe's answer, checked against a second one from another home, temporary folder and hash seed.

    What differs then would differ between machines, and has no place in a catalog.
    """
    first, second = (_ask(place, scratch / f"home-{seed}", seed) for seed in (0, 1))
    for table in ("options", "env", "named_variables"):
        for one, other in zip(first[table], second[table], strict=True):
            if one != other:
                raise CatalogBuildError(f"the machine shows in the answer: {one} or {other}")
    return first


def _ask(place: Environment, home: Path, seed: int) -> dict[str, Any]:
    home.mkdir()
    answer = home / "answer.json"
    placeholders = ",".join(environment.PLACEHOLDERS)
    environment.run(
        [str(place.interpreter), str(Path(catalog_probe.__file__)), str(answer), placeholders],
        {**environment.variables(place.source, home), "PYTHONHASHSEED": str(seed)},
    )
    loaded: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8").replace(str(home), "~"))
    return loaded


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


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the option catalog of an SGLang release.")
    parser.add_argument("version")
    parser.add_argument("--out", type=Path, help="folder of the catalogs")
    parser.add_argument("--cache", type=Path, help="folder for wheels and environments")
    parser.add_argument("--python", type=Path, help="an interpreter that has everything already")
    args = parser.parse_args(argv)
    try:
        paths = build(args.version, out=args.out, cache=args.cache, python=args.python)
    except GlmdeployError as error:
        sys.stderr.write(f"{error.message}\n{error.advice or ''}\n")
        return error.exit_code
    sys.stdout.write("".join(f"{path}\n" for path in paths))
    sys.stdout.write("".join(f"{line}\n" for line in _left(paths[0])))
    return 0


def _left(path: Path) -> Iterator[str]:
    """What the release of a catalog changed, and what is left for people to do about it."""
    before = [each for each in catalog.catalogued(path.parent) if version_key(each) < version_key(path.stem)]
    if before:
        yield f"\nbetween SGLang {before[-1]} and {path.stem}:"
        yield from changes(catalog.read(path.with_name(f"{before[-1]}.json")), catalog.read(path))
    yield "\nleft to do:"
    yield from (f"{number}. {step}" for number, step in enumerate(STEPS, start=1))


if __name__ == "__main__":
    sys.exit(main())
