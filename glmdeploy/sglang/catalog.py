"""SGLang's option catalogs: every option of ``python -m sglang.launch_server``, one data file per release.

The files (``schemas/sglang/<version>.json``) were read from the real ``ServerArgs.add_cli_args`` and
``sglang.srt.environ`` of each published wheel by :mod:`glmdeploy.sglang.catalog_build`; nothing in them was
typed by hand. Only the file of the release that is asked for is opened, and the help texts, shared by all
releases in ``help.json``, only when :attr:`Option.help` is read.

What an entry of a file leaves out is the common case: see :func:`usual`.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from glmdeploy.resources import schemas_dir
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HelpPool = dict[str, dict[str, str | None]]
"""Help texts by an option's first spelling, each under the first of the releases in a row that have it."""

USUAL: Mapping[str, Mapping[str, Any]] = {
    "store": {"nargs": None, "default": None, "const": None},
    "store_true": {"nargs": 0, "default": False, "const": True},
    "boolean_optional": {"nargs": 0, "default": None, "const": None},
    "lora_paths": {"nargs": "*", "default": None, "const": None},
    "help": {"nargs": 0, "default": "==SUPPRESS==", "const": None},
    "deprecated": {"nargs": 0, "default": None, "const": None},
    "deprecated_store": {"nargs": None, "default": None, "const": None},
    "deprecated_store_true": {"nargs": 0, "default": False, "const": True},
    "deprecated_store_const": {"nargs": 0, "default": None, "const": None},
    "removed": {"nargs": 0, "default": None, "const": None},
}
"""Every kind of action in the catalogs, with what holds for its options unless a file says otherwise."""


class OptionError(Exception):
    """A name that stands for no option: ``name`` as asked for, ``candidates`` what may have been meant."""

    def __init__(self, message: str, *, name: str, candidates: tuple[str, ...]) -> None:
        super().__init__(message)
        self.name = name
        self.candidates = candidates


class UnknownOption(OptionError):
    """The release has no such option; ``candidates`` are similar spellings, the nearest first, if any."""


class AmbiguousOption(OptionError):
    """The name abbreviates several of the release's spellings: ``candidates``, in declaration order."""


