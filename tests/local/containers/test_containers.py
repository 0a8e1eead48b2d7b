"""Containers of the real daemon: Modal's own runtime in subprocesses, called by Modal's own client."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal
import pytest
from support import PATIENCE, alive, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from glmdeploy.local.cloud import Cloud

    Lookup = Callable[[str], modal.Function[..., Any, Any]]

APP = "functions-app"


@pytest.fixture(scope="module")
def volume(client: modal.Client) -> modal.Volume:
    return modal.Volume.from_name("data", create_if_missing=True, client=client)


@pytest.fixture(scope="module")
def function(client: modal.Client, volume: modal.Volume, load_app: Callable[[str], ModuleType]) -> Lookup:
    app = modal.App(APP)
    load_app("functions").register(app, volume)
    app.deploy(client=client)
    return lambda name: modal.Function.from_name(APP, name, client=client)


def test_calls(function: Lookup) -> None:
    act = function("act")
    assert act.remote("double", 21) == 42
    call = act.spawn("double", "ab")
    assert call.get(timeout=PATIENCE) == "abab"
    assert list(act.starmap([("double", 1), ("double", 2), ("double", 3)])) == [2, 4, 6]


def test_large_arguments_and_results(function: Lookup) -> None:
    payload = b"x" * (3 * 1024 * 1024)
    assert function("act").remote("double", payload) == payload * 2


def test_an_exception_reaches_the_caller(function: Lookup) -> None:
    with pytest.raises(ValueError, match="no thank you"):
        function("act").remote("refuse", "no thank you")


def test_generators(function: Lookup) -> None:
    assert list(function("count").remote_gen(5)) == [0, 1, 2, 3, 4]


def test_failures_are_tried_again(function: Lookup) -> None:
    assert function("flaky").remote("/data/attempts") == 3


def test_a_crash_fails_the_call_and_says_why(function: Lookup) -> None:
    with pytest.raises(modal.exception.InternalFailure) as failure:
        function("crash").remote()
    assert "exit code 17" in str(failure.value)
    assert "last words, with ***" in str(failure.value)


def lines(client: modal.Client) -> list[str]:
    return [entry.message for entry in modal.App.lookup(APP, client=client).logs.tail(500)]


def test_the_end_after_a_failed_call_says_what_failed(
    client: modal.Client, load_app: Callable[[str], ModuleType]
) -> None:
    app = modal.App("failing")
    app.function(scaledown_window=2)(load_app("functions").refuse)
    app.deploy(client=client)
    with pytest.raises(ValueError, match="no thank you"):
        modal.Function.from_name("failing", "refuse", client=client).remote("no thank you")

    def endings() -> list[str]:
        messages = [entry.message for entry in modal.App.lookup("failing", client=client).logs.tail(100)]
        return [message.strip() for message in messages if " ended " in message]

    wait_until(lambda: bool(endings()))
    assert endings()[0].endswith(" ended after a failed call: ValueError: no thank you")
    modal.App.lookup("failing", client=client).stop()


def test_what_the_embedded_cloud_replaces_is_said_once_a_container(function: Lookup, client: modal.Client) -> None:
    container = function("act").remote("surroundings")["environ"]["MODAL_TASK_ID"]
    said = [line for line in lines(client) if "replace those of the image or its secrets" in line]
    started = [line for line in lines(client) if line.endswith(" starts\n")]
    assert any(container in line for line in started)
    assert len(said) == len(started)
    assert {line.rpartition(": ")[2].strip() for line in said} == {"HF_ENDPOINT"}


def test_secrets_are_in_the_environment_of_the_first_process_alone(function: Lookup) -> None:
    found = function("act").remote("processes")
    holders = [pid for pid, seen in found.items() if "sk-very-secret-0123" in seen["environ"] + seen["cmdline"]]
    first = min(found)
    assert holders == [first]
    watchers = [pid for pid, seen in found.items() if "watch-lifeline" in seen["cmdline"]]
    assert len(watchers) == 1
    assert found[watchers[0]]["environ"] == ""


def test_the_time_limit_ends_an_input(function: Lookup) -> None:
    sleep = function("sleep")
    with pytest.raises(modal.exception.FunctionTimeoutError, match="hit its timeout of 3s"):
        sleep.remote(60)
    assert sleep.remote(0) == "slept"


def wait_for_running_input(function: modal.Function[..., Any, Any]) -> None:
    wait_until(lambda: function.get_current_stats().num_running_inputs > 0)


def test_a_running_call_can_be_cancelled(function: Lookup, tmp_path: Path) -> None:
    act, began = function("act"), tmp_path / "began"
    container = act.remote("surroundings")["environ"]["MODAL_TASK_ID"]
    call = act.spawn("begin_and_sleep", str(began), PATIENCE)
    wait_until(began.exists)
    call.cancel()
    with pytest.raises(modal.exception.RemoteError):
        call.get(timeout=PATIENCE)
    assert act.remote("surroundings")["environ"]["MODAL_TASK_ID"] == container


def test_a_call_can_be_cancelled_with_its_container(function: Lookup) -> None:
    orphan = function("orphan")
    call = orphan.spawn("/data/never-read")
    wait_for_running_input(orphan)
    call.cancel(terminate_containers=True)
    with pytest.raises(modal.exception.RemoteError, match="was cancelled"):
        call.get(timeout=PATIENCE)


def test_an_engine_in_a_group_of_its_own_ends_with_its_container(
    function: Lookup, volume: modal.Volume, daemon: Cloud
) -> None:
    apart = function("apart")
    call = apart.spawn("/data/apart")
    volume.hydrate()
    written = daemon.home / "volumes" / volume.object_id / "apart"
    wait_until(written.exists)
    pids = [int(word) for word in written.read_text().split()]
    assert all(alive(pid) for pid in pids)
    call.cancel(terminate_containers=True)
    wait_until(lambda: not any(alive(pid) for pid in pids))


def test_surroundings(function: Lookup, daemon: Cloud) -> None:
    seen = function("act").remote("surroundings")
    environ = seen["environ"]
    root = Path(environ["GLMDEPLOY_LOCAL_ROOT"])
    assert root.parent == daemon.home / "containers"
    assert seen["cwd"] == environ["HOME"] == str(root / "root")
    assert environ["COLOUR"] == "it's $blue"
    assert environ["HF_ENDPOINT"] == daemon.hub_url
    assert environ["MODAL_IS_REMOTE"] == "1"
    assert environ["API_KEY"] == "sk-very-secret-0123"
    assert environ["PYTHONPATH"].split(":")[0] == str(root / "root")
    assert seen["python3"] == seen["prefix"] == sys.prefix
    assert seen["baked"]
    assert {"functions.py", "mounted.txt", "apps"} <= set(seen["root"])
    # Nothing of this process's own variables: neither the token nor what pytest sets.
    assert not {"MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET", "PYTEST_CURRENT_TEST", "GLMDEPLOY_HOME"} & set(environ)
    assert not Path(environ["TMPDIR"]).is_relative_to(daemon.home)


def test_volumes_are_directories_that_both_sides_see(function: Lookup, volume: modal.Volume) -> None:
    function("act").remote("write", "/data/note.txt", "from a container")
    assert b"".join(volume.read_file("note.txt")) == b"from a container"


def test_logs(function: Lookup, client: modal.Client) -> None:
    act = function("act")
    call = act.spawn("double", "log me")
    call.get(timeout=PATIENCE)
    messages = [entry.message for entry in modal.App.lookup(APP, client=client).logs.tail(500)]
    assert "doubling 'log me'\n" in messages
    assert not any("sk-very-secret" in message for message in messages)
    assert [entry.message for entry in call.logs.tail()] == ["doubling 'log me'\n"]
    assert "doubling 'log me'\n" in [entry.message for entry in act.logs.tail(500, source="stdout")]
    since = datetime.now(UTC) - timedelta(minutes=5)
    found = list(modal.App.lookup(APP, client=client).logs.fetch(since=since, search_text="'log me'"))
    assert [(entry.message, entry.source) for entry in found] == [("doubling 'log me'\n", "stdout")]
    assert since < found[0].timestamp < datetime.now(UTC)
    assert "doubling 'log me'\n" in [entry.message for entry in act.logs.stream(timeout=1)]


def test_an_ephemeral_app_streams_its_logs_and_ends(
    client: modal.Client, load_app: Callable[[str], ModuleType], capfd: pytest.CaptureFixture[str]
) -> None:
    app = modal.App("ephemeral")
    double = app.function()(load_app("functions").double)
    with modal.enable_output(), app.run(client=client):
        app_id = app.app_id
        assert double.remote(4) == 8
    assert "doubling 4" in capfd.readouterr().out
    assert app_id is not None
    with pytest.raises(modal.exception.NotFoundError):
        modal.Function.from_name("ephemeral", "double", client=client).hydrate()


def test_a_redeployment_replaces_containers(client: modal.Client, load_app: Callable[[str], ModuleType]) -> None:
    functions = load_app("functions")

    def deploy(colour: str) -> modal.Function[..., Any, Any]:
        app = modal.App("versions")
        app.function(image=modal.Image.debian_slim().env({"COLOUR": colour}))(functions.surroundings)
        app.deploy(client=client)
        return modal.Function.from_name("versions", "surroundings", client=client)

    first = deploy("red").remote()["environ"]
    function = deploy("green")
    seen = [first]

    def replaced() -> bool:
        seen.append(function.remote()["environ"])
        return bool(seen[-1]["COLOUR"] == "green")

    wait_until(replaced)
    # The old container answers until the new one is ready, and starts nothing else.
    assert {each["MODAL_TASK_ID"] for each in seen[:-1]} == {first["MODAL_TASK_ID"]}
    assert seen[-1]["MODAL_TASK_ID"] != first["MODAL_TASK_ID"]
    modal.App.lookup("versions", client=client).stop()


def test_recreate_waits_for_the_old_containers(client: modal.Client, load_app: Callable[[str], ModuleType]) -> None:
    app = modal.App("recreated")
    app.function(min_containers=1)(load_app("functions").double)
    app.deploy(client=client)
    double = modal.Function.from_name("recreated", "double", client=client)
    assert double.remote(1) == 2
    app.deploy(client=client, strategy="recreate", tag="again")
    assert double.remote(2) == 4
    modal.App.lookup("recreated", client=client).stop()


def test_warm_containers_are_started_before_anybody_asks(
    client: modal.Client, load_app: Callable[[str], ModuleType]
) -> None:
    app = modal.App("warm")
    app.function(scaledown_window=2)(load_app("functions").double)
    app.deploy(client=client)
    double = modal.Function.from_name("warm", "double", client=client)
    assert double.get_current_stats().num_total_runners == 0
    double.autoscaler.update(min_containers=1)
    assert double.get_current_stats().num_total_runners == 1
    double.autoscaler.update(min_containers=0)
    modal.App.lookup("warm", client=client).stop()


def test_a_schedule_fires(client: modal.Client, volume: modal.Volume, load_app: Callable[[str], ModuleType]) -> None:
    app = modal.App("scheduled")
    app.function(schedule=modal.Period(seconds=1), max_containers=1)(load_app("functions").surroundings)
    app.deploy(client=client)
    scheduled = modal.Function.from_name("scheduled", "surroundings", client=client)
    wait_until(lambda: scheduled.get_current_stats().num_total_runners == 1)
    modal.App.lookup("scheduled", client=client).stop()


def test_a_function_that_cannot_be_imported(client: modal.Client, load_app: Callable[[str], ModuleType]) -> None:
    app = modal.App("unimportable")
    # The container imports it by its file's name, and does not get the file.
    app.function(include_source=False)(load_app("functions").double)
    app.deploy(client=client)
    with pytest.raises(ModuleNotFoundError, match="functions"):
        modal.Function.from_name("unimportable", "double", client=client).remote(1)
