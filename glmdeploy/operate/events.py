"""What a command that changes a deployment tells while it does: one record a step. Who prints it is another matter."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    from glmdeploy.operate.preflight import Preflight
    from glmdeploy.operate.proof import Healthy, Starting


@record
class SecretCreated:
    """The embedded cloud has a secret with a random value now, or with the proxy token of its workspace."""

    name: str
    proxy_token: bool = False


@record
class StageStarted:
    """``preflight``, ``download``, ``compile`` or ``rehearse``."""

    name: str


@record
class StageEnded:
    """``download`` or ``compile`` has done its work: so many ``files``, or kernels, of ``size`` bytes are there."""

    name: str
    files: int
    size: int
    gpus: tuple[str, ...] = ()


@record
class Judged:
    """What ``preflight`` or ``rehearse`` looked at is in order."""

    found: Preflight


@record
class WeightsVerified:
    """``files`` were read and compared with their hashes; the log of the stage says which were fetched anew."""

    files: int


@record
class Deploying:
    """The new version is sent."""


@record
class Published:
    """Version ``version`` is live in the place of ``before``; None where nothing ran, or it is not known."""

    version: int | None = None
    before: int | None = None


@record
class CanaryStarted:
    """The same plan is tried as ``app`` first."""

    app: str


@record
class CanaryPassed:
    """It serves, and ``app`` is stopped."""

    app: str


@record
class Resumed:
    """``version`` is live, and was never heard to serve: an earlier command has left it half done."""

    version: int


@record
class Skipped:
    """Modal saw nothing in what was sent that ``version``, which runs, does not have: nothing was deployed."""

    version: int | None


@record
class Unguarded:
    """The new version is not followed: ``why`` nobody looks whether it starts, or what there is to protect."""

    why: str


@record
class Guarded:
    """``before`` keeps answering until ``version`` has proved itself; ``room`` is what the autoscaler was told."""

    version: int | None
    before: int
    room: Mapping[str, Any]


@record
class Rescaled:
    """The autoscaler was changed while containers run; ``restored`` where it is what somebody had set before."""

    changes: Mapping[str, Any]
    restored: bool = False


@record
class Leaving:
    """The new version serves: the containers of ``before`` get a while to finish what they have."""

    before: int | None


@record
class OldGone:
    """Containers from before that still finish what they have; none where ``left`` is 0."""

    left: int


@record
class TakingBack:
    """``version`` is not to serve, because of ``fault``: ``to`` comes back, or nothing."""

    version: int | None
    to: int | None
    fault: BaseException | None = None


@record
class TakenBack:
    """What runs now: version ``runs``, which is what ``of`` was. None where nothing does.

    ``silent`` are the seconds for which nobody answered meanwhile, None where nobody was asked, or nothing ran.
    """

    version: int | None
    runs: int | None
    of: int | None
    silent: float | None


@record
class Left:
    """``version`` stays as it is: ``why``; ``mend`` what can be done about it, ``fault`` what ended its start."""

    version: int | None
    why: str
    mend: str
    fault: BaseException | None = None


@record
class Located:
    """It answers at ``url``, or will."""

    url: str


@record
class Waiting:
    """The new version is followed until one of its containers has proved itself."""


@record
class KeyRequired:
    """Who has no key got 401; False where the plan has none and everyone may use the endpoint.

    ``proxy`` says whether Modal's proxy refused who has no proxy token, before SGLang could.
    """

    required: bool
    proxy: bool = False


@record
class Answered:
    """The public address answers who has the key well, as the ``checks`` say; or why that is not known: ``doubt``.

    ``figures`` are what was measured meanwhile, with the units in their names; none of a stand-in.
    """

    checks: tuple[str, ...] = ()
    doubt: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


@record
class NotAsked:
    """Whether the endpoint answers is not known: Modal's proxy wants a token, and the plan names none."""


Event: TypeAlias = (
    "SecretCreated | StageStarted | StageEnded | Judged | WeightsVerified"
    " | CanaryStarted | CanaryPassed | Resumed | Skipped | Unguarded | Guarded | Rescaled"
    " | Leaving | OldGone | TakingBack | TakenBack | Left"
    " | Deploying | Published | Located | Waiting | Starting | Healthy | KeyRequired | Answered | NotAsked"
)
