"""Options as a profile writes them, checked against a release's catalog and written as SGLang's command line.

The check is the release's own parser: each option's text goes through an argparse parser that is built from the
catalog (``glmdeploy.sglang.parser``), so that types, choices and arity cannot drift from what SGLang accepts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
import shlex
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from glmdeploy.records import record
from glmdeploy.runtime.hosting import DIST_PORT
from glmdeploy.sglang import json_options
from glmdeploy.sglang.catalog import AmbiguousOption, UnknownOption
from glmdeploy.sglang.parser import option_parser
from glmdeploy.sglang.wording import one_of, styled

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    from glmdeploy.sglang.catalog import Catalog, Option

SERVER = ("python3", "-m", "sglang.launch_server")
COMPILER = ("python3", "-m", "sglang.compile_deep_gemm")

SECRET = {
    "api_key": "`secrets.api_key`, at run time",
    "admin_api_key": "a secret, never a profile; this release of glmdeploy passes none",
}
"""Options whose values are secrets: destination and where the value comes from."""

RESERVED = {
    "model_path": "`model.repo` and the mount of `volumes.weights`",
    "served_model_name": "`model.served_name`",
    "host": "the container: SGLang must listen on all interfaces there",
    "port": "`server.port`",
    "config": "the profile itself",
    **SECRET,
}
"""Options that have their own place in a profile, or none: destination and where the value comes from."""

NOT_FOR_THE_COMPILER = frozenset(
    {
        # Overridden by the tool itself (sglang/compile_deep_gemm.py, refine_server_args, 0.5.11).
        *("watchdog_timeout", "warmups", "disable_cuda_graph", "enable_torch_compile"),
        # Without influence on kernels: leaving them out keeps the compiled ones valid when they change.
        *("served_model_name", "host", "port", "reasoning_parser", "tool_call_parser", "enable_metrics"),
    }
)
"""Destinations that ``compile_deep_gemm`` does not get. The API key is never part of a command (engine.py)."""


_OF_ARGPARSE = re.compile(
    "invalid choice|invalid .* value|expected (?:one|at least one|[0-9]+) argument", re.IGNORECASE
)
"""What argparse itself says of a value (CPython 3.11 to 3.14)."""

_SHOWN = 60
"""Characters of a value that a message repeats."""

_NEGATIVE_NUMBER = re.compile(r"-\d+|-\d*\.\d+")
"""What argparse takes for a value although it begins with a dash (CPython 3.11, ``argparse.ArgumentParser``)."""


@record
class Setting:
    """One option of a profile: ``key`` as written there, ``value`` as SGLang will hold it, ``words`` of the command."""

    option: Option
    key: str
    value: Any
    words: tuple[str, ...]


@record
class Problem:
    """An option that the release does not accept as written. ``at_key`` tells which half is wrong.

    ``instead`` is what may be written without asking, ``{key: value}``: the same value under another key, or another
    value under the same. ``secret`` is the destination of an option of :data:`SECRET`, which no profile may hold.
    ``dests`` are the fields of ``ServerArgs`` that it leaves open: the option's own, or what an unknown key may mean.
    """

    key: str
    message: str
    expected: str | None = None
    fix: str | None = None
    at_key: bool = False
    instead: Mapping[str, Any] | None = None
    secret: str | None = None
    dests: tuple[str, ...] = ()


def read(args: Mapping[str, Any], catalog: Catalog) -> tuple[dict[str, Setting], list[Problem]]:
    """Settings by field of ``ServerArgs``, and every problem. The settings of faulty options are left out."""
    options: dict[str, Option] = {}
    problems: list[Problem] = []
    for key in args:
        try:
            options[key] = _find(key, args[key], options, catalog)
        except _OptionError as fault:
            problems.append(dataclasses.replace(fault.problem, key=key, dests=_open(fault, catalog)))
    settings: dict[str, Setting] = {}
    for key, option in options.items():
        try:
            settings[option.dest] = _setting(option, key, args[key], catalog)
        except _OptionError as fault:
            problems.append(dataclasses.replace(fault.problem, key=key, dests=(option.dest,)))
    return settings, problems


def _open(fault: _OptionError, catalog: Catalog) -> tuple[str, ...]:
    """The fields that an unknown key leaves open: those of the options that may have been meant by it."""
    found = dict.fromkeys(
        option.dest for option in catalog.options for name in fault.meant if f"--{name.lstrip('-')}" in option.flags
    )
    return tuple(found)


def _find(key: str, value: Any, found: Mapping[str, Option], catalog: Catalog) -> Option:
    try:
        option = catalog.find(key)
    except (UnknownOption, AmbiguousOption) as error:
        # Reads the catalogs of all releases: only once something is wrong.
        from glmdeploy.sglang import advice

        ambiguous = isinstance(error, AmbiguousOption)
        given = advice.unknown(key, value, catalog, () if ambiguous else error.candidates, RESERVED)
        missing = f"SGLang {catalog.version} has no option `{key}`{given.reason}"
        meant = (*error.candidates, *given.meant)
        if ambiguous:
            message = missing if given.reason else f"`{key}` is short for several options of SGLang {catalog.version}"
            expected = None if given.reason else one_of([name[2:] for name in error.candidates])
            raise _OptionError(message, at_key=True, expected=expected, fix=given.fix, meant=meant) from None
        expected = None if given.fix else "an option that `glmdeploy catalog show` lists for the release"
        raise _OptionError(
            missing, at_key=True, expected=expected, fix=given.fix, instead=given.instead, meant=meant
        ) from None
    if option.action == "help":
        raise _OptionError(f"`{key}` would print SGLang's help and end", fix="remove it", at_key=True)
    if option.action == "removed":
        raise _OptionError(
            f"SGLang {catalog.version} has no option `{key}` any more",
            fix=option.deprecated and styled(option.deprecated),
            at_key=True,
            meant=(option.canonical,),
        )
    if option.dest in SECRET:
        message = f"`{key}` comes from {SECRET[option.dest]}"
        raise _OptionError(message, fix="remove it", at_key=True, secret=option.dest)
    if option.dest in RESERVED:
        raise _OptionError(f"`{key}` comes from {RESERVED[option.dest]}", fix="remove it", at_key=True)
    for other, known in found.items():
        if known.dest == option.dest:
            same = f"`{key}` and `{other}` are the same option, `{option.canonical}`"
            raise _OptionError(same, fix="keep one of them", at_key=True, meant=(option.canonical,))
    return option


def server_command(
    settings: Mapping[str, Setting], catalog: Catalog, *, model_path: str, served_name: str, port: int
) -> tuple[str, ...]:
    """The whole command of the server, without the API key, in the catalog's order and canonical spelling."""
    own = {
        "model_path": model_path,
        "served_model_name": served_name,
        "host": "0.0.0.0",
        "port": str(port),
    }
    words: list[str] = [*SERVER]
    for option in catalog.options:
        if option.dest in own:
            words += _spoken(option, own[option.dest])
        elif _is_set(option, settings):
            words += settings[option.dest].words
    return tuple(words)


