"""Truss configurations of Baseten: what each key means stands in https://docs.baseten.co/reference/truss-configuration.

Those with ``docker_server`` start a server by a command, and are read. The others run Python code of their own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import commands
from glmdeploy.authoring.formats.format import Format
from glmdeploy.authoring.formats.section import Section
from glmdeploy.authoring.formats.stream import documents, finished, label, mappings, refused
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.launch.launch import Launch, Span, Word
    from glmdeploy.authoring.launch.script import Script

NAME = "a Truss configuration"

_SCALED = "Modal starts, watches and ends its containers by itself"
_CODE = "for a Truss with Python code only"
INFO: Mapping[str, str] = {
    **dict.fromkeys(("runtime", "input_type", "live_reload"), _SCALED),
    **dict.fromkeys(("model_metadata", "description", "deploy_timeout_minutes"), "it is Baseten's own matter"),
    **dict.fromkeys(("model_framework", "model_type", "model_module_dir", "model_class_filename"), _CODE),
    **dict.fromkeys(("model_class_name", "data_dir", "python_version", "examples_filename", "spec_version"), _CODE),
    **dict.fromkeys(("apply_library_patches", "bundled_packages_dir", "use_local_src", "cache_internal"), _CODE),
    "model_cache": "the download stage fetches the model into a volume",
    "weights": "the download stage fetches the model into a volume",
    "hf_cache": "the download stage fetches the model into a volume",
}
_INSTALLED = "what it installs must be in the image"
WARNED: Mapping[str, str] = {
    **dict.fromkeys(("requirements_file", "system_packages", "build_commands", "build"), _INSTALLED),
    **dict.fromkeys(("external_package_dirs", "external_data", "trt_llm", "training_checkpoints"), "it is not there"),
}
NO_MATTER: Mapping[str, str] = {"model_name": "a name of Baseten's", "environment": "a name of Baseten's"}
SERVER_INFO: Mapping[str, str] = {
    **dict.fromkeys(("readiness_endpoint", "liveness_endpoint", "run_as_user_id", "no_build"), _SCALED),
    "predict_endpoint": "every path of the server is reached by the endpoint's URL",
}
RESOURCES_INFO: Mapping[str, str] = dict.fromkeys(
    ("cpu", "memory", "use_gpu", "instance_type"), "Modal gives what the server needs beside its GPUs"
)
_OWN = frozenset(
    {
        "docker_server",
        "base_image",
        "model_metadata",
        "model_cache",
        "build_commands",
        "model_class_name",
        "bundled_packages_dir",
        "external_package_dirs",
        "trt_llm",
        "model_framework",
        "system_packages",
    }
)


def shows(script: Script) -> Span | None:
    """The place of `docker_server`, or of `model_name` beside other keys of a Truss."""
    for entries in mappings(script)[:1]:
        if "docker_server" in entries:
            return entries["docker_server"].key.span
        if "model_name" in entries and (_OWN & entries.keys()) and "apiVersion" not in entries:
            return entries["model_name"].key.span
    return None


def launches(script: Script) -> list[Launch]:
    """The launch of the server.

    :raises ProfileError: where there is none.
    """
    section = Section(script=script, tree=documents(script)[0], notes=[])
    span = shows(script) or (0, 1)
    server = section.section("docker_server")
    if server is None:
        message = "this is a Truss that runs Python code of its own, which cannot be imported"
        raise refused(script, message, span, fix="import one with `docker_server`, or the server's command")
    command, port = server.word("start_command"), server.word("server_port")
    server.close(info=SERVER_INFO)
    if port is not None:
        section.note(Severity.INFO, "the port was left out: Modal gives a URL of its own", port.span)
    image = _image(section)
    env = commands.variables_of(section, "environment_variables")
    gpu, nodes = _gpu(section)
    _secrets(section)
    releases: list[Word] = []
    for item in section.items("requirements"):
        text = section.text_of(item, "requirements")
        releases += commands.releases_in(text)
        section.note(Severity.WARNING, f"{label(text.text)} is not installed: it must be in the image", text.span)
    section.close(info=INFO, warned=WARNED, no_matter=NO_MATTER)
    found = commands.of_shell([command], env, image=image, releases=releases) if command is not None else []
    found = [replace(each, gpu=each.gpu or gpu, nodes=each.nodes or nodes) for each in found]
    return finished(script, found, section.notes, what=NAME, span=span)


def _image(section: Section) -> Word | None:
    base = section.section("base_image")
    if base is None:
        return None
    image = base.word("image")
    base.close(
        info={"python_executable_path": "the image has its programs"},
        warned={"docker_auth": "an image of a private registry needs a Modal Secret of its own"},
    )
    return image


def _gpu(section: Section) -> tuple[Word | None, Word | None]:
    """The GPUs of one node, and the number of nodes."""
    resources = section.section("resources")
    if resources is None:
        return None, None
    gpu, nodes = resources.word("accelerator"), resources.word("node_count")
    resources.close(info=RESOURCES_INFO)
    return gpu, nodes


def _secrets(section: Section) -> None:
    secrets = section.section("secrets")
    for name in secrets.names() if secrets else ():
        assert secrets is not None
        secrets.left_out(name, "it is a file in `/secrets` there", Severity.WARNING, "put it into a Modal Secret")


FORMAT = Format(name=NAME, shows=shows, launches=launches)
