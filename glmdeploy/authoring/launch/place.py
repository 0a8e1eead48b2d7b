"""From a launch to a profile's data: each thing that the text says goes to its section, or into a note."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.authoring.launch import cluster, docker, environment, gpu, options, repository
from glmdeploy.authoring.launch.masking import holds, names_secret
from glmdeploy.authoring.launch.release import named, tagged
from glmdeploy.authoring.launch.respelled import respelled
from glmdeploy.authoring.launch.sections import Sections
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown
from glmdeploy.sglang import catalog, engines, releases
from glmdeploy.sglang.image import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.launch.launch import Launch, Word
    from glmdeploy.authoring.launch.options import Given
    from glmdeploy.authoring.launch.repository import Repository
    from glmdeploy.authoring.launch.script import ImportOptions
    from glmdeploy.sglang.catalog import Catalog

_SYSTEMS = frozenset({"cuda", "python", "pytorch", "ubuntu", "debian", "debian_slim", "micromamba", "miniconda3"})
"""Last parts of the names of images on which SGLang is installed, and which come without it."""

_OTHER_MAKERS = re.compile(r"rocm|cann|npu|xpu|hpu|musa|xeon", re.IGNORECASE)
"""What tags of SGLang's images say that are for other processors (``docker/`` of its repository, 2025 and 2026)."""

_SECRET_FIELDS = frozenset({"api_key", "admin_api_key", "ssl_keyfile_password"})
_SECRET_FLAGS = frozenset(f"--{name.replace('_', '-')}" for name in _SECRET_FIELDS)
_PLACED_ELSEWHERE = frozenset({"model_path", "served_model_name", "host", "port", "api_key"})


def sections_of(launch: Launch, release: Catalog, wanted: ImportOptions, text: str = "") -> Sections:
    """The profile that a launch means, without what only the checks of a profile can refuse.

    ``text`` is what was imported, in which the model's repository may stand elsewhere. The data is empty where nothing
    tells the model, without which there is no profile.
    """
    sections = Sections(notes=list(launch.notes), secrets=list(launch.secrets))
    given, notes = options.split(launch.words, release)
    sections.notes += notes
    for found in given.values():
        if _is_secret(found):
            for word in found.values:
                environment.hide(word, sections)
    given, notes = respelled(given, release)
    sections.notes += notes
    model = given.get("model_path") or next(filter(_means_model, given.values()), None)
    served = repository.of_launch(model, launch, wanted, sections, text)
    if served is None:
        if "config" in given:
            _elsewhere(given["config"], sections)
        return sections
    app = wanted.app or served.slug[:63]
    rented, nodes = gpu.of_launch(given, launch, wanted, sections)
    sections.put(("schema",), 1)
    sections.put(("name",), wanted.name or f"{served.slug}-{rented.partition(':')[0].lower().rstrip('!+')}"[:63])
    sections.put(("description",), f"{served.name} with SGLang {release.version}")
    sections.put(("app",), app)
    # Where the files lie in a volume, a revision for the Hub decides nothing, and stays an option of SGLang's.
    revision = given.pop("revision", None) if served.path == served.repo else None
    repository.place(served, revision, given.get("served_model_name"), sections)
    sections.put(("gpu",), rented)
    sections.put(("volumes", "weights"), {"name": f"{app[:55]}-weights", "mount": served.mount})
    environment.place_secrets(launch, given.get("api_key"), app, wanted, sections)
    cluster.place(nodes, given, launch, sections)
    port = _server(given, release, sections)
    sections.put(("sglang", "version"), release.version)
    _image(launch, release, rented, sections)
    for path, (value, span) in launch.settings.items():
        if path[0] != "cluster":
            sections.put(path, value, span)
    cluster.fit_kind(nodes, sections)
    environment.place_variables(launch, sections)
    _kernels(app, served.mount, sections)
    _arguments(given, served, sections)
    if launch.container is not None:
        docker.place(launch.container, port=port, gpus=gpu.count(rented), weights=served.mount, sections=sections)
    sections.order()
    return sections


