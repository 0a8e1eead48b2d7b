"""``status``, ``logs``, ``history``, ``list``, ``open``: what they say is what Modal's own client says."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import modal
import pytest
from operate_plane import TARGET, Plane, running
from support import PATIENCE, wait_until
from variations import COMMIT

from glmdeploy.operate.history import find_app, history
from glmdeploy.operate.listing import environments
from glmdeploy.operate.logs import Log, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

PROFILE = ("b200-eagle-bf16kv", "--set", f"model.revision='{COMMIT}'")
BARE = "b200-eagle-bf16kv"
APP, OTHER = "glm51-fp8", "somebody-elses"
KEY = "the-key-of-this-test"
READING = {
    *("AppDeploymentHistory", "AppGetByDeploymentName", "AppGetOrCreate", "AppList", "AppFetchLogs", "AppCountLogs"),
    *("AppGetInfo", "ClassGet", "EnvironmentGetOrCreate", "FunctionGet", "FunctionGetById", "FunctionGetCurrentStats"),
    *("FunctionGetSchedulingParams", "SecretGetOrCreate", "TaskGetInfo", "TaskList", "VolumeGetFile2"),
    *("VolumeGetOrCreate", "ClientHello", "EnvironmentList"),
    "ContainerHeartbeat",  # of a container that still runs, where this takes long
}
"""What a look may ask; the SDK looks names up with RPCs that could create something too."""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A cloud where version 2 serves, which allows fewer requests than version 1; and an app of somebody else."""
    with running(tmp_path_factory.mktemp("plane")) as plane:
        for name, key in (("huggingface-secret", "HF_TOKEN"), ("glm51-api-key", "API_KEY")):
            modal.Secret.objects.create(name, {key: KEY})
        apply = ("apply", *PROFILE, "--yes", "--no-preflight")
        plane.run(*apply, "--no-wait")
        plane.run(*apply, "--set", "sglang.args.max-running-requests=40", "--tag", "fewer-at-once")
        modal.App(OTHER).deploy(environment_name="main")
        yield plane


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a variable with the API key."""
    monkeypatch.setenv("KEY_OF_THIS_TEST", KEY)
    return "KEY_OF_THIS_TEST"


def modal_says(*arguments: str) -> list[dict[str, Any]]:
    """Modal's own command line, as JSON."""
    command = [sys.executable, "-m", "modal", *arguments, "--json"]
    done = subprocess.run(command, text=True, capture_output=True, check=True, timeout=PATIENCE)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_status(plane: Plane) -> None:
    found = plane.json("status", APP)
    assert (found["state"], found["healthy"], found["version"], found["foreign"]) == ("deployed", True, 2, False)
    assert (found["profile"], found["note"], found["key_required"]) == (BARE, "fewer-at-once", True)
    assert [(each["state"], each["outdated"]) for each in found["containers"]] == [("ready", False)]
    assert (found["min_containers"], found["max_containers"], found["drift"]) == (0, 3, [])
    assert found["dollars_an_hour"] == pytest.approx(8 * 6.2496)
    assert found["last_error"] is None
    first = plane.run("status", APP).splitlines()[0]
    assert first.startswith(f"{APP}   live, version 2, since ")
    assert f" by you ({BARE}" in first


def test_a_profile_means_its_app(plane: Plane) -> None:
    assert plane.json("status", BARE)["app"] == APP
    assert plane.json("status", "live:" + BARE, code=1) | {"at": ""} == {
        "app": BARE,
        "at": "",
        "state": "not deployed",
    }


def test_a_bare_name_that_is_both_says_which_it_takes(
    plane: Plane, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / f"{OTHER}.yaml").write_text(f"extends: {BARE}\napp: mine\n")
    from glmdeploy import cli

    assert cli.run(("status", OTHER)) == 1
    said = capfd.readouterr()
    assert said.out == "mine   not deployed\n"
    assert "the profile is meant, whose app is mine" in said.err
    assert cli.run(("status", f"live:{OTHER}")) == 0
    assert "(not deployed by glmdeploy)" in capfd.readouterr().out


def test_a_broken_profile_still_names_its_app(plane: Plane, tmp_path: Any) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(f"app: {APP}\ngpu: 12\nno-such-key: true\n")
    assert plane.json("status", str(file))["version"] == 2


