"""The versions of a deployed app, as Modal's history has them, and whose plan each of them runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import modal
from modal_proto import api_pb2

from glmdeploy.operate.asking import within
from glmdeploy.operate.control_plane import rpc

if TYPE_CHECKING:
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

DIGITS = 20
"""Hexadecimal digits of a plan's digest at the end of a deployment's tag."""
NOTE_CHARACTERS = 29
"""What a user may write before them: Modal allows 50 characters for the tag (1.6.4, ``runner.py``)."""

BACK = "back-to-"
"""What the note of a version begins with that was deployed again because Modal's plan allows no rollback."""

_TAG = re.compile(rf"(?P<note>.{{0,{NOTE_CHARACTERS}}})\.(?P<digits>[0-9a-f]{{{DIGITS}}})")
_KINDS = {
    api_pb2.DEPLOYMENT_TYPE_ROLLBACK: "rollback",
    api_pb2.DEPLOYMENT_TYPE_ROLLOVER: "rollover",
    api_pb2.DEPLOYMENT_TYPE_STAGED: "staged",
    api_pb2.DEPLOYMENT_TYPE_PROMOTION: "promotion",
}


@dataclass(frozen=True, kw_only=True)
class Version:
    """An entry of the history. ``kind`` is ``standard``, ``rollback``, ``rollover``, ``staged`` or ``promotion``."""

    number: int
    at: datetime
    by: str
    tag: str
    kind: str = "standard"
    rollback_version: int = 0
    """The version that this one brought back; 0 where it brought none."""
    rollback_allowed: bool = False
    """Whether the workspace's plan lets anybody go back to it."""
    commit: str = ""
    """Of the repository that it was deployed from."""
    dirty: bool = False
    client: str = ""
    """Version of the Modal SDK that deployed it."""

    @property
    def note(self) -> str:
        """What a user wrote as the tag."""
        found = _TAG.fullmatch(self.tag)
        return found["note"] if found else self.tag

    @property
    def digits(self) -> str | None:
        """The first digits of its plan's digest; None where the tag has none."""
        found = _TAG.fullmatch(self.tag)
        return found["digits"] if found else None


@dataclass(frozen=True, kw_only=True)
class History:
    """Of one app, the newest version first."""

    app_id: str
    production: int
    """The version that takes requests."""
    versions: tuple[Version, ...]

    def version(self, number: int) -> Version | None:
        return next((each for each in self.versions if each.number == number), None)

    def origin(self, number: int) -> Version | None:
        """The version whose plan a version runs: itself, or what it brought back, or what it began afresh.

        None where no entry on the way has a plan's digest in its tag: another tool has deployed it.
        """
        seen = set()
        while (found := self.version(number)) is not None and number not in seen:
            seen.add(number)
            if found.digits:
                return found
            if found.rollback_version:
                number = found.rollback_version
            elif found.kind == "rollover":
                number -= 1
            else:
                return None
        return None


def taken_back(past: History, version: Version) -> bool:
    """Whether its successor brought an earlier version back."""
    after = past.version(version.number + 1)
    return after is not None and (0 < after.rollback_version < version.number or after.note.startswith(BACK))


def deployment_tag(plan: Plan, note: str = "") -> str:
    """The tag of a deployment of the plan: the user's note, else the profile's name, and the digest's first digits."""
    name = note or re.sub(r"[^a-zA-Z0-9._-]", "-", plan.profile)
    return f"{name[:NOTE_CHARACTERS]}.{plan.digest[:DIGITS]}"


def find_app(app: str, target: Target) -> str | None:
    """The id of a deployed app; None where there is none of this name, or it was stopped.

    :raises DeployError:
    """

    async def look() -> str | None:
        try:
            found = await modal.App.lookup.aio(app, environment_name=target.environment)
        except modal.exception.NotFoundError:
            return None
        return str(found.app_id)

    return within(target, f"look up the app {app}", look)


@dataclass(frozen=True, kw_only=True)
class Gone:
    """The app that had a name until it was stopped; None, or empty, what Modal does not tell."""

    app_id: str
    at: datetime | None
    by: str = ""
    version: int = 0


def stopped_app(app: str, target: Target) -> Gone | None:
    """The one that was stopped last, where no app of this name is deployed any more, as long as Modal remembers it.

    :raises DeployError:
    """

    async def look() -> Gone | None:
        request = api_pb2.AppGetByDeploymentNameRequest(name=app, environment_name=target.environment or "")
        answer = await rpc("AppGetByDeploymentName", request)
        if answer.app_id or not answer.previous_app_id:
            return None
        life = answer.lifecycle
        at = datetime.fromtimestamp(life.stopped_at, UTC) if life.stopped_at else None
        return Gone(app_id=answer.previous_app_id, at=at, by=life.stopped_by, version=life.version)

    return within(target, f"look for a stopped app {app}", look)


def history(app_id: str, target: Target) -> History:
    """The history of an app.

    :raises DeployError:
    """

    async def look() -> History:
        answer = await rpc("AppDeploymentHistory", api_pb2.AppDeploymentHistoryRequest(app_id=app_id))
        versions = sorted(map(_version, answer.app_deployment_histories), key=lambda each: -each.number)
        newest = versions[0].number if versions else 0
        return History(app_id=app_id, production=answer.production_app_version or newest, versions=tuple(versions))

    return within(target, f"read the history of {app_id}", look)


def _version(entry: api_pb2.AppDeploymentHistory) -> Version:
    return Version(
        number=entry.version,
        at=datetime.fromtimestamp(entry.deployed_at, UTC),
        by=entry.deployed_by,
        tag=entry.tag,
        kind=_KINDS.get(entry.deployment_type, "rollback" if entry.rollback_version else "standard"),
        rollback_version=entry.rollback_version,
        rollback_allowed=entry.rollback_allowed,
        commit=entry.commit_info.commit_hash,
        dirty=entry.commit_info.dirty,
        client=entry.client_version,
    )
