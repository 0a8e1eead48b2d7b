"""A Modal script that serves SGLang: GPU, image, command, environment and what Modal is told of the containers.

Read through ``ast`` and never executed. Parameters: ``modal/app.py``, ``modal/_partial_function.py`` (modal 1.6.4);
the older names are those that modal 1.0 renamed (modal.com/docs/guide/modal-1-0-migration).
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.formats import modal_image, python_program
from glmdeploy.authoring.formats.python_flow import Definition, Flow, definitions, flow
from glmdeploy.authoring.formats.python_program import launches, ordered, parsed, refused
from glmdeploy.authoring.formats.python_values import Unknown, Value, as_word, name_of, plain
from glmdeploy.authoring.formats.tell import info, of_the_machine, warning
from glmdeploy.authoring.launch.launch import Container, Word
from glmdeploy.profile.serving import SERVER, WEB_SERVER, of_one_kind

if TYPE_CHECKING:
    from glmdeploy.authoring.formats.located import Located
    from glmdeploy.authoring.launch.launch import Launch, Note, Span
    from glmdeploy.authoring.launch.script import Script
    from glmdeploy.findings import KeyPath

_MODAL = re.compile(r"^[ \t]*(?:import[ \t]+(?:[\w., \t]+,[ \t]*)?modal\b|from[ \t]+modal\b)", re.MULTILINE)
_RENAMED = {
    "container_idle_timeout": "scaledown_window",
    "keep_warm": "min_containers",
    "concurrency_limit": "max_containers",
    "allow_concurrent_inputs": "max_inputs",
    "compute_region": "region",
}
_SERVER = frozenset(
    {"min_containers", "max_containers", "buffer_containers", "scaledown_window", "timeout", "startup_timeout"}
    | {"region", "cloud", "cpu", "memory", "ephemeral_disk", "max_inputs", "target_inputs", "label"}
    | {"target_concurrency", "exit_grace_period", "routing_region", "scaleup_window", "max_concurrency"}
)
"""Parameters that a profile has under ``server``, by the same names."""
_SILENT = frozenset(
    {"serialized", "name", "image", "gpu", "secrets", "volumes", "port", "include_source", "http_config"}
)
_DECORATORS = frozenset(
    {"function", "cls", "server", "concurrent", "web_server", "enter", "exit", "method", "asgi_app", "wsgi_app"}
    | {"clustered"}
    | {"http_server", "fastapi_endpoint", "local_entrypoint"}
)


@dataclass(kw_only=True)
class _Settings:
    kind: str = WEB_SERVER
    gpu: Word | None = None
    nodes: Word | None = None
    image: ast.expr | None = None
    server: dict[KeyPath, tuple[Any, Span]] = field(default_factory=dict)
    env: dict[str, Word] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def imports(text: str) -> bool:
    """Whether a Python text imports modal."""
    return _MODAL.search(text) is not None


def shows(script: Script) -> Span | None:
    """Where modal is imported, in a Python text."""
    found = _MODAL.search(script.text)
    return found.span() if found and python_program.shows(script) is not None else None


def read(text: Located, script: Script) -> list[Launch]:
    """The launches of its functions, each with what the decorators around it say.

    :raises ProfileError: where it starts no process that launches SGLang.
    """
    file = parsed(text, script)
    found = flow(file)
    result = []
    for started in ordered(found):
        if launched := launches(started, found):
            result += [_with_modal(each, started.within, found) for each in launched]
    if not result:
        raise refused(found, file, script)
    return result


def _with_modal(launch: Launch, within: tuple[Definition, ...], found: Flow) -> Launch:
    decorated = [each for each in within if any(_is_modals(one) for one in each.decorator_list)]
    notes: list[Note] = []
    if not any(_has_gpu(each) for each in decorated):
        others = [each for each in definitions(found.file.tree) if _has_gpu(each) and each not in decorated]
        if others:
            decorated.append(others[0])
            message = f"`{others[0].name}` was taken to start this: its decorators tell the GPU and the image"
            notes.append(info(message, found.file.span(others[0].decorator_list[0])))
    settings = _Settings()
    for definition in decorated:
        for decorator in definition.decorator_list:
            _decorator(decorator, settings, found)
    app = _app(found)
    for keyword in app.keywords if app else ():
        if keyword.arg == "image":
            settings.image = settings.image or keyword.value
        elif keyword.arg in ("secrets", "volumes"):
            _keyword(keyword, settings, found)
    _fit_kind(settings)
    image = modal_image.ModalImage()
    if settings.image is not None:
        image = modal_image.image(found.values.of(settings.image, found.names), found)
    settings.server |= modal_image.settings(image, launch.place)
    env, more = of_the_machine({**image.env, **settings.env})
    return replace(
        launch,
        env={**env, **launch.env},
        gpu=launch.gpu or settings.gpu,
        nodes=launch.nodes or settings.nodes,
        container=launch.container or (Container(image=image.image) if image.image else None),
        releases=(*image.releases, *launch.releases),
        settings={**settings.server, **launch.settings},
        notes=(*notes, *image.notes, *more, *settings.notes, *launch.notes),
    )


def _fit_kind(settings: _Settings) -> None:
    """Tell what a profile's other kind of server takes, and leave it out."""
    path = ("server", "target_inputs")
    if settings.kind == SERVER and path in settings.server and ("server", "target_concurrency") not in settings.server:
        value, span = settings.server.pop(path)
        settings.server["server", "target_concurrency"] = (value, span)
    for name, (_, span) in list(settings.server.items()):
        other = of_one_kind().get(str(name[1]), settings.kind) if name[0] == "server" else settings.kind
        if other != settings.kind:
            del settings.server[name]
            message = f"{name[1]} was left out: it is of `kind: {other}`, and this becomes a `{settings.kind}`"
            settings.notes.append(warning(message, span))


