"""Docker Compose, and the stacks of Docker Swarm, which are written alike.

What each key means: the Compose specification, https://docs.docker.com/reference/compose-file/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.compose_service import Service
from glmdeploy.authoring.formats.format import Format
from glmdeploy.authoring.formats.section import Section
from glmdeploy.authoring.formats.stream import finished, label, mappings, refused
from glmdeploy.authoring.launch.launch import Launch, Note
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.launch.launch import Span
    from glmdeploy.authoring.launch.script import Script
    from glmdeploy.profile.text.foreign import Tree

NAME = "a Docker Compose file"

ROOT_NO_MATTER: Mapping[str, str] = {
    "version": "ignored by Docker Compose itself since 1.27",
    "name": "a name on the old machine",
    "networks": "the networks of the services, each of which is told at its service",
    "volumes": "names of the volumes, which are told where a service mounts them",
    "configs": "names of files, which are told where a service has them",
    "secrets": "names of files, which are told where a service has them",
}

_SERVICE_KEYS = frozenset({"image", "build", "command", "entrypoint", "deploy", "environment", "extends", "ports"})


def shows(script: Script) -> Span | None:
    """The place of `services`, each of which is described as Compose does it."""
    for entries in mappings(script)[:1]:
        pair = entries.get("services")
        if pair is not None and "apiVersion" not in entries and pair.value.entries:
            services = [each.value.entries for each in pair.value.entries.values() if each.value.entries is not None]
            if any(_SERVICE_KEYS & entries.keys() for entries in services):
                return pair.key.span
    return None


def launches(script: Script) -> list[Launch]:
    """The launches of all services.

    :raises ProfileError: where there are none, or where the service takes its settings from another file.
    """
    span = shows(script) or (0, 1)
    trees = mappings(script)
    notes: list[Note] = []
    root = Section(script=script, tree=_root(script), notes=notes)
    if len(trees) > 1:
        message = "Docker Compose reads one document of a file; those behind it were left out"
        root.note(Severity.WARNING, message, next(iter(trees[1].values())).key.span)
    root.left_out("include", "what stands in the other file is not in this text", Severity.WARNING)
    services = root.section("services")
    found: list[Launch] = []
    for name in services.names() if services else ():
        assert services is not None
        service = services.section(name)
        of_service = Service(section=service, name=name).launches() if service else []
        if not of_service:
            services.note(
                Severity.INFO,
                f"the service {label(name)} was left out: it does not launch SGLang",
                services.key(name).span,
            )
        if of_service and service is not None and "extends" in service:
            _refuse_extends(script, service)
        found += of_service
    fragments = {
        name: "a fragment for anchors, of which what is used stands in a service"
        for name in root.names()
        if name.startswith("x-")
    }
    root.close(info={"models": "models of Docker's own runner"}, no_matter={**ROOT_NO_MATTER, **fragments})
    if not found and services is not None:
        for name in services.names():
            service = services.section(name)
            if service is not None and "extends" in service:
                _refuse_extends(script, service)
        notes += _without_command(services)
    return finished(script, found, notes, what=NAME, span=span)


def _root(script: Script) -> Tree:
    from glmdeploy.authoring.formats.stream import documents

    return documents(script)[0]


def _refuse_extends(script: Script, service: Section) -> None:
    raise refused(
        script,
        "this service takes settings from another one by `extends`, which is not followed",
        service.key("extends").span,
        fix="import what `docker compose config` prints: it has everything in one file",
    )


def _without_command(services: Section) -> list[Note]:
    found = []
    for name in services.names():
        service = services.section(name)
        image = service.take("image") if service else None
        if image is not None and "sglang" in (image.text or ""):
            message = f"the service {label(name)} has an image of SGLang's, but no command that launches it"
            found.append(Note(severity=Severity.ERROR, message=message, span=image.span))
    return found


FORMAT = Format(name=NAME, shows=shows, launches=launches)
