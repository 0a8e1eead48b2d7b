"""Starts that fail again and again: counted in the volume, refused after three, forgotten; a volume that hangs."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time

import modal
import pytest
from support import PATIENCE, Shell, connect, wait_until

from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir
from glmdeploy.runtime import failures
from glmdeploy.runtime.failures import digest_of, forget, forget_later, remember, too_many, within

DIGEST = "0123456789" * 6 + "abcd"
READ_WRITTEN = ("read", "written")
FOLDER = f".glmdeploy/failures/{DIGEST[:40]}"


@pytest.fixture(scope="module")
def client(cloud: Shell) -> modal.Client:
    cloud.run("local", "start")
    return connect(cloud.cloud)


@pytest.fixture
def volume(client: modal.Client, request: pytest.FixtureRequest) -> modal.Volume:
    name = f"v{abs(hash(request.node.name))}"
    return modal.Volume.from_name(name, create_if_missing=True, client=client).hydrate()


def add(volume: modal.Volume, *ages: float, reason: str = "it failed") -> None:
    """Failures of so many seconds ago."""
    with volume.batch_upload() as batch:
        for number, age in enumerate(ages):
            name = f"{int(time.time() - age)}-{number:08x}.json"
            batch.put_file(io.BytesIO(json.dumps({"reason": f"{reason} {number}"}).encode()), f"{FOLDER}/{name}")


def count(volume: modal.Volume) -> int:
    try:
        return len(volume.listdir(FOLDER))
    except (FileNotFoundError, modal.exception.NotFoundError):
        return 0


@pytest.mark.parametrize("profile", sorted(file.stem for file in profiles_dir().glob("*.yaml")))
def test_the_digest_is_the_plans(profile: str) -> None:
    plan, _ = plan_of(load(profile, sets=("description=grün",)))
    assert digest_of(plan.data()) == plan.digest
    assert digest_of(json.loads(plan.canonical())) == plan.digest  # as it is mounted


def test_the_third_failure_within_an_hour_stops_the_fourth_start(volume: modal.Volume) -> None:
    for number in range(3):
        assert too_many(volume, DIGEST) is None
        remember(volume, DIGEST, f"reason {number}\nwith lines")
    refusal = too_many(volume, DIGEST)
    assert refusal is not None
    assert "the last 3 starts of this plan failed within an hour" in refusal
    assert "60 minutes, or after the next apply" in refusal
    assert refusal.splitlines()[-1] == "with lines"
    assert too_many(volume, DIGEST[:40] + "different") is not None
    assert too_many(volume, "f" * 64) is None


@pytest.mark.parametrize(
    ("ages", "refused"),
    [
        ((), False),
        ((10, 20), False),
        ((10, 20, 30), True),
        ((10, 20, 30, 4000, 5000), True),
        ((10, 1800, 3590), True),
        ((10, 1800, 3700), False),
        ((3500, 3550, 3590), True),
        ((3700, 3750, 3790), False),
        ((-60, 20, 30), True),
        ((-90_000, -80_000, -70_000), False),
    ],
)
def test_an_hour(volume: modal.Volume, ages: tuple[float, ...], refused: bool) -> None:
    add(volume, *ages)
    refusal = too_many(volume, DIGEST)
    assert (refusal is not None) is refused
    if refusal:
        assert refusal.endswith("it failed 0"), "the reason of the last one"


def test_apply_and_a_success_forget(volume: modal.Volume) -> None:
    add(volume, 10, 20, 30)
    forget(volume, DIGEST[:40])
    assert count(volume) == 0
    assert too_many(volume, DIGEST) is None
    forget(volume, DIGEST)  # nothing there
    add(volume, 10)
    forget_later(volume, DIGEST)
    wait_until(lambda: count(volume) == 0)


def test_old_failures_are_removed(volume: modal.Volume) -> None:
    add(volume, 100, 8000, 9000)
    remember(volume, DIGEST, "one more")
    assert count(volume) == 2


def test_a_reason_is_bounded(volume: modal.Volume) -> None:
    for _ in range(3):
        remember(volume, DIGEST, "SGLang ended\n" + "x" * 100_000 + "\nthe last line")
    refusal = too_many(volume, DIGEST)
    assert refusal is not None
    assert len(refusal) < 2500
    assert "\nSGLang ended\n...\nxxx" in refusal
    assert refusal.endswith("\nthe last line")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_damaged_reason_refuses_all_the_same(volume: modal.Volume, content: bytes) -> None:
    with volume.batch_upload() as batch:
        for number in range(3):
            batch.put_file(io.BytesIO(content), f"{FOLDER}/{int(time.time())}-{number:08x}.json")
        batch.put_file(io.BytesIO(b"x"), f"{FOLDER}/something else")
    refusal = too_many(volume, DIGEST)
    assert refusal is not None
    assert refusal.endswith("(the reason cannot be read)")


def test_a_volume_that_does_not_exist_stops_nothing(client: modal.Client, capsys: pytest.CaptureFixture[str]) -> None:
    absent = modal.Volume.from_name("absent", client=client)
    assert too_many(absent, DIGEST) is None
    remember(absent, DIGEST, "a reason")
    said = capsys.readouterr().out
    assert "the count of failed starts could not be written: Volume ('absent', 'main') not found" in said


def test_a_volume_that_hangs_stops_nothing(
    fresh: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its control plane takes requests and answers none."""
    fresh.run("local", "start")
    running = fresh.cloud
    slow = modal.Volume.from_name("slow", create_if_missing=True, client=connect(running)).hydrate()
    monkeypatch.setattr(failures, "VOLUME_SECONDS", 0.5)
    os.kill(running.pid, signal.SIGSTOP)
    try:
        assert too_many(slow, DIGEST) is None
        remember(slow, DIGEST, "a reason")
        said = capsys.readouterr().out.splitlines()
    finally:
        os.kill(running.pid, signal.SIGCONT)
    assert said == [f"the count of failed starts could not be {what}: no answer within 0 s" for what in READ_WRITTEN]
    wait_until(lambda: count(slow) == 1)  # what went on in the background has ended


def test_within() -> None:
    assert within(PATIENCE, lambda: 1) == 1
    assert within(PATIENCE, lambda: None) is None
    with pytest.raises(ZeroDivisionError):
        within(PATIENCE, lambda: 1 // 0)
    never = threading.Event()
    with pytest.raises(TimeoutError, match="no answer within 0 s"):
        within(0.1, never.wait)
    never.set()
