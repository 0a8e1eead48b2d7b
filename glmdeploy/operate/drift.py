"""Drift: what was changed behind a deployment's back, and what repairs it. Judged from what was read; asks nobody.

Modal keeps no record of it, and neither do we: it is found anew each time, by comparing what runs with its plan. An
image tag that was moved in its registry cannot be seen from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.operate import autoscaler
from glmdeploy.operate.serving import ATTACHED, MOUNTED, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from glmdeploy.operate.autoscaler import Settings
    from glmdeploy.operate.deployed import Deployed
    from glmdeploy.operate.history import Version
    from glmdeploy.operate.serving import Objects, Serving

AUTOSCALER, CODE, ROLLBACK, IMAGE, VOLUME, SECRET, STOPPED = (
    "autoscaler",
    "code",
    "rollback",
    "image",
    "volume",
    "secret",
    "stopped",
)
LIVE, DEPLOY, NOTHING = "live", "deploy", "nothing"


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One thing that is not as it was deployed. ``by`` and ``at`` are None where Modal does not tell them.

    ``kind`` is ``autoscaler`` (``name`` is the field), ``code``, ``rollback``, ``image`` or ``stopped`` (of the app),
    ``volume`` or ``secret`` (by its name). ``found`` and ``expected`` are values of an autoscaler's field, numbers of
    versions, ids; None for what is not there.
    """

    kind: str
    name: str
    found: Any
    expected: Any
    by: str | None = None
    at: datetime | None = None
    repair: str = DEPLOY
    """What mends it: ``live``, by the autoscaler while containers run; ``deploy``; or ``nothing`` that is known."""


def of_autoscaler(data: Mapping[str, Any], deployed: Mapping[str, Any], settings: Settings) -> Iterator[Drift]:
    """Overrides that are not what a plan's data wants, nor what was ``deployed``; who made them is all the same."""
    wanted, before = autoscaler.wanted(data, settings), autoscaler.wanted(deployed, settings)
    for each in settings.overrides:
        known = each.field in wanted
        found = settings.effective.get(each.field)
        if known and found in (wanted[each.field], before.get(each.field)):
            continue
        yield Drift(
            kind=AUTOSCALER,
            name=each.field,
            found=found,
            expected=wanted.get(each.field),
            by=each.by,
            at=each.at,
            # What Modal's own choice is, it does not always tell; and a deployment that changes nothing wipes nothing.
            repair=LIVE if known else NOTHING,
        )


def of_objects(data: Mapping[str, Any], serving: Serving, objects: Objects) -> Iterator[Drift]:
    """Volumes and secrets of a deployed plan's data that were deleted, or made again, since."""
    for volume in named(data, MOUNTED):
        had, now = serving.volumes.get(volume["mount"]), objects.volumes.get(volume["name"])
        if had is not None and had != now:
            yield Drift(kind=VOLUME, name=volume["name"], found=now, expected=had)
    for secret in named(data, ATTACHED):
        now = objects.secrets.get(secret["name"])
        if serving.secrets and now not in serving.secrets:
            yield Drift(kind=SECRET, name=secret["name"], found=now, expected=None)


def of_code(now: Deployed) -> Drift | None:
    """Whether something else runs than what glmdeploy deployed last."""
    version, origin, last = now.version, now.origin, last_deployed(now)
    planned = origin is not None and now.digest is not None and now.digest.startswith(origin.digits or "-")
    if planned and (last is None or (origin and origin.digits == last.digits)):
        return None
    return Drift(
        kind=ROLLBACK if planned else CODE,
        name=now.app,
        found=version.number,
        expected=last.number if last else None,
        by=version.by or None,
        at=version.at,
    )


def last_deployed(now: Deployed) -> Version | None:
    """The newest version whose tag names a plan."""
    return next((each for each in now.history.versions if each.digits and each.kind != "staged"), None)
