"""Formats in YAML: Docker Compose, Kubernetes and what builds on it, SkyPilot, dstack, truss, Ray Serve, Helm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import compose, kubernetes

if TYPE_CHECKING:
    from glmdeploy.authoring.formats.format import Format

FORMATS: tuple[Format, ...] = (compose.FORMAT, kubernetes.FORMAT)
