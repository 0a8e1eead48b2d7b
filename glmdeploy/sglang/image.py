"""A container image's reference: ``[REGISTRY/]REPOSITORY[:TAG][@sha256:DIGEST]``.

Where it has both a tag and a digest, whoever pulls it goes by the digest alone; the tag says what it was called.
"""

from __future__ import annotations

import re
from dataclasses import replace

from glmdeploy.records import record

DOCKER_HUB = "docker.io"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_REGISTRY = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")


@record
class ImageReference:
    """``name`` is all before the tag, as it is written."""

    name: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def at(self, digest: str | None) -> ImageReference:
        """The same with this digest, or with none."""
        return replace(self, digest=digest)

    @property
    def registry(self) -> str:
        """The host, with its port where it has one; Docker Hub is called ``docker.io``.

        The first part of a name is a host where it has a dot or a port, or is ``localhost``, as for Docker.
        """
        host, slash, _ = self.name.partition("/")
        return host if slash and ("." in host or ":" in host or host == "localhost") else DOCKER_HUB

    @property
    def repository(self) -> str:
        """Its path in the registry; of Docker Hub's own images, whose names have no slash, with their owner."""
        path = self.name.removeprefix(f"{self.registry}/")
        return f"library/{path}" if self.registry == DOCKER_HUB and "/" not in path else path

    @property
    def askable(self) -> bool:
        """Whether a registry can be asked for it: its parts are spelled as registries take them."""
        parts = (_REGISTRY.fullmatch(self.registry), _NAME.fullmatch(self.repository), _TAG.fullmatch(self.tag or "_"))
        return all(parts)


def parse(image: str) -> ImageReference:
    """The parts of a reference. What is no digest behind an ``@`` is left out of them; nothing is refused."""
    whole, _, digest = image.partition("@")
    name, colon, tag = whole.rpartition(":")
    tagged = bool(colon and name) and "/" not in tag  # the colon of `registry:5000/name` is none
    return ImageReference(
        name=name if tagged else whole,
        tag=(tag or None) if tagged else None,
        digest=digest if is_digest(digest) else None,
    )


def is_digest(text: str) -> bool:
    """Whether it is the digest of an image: ``sha256:`` and 64 hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None
