"""``history`` and ``destroy`` as text, from frozen data, at 80 and at 120 columns."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import click
import pytest
from looked_at import APP, BERLIN, NOW, container, past, plan, running, version, well

from glmdeploy.operate.destroy import AppGone, AppStopped, Destruction, VolumeRemoved
from glmdeploy.operate.history import Gone, History
from glmdeploy.operate.requests import Requests
from glmdeploy.operate.status import PENDING, Status
from glmdeploy.operate.target import Target
from glmdeploy.operate.versions import Entry, Versions
from glmdeploy.operate.volumes import Held
from glmdeploy.plan.diff import diff
from glmdeploy.report.destroy import destruction_data, destruction_text, step_text
from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.history import history_data, history_text, short_changes
from glmdeploy.report.wrap import wrapped

if TYPE_CHECKING:
    from collections.abc import Callable

OLD, NEW = plan(), plan("sglang.args.max-running-requests=40")
OTHER = plan("sglang.args.max-running-requests=40", "server.max_containers=5", "server.scaledown_window=30m")


def versions() -> Versions:
    found = History(
        app_id="ap-1",
        production=6,
        versions=(
            version(6, OTHER, ago=1, note="more at once"),
            version(5, None, ago=2, kind="rollover"),
            version(4, None, ago=3, kind="rollback", rollback_version=2, by="ops@example.com"),
            version(3, None, ago=4, tag="by hand", by="ops@example.com"),
            version(2, NEW, ago=5),
            version(1, OLD, ago=24.97, by="ops@example.com"),
        ),
    )
    plans = {6: OTHER, 5: NEW, 4: NEW, 2: NEW, 1: OLD}
    proofs = {6: "refused", 4: "verified", 2: "verified", 1: "verified"}

    def changes(number: int) -> object:
        before, after = plans.get(number - 1), plans.get(number)
        return diff(before.data(), after.data()) if before and after else None

    return Versions(
        app=APP,
        entries=tuple(
            Entry(
                version=each,
                live=each.number == 6,
                origin=found.origin(each.number),
                profile=plans[each.number].profile if each.number in plans else None,
                first=each.number == 1,
                changes=changes(each.number),  # type: ignore[arg-type]
                proof=proofs.get(each.number),
            )
            for each in found.versions
        ),
        left_out=3,
    )


@pytest.mark.parametrize("width", [40, 80, 120])
def test_history(width: int, snapshot: Callable[[str, str], None]) -> None:
    text = click.unstyle("\n".join(history_text(versions(), width, now=NOW, zone=BERLIN)))
    assert max(map(len, text.splitlines())) <= width
    snapshot(f"history-{width}", text)


def test_history_as_data() -> None:
    data = json.loads(json.dumps(history_data(versions())))
    newest, oldest = data["versions"][0], data["versions"][-1]
    assert data["older"] == 3
    assert {each["name"] for each in newest["changes"]} == {"max_containers", "scaledown_window"}
    assert (newest["note"], newest["proof"], oldest["changes"]) == ("more at once", "refused", None)
    assert [each["origin"] for each in data["versions"]] == [6, 2, 2, None, 2, 1]


def test_an_option_that_two_commands_take_is_told_once() -> None:
    changes = diff(OLD.data(), NEW.data())
    assert len(changes) == 2
    assert short_changes(changes) == "max-running-requests 48 → 40"


def target() -> Target:
    return Target(name="modal", environment="main")


def held(name: str, size: int | None, *used_by: str, unknown: tuple[str, ...] = ()) -> Held:
    return Held(name=name, id=f"vo-{name}", bytes=size, used_by=used_by, unknown=unknown)


def destruction(status: Status, *volumes: Held, remove: bool = False, gone: Gone | None = None) -> Destruction:
    return Destruction(
        app=APP,
        target=target(),
        status=status,
        gone=gone,
        known=True,
        volumes=volumes,
        secrets=("huggingface-secret", "glm51-api-key"),
        remove=remove,
    )


WEIGHTS, KERNELS = held("glm51-model-weights", 756_000_000_000), held("glm51-deepgemm-cache", 3_100_000_000)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_destruction(width: int, snapshot: Callable[[str, str], None]) -> None:
    kept = destruction(well(), WEIGHTS, KERNELS)
    shared = replace(WEIGHTS, used_by=("glm51-canary", "qwen"))
    removed = destruction(well(), shared, KERNELS, replace(WEIGHTS, name="adapters", unknown=("x",)), remove=True)
    blocks = [[*destruction_text(each, width)] for each in (kept, removed)]
    blocks.append(
        [
            wrapped(text, width)
            for step in (AppStopped(), AppGone(seconds=3.2), VolumeRemoved(volume=KERNELS))
            if (text := step_text(step))
        ]
    )
    assert max(len(line) for block in blocks for text in block for line in text.splitlines()) <= width
    snapshot(f"destroy-{width}", "\n\n".join("\n".join(block) for block in blocks))


def first_line(status: Status) -> str:
    return next(destruction_text(destruction(status), UNLIMITED))


def test_how_many_requests_would_be_lost() -> None:
    assert first_line(replace(well(), containers=())).endswith(": nothing runs.")
    assert first_line(replace(well(), requests=None)).endswith("2 containers run, how many requests is not known.")
    one = Requests(running=0, waiting=1, told_by="engine")
    assert first_line(replace(well(), requests=one, containers=(container(PENDING),))).endswith(
        "1 request is running, in 1 container."
    )
    assert first_line(replace(well(), requests=replace(one, waiting=None))).endswith(
        "no request is running, in 2 containers."
    )


def test_what_an_interrupted_destroy_has_left() -> None:
    gone = Gone(app_id="ap-1", at=NOW)
    left = destruction(Status(app=APP, at=NOW, deployed=None), WEIGHTS, remove=True, gone=gone)
    assert left.acts
    assert next(destruction_text(left, UNLIMITED)) == "glm51-fp8 is not deployed; this is what it left."
    nothing = destruction(Status(app=APP, at=NOW, deployed=None), remove=True)
    assert not nothing.acts
    assert [*destruction_text(nothing, UNLIMITED)] == ["glm51-fp8 is not deployed."]
    assert destruction_data(nothing)["state"] == "not deployed"


def test_secrets_are_kept_whatever_is_removed() -> None:
    data = destruction_data(destruction(well(), WEIGHTS, KERNELS, remove=True))
    assert [each["name"] for each in data["remove_volumes"]] == [WEIGHTS.name, KERNELS.name]
    assert data["keep_secrets"] == ["huggingface-secret", "glm51-api-key"]
    assert past().production == running().version.number
