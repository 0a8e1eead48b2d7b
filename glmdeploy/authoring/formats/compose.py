"""Docker Compose, and the stacks of Docker Swarm, which are written alike.

What each key means: the Compose specification, https://docs.docker.com/reference/compose-file/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.compose_service import Service
from glmdeploy.authoring.formats.format import Format
from glmdeploy.authoring.formats.section import Section
from glmdeploy.authoring.formats.stream import documents, finished, label, mappings, refused
from glmdeploy.authoring.launch.launch import Launch, Note, Word
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.launch.launch import Span
    from glmdeploy.authoring.launch.script import Script

NAME = "a Docker Compose file"

ROOT_NO_MATTER: Mapping[str, str] = {
    "version": "ignored by Docker Compose itself since 1.27",
    "name": "a name on the old machine",
    "networks": "the networks of the services, each of which is told at its service",
    "volumes": "names of the volumes, which are told where a service mounts them",
    "configs": "names of files, which are told where a service has them",
    "secrets": "names of files, which are told where a service has them",
    "x-*": "a fragment for anchors, of which what is used stands in a service",
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
    root = Section(script=script, tree=documents(script)[0], notes=notes)
    if len(trees) > 1:
        message = "Docker Compose reads one document of a file; those behind it were left out"
        root.note(Severity.WARNING, message, next(iter(trees[1].values())).key.span)
    root.left_out("include", "what stands in the other file is not in this text", Severity.WARNING)
    services = root.section("services")
    found: list[Launch] = []
    hints: list[Note] = []
    for name in services.names() if services else ():
        assert services is not None
        service = services.section(name)
        if service is None:
            continue
        reader = Service(section=service, name=name)
        of_service = reader.launches()
        if not of_service:
            services.note(
                Severity.INFO,
                f"the service {label(name)} was left out: it does not launch SGLang",
                services.key(name).span,
            )
            hints += [] if reader.image is None else _without_command(reader, reader.image)
        if of_service and "extends" in service:
            _refuse_extends(script, service)
        found += of_service
    root.close(info={"models": "models of Docker's own runner"}, no_matter=ROOT_NO_MATTER)
    if not found and services is not None:
        for name in services.names():
            service = services.section(name)
            if service is not None and "extends" in service:
                _refuse_extends(script, service)
        notes += hints
    return finished(script, found, notes, what=NAME, span=span)


def _refuse_extends(script: Script, service: Section) -> None:
    raise refused(
        script,
        "this service takes settings from another one by `extends`, which is not followed",
        service.key("extends").span,
        fix="import what `docker compose config` prints: it has everything in one file",
    )


def _without_command(service: Service, image: Word) -> list[Note]:
    """What to say of a service with an image of SGLang's that launches nothing."""
    if "sglang" not in image.text:
        return []
    message = f"the service {label(service.name)} has an image of SGLang's, but no command that launches it"
    errors = [each for each in service.notes if each.severity is Severity.ERROR]
    return errors or [Note(severity=Severity.ERROR, message=message, span=image.span)]


FORMAT = Format(name=NAME, shows=shows, launches=launches)
