"""The image of a Modal script: the registry's image, what is built on it, its environment.

After ``modal/_image.py`` (modal 1.6.4): methods of ``Image`` and their parameters.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.formats.located import Located
from glmdeploy.authoring.formats.python_values import Unknown, Value, as_word, name_of, plain
from glmdeploy.authoring.formats.tell import installed, warning
from glmdeploy.authoring.launch.launch import Word
from glmdeploy.authoring.launch.masking import holds

if TYPE_CHECKING:
    from glmdeploy.authoring.formats.python_flow import Flow
    from glmdeploy.authoring.launch.launch import Note, Span
    from glmdeploy.findings import KeyPath

MAX_CHAIN = 200
MAX_SHOWN = 200

_INSTALLS = re.compile(r"^sglang(?![\w-])|\b(?:pip|uv)\b.*\bsglang(?![\w-])")

_STEPS = {"apt_install": "apt", "pip_install": "pip", "uv_pip_install": "pip", "run_commands": "run"}
_REGISTRIES = frozenset({"from_registry", "from_aws_ecr", "from_gcp_artifact_registry"})
_SILENT = frozenset({"entrypoint", "cmd", "imports", "workdir", "shell"})
"""Of no matter: glmdeploy starts SGLang by its own command line."""


@dataclass(kw_only=True)
class ModalImage:
    """``steps`` are those of ``sglang.image_steps``."""

    image: Word | None = None
    add_python: tuple[str, Span] | None = None
    steps: list[dict[str, list[str]]] = field(default_factory=list)
    place: Span | None = None
    env: dict[str, Word] = field(default_factory=dict)
    releases: tuple[Word, ...] = ()
    notes: list[Note] = field(default_factory=list)


def image(value: Value, flow: Flow) -> ModalImage:
    """What an expression for an image means, as far as the text tells it."""
    found = ModalImage()
    calls: list[Unknown] = []
    while isinstance(value, Unknown) and isinstance(value.node, ast.Call) and len(calls) < MAX_CHAIN:
        calls.append(value)
        if name_of(value.node.func).rpartition(".")[0] in ("modal.Image", "Image"):
            break
        value = value.behind
    else:
        span = value.span if isinstance(value, Unknown) else calls[-1].span if calls else (0, 1)
        found.notes.append(warning("what the image is the text does not tell", span, "set `sglang.image`"))
    for call in reversed(calls):
        _take(call, found, flow)
    return found


def _take(value: Unknown, found: ModalImage, flow: Flow) -> None:
    call = value.node
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return
    method = call.func.attr
    end = flow.file.span(call.func)[1]
    at = end - len(method), end
    arguments = _flat(list(value.arguments))
    keywords = value.keywords
    if method in _REGISTRIES:
        given = arguments[0] if arguments else keywords.get("tag")
        if given is not None:
            found.image = as_word(given, at)
        if isinstance(python := keywords.get("add_python"), Word):
            found.add_python = (python.text, python.span)
        if method != "from_registry" or "secret" in keywords:
            message = "the registry's secret was left out"
            found.notes.append(warning(message, at, "name it under `secrets.registry`"))
        for name in keywords.keys() - {"tag", "add_python", "secret", "force_build"}:
            found.notes.append(warning(f"{name} of the image was left out", at, "see `sglang.image_steps`"))
    elif method in ("debian_slim", "micromamba"):
        message = f"Image.{method} has no SGLang of its own: the profile takes an image of SGLang's"
        found.notes.append(warning(message, at, "set `sglang.image` where another one is meant"))
    elif method in _STEPS:
        _step(_STEPS[method], arguments, call, found, flow, at)
    elif method == "env":
        values = arguments[0] if arguments else keywords.get("vars")
        if isinstance(values, dict):
            found.env |= {str(key): as_word(each, at) for key, each in values.items()}
        else:
            found.notes.append(warning("the variables of .env(...) are not in this text", at))
    elif method not in _SILENT:
        message = f".{method}(...) was left out"
        found.notes.append(warning(message, at, "add it under `sglang.image_steps` where needed"))


def _step(kind: str, arguments: list[Value], call: ast.Call, found: ModalImage, flow: Flow, at: Span) -> None:
    texts: list[str] = []
    for each in arguments:
        try:
            text = str(plain(each))
            if holds(text):
                message = "a step of the image holds a secret, and was left out"
                found.notes.append(warning(message, as_word(each, at).span, "give it by a Modal Secret"))
                continue
            texts.append(text)
        except LookupError:
            word = as_word(each, at)
            found.notes.append(warning(f"{word.text} is not in this text, and was left out of the image", word.span))
            continue
        if isinstance(each, Word):
            found.releases = (*found.releases, *installed(Located(text=each.text, offsets=each.offsets)))
    if texts:
        found.steps.append({kind: texts})
        found.place = found.place or at
    for keyword in call.keywords:
        if keyword.arg in ("index_url", "extra_index_url", "find_links", "extra_options", "pre", "gpu", "secrets"):
            source = flow.file.source(keyword.value) if keyword.arg != "secrets" else "..."
            message = f"{keyword.arg}={source[:60]} was left out of the image's step"
            found.notes.append(warning(message, flow.file.span(keyword.value), "see `sglang.image_steps`"))


def _flat(values: list[Value]) -> list[Value]:
    flat: list[Value] = []
    for value in values:
        flat += _flat(value) if isinstance(value, list) else [value]
    return flat


def settings(found: ModalImage, place: Span) -> dict[KeyPath, tuple[Any, Span]]:
    """What is built on an image that has SGLang, which has a place of its own in a profile.

    What is built on another one is told: the profile takes an image of SGLang's, where it could do harm.
    """
    result: dict[KeyPath, tuple[Any, Span]] = {}
    at = found.place or place
    texts = [text for step in found.steps for texts in step.values() for text in texts]
    installs = any(_INSTALLS.search(text) for text in texts)
    if found.image is not None and not installs:
        if found.add_python is not None:
            result["sglang", "add_python"] = found.add_python
        if found.steps:
            result["sglang", "image_steps"] = (found.steps, at)
        return result
    if texts:
        what = ", ".join(texts)
        message = f"what is installed on the image was left out: {what if len(what) < MAX_SHOWN else what[:MAX_SHOWN]}"
        found.notes.append(warning(message, at, "add what SGLang's own image lacks under `sglang.image_steps`"))
    if found.image is not None and not found.releases and "sglang" not in found.image.text:
        message = f"{found.image.text} has no SGLang of its own: the profile takes an image of SGLang's"
        found.notes.append(warning(message, found.image.span, "set `sglang.image` where another one is meant"))
        found.image = None
    return result
