"""SkyPilot tasks: what each key means stands in https://docs.skypilot.co/en/latest/reference/yaml-spec.html."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import commands, phrase
from glmdeploy.authoring.formats.format import Format
from glmdeploy.authoring.formats.section import Section, word
from glmdeploy.authoring.formats.stream import documents, finished, label, mappings, refused
from glmdeploy.authoring.launch.launch import Launch, Note, Word
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.launch.launch import Span
    from glmdeploy.authoring.launch.script import Script

NAME = "a SkyPilot task"

_CHOSEN = "Modal chooses the machine by the GPU"
_SCALED = "Modal starts, watches and ends its containers by itself"
INFO: Mapping[str, str] = {
    "service": _SCALED,
    "config": "it is SkyPilot's own matter",
    "experimental": "it is SkyPilot's own matter",
    "event_callback": "it is SkyPilot's own matter",
    "inputs": "it is SkyPilot's own matter",
    "outputs": "it is SkyPilot's own matter",
    "pool": _SCALED,
}
WARNED: Mapping[str, str] = {
    "workdir": "a Modal container does not have the files of this machine",
    "file_mounts": "a Modal container does not have these files",
    "storage_mounts": "a Modal container does not have these files",
    "volumes": "a Modal container does not have these files",
}
NO_MATTER: Mapping[str, str] = {"name": "a name of SkyPilot's"}
RESOURCES_INFO: Mapping[str, str] = {
    **dict.fromkeys(("cloud", "infra", "region", "zone", "use_spot", "instance_type", "cpus", "memory"), _CHOSEN),
    **dict.fromkeys(("disk_size", "disk_tier", "network_tier", "labels", "accelerator_args", "local_disk"), _CHOSEN),
    **dict.fromkeys(("job_recovery", "spot_recovery", "autostop", "priority", "priority_class"), _SCALED),
    "ports": "Modal gives a URL of its own, at the port on which the server listens",
}
_KEYS = frozenset({"resources", "setup", "envs", "secrets", "num_nodes", "workdir", "file_mounts", "service"})
_NUMBER = re.compile(r"[0-9]{1,3}")


def shows(script: Script) -> Span | None:
    """The place of `run`, or of `resources` with accelerators, where other keys of a task stand beside it."""
    for entries in mappings(script):
        run = entries.get("run")
        if "apiVersion" in entries or "services" in entries or "jobs" in entries or "type" in entries:
            continue
        if run is not None and run.value.text is not None and _KEYS & entries.keys():
            return run.key.span
        resources = entries.get("resources")
        if resources is not None and {"accelerators", "gpus"} & (resources.value.entries or {}).keys():
            return resources.key.span
    return None


def launches(script: Script) -> list[Launch]:
    """The launches of all tasks in the file.

    :raises ProfileError: where there are none.
    """
    found = []
    notes: list[Note] = []
    for tree in documents(script):
        task = Section(script=script, tree=tree, notes=[])
        if set(task.names()) <= {"name", "execution"}:  # the first document of a pipeline names it
            notes.append(Note(severity=Severity.INFO, message="the name of the pipeline was left out", span=tree.span))
            continue
        found += _of_task(task)
    return finished(script, found, notes, what=NAME, span=shows(script) or (0, 1))


def _of_task(task: Section) -> list[Launch]:
    nodes, run, setup = task.word("num_nodes"), task.word("run"), task.word("setup")
    env = commands.variables_of(task, "envs")
    secrets = commands.variables_of(task, "secrets")
    resources = task.section("resources")
    image, gpu = None, None
    if resources:
        image, gpu = _image(resources), _gpu(resources)
        resources.close(info=RESOURCES_INFO)
    if setup is not None:
        message = "the commands of `setup` are not run: what they prepare must be in the image or a volume"
        task.note(Severity.WARNING, message, task.key("setup").span)
    task.close(info=INFO, warned=WARNED, no_matter=NO_MATTER)
    if run is None:
        return []
    given = {}
    count = gpu.text.rpartition(":")[2] if gpu is not None and ":" in gpu.text else ""
    if gpu is not None and _NUMBER.fullmatch(count):
        given["SKYPILOT_NUM_GPUS_PER_NODE"] = replace(gpu, text=count, offsets=())
    given["SKYPILOT_NUM_NODES"] = nodes or Word(text="1", span=task.key("run").span)
    if nodes is None or nodes.text == "1":
        given["SKYPILOT_NODE_RANK"] = Word(text="0", span=task.key("run").span)
    releases = commands.releases_in(setup) if setup is not None else []
    found = commands.of_shell([run], {**env, **secrets}, given=given, image=image, releases=releases)
    return [
        replace(each, gpu=each.gpu or gpu, nodes=each.nodes or nodes, notes=(*task.notes, *each.notes))
        for each in found
    ]


def _image(resources: Section) -> Word | None:
    tree = resources.take("image_id")
    if tree is None:
        return None
    if tree.text is None or not tree.text.startswith("docker:"):
        message = "an image of a cloud's machine is no image of a container"
        resources.left_out("image_id", message, Severity.WARNING, "name the container's image in the profile")
        return None
    image = word(tree)
    return phrase.cut(image, range(len("docker:"), len(image.text)))


def _gpu(resources: Section) -> Word | None:
    """The GPU of a task; of several that would do, the first."""
    found = _accelerators(resources)
    for name in ("any_of", "ordered"):
        for choice in resources.sections(name):
            found += _accelerators(choice)
            choice.close(info=RESOURCES_INFO)
    if len(found) > 1:
        others = ", ".join(each.text for each in found[1:])
        message = f"any of several GPUs would do; the first was taken, and left out {label(others)}"
        resources.note(Severity.WARNING, message, found[0].span, "name another one with --gpu")
    return found[0] if found else None


def _accelerators(section: Section) -> list[Word]:
    """`H100:4`, `{H100: 4}`, `{H100:4, A100:8}` or a list of them; `gpus` is the newer name."""
    name = "gpus" if "gpus" in section else "accelerators"
    tree = section.take(name)
    if tree is None:
        return []
    if tree.entries is None:
        return [section.text_of(each, name) for each in section.items(name)]
    found = []
    for key, pair in tree.entries.items():
        if pair.value.null:
            found.append(word(pair.key))
        elif pair.value.text is None:
            raise refused(section.script, f"the number of {label(key)} is {pair.value.kind}", pair.value.span)
        else:
            found.append(Word(text=f"{key}:{pair.value.text}", span=(pair.key.start, pair.value.span[1])))
    return found


FORMAT = Format(name=NAME, shows=shows, launches=launches)