def test_looking_changes_nothing(plane: Plane, key: str) -> None:
    plane.asked.clear()
    looks = ("status", APP, "--api-key-env", key), ("logs", APP), ("history", APP), ("list",), ("open", APP, "--print")
    for look in looks:
        plane.run(*look)
    assert {rpc for rpc, _ in plane.asked} <= READING
    assert not [message for _, message in plane.asked if getattr(message, "object_creation_type", 0)]


def test_requests_that_run(plane: Plane, key: str) -> None:
    url = plane.json("open", APP, "--endpoint")["url"]
    assert plane.json("status", APP)["requests"] == {
        "running": 0,
        "waiting": 0,
        "told_by": "Modal",
        "of_one_container": False,
    }
    with streaming(url):
        assert plane.json("status", APP)["requests"]["running"] == 1
        told = plane.json("status", APP, "--api-key-env", key)["requests"]
        assert told == {"running": 1, "waiting": 0, "told_by": "engine", "of_one_container": False}
        assert "1 request is running, in 1 container" in plane.run("destroy", APP, "--dry-run")


@pytest.mark.thorough
def test_of_a_server_the_engine_alone_knows_its_requests(plane: Plane, key: str) -> None:
    settings = ("app=as-server", "server.kind=server", "server.max_inputs=null", "server.timeout=null")
    kind = [word for each in settings for word in ("--set", each)]
    plane.run("apply", *PROFILE, *kind, "--yes", "--no-preflight")
    assert plane.json("status", "as-server")["requests"] is None
    assert "price " in plane.run("status", "as-server")
    url = plane.json("open", "as-server", "--endpoint")["url"]
    with streaming(url):
        told = plane.json("status", "as-server", "--api-key-env", key)["requests"]
        assert told == {"running": 1, "waiting": 0, "told_by": "engine", "of_one_container": False}
    assert "how many requests is not known" in plane.run("destroy", "as-server", "--yes")


@contextmanager
def streaming(url: str) -> Iterator[None]:
    """A request whose answer goes on for the block."""
    body = {
        "model": "glm-5.1",
        "messages": [{"role": "user", "content": "count"}],
        "max_tokens": 100_000,
        "ignore_eos": True,
        "stream": True,
    }
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert answer.readline()
        yield


def test_drift_is_told_with_who_made_it(plane: Plane) -> None:
    server = modal.Cls.from_name(APP, "Server")()
    server.serve.autoscaler.update(max_containers=5)  # type: ignore[attr-defined]
    try:
        found = plane.json("status", APP)
        assert found["max_containers"] == 5
        assert [(each["name"], each["found"], each["expected"]) for each in found["drift"]] == [
            ("max_containers", 5, 3)
        ]
        assert "max_containers is 5, set by you on " in plane.run("status", APP)
    finally:
        server.serve.autoscaler.update(max_containers=3)  # type: ignore[attr-defined]


