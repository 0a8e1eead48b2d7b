"""``docker run``: its options, the environment, the image, and the command that runs inside.

Which options take a value: the reference of ``docker container run`` (Docker 29); podman and nerdctl agree on those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROGRAMS = frozenset({"docker", "podman", "nerdctl"})

_SWITCHES = frozenset(
    {
        *("detach", "help", "init", "interactive", "no-healthcheck", "oom-kill-disable", "privileged"),
        *("publish-all", "quiet", "read-only", "rm", "sig-proxy", "tty", "use-api-socket", "disable-content-trust"),
    }
)
_SHORT = {
    "a": "attach",
    "c": "cpu-shares",
    "d": "detach",
    "e": "env",
    "h": "hostname",
    "i": "interactive",
    "l": "label",
    "m": "memory",
    "P": "publish-all",
    "p": "publish",
    "q": "quiet",
    "t": "tty",
    "u": "user",
    "v": "volume",
    "w": "workdir",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A ``docker run``: ``env`` is that of the container, ``command`` includes an ``--entrypoint``."""

    image: Word
    flags: tuple[tuple[str, Word], ...]
    env: Mapping[str, Word]
    command: tuple[Word, ...]


def read(words: Sequence[Word], outer: Mapping[str, Word]) -> Run | None:
    """The ``docker run`` that the words are, or None where they are another command.

    ``outer`` is the environment of the docker command itself, which ``-e NAME`` takes its value from.
    """
    texts = [word.text for word in words[1:3]]
    if texts[:1] == ["run"]:
        rest = list(words[2:])
    elif texts == ["container", "run"]:
        rest = list(words[3:])
    else:
        return None
    options = []
    while rest and rest[0].text.startswith("-") and len(rest[0].text) > 1:
        word = rest.pop(0)
        options += _long(word, rest) if word.text.startswith("--") else list(_short(word, rest))
    if not rest:
        return None
    entrypoint = [value for name, value in options if name == "entrypoint" and value.text]
    return Run(
        image=rest[0],
        flags=tuple((name, value) for name, value in options if name not in ("env", "entrypoint")),
        env=dict(_variable(value, outer) for name, value in options if name == "env"),
        command=(*entrypoint[-1:], *rest[1:]),
    )


def _long(word: Word, rest: list[Word]) -> list[tuple[str, Word]]:
    name, equals, _ = word.text[2:].partition("=")
    if equals:
        return [(name, word.after(len(name) + 3))]
    if name in _SWITCHES or not rest:
        return [(name, word)]
    return [(name, rest.pop(0))]


def _short(word: Word, rest: list[Word]) -> Iterator[tuple[str, Word]]:
    """``-it``, ``-p 80:80``, ``-p80:80``, ``-itp 80:80``."""
    for index, letter in enumerate(word.text[1:], start=1):
        name = _SHORT.get(letter, letter)
        if name in _SWITCHES:
            yield name, word
            continue
        attached = word.text[index + 1 :]
        if attached:
            yield name, word.after(index + 1 + attached.startswith("="))
        elif rest:
            yield name, rest.pop(0)
        return


def _variable(word: Word, outer: Mapping[str, Word]) -> tuple[str, Word]:
    name, equals, _ = word.text.partition("=")
    if equals:
        return name, word.after(len(name) + 1)
    unknown = Word(text=f"${name}", span=word.span, unknown=(f"${name}",), variables=(name,))
    return name, outer.get(name, unknown)
