"""Deployments that nobody made, as they are shown: the figures of the screens, frozen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import TYPE_CHECKING

from glmdeploy.operate.deployed import Deployed
from glmdeploy.operate.drift import Drift
from glmdeploy.operate.history import History, Version, deployment_tag
from glmdeploy.operate.logs import Line
from glmdeploy.operate.requests import Requests
from glmdeploy.operate.status import PENDING, READY, REFUSED, STARTING, Container, Status
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load

if TYPE_CHECKING:
    from glmdeploy.plan.plan import Plan

APP = "glm51-fp8"
NOW = datetime(2026, 11, 27, 14, 0, tzinfo=UTC)
BERLIN = timezone(timedelta(hours=1))
COMMIT = "3f1c2ab" + "0" * 33
URL = "https://example--glm51-fp8-server.modal.run"


@cache
def plan(*sets: str) -> Plan:
    return plan_of(load("b200-eagle-bf16kv", sets=sets))[0]


def version(number: int, of: Plan | None, *, ago: float, by: str = "ci@example.com", **more: object) -> Version:
    """``ago``: hours."""
    tag = deployment_tag(of, str(more.pop("note", ""))) if of else str(more.pop("tag", ""))
    return Version(number=number, at=NOW - timedelta(hours=ago), by=by, tag=tag, **more)  # type: ignore[arg-type]


def past(production: int = 8) -> History:
    old, new = plan(), plan("sglang.args.max-running-requests=40")
    return History(
        app_id="ap-0123456789ABCDEFGHIJKL",
        production=production,
        versions=(
            version(8, new, ago=4.5, commit=COMMIT),
            version(7, old, ago=24.97, by="ops@example.com", commit=COMMIT),
        ),
    )


def running(data: History | None = None) -> Deployed:
    found = data or past()
    live = found.version(found.production)
    assert live is not None
    of = plan("sglang.args.max-running-requests=40")
    return Deployed(app=APP, history=found, version=live, origin=found.origin(live.number), data=of.data(), plan=of)


def container(state: str, *, minutes: float = 30, outdated: bool = False, stage: str | None = None) -> Container:
    at = NOW - timedelta(minutes=minutes)
    return Container(
        id="ta-0123456789ABCDEFGHIJKL",
        state=state,
        outdated=outdated,
        enqueued=at - timedelta(seconds=20),
        started=None if state == PENDING else at,
        stage=stage,
    )


def well() -> Status:
    """As in the screens."""
    return Status(
        app=APP,
        at=NOW,
        deployed=running(),
        url=URL,
        key_required=True,
        containers=(container(READY), container(STARTING, minutes=2.16, stage="loading weights")),
        fewest=0,
        most=3,
        bounded=True,
        start_seconds=480.0,
        requests=Requests(running=12, waiting=0, told_by="Modal"),
        log_read=True,
        drift=(),
        hourly=49.9968,
    )


def ill() -> Status:
    """Everything that can be told at once."""
    return Status(
        app=APP,
        at=NOW,
        deployed=running(),
        url=URL,
        key_required=True,
        proxy_token_required=True,
        containers=(
            container(READY, outdated=True),
            container(REFUSED, minutes=9, stage="kv-cache-dtype is fp8_e4m3, and bfloat16 was planned"),
            container(PENDING, minutes=1.5),
        ),
        fewest=1,
        most=None,
        bounded=True,
        requests=Requests(running=3, waiting=None, told_by="engine", partial=True),
        error=Line(
            at=NOW - timedelta(minutes=4),
            text="SGLang ended with exit code -9 (killed): out of memory; ending the container",
            task="ta-0123456789ABCDEFGHIJKL",
            source="stdout",
        ),
        log_read=True,
        drift=(
            Drift(
                kind="autoscaler",
                name="max_containers",
                found=5,
                expected=3,
                by="ops@example.com",
                at=NOW - timedelta(days=2, hours=4.77),
                repair="live",
            ),
            Drift(kind="volume", name="glm51-model-weights", found=None, expected="vo-1"),
        ),
        hourly=49.9968,
    )