def _is_modals(decorator: ast.expr) -> bool:
    name = name_of(decorator.func if isinstance(decorator, ast.Call) else decorator)
    return "." in name and name.rpartition(".")[2] in _DECORATORS


def _has_gpu(definition: Definition) -> bool:
    return any(
        isinstance(each, ast.Call) and any(keyword.arg == "gpu" for keyword in each.keywords)
        for each in definition.decorator_list
    )


def _app(found: Flow) -> ast.Call | None:
    for node in ast.walk(found.file.tree):
        if isinstance(node, ast.Call) and name_of(node.func) in ("modal.App", "App", "modal.Stub", "Stub"):
            return node
    return None


def _decorator(decorator: ast.expr, settings: _Settings, found: Flow) -> None:
    if not isinstance(decorator, ast.Call):
        return
    kind = name_of(decorator.func).rpartition(".")[2]
    if kind == "clustered":
        _clustered(decorator, settings, found)
    if kind not in ("function", "cls", "server", "concurrent", "web_server", "http_server"):
        return
    if kind in ("server", "http_server"):
        settings.kind = SERVER
        settings.server["server", "kind"] = (SERVER, found.file.span(decorator.func))
    if kind in ("web_server", "http_server") and decorator.args:
        _port(decorator.args[0], settings, found)
    for keyword in decorator.keywords:
        if keyword.arg == "port":
            _port(keyword.value, settings, found)
        elif keyword.arg is not None:
            _keyword(keyword, settings, found)
        else:
            message = "what ** stands for is not in this text, and was left out"
            settings.notes.append(warning(message, found.file.span(keyword.value)))