class UnknownVersion(Exception):
    """There is no catalog of ``version``; ``known`` has all that there are, ``nearest`` the best of them."""

    def __init__(self, version: str, *, known: tuple[str, ...], nearest: str) -> None:
        super().__init__(f"there is no option catalog of SGLang {version}")
        self.version = version
        self.known = known
        self.nearest = nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option as argparse holds it, in the terms of :meth:`argparse.ArgumentParser.add_argument`.

    ``action`` is one of :data:`USUAL`:

    - ``store``, ``store_true``, ``boolean_optional`` (``--x`` and ``--no-x``), ``help`` are argparse's own.
    - ``lora_paths`` stores a list of paths, ``NAME=PATH`` pairs, or JSON objects.
    - ``deprecated`` is accepted with a warning and does nothing; ``deprecated_store``,
      ``deprecated_store_true`` and ``deprecated_store_const`` warn and do as their namesakes.
    - ``removed`` is known only in order to be refused, with ``deprecated`` as the message.

    ``type`` converts each value, and is None where there is no value: ``str``, ``int``, ``float``,
    ``human_readable_int`` (``64k``, ``64Ki``), ``nullable_str``, ``json``, ``json_strict`` (without NaN and
    Infinity), ``cuda_graph_config`` (a JSON object of objects: ``json_keys`` has the keys of the former and,
    for each, those of the latter) and ``cuda_graph_config_checked`` (the same without removed backends).

    ``dest`` is the field of ``ServerArgs`` that the option ends up in, where there is one.
    ``default`` is ``"==SUPPRESS=="`` (:data:`argparse.SUPPRESS`) where an old spelling must not touch the
    default of the option that replaced it. ``deprecated`` is a sentence for the user when SGLang itself calls
    the option deprecated or removed, and ``replacement`` what it names instead, as written on a command line.
    """

    release: str = field(repr=False, compare=False)
    flags: tuple[str, ...]
    dest: str
    action: str = "store"
    type: str | None = None
    choices: tuple[Any, ...] | None = None
    default: Any = None
    const: Any = None
    nargs: int | str | None = None
    required: bool = False
    deprecated: str | None = None
    replacement: str | None = None
    json_keys: Mapping[str, tuple[str, ...]] | None = None

    @property
    def canonical(self) -> str:
        """The spelling to write: the one named after ``dest``, else SGLang's first long one.

        All 17 releases agree on the former where it exists (``--tp-size``, ``--ep-size``, ``--model-path``),
        while the order of the others changed between them.
        """
        named = "--" + self.dest.replace("_", "-")
        return next(flag for flag in (named, *self.flags) if flag in self.flags and flag[:2] == "--")

    @property
    def takes_value(self) -> bool:
        return self.nargs != 0

    def negates(self, flag: str) -> bool:
        """Whether a spelling, maybe abbreviated, is the ``--no-`` one of an option that has both."""
        if self.action != "boolean_optional":
            return False
        negatives = {f"--no-{each.removeprefix('--')}" for each in self.flags} & set(self.flags)
        return flag in negatives or not any(each.startswith(flag) for each in set(self.flags) - negatives)

    @property
    def help(self) -> str | None:
        """SGLang's own help text in this release, if it gives one."""
        return help_text(help_pool(schemas_dir() / "sglang"), self.flags[0], self.release)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvVar:
    """An environment variable that ``sglang.srt.environ`` declares.

    ``type`` is how its text is read: ``bool`` (true, 1, yes, y and their opposites in any case), ``int``,
    ``float``, ``str``, ``tuple`` (split at commas) or ``json``. A leading ``~`` in ``default`` is the home
    directory. ``computed`` marks a default that SGLang works out at run time, from the platform or from
    another variable; here it is that of an NVIDIA machine with nothing set. ``former_name`` still works.
    """

    type: str
    default: Any = None
    computed: bool = False
    former_name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Catalog:
    """What one release understands: ``options`` in SGLang's own order, ``env`` by the variable's name."""

    version: str
    wheel: str
    wheel_sha256: str
    options: tuple[Option, ...]
    env: Mapping[str, EnvVar]
    _by_flag: dict[str, Option] = field(init=False, repr=False)
    _near: dict[str, tuple[str, ...]] = field(init=False, repr=False, default_factory=dict)
    """What was found near to names that are none: an import asks again and again."""

    def __post_init__(self) -> None:
        by_flag = {flag: option for option in self.options for flag in option.flags}
        object.__setattr__(self, "_by_flag", by_flag)

    def defaults(self) -> dict[str, Any]:
        """The value of every ``dest`` when nothing is set; as in argparse, the first declaration counts."""
        values: dict[str, Any] = {}
        for option in self.options:
            if option.default != "==SUPPRESS==":
                values.setdefault(option.dest, option.default)
        return values

    def find(self, name: str) -> Option:
        """The option that argparse takes ``name`` for; the dashes may be left out.

        An exact spelling wins; else a long name may be any abbreviation that fits one spelling only
        (``allow_abbrev``, which SGLang leaves on: ``tp`` works in every release although none declares it).

        :raises UnknownOption: if no spelling begins with the name.
        :raises AmbiguousOption: if several do, even where they mean the same option.
        """
        flag = name if name.startswith("-") else f"--{name}"
        if exact := self._by_flag.get(flag):
            return exact
        abbreviated = flag.startswith("--") and flag != "--"
        matches = [known for known in self._by_flag if known.startswith(flag)] if abbreviated else []
        if len(matches) == 1:
            return self._by_flag[matches[0]]
        if matches:
            raise AmbiguousOption(
                f"{flag} could be {', '.join(matches)} in SGLang {self.version}",
                name=name,
                candidates=tuple(matches),
            )
        raise UnknownOption(f"SGLang {self.version} has no option {flag}", name=name, candidates=self._meant(flag))

    def _meant(self, flag: str) -> tuple[str, ...]:
        """Spellings that one may stand for: with two dashes (``-dp``) or in small letters, else near ones."""
        meant = f"-{flag}" if re.match(r"-[^-].", flag) else flag
        if meant.lower() != flag:
            with contextlib.suppress(OptionError):
                return (self.find(meant.lower()).canonical,)
        if flag not in self._near:
            found = (self._by_flag[near].canonical for near in nearest(flag, self._by_flag, most=6))
            self._near[flag] = tuple(dict.fromkeys(found))[:3]
        return self._near[flag]


