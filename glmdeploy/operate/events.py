"""What a command that changes a deployment tells while it does: one record a step. Who prints it is another matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.operate.preflight import Preflight
    from glmdeploy.operate.proof import Healthy, Held, Starting


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
class CanaryStarted:
    """A second app of the same plan is tried first; ``app`` is its name."""

    app: str


@dataclass(frozen=True, kw_only=True)
class CanaryStopped:
    """It is gone again, whatever it came to; or one that an earlier command has left behind."""

    app: str


@dataclass(frozen=True, kw_only=True)
class Deploying:
    """The new version is sent, or an old one is brought back (``version``), or its containers begin afresh."""

    version: int | None = None
    afresh: bool = False


@dataclass(frozen=True, kw_only=True)
class Published:
    """The new version is live, as ``number``."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Unchanged:
    """Modal has seen nothing new in what was sent: version ``number`` goes on as it is."""

    number: int


@dataclass(frozen=True, kw_only=True)
class AutoscalerChanged:
    """Fields of the autoscaler have these values now; no container was replaced."""

    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Located:
    """It answers at ``url``, or will."""

    url: str


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The new version is followed until one of its containers has proved itself.

    ``protected`` is the version that serves meanwhile; None where nothing is warm that could.
    """

    protected: int | None = None


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


@dataclass(frozen=True, kw_only=True)
class Verified:
    """Which checks the public address has passed."""

    checks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TakingBack:
    """The new version did not become healthy, or was interrupted; ``version`` is brought back, None for nothing."""

    version: int | None


@dataclass(frozen=True, kw_only=True)
class TakenBack:
    """What was before is back, as ``number``; ``version`` None says that there was nothing, and nothing is started.

    ``lapse`` are the seconds in which it did not answer, None where that is not known.
    """

    version: int | None
    number: int
    lapse: float | None = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Version ``number`` stays published; ``why`` says so in words."""

    number: int
    why: str


Event: TypeAlias = (
    "SecretCreated | StageStarted | Judged | WeightsVerified | CanaryStarted | CanaryStopped | AutoscalerChanged"
    " | Deploying | Published | Unchanged | Located | Waiting | Starting | Held | Healthy | KeyRequired | NotAsked"
    " | Verified | TakingBack | TakenBack | Kept"
)
Tell: TypeAlias = "Callable[[Event], None]"
"""Hears each event as it happens."""
