"""dstack configurations: what each key means stands in https://dstack.ai/docs/reference/dstack.yml/."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import commands
from glmdeploy.authoring.formats.format import Format
from glmdeploy.authoring.formats.references import without_template
from glmdeploy.authoring.formats.section import Section
from glmdeploy.authoring.formats.stream import documents, finished, label, mappings
from glmdeploy.authoring.launch.find import in_image
from glmdeploy.authoring.launch.launch import Container, Launch, Word
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.launch.launch import Span
    from glmdeploy.authoring.launch.script import Script

NAME = "a dstack configuration"
TYPES = frozenset({"service", "task", "dev-environment", "fleet", "gateway", "volume", "preset", "endpoint"})

_CHOSEN = "Modal chooses the machine by the GPU"
_RUNS = "Modal starts, watches and ends its containers by itself"
_URL = "Modal gives a URL of its own"
INFO: Mapping[str, str] = {
    **dict.fromkeys(
        ("backends", "regions", "availability_zones", "instance_types", "spot_policy", "max_price"), _CHOSEN
    ),
    **dict.fromkeys(("fleets", "reservation", "instances", "hosts"), _CHOSEN),
    **dict.fromkeys(
        ("replicas", "scaling", "probes", "retry", "max_duration", "stop_duration", "idle_duration"), _RUNS
    ),
    **dict.fromkeys(("creation_policy", "utilization_policy", "schedule", "priority", "startup_order"), _RUNS),
    **dict.fromkeys(("stop_criteria", "inactivity_duration", "rolling_deployment", "single_branch"), _RUNS),
    **dict.fromkeys(("gateway", "https", "strip_prefix", "rate_limits", "model", "ports", "router"), _URL),
    **dict.fromkeys(("python", "nvcc", "docker", "privileged", "init"), "the image has its programs"),
    "auth": "the endpoint has a key where a profile names its secret",
    "tags": "they are read by other programs",
    "ide": "for work on the sources only",
}
WARNED: Mapping[str, str] = {
    "volumes": "a Modal container does not have these files",
    "files": "a Modal container does not have these files",
    "repos": "a Modal container does not have these files",
    "repo": "a Modal container does not have these files",
    "setup": "what it prepares must be in the image",
    "working_dir": "the server starts in the folder that the image names",
    "home_dir": "the server starts in the folder that the image names",
    "user": "the server runs as the user that Modal starts, which is root",
    "registry_auth": "an image of a private registry needs a Modal Secret of its own",
}
NO_MATTER: Mapping[str, str] = {
    "type": "what kind of configuration this is",
    "name": "a name of dstack's",
    "shell": "which shell runs the commands",
}
RESOURCES_INFO: Mapping[str, str] = {
    **dict.fromkeys(("cpu", "memory", "disk"), "Modal gives what the server needs beside its GPUs"),
    "shm_size": "Modal decides it for its containers",
}
_KEYS = frozenset({"commands", "image", "resources", "model", "ide", "python", "port", "entrypoint", "nodes"})
_NUMBER = re.compile(r"[0-9]{1,3}")
_COUNT = re.compile(r"([0-9]{1,3})?(?:\.\.([0-9]{1,3})?)?")
_MEMORY = re.compile(r"(?:[0-9.]+(?:GB|MB|TB))?(?:\.\.(?:[0-9.]+(?:GB|MB|TB))?)?", re.IGNORECASE)


def shows(script: Script) -> Span | None:
    """The place of `type`, where it is one of dstack's."""
    for entries in mappings(script)[:1]:
        kind = entries.get("type")
        if kind is not None and kind.value.text in TYPES and _KEYS & entries.keys() and "apiVersion" not in entries:
            return kind.key.span
    return None


