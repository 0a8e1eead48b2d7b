"""Plan × Plan: what changes, as flat values grouped by section, the SGLang command option by option.

Works on a plan's JSON data, so that it can also read the plan of a deployment that another release made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

COMMANDS = (("server", "command"), ("compile", "command"))
"""Paths of the values that are command lines."""

OMITTED = (
    *(("compile", "keys"), ("compile", "decides"), ("compile", "key")),
    *(("compile", "gives_up_after"), ("compile", "defaults")),
    *(("server", "gives_up_after"), ("server", "defaults"), ("weights", "sub_path")),
    *(("server", "expected"), ("server", "checks")),
    *(("server", "health", "compiling"), ("server", "health", "decoding"), ("server", "health", "ranks")),
)
"""Derived values whose change only repeats another one."""


@record
class Change:
    """One value that differs: ``old`` is None for an added one, ``new`` is None for a removed one."""

    section: str
    name: str
    old: Any
    new: Any

    @property
    def symbol(self) -> str:
        """Terraform's: ``+`` added, ``-`` removed, ``~`` changed."""
        return "+" if self.old is None else "-" if self.new is None else "~"


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """Every change from ``old`` to ``new`` (both :meth:`Plan.data`), by section and name; empty when they are equal."""
    before, after = flat(old), flat(new)
    names = sorted(before.keys() | after.keys())
    return tuple(
        Change(section=section, name=name, old=before.get((section, name)), new=after.get((section, name)))
        for section, name in names
        if before.get((section, name)) != after.get((section, name))
    )


def flat(data: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """The values of a plan's data (:meth:`Plan.data`) by section and name, without those that only repeat others."""
    return dict(_flat(data))


def _flat(data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            for path, leaf in _leaves((key,), value):
                yield (key, ".".join(path[1:])), leaf
            for path in COMMANDS:
                if path[0] == key and path[1] in value:
                    label = "sglang" if key == "server" else "compile command"
                    yield from (((label, option), words) for option, words in options(value[path[1]]).items())
        elif isinstance(value, list) and all(isinstance(item, dict) for item in value):
            for item in value:  # volumes and secrets, each by its name
                yield from (((key, ".".join(path)), leaf) for path, leaf in _leaves((item["name"],), item))
        elif key == "runtime":
            yield ("glmdeploy", "container side"), value[:12]
        else:
            yield ("app", key), value


def _leaves(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if path in COMMANDS or path in OMITTED:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves((*path, key), item)
    else:
        yield path, value


def options(command: Sequence[str]) -> dict[str, str]:
    """The command's options with their values as text: ``{"--tp-size": "8", "--trust-remote-code": "true"}``."""
    found: dict[str, list[str]] = {}
    name = "command"
    for word in command:
        if word.startswith("--"):
            name, joined, value = word.partition("=")
            found[name] = [value] if joined else []
        else:
            found.setdefault(name, []).append(word)
    return {name: " ".join(words) if words else "true" for name, words in found.items()}
