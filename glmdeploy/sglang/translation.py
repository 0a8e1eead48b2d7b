"""One profile for every release: options and variables in the words of another SGLang release.

What :mod:`glmdeploy.sglang.renames` and the catalogs know is translated, and each change says why; the rest is named
as impossible, with the release in which the option, or its value, came or went.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.sglang import catalog, command
from glmdeploy.sglang.catalog import OptionError
from glmdeploy.sglang.releases import Span
from glmdeploy.sglang.renames import replaced, rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.sglang.catalog import Catalog, Option


@dataclass(frozen=True, kw_only=True)
class Change:
    """``old`` becomes ``new``: options as the profile spells them, and variables as ``$NAME``, with their values.

    Either may be empty. ``source`` is the upstream file that says so, or the catalogs.
    """

    old: Mapping[str, Any]
    new: Mapping[str, Any]
    why: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Impossible:
    """An option of the profile (``$NAME``: a variable) that the release cannot take, and the whole reason."""

    key: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Translation:
    """The settings in the words of the target; those of ``impossible`` are still in the words of the source."""

    args: Mapping[str, Any]
    env: Mapping[str, str]
    changes: tuple[Change, ...]
    impossible: tuple[Impossible, ...]


_CATALOGS = "option catalogs, read from the wheels"


def translate(args: Mapping[str, Any], env: Mapping[str, str], source: str, target: str) -> Translation:
    """The options ``args`` and the variables ``env``, written for the release ``source``, for the release ``target``.

    An option that ``source`` does not have is taken for one that was already written for another release.

    :raises UnknownVersion: if one of the two has no catalog.
    """
    old, new = catalog.load(source), catalog.load(target)
    keys: dict[str, str] = {}
    for key in args:
        # Two spellings of one option are a fault of the profile: each stays, to be named as one.
        name = _canonical(key, old)
        keys[key if name in keys else name] = key
    settings = {name: args[key] for name, key in keys.items()} | {f"${name}": value for name, value in env.items()}
    rewritten, steps = rewrite(settings, target)
    changes = [
        Change(
            old={keys.get(name, name): value for name, value in step.old.items()},
            new={keys.get(name, name) if name in step.old else name: value for name, value in step.new.items()},
            why=step.rename.why,
            source=step.rename.source,
        )
        for step in steps
    ]
    touched = {name for step in steps for name in step.new if name not in step.old}
    now = {name if name in touched else keys.get(name, name): value for name, value in rewritten.items()}
    for change in (*_respelled(now, old, new), *_variables(now, new)):
        changes.append(change)
        now = replaced(now, change.old, change.new)
    translated_args = {key: value for key, value in now.items() if not key.startswith("$")}
    return Translation(
        args=translated_args,
        env={key.removeprefix("$"): value for key, value in now.items() if key.startswith("$")},
        changes=tuple(changes),
        impossible=(*_refused(translated_args, changes, new), *_unread(now, old, new)),
    )


def _canonical(key: str, source: Catalog) -> str:
    option = _find(key, source)
    return option.canonical.removeprefix("--") if option else key.removeprefix("--")


def _find(key: str, release: Catalog) -> Option | None:
    try:
        return release.find(key)
    except OptionError:
        return None


def _respelled(now: Mapping[str, Any], source: Catalog, target: Catalog) -> Iterator[Change]:
    """Other spellings for abbreviations and aliases that the target does not take, or takes for something else."""
    for key, value in now.items():
        option = None if key.startswith("$") else _find(key, source)
        if option is None:
            continue
        spellings = [option.canonical, *option.flags]
        meant = _find(key, target)
        if meant is not None and (f"--{key.removeprefix('--')}" in meant.flags or set(spellings) & set(meant.flags)):
            continue
        exact = {flag for other in target.options for flag in other.flags}
        for flag in spellings:
            name = flag.removeprefix("--")
            if flag in exact and name not in now:
                why = f"`{key}` does not stand for `{name}` in {target.version}"
                yield Change(old={key: value}, new={name: value}, why=why, source=_CATALOGS)
                break


def _variables(now: Mapping[str, Any], target: Catalog) -> Iterator[Change]:
    """Variables that SGLang itself declares under another name."""
    for key, value in now.items():
        name = key.removeprefix("$")
        other = _other_name(name, target) if key.startswith("$") and name not in target.env else None
        if other is not None and f"${other}" not in now:
            why = f"the variable is called {other} in {target.version}"
            yield Change(old={key: value}, new={f"${other}": value}, why=why, source=_CATALOGS)


def _other_name(name: str, target: Catalog) -> str | None:
    for version in catalog.versions():
        for new, variable in catalog.load(version).env.items():
            if name == variable.former_name and new in target.env:
                return new
            if name == new and variable.former_name in target.env:
                return variable.former_name
    return None


def _refused(args: Mapping[str, Any], changes: list[Change], target: Catalog) -> Iterator[Impossible]:
    for problem in command.read(args, target)[1]:
        came_from = [key for change in changes if problem.key in change.new for key in change.old]
        origin = next((key for key in came_from if key != problem.key), None)
        message = f"`{origin}` would be `{problem.key}`, but {problem.message}" if origin else problem.message
        if not problem.at_key:
            span = _accepting({problem.key: args[problem.key]})
            reason = span.outside(target.version) if span else None
            message += f"; this value {reason}" if reason else ""
        elif problem.fix:
            message += f"; {problem.fix}"
        yield Impossible(key=origin or problem.key, message=message)


def _accepting(option: Mapping[str, Any]) -> Span | None:
    """The releases that take one option with its value."""
    accept = [version for version in catalog.versions() if not command.read(option, catalog.load(version))[1]]
    return Span(first=accept[0], last=accept[-1]) if accept else None


def _unread(now: Mapping[str, Any], source: Catalog, target: Catalog) -> Iterator[Impossible]:
    """Variables that the source reads and the target would silently ignore."""
    for key in now:
        name = key.removeprefix("$")
        if key.startswith("$") and name in source.env and name not in target.env:
            declaring = [version for version in catalog.versions() if name in catalog.load(version).env]
            reason = Span(first=declaring[0], last=declaring[-1]).outside(target.version)
            # A variable that went and came back is in neither case; there is none between 0.5.8 and 0.5.23.
            told = f": it {reason}" if reason else ""
            yield Impossible(key=key, message=f"SGLang {target.version} ignores the variable {name}{told}")
