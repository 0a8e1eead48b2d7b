"""From a launch to a profile's data: each thing that the text says goes to its section, or into a note."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.launch import docker, environment, options, repository
from glmdeploy.authoring.launch.sections import Sections
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown
from glmdeploy.redaction import find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.launch.launch import Launch
    from glmdeploy.authoring.launch.options import Given
    from glmdeploy.authoring.launch.script import ImportOptions
    from glmdeploy.sglang.catalog import Catalog

ASSUMED_GPU = "B200"
MAX_GPUS = 8
"""In one Modal container (modal 1.6.4)."""

_BLACKWELL = ("B200", "B200+", "RTX-PRO-6000")
_EVERYWHERE = frozenset({"127.0.0.1", "0.0.0.0", "localhost", "::", "::1", ""})
_ORDER = ("schema", "name", "description", "app", "model", "gpu", "volumes", "secrets", "compile", "server", "sglang")
_SECRET_FIELDS = frozenset({"api_key", "admin_api_key", "ssl_keyfile_password"})
_PLACED_ELSEWHERE = frozenset({"model_path", "served_model_name", "host", "port", "api_key"})


def sections_of(launch: Launch, release: Catalog, wanted: ImportOptions) -> Sections:
    """The profile that a launch means, without what only the checks of a profile can refuse.

    Its data is empty where the model cannot be told, without which there is no profile.
    """
    sections = Sections(notes=list(launch.notes))
    given, notes = options.split(launch.words, release)
    sections.notes += notes
    for name in _SECRET_FIELDS & given.keys():
        for word in given[name].values:
            environment.hide(word, sections)
    served = repository.of_launch(given.get("model_path"), launch, wanted, sections)
    if served is None:
        return sections
    app = wanted.app or served.slug[:63]
    gpu = _gpu(given, launch, wanted, sections)
    sections.put(("schema",), 1)
    sections.put(("name",), wanted.name or f"{served.slug}-{gpu.partition(':')[0].lower().rstrip('!+')}"[:63])
    sections.put(("description",), f"{served.repo.rpartition('/')[2]} with SGLang {release.version}")
    sections.put(("app",), app)
    # Where the files lie in a volume, a revision for the Hub decides nothing, and stays an option of SGLang's.
    revision = given.pop("revision", None) if served.path == served.repo else None
    repository.place(served, revision, given.get("served_model_name"), sections)
    sections.put(("gpu",), gpu)
    sections.put(("volumes", "weights"), {"name": f"{app[:55]}-weights", "mount": served.mount})
    environment.place_secrets(launch, given.get("api_key"), app, wanted, sections)
    port = _server(given, release, sections)
    sections.put(("sglang", "version"), release.version)
    _image(launch, release, gpu, sections)
    for path, (value, span) in launch.settings.items():
        sections.put(path, value, span)
    environment.place_variables(launch, sections)
    _kernels(app, served.mount, sections)
    _arguments(given, sections)
    if launch.container is not None:
        gpus = int(gpu.partition(":")[2] or 1) if re.fullmatch(r"[^:]*(:[0-9])?", gpu) else 0
        docker.place(launch.container, port=port, gpus=gpus, weights=served.mount, sections=sections)
    sections.data = {name: sections.data[name] for name in _ORDER if name in sections.data}
    return sections


def _gpu(given: Mapping[str, Given], launch: Launch, wanted: ImportOptions, sections: Sections) -> str:
    if wanted.gpu is not None:
        return wanted.gpu
    # Data parallelism multiplies the processes unless it only divides the attention.
    attention = "enable_dp_attention" in given
    fields = ("tp_size", "pp_size") if attention else ("tp_size", "pp_size", "dp_size")
    count = 1
    for name in fields:
        count *= _whole(given.get(name))
    span = given["tp_size"].flag.span if "tp_size" in given else launch.place
    if count > MAX_GPUS:
        message = f"the launch is for {count} GPUs, but a container on Modal has {MAX_GPUS} at most"
        sections.note(Severity.ERROR, message, span, fix="choose a GPU with --gpu, and lower --tp to its count")
        count = MAX_GPUS
    else:
        message = f"the text does not say on which GPU it runs: {ASSUMED_GPU}:{count} was assumed"
        sections.note(Severity.WARNING, message, span, fix="name it with --gpu, such as --gpu H200:8")
    return f"{ASSUMED_GPU}:{count}"


def _whole(given: Given | None) -> int:
    text = given.values[0].text if given and given.values else ""
    return max(int(text), 1) if re.fullmatch(r"[0-9]{1,4}", text) else 1


def _server(given: Mapping[str, Given], release: Catalog, sections: Sections) -> int:
    port: int = release.defaults()["port"]
    path = ("server", "port")
    sections.fallbacks[path] = port
    found = given.get("port")
    if found is None:
        sections.put(path, port)
    elif found.values[0].unknown:
        message = f"{', '.join(found.values[0].unknown)} is not in this text; SGLang's own port {port} was taken"
        sections.note(Severity.INFO, message, found.values[0].span)
        sections.put(path, port)
    else:
        value: Any = options.value(found)
        sections.use(found.values[0])
        sections.put(path, value, found.values[0].span)
        port = value if isinstance(value, int) else port
    host = given.get("host")
    if host is not None and host.values[0].text not in _EVERYWHERE and not host.values[0].unknown:
        message = "--host was left out: in a container on Modal, SGLang listens on all interfaces"
        sections.note(Severity.INFO, message, host.values[0].span)
    return port


def _image(launch: Launch, release: Catalog, gpu: str, sections: Sections) -> None:
    cuda = "-cu130" if gpu.partition(":")[0] in _BLACKWELL else ""
    assumed = f"lmsysorg/sglang:v{release.version}{cuda}"
    path = ("sglang", "image")
    sections.fallbacks[path] = assumed
    image = launch.container.image if launch.container else None
    if image is None or image.unknown:
        place = image.span if image else launch.place
        sections.note(Severity.INFO, f"the text names no image: {assumed} was assumed", place)
        sections.put(path, assumed)
    else:
        sections.put(path, sections.use(image), image.span)


def _kernels(app: str, weights: str, sections: Sections) -> None:
    """A volume for compiled kernels, and the stage that compiles them, where the launch keeps them in a folder."""
    folder = sections.data["sglang"].get("env", {}).get(environment.KERNELS, "")
    apart = not f"{folder}/".startswith(f"{weights}/") and not f"{weights}/".startswith(f"{folder}/")
    if re.fullmatch(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", folder) and apart:
        sections.put(("volumes", "kernels"), {"name": f"{app[:55]}-kernels", "mount": folder})
        sections.put(("compile", "timeout"), 3600)


def _arguments(given: Mapping[str, Given], sections: Sections) -> None:
    for name, found in given.items():
        if name in _PLACED_ELSEWHERE:
            continue
        unknown = [part for word in found.values for part in word.unknown]
        value = options.value(found)
        label = shown(found.name)
        if name in _SECRET_FIELDS or any(find(word.text) for word in found.values):
            message = f"{label} is a secret, for which a profile has no place; it was left out"
            sections.note(Severity.WARNING, message, found.flag.span)
        elif name == "config":
            message = f"what stands in the file of {label} is not in this text"
            sections.note(Severity.ERROR, message, found.flag.span, fix="import that file, and add what stands here")
        elif unknown:
            message = f"{label} was left out: {', '.join(map(shown, unknown))} is not set in this text"
            fix = f"set it in a line above the launch, such as {unknown[0].strip('${}')}=..."
            sections.note(Severity.ERROR, message, found.values[0].span, fix=fix)
        elif value is None:
            sections.note(Severity.ERROR, f"{label} without a value cannot be written in a profile", found.flag.span)
        else:
            for word in (found.flag, *found.values):
                sections.use(word)
            span = found.values[0].span if found.values and found.option else found.flag.span
            sections.put(("sglang", "args", found.key), value, span)
            _warn(name, value, found, sections)


def _warn(name: str, value: Any, found: Given, sections: Sections) -> None:
    """What is understood, but cannot work as it did."""
    if name == "nnodes" and isinstance(value, int) and value > 1:
        message = f"this is one of {value} nodes; glmdeploy serves from one container"
        sections.note(Severity.ERROR, message, found.values[0].span, fix="choose a launch for one node")
    if not isinstance(value, str):
        return
    mounts = tuple(f"{volume['mount']}/" for volume in sections.data["volumes"].values())
    if value.startswith(("/", "~/", "./")) and not f"{value}/".startswith(mounts):
        message = f"{shown(value)} is a path on the old machine: the image or a volume must have it"
        sections.note(Severity.WARNING, message, found.values[0].span)
    elif name.endswith("_path") and repository.is_repo(value):
        message = f"{shown(value)} is not downloaded beforehand: the download stage fetches the model alone"
        sections.note(Severity.WARNING, message, found.values[0].span)