def launches(script: Script) -> list[Launch]:
    """The launch of the configuration.

    :raises ProfileError: where it launches nothing.
    """
    section = Section(script=script, tree=documents(script)[0], notes=[])
    env = commands.variables_of(section, "env")
    resources = section.section("resources")
    gpu = None
    if resources:
        gpu = _gpu(resources)
        resources.close(info=RESOURCES_INFO)
    image, nodes, entrypoint = section.word("image"), section.word("nodes"), section.word("entrypoint")
    texts = [without_template(section.text_of(each, "commands")) for each in section.items("commands")]
    _port(section)
    section.close(info=INFO, warned=WARNED, no_matter=NO_MATTER)
    given = {}
    if gpu is not None and _NUMBER.fullmatch(count := gpu.text.rpartition(":")[2]):
        given["DSTACK_GPUS_PER_NODE"] = replace(gpu, text=count, offsets=())
        if nodes is None or _NUMBER.fullmatch(nodes.text):
            all_ = int(count) * int(nodes.text if nodes else 1)
            given["DSTACK_GPUS_NUM"] = replace(gpu, text=str(all_), offsets=())
    given["DSTACK_NODES_NUM"] = nodes or Word(text="1", span=section.key("type").span)
    if nodes is None or nodes.text == "1":
        given["DSTACK_NODE_RANK"] = Word(text="0", span=section.key("type").span)
    if entrypoint is not None:
        message = "the commands are the arguments of `entrypoint`"
        section.note(Severity.INFO, message, entrypoint.span)
        found = in_image([entrypoint, *texts], env, Container(image=image or entrypoint))
    else:
        found = commands.of_shell(texts, env, given=given, image=image)
    found = [replace(each, gpu=each.gpu or gpu, nodes=each.nodes or nodes) for each in found]
    return finished(script, found, section.notes, what=NAME, span=shows(script) or (0, 1))


def _port(section: Section) -> None:
    tree = section.take("port")
    if tree is not None:
        section.note(Severity.INFO, "the port was left out: Modal gives a URL of its own", tree.span)


def _gpu(resources: Section) -> Word | None:
    """`H100:80GB:8`, `24GB`, `2`, or a mapping of them: the name with the number, or only the number."""
    tree = resources.take("gpu")
    if tree is None:
        return None
    if tree.entries is None:
        text = resources.text_of(tree, "gpu")
        parts = [each.strip() for each in text.text.split(":")]
        span, offsets = text.span, text.offsets
    else:
        inner = Section(script=resources.script, tree=tree, notes=resources.notes)
        words = [each for name in ("vendor", "memory") if (each := inner.word(name))]
        names = [inner.text_of(each, "name") for each in inner.items("name")]
        count = inner.take("count")
        words += names[:1]
        parts = [each.text for each in words]
        parts += [count.text or ""] if count is not None else []
        if len(names) > 1:
            parts[-2 if count is not None else -1] = ",".join(each.text for each in names)
        inner.close(info=dict.fromkeys(("total_memory", "compute_capability"), _CHOSEN))
        place = names[0] if names else words[0] if words else None
        span = place.span if place else tree.span
        offsets = (*(place.offsets if place else ()), *(count.offsets if count is not None else ()))
    name, number = "", "1"
    for part in parts:
        found = _COUNT.fullmatch(part)
        if found and part:
            number = found[1] or found[2] or "1"
        elif part.lower() in ("amd", "google", "tenstorrent", "tpu"):
            resources.note(Severity.WARNING, "Modal has GPUs of NVIDIA's alone", span, "name one of them with --gpu")
        elif part.lower() != "nvidia" and not _MEMORY.fullmatch(part):
            name, *others = part.split(",")
            if others:
                message = f"any of several GPUs would do; the first was taken, and left out {label(','.join(others))}"
                resources.note(Severity.WARNING, message, span, "name another one with --gpu")
    if not name:
        message = "the file names no GPU, only how large it is"
        resources.note(Severity.INFO, message, span, "name it with --gpu")
    return Word(text=f"{name}:{number}", span=span, offsets=offsets)


FORMAT = Format(name=NAME, shows=shows, launches=launches)