def _means_model(found: Given) -> bool:
    """Whether an option is a slip for ``--model-path``, which the checks tell: the rest can be imported with it."""
    name = found.name.lstrip("-").replace("_", "-").lower()
    return found.option is None and name in ("model-path", "model", "model-name", "model-id", "model-name-or-path")


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
    if host is not None:
        where = shown(host.values[0].text)
        message = f"--host {where} was left out: in a container on Modal, SGLang listens on all interfaces"
        sections.note(Severity.INFO, message, host.values[0].span)
    return port


def _image(launch: Launch, release: Catalog, rented: str, sections: Sections) -> None:
    # CUDA 13 is what SGLang's images for Blackwell have.
    type_ = gpus.TYPES.get(rented.partition(":")[0])
    cuda = "-cu130" if type_ and type_.capability[0] >= gpus.BLACKWELL else ""
    assumed = f"lmsysorg/sglang:v{release.version}{cuda}"
    path = ("sglang", "image")
    sections.fallbacks[path] = assumed
    image = launch.container.image if launch.container else None
    if image is None or image.unknown:
        place = image.span if image else launch.place
        sections.note(Severity.INFO, f"the text names no image: {assumed} was assumed", place)
        sections.put(path, assumed)
    elif match := re.match(r"([A-Za-z_]\w*)=", image.text):
        environment.hide(image, sections)
        message = f"a variable stands where an image is expected, `-e` is missing before {shown(match[1])}"
        sections.note(Severity.ERROR, f"{message}; {assumed} was taken", image.span)
        sections.put(path, assumed)
    elif holds(image.text):
        environment.hide(image, sections)
        message = f"the image's name holds a secret: {assumed} was taken in its place"
        fix = "name the image without it, and the secret of its registry under `secrets.registry`"
        sections.note(Severity.ERROR, message, image.span, fix=fix)
        sections.put(path, assumed)
    elif not parse(image.text).askable:
        environment.hide(image, sections)
        message = f"what stands where an image is expected is no image's name; {assumed} was taken"
        sections.note(Severity.ERROR, message, image.span)
        sections.put(path, assumed)
    elif (maker := _OTHER_MAKERS.search(image.text)) and _replaceable(image.text):
        message = f"{shown(image.text)} is not for NVIDIA's GPUs ({maker[0]}): {assumed} was taken in its place"
        sections.note(Severity.WARNING, message, image.span)
        sections.put(path, assumed)
    elif _is_too_old(image):
        message = f"{shown(image.text)} holds a release that is not known here: {assumed} was taken in its place"
        sections.note(Severity.WARNING, message, image.span, fix="set `sglang.image`, if the old release is meant")
        sections.put(path, assumed)
    elif installed := _installed(launch, image):
        message = f"the text installs SGLang {installed.text} in {shown(image.text)}, which Modal would not do: "
        if _replaceable(image.text):
            sections.note(Severity.WARNING, f"{message}{assumed} was taken in its place", image.span)
            sections.put(path, assumed)
        else:
            fix = f"name an image in which that is done, or {assumed}"
            sections.note(Severity.WARNING, f"{message}the image was kept", image.span, fix=fix)
            sections.put(path, sections.use(image), image.span)
    else:
        sections.put(path, sections.use(image), image.span)


def _installed(launch: Launch, image: Word) -> Word | None:
    """The release that the text names beside the image, where the image's tag does not tell the same."""
    word, version, _ = named(launch)
    return word if word is not None and word.span != image.span and version != tagged(image) else None


def _is_too_old(image: Word) -> bool:
    """Whether an image of SGLang's own has a release without a catalog, which nothing here could judge."""
    version = tagged(image)
    return version is not None and version not in catalog.versions() and _replaceable(image.text)