def _is_set(option: Option, settings: Mapping[str, Setting]) -> bool:
    # A deprecated spelling can be an option of its own with the same field.
    return option.dest in settings and settings[option.dest].option is option


def compile_command(
    settings: Mapping[str, Setting], catalog: Catalog, *, model_path: str, seconds: int
) -> tuple[str, ...]:
    """The command of the kernel compilation, which gives up after ``seconds``."""
    words: list[str] = [*COMPILER]
    for option in catalog.options:
        if option.dest == "model_path":
            words += [option.canonical, model_path]
        elif option.dest not in NOT_FOR_THE_COMPILER and _is_set(option, settings):
            words += settings[option.dest].words
    return (*words, "--timeout", str(seconds))


def shell(command: Sequence[str], api_key_variable: str | None, nodes: int = 1) -> str:
    """The command for a POSIX shell, an option a line; the key appears as the variable that holds it.

    Of several nodes it is the command of each: $NODE_RANK is its rank, $RANK_0 the address of the first one.
    """
    lines: list[list[str]] = [[]]
    for word in command:
        if word.startswith("--"):
            lines.append([])
        lines[-1].append(shlex.quote(word))
    if api_key_variable:
        lines.append(["--api-key", f'"${api_key_variable}"'])
    if nodes > 1:
        lines.append(["--nnodes", str(nodes)])
        lines += [["--node-rank", '"$NODE_RANK"'], ["--dist-init-addr", f'"$RANK_0:{DIST_PORT}"']]
    return " \\\n  ".join(" ".join(line) for line in lines)


class _OptionError(Exception):
    def __init__(
        self,
        message: str,
        *,
        expected: str | None = None,
        fix: str | None = None,
        at_key: bool = False,
        instead: Mapping[str, Any] | None = None,
        secret: str | None = None,
        meant: Iterable[str] = (),
    ) -> None:
        self.meant = tuple(meant)
        self.problem = Problem(
            key="", message=message, expected=expected, fix=fix, at_key=at_key, instead=instead, secret=secret
        )