def test_watching_prints_blocks_without_a_terminal(plane: Plane) -> None:
    with started("status", APP, "--watch", "1") as process:
        assert process.stdout is not None
        blocks = 0
        while blocks < 2:
            line = process.stdout.readline()
            assert line, process.communicate()
            blocks += line.startswith(f"{APP}   live, version 2")
        process.send_signal(2)
        assert process.wait(PATIENCE) == 130


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, for as long as the block lasts."""
    command = [sys.executable, "-m", "glmdeploy", *arguments]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_logs(plane: Plane) -> None:
    container = plane.json("status", APP)["containers"][0]["id"]
    (ready,) = [line for line in plane.run("logs", APP, "--ours").splitlines() if line.startswith("glmdeploy ready")]
    assert ready.endswith(container)
    assert plane.run("logs", APP, "--ours", "--version", "2").count("\n") >= 3
    assert plane.run("logs", APP, "--version", "1") == ""
    assert plane.run("logs", APP, "--errors") == ""
    assert plane.run("logs", APP, "-n", "1").count("\n") == 1
    assert plane.run("logs", APP, "--since", "1h", "--search", "fired up").count("\n") == 1
    assert plane.run("logs", APP, "--until", "1h") == ""
    (line,) = map(json.loads, plane.run("logs", APP, "--search", "glmdeploy ready", "--json").splitlines())
    assert (line["container"], line["source"], line["text"]) == (container, "stdout", ready)
    assert plane.run("logs", APP, "--container", container, "--search", "glmdeploy ready") == f"{ready}\n"
    assert plane.run("logs", APP, "--container", "ta-another") == ""
    stamped = plane.run("logs", APP, "--search", "glmdeploy ready", "--timestamps").split()
    assert stamped[0] > plane.json("history", APP)["versions"][-1]["since"][:10]


def test_the_key_is_in_no_log(plane: Plane) -> None:
    assert "server_args=" in plane.run("logs", APP, "-n", "1000")
    assert KEY not in plane.run("logs", APP, "-n", "1000")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--since", "yesterday"),
        ("--since", "9999999999999999d"),
        ("--since", "2099-01-01"),
        ("--since", "1h", "--until", "2h"),
        ("--follow", "--until", "1h"),
        ("--tail", "0"),
        ("--tail", "20001"),
    ],
)
def test_a_time_that_is_none_is_wrong_usage(plane: Plane, arguments: tuple[str, ...]) -> None:
    plane.run("logs", APP, *arguments, code=2)


def test_more_than_is_kept_is_said(plane: Plane, capfd: pytest.CaptureFixture[str]) -> None:
    from glmdeploy import cli

    assert cli.run(("logs", APP, "--since", "60d", "-n", "1")) == 0
    assert "Modal keeps 35 days of logs: from " in capfd.readouterr().err


def test_no_such_version(plane: Plane) -> None:
    error = plane.json("logs", APP, "--version", "9", code=1)["error"]
    assert error == {"message": f"{APP} has no version 9", "advice": "it has 2, 1"}


def test_followed(plane: Plane) -> None:
    url = plane.json("open", APP, "--endpoint")["url"]
    with started("logs", APP, "--follow", "-n", "1", "--search", "POST /v1/chat/completions") as process:
        assert process.stdout is not None
        assert "POST" in process.stdout.readline()
        with streaming(url):
            pass
        assert "POST" in process.stdout.readline()
        process.send_signal(2)
        assert process.wait(PATIENCE) == 130


def test_history(plane: Plane) -> None:
    newest, oldest = plane.json("history", APP)["versions"]
    assert (newest["version"], newest["live"], newest["note"], newest["proof"]) == (
        2,
        True,
        "fewer-at-once",
        "verified",
    )
    assert {(each["name"], each["old"], each["new"]) for each in newest["changes"]} == {
        ("--max-running-requests", "48", "40")
    }
    # Nobody waited for version 1, and no container of it came.
    assert (oldest["version"], oldest["live"], oldest["changes"], oldest["proof"]) == (1, False, None, None)
    text = plane.run("history", APP).splitlines()
    assert "max-running-requests 48 → 40; “fewer-at-once”" in text[0]
    assert "created" in text[1]


def test_list(plane: Plane) -> None:
    found = {each["app"]: each for each in plane.json("list")}
    assert found.keys() == {APP, OTHER}
    assert (found[APP]["foreign"], found[APP]["version"], found[APP]["containers"]) == (False, 2, 1)
    assert found[OTHER]["foreign"]
    first, second = plane.run("list").splitlines()
    assert first.startswith(f"{APP}   live, version 2, since ")
    assert second == "1 further app that glmdeploy did not deploy (--all)"
    assert OTHER in plane.run("list", "--all")
    assert plane.run("list", "--env", "empty") == "glmdeploy has deployed nothing here.\n"


def test_list_of_every_environment(plane: Plane) -> None:
    assert "main" in environments(TARGET)
    assert {(each["environment"], each["app"]) for each in plane.json("list", "--all-environments")} >= {("main", APP)}
    plane.run("list", "--all-environments", "--env", "main", code=2)


def test_open(plane: Plane) -> None:
    app_id = find_app(APP, TARGET)
    assert plane.run("open", APP) == f"https://modal.com/id/{app_id}\n"
    assert plane.run("open", APP, "--endpoint", "--print").startswith("http://127.0.0.1:")
    assert "is not deployed in Modal" in plane.json("open", "nothing", code=1)["error"]["message"]
    assert "its plan is not kept" in plane.json("open", OTHER, "--endpoint", code=1)["error"]["message"]


@pytest.mark.parametrize("command", ["history", "logs", "open"])
def test_an_app_that_is_not_there(plane: Plane, command: str) -> None:
    assert "nothing is not deployed in Modal" in plane.json(command, "nothing", code=1)["error"]["message"]


def test_a_missing_key_is_wrong_usage(plane: Plane) -> None:
    plane.run("status", APP, "--api-key-env", "NO_SUCH_VARIABLE", code=2)
    plane.run("status", APP, "--json", "--watch", "3", code=2)


class TestModalsOwnClientAgrees:
    def test_list(self, plane: Plane) -> None:
        theirs = {
            (each["description"], each["app_id"], int(each["tasks"]))
            for each in modal_says("app", "list")
            if each["state"] == "deployed"
        }
        assert {(each["app"], each["app_id"], each["containers"]) for each in plane.json("list")} == theirs

    def test_history(self, plane: Plane) -> None:
        theirs = modal_says("app", "history", APP)
        ours = plane.json("history", APP)["versions"]
        assert [f"v{each['version']}" for each in ours] == [each["version"] for each in theirs]
        assert [each["tag"] for each in ours] == [each["tag"] for each in theirs]
        assert [each["by"] for each in ours] == [each["deployed_by"] for each in theirs]

    def test_containers(self, plane: Plane) -> None:
        app_id = find_app(APP, TARGET)
        theirs = {each["container_id"] for each in modal_says("container", "list", "--app-id", str(app_id))}
        assert {each["id"] for each in plane.json("status", APP)["containers"]} == theirs

    def test_logs(self, plane: Plane) -> None:
        command = [sys.executable, "-m", "modal", "app", "logs", APP, "--since", "1h", "--search", "glmdeploy "]
        done = subprocess.run(command, text=True, capture_output=True, check=True, timeout=PATIENCE)
        assert (
            done.stdout.splitlines() == plane.run("logs", APP, "--since", "1h", "--search", "glmdeploy ").splitlines()
        )


def test_a_version_of_a_container_that_ended(plane: Plane) -> None:
    app_id = find_app(APP, TARGET)
    assert app_id is not None
    log = Log(app=APP, app_id=app_id, target=TARGET, wanted=Wanted(version=2, search="starts"))
    assert log.between(log.began())
    assert history(app_id, TARGET).production == 2


def test_a_stopped_app_ends_what_follows(plane: Plane) -> None:
    app_id = modal.App("short").deploy(environment_name="main").app_id
    with started("logs", "short", "--follow") as process:
        wait_until(lambda: any(rpc == "AppGetLogs" and m.app_id == app_id for rpc, m in plane.asked))
        modal.App.lookup("short").stop()
        _, errors = process.communicate(timeout=PATIENCE)
        assert (process.returncode, errors) == (0, "-- the app was stopped\n")


@pytest.mark.thorough
def test_after_a_rollback_by_modals_own_client(plane: Plane) -> None:
    """The last test of this module: another version serves from here on."""
    command = [sys.executable, "-m", "modal", "app", "rollback", APP, "v1"]
    subprocess.run(command, text=True, capture_output=True, check=True, timeout=PATIENCE)
    found = plane.json("status", APP)
    assert (found["version"], found["kind"], found["rollback_version"]) == (3, "rollback", 1)
    assert {each["kind"] for each in found["drift"]} == {"rollback"}
    assert all(each["outdated"] for each in found["containers"])
    assert "live, version 3 (a rollback to 1), since " in plane.run("status", APP)
    newest = plane.json("history", APP)["versions"][0]
    assert (newest["live"], newest["kind"], newest["origin"]) == (True, "rollback", 1)
    assert [(each["old"], each["new"]) for each in newest["changes"]] == [("40", "48"), ("40", "48")]
    assert "rollback to 1; max-running-requests 40 → 48" in plane.run("history", APP).splitlines()[0]
    theirs = modal_says("app", "history", APP)
    assert [each["version"] for each in theirs] == ["v3", "v2", "v1"]