def _replaceable(image: str) -> bool:
    """Whether an image is SGLang's own, or one of a system that has none."""
    name = parse(image).name.rpartition("/")[2]
    return parse(image).name.endswith("lmsysorg/sglang") or name in _SYSTEMS


def _kernels(app: str, weights: str, sections: Sections) -> None:
    """A volume for compiled kernels, and the stage that compiles them, where the launch keeps them in a folder."""
    folder = sections.data["sglang"].get("env", {}).get(environment.KERNELS, "")
    apart = not f"{folder}/".startswith(f"{weights}/") and not f"{weights}/".startswith(f"{folder}/")
    if re.fullmatch(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", folder) and apart:
        sections.put(("volumes", "kernels"), {"name": f"{app[:55]}-kernels", "mount": folder})
        if "cluster" not in sections.data:  # the stage is one container
            sections.put(("compile", "timeout"), 3600)


def _arguments(given: Mapping[str, Given], served: Repository, sections: Sections) -> None:
    for name, found in given.items():
        if name in _PLACED_ELSEWHERE:
            continue
        if name == "tokenizer_path" and found.values and found.values[0].text == served.path:
            message = "--tokenizer-path was left out: it is the model's own, which SGLang takes by itself"
            sections.note(Severity.INFO, message, found.flag.span)
            continue
        unknown = [part for word in found.values for part in word.unknown]
        value = options.value(found)
        label = shown(found.name)
        if _is_secret(found) or any(holds(word.text) for word in found.values):
            message = f"{label} is a secret, for which a profile has no place; it was left out"
            sections.note(Severity.WARNING, message, found.flag.span)
        elif name == "config":
            _elsewhere(found, sections)
        elif unknown and name in options.OF_NODES and "nnodes" in given:
            message = f"{label} was left out: it is of a launch on several nodes"
            sections.note(Severity.INFO, message, found.flag.span)
        elif unknown:
            message = f"{label} was left out: {', '.join(map(shown, unknown))} is not set in this text"
            named = re.match(r"\$\{?([A-Za-z_]\w*)", unknown[0], re.ASCII)
            fix = f"set it in a line above the launch, such as {named[1]}=..." if named else "write the value itself"
            span = (found.values[0].span[0], max(word.span[1] for word in found.values))
            sections.note(Severity.ERROR, message, span, fix=fix)
        elif value is None:
            sections.note(Severity.ERROR, f"{label} without a value cannot be written in a profile", found.flag.span)
        else:
            for word in (found.flag, *found.values):
                sections.use(word)
            span = found.values[0].span if found.values and found.option else found.flag.span
            sections.put(("sglang", "args", found.key), value, span)
            _warn(value, found, sections)


def _elsewhere(found: Given, sections: Sections) -> None:
    file = shown(found.values[0].text) if found.values else "a file"
    message = f"what stands in the file of {shown(found.name)} is not in this text: {file}"
    sections.note(Severity.ERROR, message, found.flag.span, fix="import that file, and add what stands here")


def _is_secret(found: Given) -> bool:
    """Whether an option's value is a secret: SGLang's own, and others by their names, which may be misspelled."""
    if found.option:
        return found.dest in _SECRET_FIELDS
    known = engines.is_secret(found.name)  # another engine's, which counts tokens maybe
    if known is not None:
        return known
    # Another release's options without secrets may be called so, such as `--piecewise-cuda-graph-tokens`.
    return names_secret(found.name) and (found.name in _SECRET_FLAGS or found.name not in releases.flags())


def _warn(value: Any, found: Given, sections: Sections) -> None:
    """What is understood, but cannot work as it did."""
    if not isinstance(value, str):
        return
    mounts = tuple(f"{volume['mount']}/" for volume in sections.data["volumes"].values())
    if value.startswith(("/", "~/", "./")) and not f"{value}/".startswith(mounts):
        message = f"{shown(value)} is a path on the old machine: the image or a volume must have it"
        sections.note(Severity.WARNING, message, found.values[0].span)
