"""``docker run``: its options, the environment, the image, the command that runs inside, and what Modal has of it.

Which options take a value: the reference of ``docker container run`` (Docker 29); podman and nerdctl agree on those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Word
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.authoring.launch.launch import Container
    from glmdeploy.authoring.launch.sections import Sections

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

_OF_NO_MATTER = frozenset(
    {"detach", "init", "interactive", "name", "no-healthcheck", "pull", "quiet", "restart", "rm", "tty", "help"}
)
_MODALS_OWN = frozenset(
    {
        *("shm-size", "ipc", "ulimit", "network", "net", "privileged", "cap-add", "security-opt", "pid", "runtime"),
        *("log-driver", "log-opt", "hostname", "publish-all"),
    }
)
_OF_NETWORK = re.compile(r"/(?:dev|sys/class)/(?:infiniband|gdrdrv|vfio)")
_VOLUMES = frozenset({"volume", "mount", "volumes-from", "tmpfs"})


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
        flags=tuple(
            (name, value)
            for index, (name, value) in enumerate(options)
            if name not in ("env", "entrypoint") or _overridden(name, value, options[index + 1 :])
        ),
        env=dict(_variable(value, outer) for name, value in options if name == "env"),
        command=(*entrypoint[-1:], *rest[1:]),
    )


def _overridden(name: str, value: Word, behind: Sequence[tuple[str, Word]]) -> bool:
    """Whether a variable, or an entrypoint, is given again; the last one counts."""
    later = [word.text for other, word in behind if other == name]
    variable = value.text.partition("=")[0]
    return bool(later) if name == "entrypoint" else any(text.partition("=")[0] == variable for text in later)


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


def place(container: Container, *, port: int, gpus: int, weights: str, sections: Sections) -> None:
    """Notes about the options of a ``docker run``: none of them has a place of its own in a profile."""
    for name, word in container.flags:
        if name in _OF_NO_MATTER:
            sections.note(Severity.INFO, f"--{name} was left out: it is of no matter on Modal", word.span)
        elif name in ("env", "entrypoint"):
            sections.note(
                Severity.INFO, f"this --{name} was left out: it is given again, and the last counts", word.span
            )
        elif name == "publish":
            _port(word, port, sections)
        elif name == "gpus":
            _gpus(word, gpus, sections)
        elif name in ("device", *_VOLUMES) and _OF_NETWORK.search(word.text):
            message = "the network cards of the old machine were left out: Modal's containers have its own network"
            sections.note(Severity.INFO, message, word.span)
        elif name in _VOLUMES:
            _volume(word, weights, sections)
        elif name == "env-file":
            message = f"the variables in {shown(word.text)} are not in this text, and were left out"
            sections.note(Severity.WARNING, message, word.span, fix="add them under `sglang.env`, secrets excepted")
        elif name in _MODALS_OWN:
            sections.note(Severity.INFO, f"--{name} was left out: Modal decides it for its containers", word.span)
        else:
            sections.note(Severity.WARNING, f"--{shown(name)} has no place in a profile, and was left out", word.span)


def _port(word: Word, port: int, sections: Sections) -> None:
    inside = word.text.rpartition(":")[2].partition("/")[0]
    if inside == str(port) or word.unknown:
        sections.note(Severity.INFO, "the published port was left out: Modal gives a URL of its own", word.span)
    else:
        message = f"port {shown(inside)} is published, but SGLang listens on {port}, which is what Modal serves"
        sections.note(Severity.WARNING, message, word.span)


def _gpus(word: Word, gpus: int, sections: Sections) -> None:
    devices = re.search(r"device=([\w,:.-]+)", word.text)
    count = (
        len(devices[1].split(",")) if devices else int(word.text) if re.fullmatch(r"[0-9]{1,3}", word.text) else gpus
    )
    if count != gpus:
        given = f"{count} GPU" if count == 1 else f"{count} GPUs"
        sections.note(Severity.WARNING, f"docker gives {given}, but the profile rents {gpus}", word.span)
    else:
        sections.note(Severity.INFO, "--gpus was left out: `gpu` of the profile says which are rented", word.span)


def _volume(word: Word, weights: str, sections: Sections) -> None:
    if "huggingface" in word.text or re.search(rf"[:=]{re.escape(weights)}(?:[:/,]|$)", word.text):
        message = "the folder of the model's files was left out: the weights volume takes its place"
        sections.note(Severity.INFO, message, word.span)
    else:
        message = "a folder of the old machine was left out: a Modal container does not have it"
        sections.note(Severity.WARNING, message, word.span)
