"""The image of a Modal script: the registry's image, what is built on it, its environment.

After ``modal/_image.py`` (modal 1.6.4): methods of ``Image`` and their parameters.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.formats.located import Located
from glmdeploy.authoring.formats.python_values import Unknown, Value, as_word, name_of, plain
from glmdeploy.authoring.formats.tell import info, installed, warning
from glmdeploy.authoring.launch.launch import Word

if TYPE_CHECKING:
    from glmdeploy.authoring.formats.python_flow import Flow
    from glmdeploy.authoring.launch.launch import Note, Span
    from glmdeploy.findings import KeyPath

MAX_CHAIN = 200

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


def image(node: ast.AST, flow: Flow) -> ModalImage:
    """What an expression for an image means, as far as the text tells it."""
    found = ModalImage()
    calls: list[ast.Call] = []
    seen = 0
    while seen < MAX_CHAIN:
        seen += 1
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not _is_root(node):
            calls.append(node)
            node = node.func.value
        elif isinstance(node, ast.Call) and _is_root(node):
            calls.append(node)
            break
        elif (following := _behind(node, flow)) is not None and following is not node:
            node = following
        else:
            message = "what the image is the text does not tell"
            found.notes.append(warning(message, flow.file.span(node), "set `sglang.image`"))
            break
    for call in reversed(calls):
        _take(call, found, flow)
    return found


def _is_root(node: ast.Call) -> bool:
    base = name_of(node.func).rpartition(".")[0]
    return base in ("modal.Image", "Image")


def _behind(node: ast.AST, flow: Flow) -> ast.AST | None:
    """What a name, or a call of the text's own function, stands for."""
    if isinstance(node, ast.Call):
        function = flow.names.get(name_of(node.func))
        if isinstance(function, ast.FunctionDef):
            returned = [each.value for each in ast.walk(function) if isinstance(each, ast.Return)]
            return returned[-1] if returned else None
        return None
    held = flow.names.get(name_of(node))
    return held.node if isinstance(held, Unknown) else None


def _take(call: ast.Call, found: ModalImage, flow: Flow) -> None:
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    span = flow.file.span(call.func)
    at = span[1] - len(method), span[1]
    arguments = _flat([flow.values.of(each, flow.names) for each in call.args])
    keywords = {each.arg: flow.values.of(each.value, flow.names) for each in call.keywords if each.arg}
    if method in _REGISTRIES:
        given = arguments[0] if arguments else keywords.get("tag")
        if given is not None:
            found.image = as_word(given, at)
        if isinstance(python := keywords.get("add_python"), Word):
            found.add_python = (python.text, python.span)
        if method != "from_registry" or "secret" in keywords:
            message = "the registry's secret was left out"
            found.notes.append(warning(message, at, "name it under `secrets.registry`"))
    elif method in ("debian_slim", "micromamba"):
        message = f"Image.{method} has no SGLang of its own: the profile takes an image of SGLang's"
        found.notes.append(warning(message, at, "set `sglang.image` where another one is meant"))
    elif method in _STEPS:
        _step(_STEPS[method], arguments, call, found, flow, at)
    elif method == "env":
        values = arguments[0] if arguments else keywords.get("vars")
        if isinstance(values, dict):
            found.env |= {str(key): as_word(value, at) for key, value in values.items()}
        else:
            found.notes.append(warning("the variables of .env(...) are not in this text", at))
    elif method not in _SILENT:
        found.notes.append(
            warning(f".{method}(...) was left out", at, "add it under `sglang.image_steps` where needed")
        )


def _step(kind: str, arguments: list[Value], call: ast.Call, found: ModalImage, flow: Flow, at: Span) -> None:
    texts: list[str] = []
    for each in arguments:
        try:
            texts.append(str(plain(each)))
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
    """What of an image has a place of its own in a profile, where its base is no image of SGLang's."""
    result: dict[KeyPath, tuple[Any, Span]] = {}
    if found.image is None:
        found.notes += [
            info("what is installed on the image was left out: SGLang's own image has what SGLang needs", found.place)
            for _ in [0]
            if found.place
        ]
        return result
    if found.add_python is not None:
        result["sglang", "add_python"] = found.add_python
    if found.steps:
        result["sglang", "image_steps"] = (found.steps, found.place or place)
    return result