def _clustered(decorator: ast.Call, settings: _Settings, found: Flow) -> None:
    """``@modal.clustered(size, rdma=False)``, of ``modal.experimental`` before (``modal/_partial_function.py``)."""
    given = dict(zip(("size", "rdma"), decorator.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in decorator.keywords if keyword.arg}
    if (size := given.get("size")) is not None:
        settings.nodes = as_word(found.values.of(size, found.names), found.file.span(size))
    rdma = given.get("rdma")
    value = found.values.of(rdma, found.names) if rdma is not None else False
    if isinstance(value, bool):
        settings.server["cluster", "rdma"] = (value, found.file.span(rdma if rdma is not None else decorator.func))
    elif rdma is not None:
        message = f"rdma={found.file.source(rdma)[:60]} is not told by this text: true was taken"
        settings.notes.append(warning(message, found.file.span(rdma)))


def _port(node: ast.expr, settings: _Settings, found: Flow) -> None:
    value = found.values.of(node, found.names)
    message = f"Modal's port {as_word(value, found.file.span(node)).text} was left out: the profile serves SGLang's own"
    settings.notes.append(info(message, found.file.span(node)))


def _keyword(keyword: ast.keyword, settings: _Settings, found: Flow) -> None:
    name = _RENAMED.get(keyword.arg or "", keyword.arg or "")
    node, span = keyword.value, found.file.span(keyword.value)
    value = found.values.of(node, found.names)
    if name == "gpu":
        settings.gpu = _gpu(node, value, settings, found)
    elif name == "image":
        settings.image = node
    elif name == "secrets":
        for each in node.elts if isinstance(node, ast.List | ast.Tuple) else [node]:
            _secret(each, settings, found)
    elif name == "volumes":
        _volumes(node, settings, found)
    elif name == "env" and isinstance(value, dict):
        settings.env |= {str(key): as_word(each, span) for key, each in value.items()}
    elif name in _SERVER:
        if ("server", name) in settings.server:
            before = settings.server["server", name][1]
            settings.notes.append(warning(f"{name} is given again below, which was taken", before))
        try:
            settings.server["server", name] = (plain(value), span)
        except LookupError:
            message = f"{name}={found.file.source(node)[:60]} is not told by this text, and was left out"
            settings.notes.append(warning(message, span, f"set `server.{name}`"))
    elif name == "requires_proxy_auth":
        if value is not False:
            message = "requires_proxy_auth was left out: it needs a proxy token, which the text does not name"
            settings.notes.append(warning(message, span, "see `server.requires_proxy_auth`"))
    elif name == "enable_memory_snapshot" or name == "experimental_options":
        message = f"{name}={found.file.source(node)[:60]} was left out: a profile does not take it over"
        settings.notes.append(warning(message, span))
    elif name not in _SILENT:
        message = f"{name}={found.file.source(node)[:60]} has no place in a profile, and was left out"
        settings.notes.append(warning(message, span))


def _gpu(node: ast.expr, value: Value, settings: _Settings, found: Flow) -> Word | None:
    span = found.file.span(node)
    if isinstance(value, list) and value:
        settings.notes.append(info("of several GPUs the first was taken", span))
        value = value[0]
    if isinstance(value, Word) and not value.unknown:
        return value
    target = value.node if isinstance(value, Unknown) else node
    if isinstance(target, ast.Call) and name_of(target.func).rpartition(".")[0] in ("modal.gpu", "gpu"):
        # modal.gpu.H100(count=2), before modal 1.0
        kind = name_of(target.func).rpartition(".")[2]
        given = {each.arg: found.values.of(each.value, found.names) for each in target.keywords}
        size, count = given.get("size"), given.get("count", 1)
        kind += f"-{size.text}" if isinstance(size, Word) else ""
        return replace(
            as_word(value, span), text=f"{kind}:{count}" if isinstance(count, int) else kind, unknown=(), offsets=()
        )
    message = f"gpu={found.file.source(node)[:60]} is not told by this text"
    settings.notes.append(warning(message, span, "name it with --gpu"))
    return None


def _secret(node: ast.expr, settings: _Settings, found: Flow) -> None:
    span = found.file.span(node)
    held = found.names.get(name_of(node))
    target = held.node if isinstance(held, Unknown) else node
    method = name_of(target.func).rpartition(".")[2] if isinstance(target, ast.Call) else ""
    given = found.values.of(target.args[0], found.names) if isinstance(target, ast.Call) and target.args else None
    if method == "from_dict" and isinstance(given, dict):
        settings.env |= {str(key): as_word(value, span) for key, value in given.items()}
    elif method == "from_name" and isinstance(given, Word) and not given.unknown:
        keys = _keys(target, found)
        token = [key for key in keys if key in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")]
        if token or (not keys and re.search(r"hugging|hf", given.text, re.IGNORECASE)):
            value = {"name": given.text, "keys": token or ["HF_TOKEN"]}
            settings.server["secrets", "huggingface"] = (value, given.span)
            if not token:
                message = f"the secret {given.text} was taken to hold HF_TOKEN"
                settings.notes.append(
                    info(message, given.span, "correct `secrets.huggingface.keys` where it is another")
                )
        else:
            message = f"the secret {given.text} was left out: the text does not say what it is for"
            settings.notes.append(warning(message, given.span, "name it under `secrets`, with its keys"))
    else:
        message = "a secret was left out: the text does not tell its name"
        settings.notes.append(warning(message, span, "name it under `secrets`"))


def _keys(node: ast.AST, found: Flow) -> list[str]:
    for keyword in node.keywords if isinstance(node, ast.Call) else ():
        value = found.values.of(keyword.value, found.names) if keyword.arg == "required_keys" else None
        if isinstance(value, list):
            return [each.text for each in value if isinstance(each, Word)]
    return []


def _volumes(node: ast.expr, settings: _Settings, found: Flow) -> None:
    held = found.names.get(name_of(node))
    value = held if isinstance(held, dict) else found.values.of(node, found.names)
    span = found.file.span(node)
    if not isinstance(value, dict):
        settings.notes.append(warning("the volumes are not told by this text, and were left out", span))
        return
    for mount in value:
        if "huggingface" in str(mount) or "hub" in str(mount):
            message = f"the volume at {mount} was left out: the weights volume takes its place"
            settings.notes.append(info(message, span))
        else:
            message = f"the volume at {mount} was left out"
            settings.notes.append(warning(message, span, "add it under `volumes.further` where it is needed"))
