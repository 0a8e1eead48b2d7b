"""What a ``docker run`` says about ports, volumes and GPUs, against what a Modal container has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.source.text import shown

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Container, Word
    from glmdeploy.authoring.launch.sections import Draft

_OF_NO_MATTER = frozenset(
    {"detach", "init", "interactive", "name", "no-healthcheck", "pull", "quiet", "restart", "rm", "tty", "help"}
)
_MODALS_OWN = frozenset(
    {
        *("shm-size", "ipc", "ulimit", "network", "net", "privileged", "cap-add", "security-opt", "pid", "runtime"),
        *("log-driver", "log-opt", "hostname", "publish-all"),
    }
)
_VOLUMES = frozenset({"volume", "mount", "volumes-from", "tmpfs"})


def place(container: Container, *, port: int, gpus: int, weights: str, draft: Draft) -> None:
    """Notes about the options of a ``docker run``: none of them has a place of its own in a profile."""
    for name, word in container.flags:
        if name in _OF_NO_MATTER:
            continue
        if name == "publish":
            _port(word, port, draft)
        elif name == "gpus":
            _gpus(word, gpus, draft)
        elif name in _VOLUMES:
            _volume(word, weights, draft)
        elif name == "env-file":
            message = f"the variables in {shown(word.text)} are not in this text, and were left out"
            draft.note(Severity.WARNING, message, word.span, fix="add them under `sglang.env`, secrets excepted")
        elif name in _MODALS_OWN:
            draft.note(Severity.INFO, f"--{name} was left out: Modal decides it for its containers", word.span)
        else:
            draft.note(Severity.WARNING, f"--{shown(name)} has no place in a profile, and was left out", word.span)


def _port(word: Word, port: int, draft: Draft) -> None:
    inside = word.text.rpartition(":")[2].partition("/")[0]
    if inside == str(port) or word.unknown:
        draft.note(Severity.INFO, "the published port was left out: Modal gives a URL of its own", word.span)
    else:
        message = f"port {shown(inside)} is published, but SGLang listens on {port}, which is what Modal serves"
        draft.note(Severity.WARNING, message, word.span)


def _gpus(word: Word, gpus: int, draft: Draft) -> None:
    devices = re.search(r"device=([\w,:.-]+)", word.text)
    count = (
        len(devices[1].split(",")) if devices else int(word.text) if re.fullmatch(r"[0-9]{1,3}", word.text) else gpus
    )
    if count != gpus:
        draft.note(Severity.WARNING, f"docker gives {count} GPUs, but the profile rents {gpus}", word.span)


def _volume(word: Word, weights: str, draft: Draft) -> None:
    if "huggingface" in word.text or re.search(rf"[:=]{re.escape(weights)}(?:[:/,]|$)", word.text):
        message = "the folder of the model's files was left out: the weights volume takes its place"
        draft.note(Severity.INFO, message, word.span)
    else:
        message = "a folder of the old machine was left out: a Modal container does not have it"
        draft.note(Severity.WARNING, message, word.span)