def _setting(option: Option, key: str, value: Any, catalog: Catalog) -> Setting:
    takes_value = option.takes_value
    if not takes_value and not isinstance(value, bool):
        from glmdeploy.sglang import advice

        message = f"`{key}` is a switch, and cannot be {'the text ' if isinstance(value, str) else ''}{_quoted(value)}"
        given = advice.switched(key, value)
        if f"--{key}" not in option.flags and (other := advice.unknown(key, value, catalog, (), RESERVED).fix):
            raise _OptionError(message, fix=other)
        raise _OptionError(message, expected="`true` or `false`", fix=given.fix, instead=given.instead)
    if takes_value and isinstance(value, bool):
        raise _OptionError(f"`{key}` takes a value, and cannot be {_quoted(value)}", expected=_expected(option))
    if option.nargs is None and isinstance(value, list) and option.action == "store":
        one = value[0] if len(value) == 1 else None
        fix = None if one is None else f"write {_quoted(one)}"
        message = f"`{key}` takes one value, and is a list"
        raise _OptionError(message, expected=_expected(option), fix=fix, instead=None if one is None else {key: one})
    if isinstance(value, bool) and option.negates(f"--{key.lstrip('-')}"):
        value = not value  # `no-x: true` is `x: false`
    words = _words(option, value)
    if json_options.is_json(option) and len(words) <= 2 and (reason := json_options.fault(option, _value(words))):
        raise _OptionError(f"`{key}` is not the JSON that SGLang reads there: {reason}", expected="a mapping, or JSON")
    parsed = _parse(option, words, key, value, catalog)
    if takes_value and not isinstance(value, list | dict) and type(parsed) in (int, float):
        # 1200 and 1200.0, 64k and 64000: one spelling of a number, so that equal plans have equal digests.
        words = _spoken(option, _number(parsed))
    return Setting(option=option, key=key, value=parsed, words=words)


def _words(option: Option, value: Any) -> tuple[str, ...]:
    if value is True:
        return (option.canonical,)
    if value is False:
        negative = f"--no-{option.canonical.removeprefix('--')}"
        return (negative,) if negative in option.flags else ()
    if isinstance(value, dict):
        return (option.canonical, json.dumps(value, sort_keys=True, ensure_ascii=False))
    if isinstance(value, list):
        return (option.canonical, *(_text(item) for item in value))
    return _spoken(option, _text(value))


def _spoken(option: Option, text: str) -> tuple[str, ...]:
    """The option with one value, joined where argparse would take the value for an option."""
    looks_like_option = text.startswith("-") and not _NEGATIVE_NUMBER.fullmatch(text)
    return (f"{option.canonical}={text}",) if looks_like_option else (option.canonical, text)


def _value(words: tuple[str, ...]) -> str:
    """What the words of an option with one value give it: see `_spoken`."""
    return words[1] if len(words) == 2 else words[0].partition("=")[2]


@lru_cache(maxsize=512)
def _parser(catalog: Catalog, flag: str) -> argparse.ArgumentParser:
    return option_parser(catalog.find(flag))


@lru_cache(maxsize=4096)
def _parsed(catalog: Catalog, flag: str, dest: str, words: tuple[str, ...]) -> Any:
    """What the release makes of an option's words; nobody changes it. Profiles say the same again and again."""
    return getattr(_parser(catalog, flag).parse_args(list(words)), dest)


def _parse(option: Option, words: tuple[str, ...], key: str, value: Any, catalog: Catalog) -> Any:
    message = io.StringIO()
    try:
        with contextlib.redirect_stderr(message):
            return _parsed(catalog, option.canonical, option.dest, words)
    except SystemExit:
        reason = message.getvalue().strip().rpartition(": error: ")[2].partition(": ")[2]
        from glmdeploy.sglang import advice

        given = advice.refused(option, value, catalog)
        # What argparse says of itself is what is expected, said once.
        why = "" if _OF_ARGPARSE.match(reason) else f": {styled(reason)}"
        raise _OptionError(
            f"`{key}` cannot be {_quoted(value)}{why}",
            expected=_expected(option),
            fix=given.fix,
            instead=given.instead and {key: next(iter(given.instead.values()))},
        ) from None
    except (ValueError, RecursionError) as error:
        # An action of SGLang's own that fails (--lora-paths), or JSON that is nested beyond reading.
        message_ = f"`{key}` cannot be {_quoted(value)}, on which SGLang fails: {styled(str(error))}"
        raise _OptionError(message_, expected=_expected(option)) from None


def _expected(option: Option) -> str:
    if option.choices:
        return one_of(option.choices)
    kinds = {"int": "an integer", "human_readable_int": "an integer, also `64k` or `64Ki`", "float": "a number"}
    kind = kinds.get(option.type or "", "a mapping (JSON)" if "json" in (option.type or "") else "a string")
    return f"a list, each {kind}" if option.nargs in ("+", "*") else kind


def _text(value: Any) -> str:
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return f"`{text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'}`"
