"""``destroy``: what stops, what goes, what stays; refused where nobody was asked, and whole after ``kill -9``."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import modal
import pytest
from operate_plane import TARGET, Plane, running
from support import PATIENCE, some, wait_until
from variations import COMMIT

from glmdeploy.operate.archive import VOLUME
from glmdeploy.operate.history import find_app
from glmdeploy.operate.listing import names
from glmdeploy.operate.tasks import tasks_of

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLY = ("apply", "b200-eagle-bf16kv", "--set", f"model.revision='{COMMIT}'", "--yes", "--no-preflight")
APP, WEIGHTS, KERNELS = "glm51-fp8", "glm51-model-weights", "glm51-deepgemm-cache"
SECRETS = {"huggingface-secret": "HF_TOKEN", "glm51-api-key": "API_KEY"}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running(tmp_path_factory.mktemp("plane")) as plane:
        for name, key in SECRETS.items():
            modal.Secret.objects.create(name, {key: "the-key-of-this-test"})
        plane.run(*APPLY)
        yield plane


@pytest.fixture
def applied(plane: Plane) -> Plane:
    """The plane with the app deployed, whatever the test before has left."""
    if APP not in names(TARGET):
        plane.run(*APPLY, "--no-wait")
    plane.asked.clear()
    return plane


def asked(plane: Plane, rpc: str) -> bool:
    return any(name == rpc for name, _ in plane.asked)


def volumes() -> set[str]:
    return {str(each.name) for each in modal.Volume.objects.list()}


def secrets() -> set[str]:
    return {str(each.name) for each in modal.Secret.objects.list()}


def neighbour(volume: str) -> modal.App:
    """Another app, which mounts a volume."""
    app = modal.App("neighbour")

    @app.function(volumes={"/weights": modal.Volume.from_name(volume)}, serialized=True)
    def look() -> None:
        """Does nothing."""

    app.deploy(environment_name="main")
    return app


def test_it_stops_once_asked(applied: Plane) -> None:
    """Dry, then without anybody to ask, then really, with a container that serves, then again."""
    app_id = find_app(APP, TARGET)
    assert app_id is not None
    url = applied.json("open", APP, "--endpoint")["url"]

    text = applied.run("destroy", APP, "--dry-run", "--volumes")
    assert "Stops glm51-fp8 and its endpoint" in text
    assert f"Removes for good: volumes {WEIGHTS} (" in text
    error = applied.json("destroy", APP, code=1)["error"]
    assert error["message"] == "nobody can be asked: there is no terminal"
    assert not asked(applied, "AppStop")
    assert find_app(APP, TARGET) == app_id

    found = applied.json("destroy", APP, "--yes")
    assert (found["containers"], found["state"]) == (1, "deployed")
    assert [each["name"] for each in found["keep_volumes"]] == [WEIGHTS, KERNELS]
    assert all(each["bytes"] > 0 for each in found["keep_volumes"])
    assert (found["keep_secrets"], found["removed_volumes"]) == ([*SECRETS], [])
    assert found["stopped_after"] >= 0
    assert tasks_of(app_id, TARGET) == ()
    assert APP not in names(TARGET)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{url}/health", timeout=PATIENCE)
    applied.run("status", APP, code=1)
    assert {WEIGHTS, KERNELS, VOLUME} <= volumes()
    assert secrets() >= SECRETS.keys()

    applied.asked.clear()
    assert applied.run("destroy", APP) == f"{APP} is not deployed.\n"
    assert not asked(applied, "AppStop")
    assert "ended with exit code 0" in applied.run("logs", APP, "--search", "ended with")


def test_what_a_neighbour_uses_stays(applied: Plane) -> None:
    other = neighbour(WEIGHTS)
    try:
        text = applied.run("destroy", "b200-eagle-bf16kv", "--yes", "--volumes")
        assert f"{WEIGHTS} stays: neighbour uses it." in text
        assert f"Removed the volume {KERNELS}." in text
        assert WEIGHTS in volumes()
        assert KERNELS not in volumes()
        assert secrets() >= SECRETS.keys()
    finally:
        other.stop()
    # Nobody uses it any more: what was left goes, and nothing but that.
    text = applied.run("destroy", APP, "--yes", "--volumes")
    assert f"{APP} is not deployed; this is what it left." in text
    assert WEIGHTS not in volumes()
    assert VOLUME in volumes()
    assert applied.run("destroy", APP, "--yes", "--volumes") == f"{APP} is not deployed.\n"


@pytest.mark.parametrize("step", some(("AppStop", "VolumeDelete"), "AppStop"))
def test_killed_at_a_step_the_next_one_ends_it(applied: Plane, step: str) -> None:
    command = [sys.executable, "-m", "glmdeploy", "destroy", APP, "--yes", "--volumes"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: asked(applied, step))
        process.kill()
    applied.run("destroy", APP, "--yes", "--volumes")
    assert APP not in names(TARGET)
    assert not {WEIGHTS, KERNELS} & volumes()
    assert VOLUME in volumes()


def test_a_name_that_is_none(applied: Plane) -> None:
    error = applied.json("destroy", "glm51-fp9", "--yes", code=1)["error"]
    assert error["message"] == "glm51-fp9 is not deployed in Modal (main)"
    assert error["advice"] == "did you mean `glm51-fp8`? `glmdeploy list -e main` shows what is"
    assert applied.json("destroy", "glm51-fp9", "--yes", "--missing-ok")["state"] == "not deployed"
    assert not asked(applied, "AppStop")


def test_an_app_of_somebody_else(plane: Plane) -> None:
    modal.App("theirs").deploy(environment_name="main")
    text = plane.run("destroy", "theirs", "--dry-run", "--volumes")
    assert text == (
        "Stops theirs: nothing runs.\n"
        "glmdeploy did not deploy it, or its plan is not kept: what it uses is not known, and stays.\n"
    )
    plane.run("destroy", "theirs", "--yes")
    assert "theirs" not in names(TARGET)


def test_one_change_at_a_time(applied: Plane) -> None:
    from glmdeploy.local.cloud import home
    from glmdeploy.operate.lock import exclusive

    with exclusive(home() / "locks", f"{APP} on modal"):
        error: dict[str, Any] = applied.json("destroy", APP, "--yes", code=1)["error"]
    assert error["message"].startswith("another command changes glm51-fp8 on ")
    assert APP in names(TARGET)
