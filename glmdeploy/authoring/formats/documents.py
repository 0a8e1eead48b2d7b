"""Formats in YAML: Docker Compose, Kubernetes and what builds on it, SkyPilot, dstack, truss, Ray Serve, Helm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import compose, dstack, kubernetes, other_yaml, skypilot, truss, unknown_yaml

if TYPE_CHECKING:
    from glmdeploy.authoring.formats.format import Format

FORMATS: tuple[Format, ...] = (
    other_yaml.TEMPLATE,
    kubernetes.FORMAT,
    compose.FORMAT,
    dstack.FORMAT,
    truss.FORMAT,
    skypilot.FORMAT,
    *other_yaml.FORMATS,
)
"""In the order of recognition: a template is no YAML yet."""

LAST = unknown_yaml.FORMAT
"""What is YAML and nothing else claims; a --config file of SGLang's is not of it."""
