"""What a command that changes a deployment tells while it does: one record a step. Who prints it is another matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeAlias

    from glmdeploy.operate.preflight import Preflight
    from glmdeploy.operate.proof import Healthy, Starting


@dataclass(frozen=True, kw_only=True)
class SecretCreated:
    """The embedded cloud has a secret with a random value now, or with the proxy token of its workspace."""

    name: str
    proxy_token: bool = False


@dataclass(frozen=True, kw_only=True)
class StageStarted:
    """``preflight``, ``download``, ``compile`` or ``rehearse``."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What ``preflight`` or ``rehearse`` looked at is in order."""

    found: Preflight


@dataclass(frozen=True, kw_only=True)
class WeightsVerified:
    """``files`` were read and compared with their hashes; the log of the stage says which were fetched anew."""

    files: int


@dataclass(frozen=True, kw_only=True)
class Deploying:
    """The new version is sent."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """The new version is live."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """It answers at ``url``, or will."""

    url: str


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The new version is followed until one of its containers has proved itself."""


@dataclass(frozen=True, kw_only=True)
class KeyRequired:
    """Who has no key got 401; False where the plan has none and everyone may use the endpoint.

    ``proxy`` says whether Modal's proxy refused who has no proxy token, before SGLang could.
    """

    required: bool
    proxy: bool = False


@dataclass(frozen=True, kw_only=True)
class NotAsked:
    """Whether the endpoint answers is not known: Modal's proxy wants a token, and the plan names none."""


Event: TypeAlias = (
    "SecretCreated | StageStarted | Judged | WeightsVerified"
    " | Deploying | Published | Located | Waiting | Starting | Healthy | KeyRequired | NotAsked"
)
