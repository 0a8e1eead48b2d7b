"""A container in JSON: what ``docker inspect`` prints, a task definition of Amazon ECS, a template of RunPod.

Fields: Docker Engine API 1.47 (``ContainerInspect``), Amazon ECS task definition parameters, RunPod REST API
(``/pods``).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.formats import json_text
from glmdeploy.authoring.formats.located import Located, placed, split
from glmdeploy.authoring.formats.tell import failed, info, of_the_machine, told, warning
from glmdeploy.authoring.launch.find import in_image
from glmdeploy.authoring.launch.launch import Container, Word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.authoring.launch.launch import Launch, Note, Span
    from glmdeploy.authoring.launch.script import Script

_INSPECT = re.compile(r'"Config"\s*:\s*\{')
_TASK = re.compile(r'"containerDefinitions"\s*:\s*\[')
_POD = re.compile(r'"(?:dockerStartCmd|dockerArgs|dockerEntrypoint)"\s*:')
_OF_THE_IMAGE = re.compile(
    r"(?:CUDA|NV|NVIDIA|LIBRARY|PYTHON|PIP|TORCH|NVTX|OPENMPI|OPAL|UCX|NCCL_VERSION|DEBIAN)_?\w*|LC_ALL"
)


def shows(script: Script) -> Span | None:
    """Where the container begins."""
    if not re.match(r"\s*[\[{]", script.text):
        return None
    inspect = _INSPECT.search(script.text) if '"Image"' in script.text else None
    found = inspect or _TASK.search(script.text) or _POD.search(script.text)
    return found.span() if found else None


def read(text: Located, script: Script) -> list[Launch]:
    """The launches of all containers.

    :raises ProfileError: where it is no JSON.
    :raises ShellError: where a shell text among the arguments cannot be read.
    """
    try:
        document = json_text.read(text)
    except json_text.NotJson as error:
        raise failed(script, "this begins like JSON, and is none from here on", error.span, "correct it") from None
    found: list[Launch] = []
    for each in document if isinstance(document, list) else [document]:
        if not isinstance(each, dict):
            continue
        if isinstance(each.get("Config"), dict):
            found += _inspected(each)
        definitions = each.get("containerDefinitions") or (each.get("taskDefinition") or {}).get("containerDefinitions")
        for definition in definitions if isinstance(definitions, list) else ():
            found += _task(definition)
        if "imageName" in each or "dockerStartCmd" in each or "dockerArgs" in each:
            found += _pod(each)
    return found


def _inspected(each: dict[str, Any]) -> list[Launch]:
    config = each["Config"]
    pairs = [item.text.partition("=")[0] for item in _texts(config.get("Env"))]
    env = {name: item.cut(len(name) + 1).word() for name, item in zip(pairs, _texts(config.get("Env")), strict=True)}
    notes = [
        info(f"{name} was left out: it comes from the image", word.span)
        for name, word in env.items()
        if _OF_THE_IMAGE.fullmatch(name)
    ]
    env = {name: word for name, word in env.items() if not _OF_THE_IMAGE.fullmatch(name)}
    argv = [item.word() for item in (*_texts(config.get("Entrypoint")), *_texts(config.get("Cmd")))]
    host = each.get("HostConfig")
    flags = [("volume", item.word()) for item in _texts(host.get("Binds"))] if isinstance(host, dict) else []
    return _made(config.get("Image"), argv, env, flags, notes)


def _task(each: Any) -> list[Launch]:
    if not isinstance(each, dict):
        return []
    env, notes = _pairs(each.get("environment"), "name", "value")
    for secret in each.get("secrets", ()):
        if isinstance(secret, dict) and isinstance(name := secret.get("name"), Located):
            env[name.text] = placed(f"${name.text}", name.span()[0]).word(unknown=(f"${name.text}",))
    argv = [item.word() for item in (*_texts(each.get("entryPoint")), *_texts(each.get("command")))]
    known = {"name", "image", "command", "entryPoint", "environment", "secrets", "essential", "logConfiguration"}
    notes += _others(each, known | {"resourceRequirements", "portMappings"})
    count: Word | None = None
    for item in each.get("resourceRequirements") or ():
        kind, number = (item.get("type"), item.get("value")) if isinstance(item, dict) else (None, None)
        if isinstance(kind, Located) and isinstance(number, Located) and kind.text == "GPU":
            count = replace(number.word(), text=f":{number.text}", offsets=())
    for place in _all(each.get("portMappings")):
        notes.append(info("the published port was left out: Modal gives a URL of its own", place.span()))
        break
    return [replace(launch, gpu=count) for launch in _made(each.get("image"), argv, env, [], notes)]


def _pod(each: dict[str, Any]) -> list[Launch]:
    values = each.get("env")
    if isinstance(values, dict):
        env = {name: value.word() for name, value in values.items() if isinstance(value, Located)}
        notes: list[Note] = []
    else:
        env, notes = _pairs(values, "key", "value")
    start = each.get("dockerStartCmd")
    if start is None:
        start = each.get("dockerArgs")
    words = split(start) if isinstance(start, Located) else _texts(start)
    argv = [item.word() for item in (*_texts(each.get("dockerEntrypoint")), *words)]
    known = {"name", "imageName", "image", "env", "dockerStartCmd", "dockerArgs", "dockerEntrypoint", "id", "isPublic"}
    notes += _others(each, known | {"gpuTypeIds", "gpuTypeId", "gpuCount"})
    kinds = each.get("gpuTypeIds") or each.get("gpuTypeId")
    kind = next(iter(_texts(kinds)), None)
    count = each.get("gpuCount", 1)
    gpu: Word | None = None
    if kind is not None:
        name = kind.text.removeprefix("NVIDIA ")
        name = "A100-80GB" if name.startswith("A100") and "80GB" in name else name.split(" ")[0]
        gpu = replace(kind.word(), text=f"{name}:{count}" if isinstance(count, int) else name, offsets=())
    found = _made(each.get("imageName") or each.get("image"), argv, env, [], notes)
    return [replace(launch, gpu=gpu) for launch in found]


def _made(
    image: Any, argv: list[Word], env: dict[str, Word], flags: list[tuple[str, Word]], notes: list[Note]
) -> list[Launch]:
    if not isinstance(image, Located) or not argv:
        return []
    kept, more = of_the_machine(env)
    return told(in_image(argv, kept, Container(image=image.word(), flags=tuple(flags))), *notes, *more)


def _pairs(values: Any, key: str, value: str) -> tuple[dict[str, Word], list[Note]]:
    env: dict[str, Word] = {}
    notes: list[Note] = []
    for item in values if isinstance(values, list) else ():
        name, held = (item.get(key), item.get(value)) if isinstance(item, dict) else (None, None)
        if isinstance(name, Located) and isinstance(held, Located):
            env[name.text] = held.word()
        elif isinstance(name, Located):
            notes.append(warning(f"{name.text} has no text for a value, and was left out", name.span()))
    return env, notes


def _others(each: dict[str, Any], known: set[str]) -> Iterator[Note]:
    for name, value in each.items():
        if name not in known and value not in (None, [], {}, False):
            place = next((item.span() for item in _all(value)), (0, 1))
            yield warning(f"{name} has no place in a profile, and was left out", place)


def _all(value: Any) -> Iterator[Located]:
    if isinstance(value, Located):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _all(item)


def _texts(value: Any) -> list[Located]:
    """The texts of a list; a text alone is a list of one."""
    if isinstance(value, Located):
        return [value]
    return [item for item in value if isinstance(item, Located)] if isinstance(value, list) else []
