"""What decides the compiled kernels, and the key that it makes: one for each GPU that may serve."""

from __future__ import annotations

import hashlib
import json
import shlex
from typing import TYPE_CHECKING

from glmdeploy.sglang import indifferent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from glmdeploy.sglang.command import Setting

REVISION = "model.revision"
"""The name of the model's revision among what decides; its commit, once that is known."""

KEY_LENGTH = 16
"""Hexadecimal digits of a key."""


def decides(
    identity: Mapping[str, str], environment: Mapping[str, str], settings: Mapping[str, Setting]
) -> dict[str, str]:
    """What decides the kernels but the GPU: names as the profile's reader knows them, and their values as text.

    ``identity`` is SGLang's and the model's, ``environment`` that of SGLang's processes as the profile sets it. Options
    stand here as the command spells them. What is known to decide nothing is left out
    (:mod:`glmdeploy.sglang.indifferent`); so are the folders of weights and kernels, which no kernel depends on.
    """
    found = {**identity, **{name: value for name, value in environment.items() if not indifferent.variable(name)}}
    for dest, setting in settings.items():
        if setting.words and not indifferent.option(dest, setting.value):
            found[setting.option.canonical] = _spelled(setting.option.canonical, setting.words)
    return dict(sorted(found.items()))


def _spelled(name: str, words: tuple[str, ...]) -> str:
    """The value of an option as the command has it."""
    first, *values = words
    return shlex.join(values) or (first.partition("=")[2] if first.startswith(f"{name}=") else "true")


def keys(deciding: Mapping[str, str], gpus: Iterable[str]) -> dict[str, str]:
    """The key of the kernels for each GPU: equal where nothing that decides them differs."""
    return {gpu: _key(deciding, gpu) for gpu in gpus}


def _key(deciding: Mapping[str, str], gpu: str) -> str:
    text = json.dumps([gpu, sorted(deciding.items())], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]
