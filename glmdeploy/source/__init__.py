"""Profiles as text: YAML 1.2 with positions, `extends`, overlays and single values. The only YAML import."""

from glmdeploy.source.document import Document, Mark
from glmdeploy.source.layers import load, read_text
from glmdeploy.source.text import MAX_BYTES

__all__ = ["MAX_BYTES", "Document", "Mark", "load", "read_text"]
