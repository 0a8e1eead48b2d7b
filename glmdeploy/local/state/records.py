"""What the embedded cloud remembers, as plain records. Wire formats are made from these elsewhere.

A field's type decides how :mod:`glmdeploy.local.state.store` keeps it: ``dict`` as JSON, ``bytes`` as they are.
Times are seconds since the epoch, 0 for "not yet"; ``environment`` is an Environment's name.
"""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field

_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """An identifier in Modal's form: a prefix of two letters and 22 letters or digits."""
    return f"{prefix}-{''.join(secrets.choice(_ALPHABET) for _ in range(22))}"


@dataclass(frozen=True, kw_only=True)
class Environment:
    id: str
    name: str
    created_at: float


@dataclass(frozen=True, kw_only=True)
class App:
    """``state`` is a number of Modal's AppState; ``name`` is the description until the app is deployed."""

    id: str
    name: str
    environment: str
    state: int
    created_at: float
    tags: dict[str, str] = field(default_factory=dict)
    version: int = 0
    deployed_at: float = 0.0
    stopped_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One AppPublish: what was live from then on. ``commit_info`` is the serialized message, or empty."""

    app_id: str
    version: int
    deployed_at: float
    client_version: str
    tag: str
    commit_info: bytes
    tags: dict[str, str]
    function_ids: dict[str, str]
    class_ids: dict[str, str]
    definition_ids: dict[str, str]
    rollback_version: int = 0


@dataclass(frozen=True, kw_only=True)
class Function:
    id: str
    app_id: str
    tag: str


@dataclass(frozen=True, kw_only=True)
class Definition:
    """One FunctionCreate: ``data`` is a serialized FunctionData; live once an AppPublish names it."""

    id: str
    function_id: str
    data: bytes
    created_at: float


@dataclass(frozen=True, kw_only=True)
class Class:
    id: str
    app_id: str


@dataclass(frozen=True, kw_only=True)
class Autoscaler:
    """Settings that override a function's own until its app is published again (serialized)."""

    function_id: str
    settings: bytes


@dataclass(frozen=True, kw_only=True)
class Label:
    """The first path segment of a web URL, and whose it is."""

    label: str
    owner: str


@dataclass(frozen=True, kw_only=True)
class Image:
    """``proto`` is the serialized Image message; images with equal digests are the same image."""

    id: str
    digest: str
    proto: bytes
    builder_version: str
    created_at: float


@dataclass(frozen=True, kw_only=True)
class Mount:
    """``files`` is a serialized MountGetOrCreateRequest of the files alone; their contents are apart."""

    id: str
    digest: str
    files: bytes


@dataclass(frozen=True, kw_only=True)
class Secret:
    """``name`` is empty for a secret that was made from a dictionary."""

    id: str
    name: str
    environment: str
    contents: dict[str, str]
    created_at: float
    last_used_at: float = 0.0

    def __repr__(self) -> str:
        return f"Secret(id={self.id!r}, name={self.name!r}, keys={sorted(self.contents)})"


@dataclass(frozen=True, kw_only=True)
class Volume:
    """``version`` is a number of Modal's VolumeFsVersion; ``name`` is empty for an ephemeral volume."""

    id: str
    name: str
    environment: str
    version: int
    created_at: float