@cache
def version_key(version: str) -> tuple[tuple[int, ...], int, int]:
    """A key that orders versions as Python packages are ordered: rc before the release, post after it.

    :raises ValueError: if the text is not ``N.N...``, with ``rcN``, ``.postN`` or ``.devN`` at most.
    """
    match = re.fullmatch(r"v?(\d+(?:\.\d+)*)(?:\.?(dev|rc|post)(\d+))?", version)
    if match is None:
        raise ValueError(f"not a version: {version!r}")
    release, phase, number = match.groups()
    rank = {"dev": -2, "rc": -1, None: 0, "post": 1}[phase]
    return tuple(int(part) for part in release.split(".")), rank, int(number or 0)


@cache
def versions() -> tuple[str, ...]:
    """The releases that have a catalog, oldest first."""
    return catalogued(schemas_dir() / "sglang")


def catalogued(folder: Path) -> tuple[str, ...]:
    """The releases whose catalogs are in ``folder``, oldest first."""
    return tuple(sorted((path.stem for path in folder.glob("[0-9]*.json")), key=version_key))


@cache
def load(version: str) -> Catalog:
    """The catalog of one release.

    :raises UnknownVersion: if there is none.
    """
    known = versions()
    if version not in known:
        raise UnknownVersion(version, known=known, nearest=_nearest(version, known))
    return read(schemas_dir() / "sglang" / f"{version}.json")


def read(path: Path) -> Catalog:
    """The catalog in one file."""
    raw = json.loads(path.read_bytes())
    version = raw["version"]
    return Catalog(
        version=version,
        wheel=raw["wheel"],
        wheel_sha256=raw["wheel_sha256"],
        options=tuple([_option(version, entry) for entry in raw["options"]]),
        env={name: EnvVar(**entry) for name, entry in raw["env"].items()},
    )


def usual(action: str, flags: Sequence[str], nargs: int | str | None) -> dict[str, Any]:
    """What an entry of a catalog file leaves out, because most of its kind have it."""
    first = next((flag for flag in flags if flag.startswith("--")), flags[0])
    # As argparse derives it.
    dest = first.lstrip("-").replace("-", "_")
    return {"action": "store", "dest": dest, "type": None if nargs == 0 else "str", **USUAL[action]}


def _option(version: str, raw: dict[str, Any]) -> Option:
    action = raw.get("action", "store")
    entry = usual(action, raw["flags"], raw.get("nargs", USUAL[action]["nargs"])) | raw
    for name in ("flags", "choices", "default"):
        if isinstance(entry.get(name), list):
            entry[name] = tuple(entry[name])
    if "json_keys" in entry:
        entry["json_keys"] = {key: tuple(inner) for key, inner in entry["json_keys"].items()}
    return Option(release=version, **entry)


def _nearest(version: str, known: tuple[str, ...]) -> str:
    """The last of ``known`` up to ``version``, else the oldest; the newest where the text is no version."""
    try:
        wanted = version_key(version)
    except ValueError:
        return known[-1]
    return next((one for one in reversed(known) if version_key(one) <= wanted), known[0])


@cache
def help_pool(folder: Path) -> HelpPool:
    """The help texts that the catalogs in ``folder`` share; empty where there are none yet."""
    path = folder / "help.json"
    pool: HelpPool = json.loads(path.read_bytes()) if path.exists() else {}
    return pool


def help_text(pool: HelpPool, flag: str, version: str) -> str | None:
    """The last wording that began up to ``version``."""
    text = None
    for since, wording in pool.get(flag, {}).items():
        if version_key(since) <= version_key(version):
            text = wording
    return text


_BOOLEANS = dict.fromkeys(("true", "1", "yes", "y"), True) | dict.fromkeys(("false", "0", "no", "n"), False)


def boolean(text: str) -> bool | None:
    """What SGLang reads in a variable that switches something, in any case; None for a text that it cannot read.

    Source: ``EnvBool`` of ``sglang/srt/environ.py``, 0.5.8 to 0.5.23.
    """
    return _BOOLEANS.get(text.lower())
