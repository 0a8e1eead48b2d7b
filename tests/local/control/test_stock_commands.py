"""Modal's own command line against the embedded cloud, all of it in one process that has the SDK imported."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import modal
import pytest
from modal_proto import api_pb2
from support import PATIENCE, STRANGE, call, wait_until

from glmdeploy.local.cloud import environ

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import ModuleType

    from glmdeploy.local.daemon import Running

DRIVER = """
import json, sys
from modal.cli.entry_point import entrypoint_cli
from modal.output import enable_output
for arguments in json.load(sys.stdin):
    print("\\0", flush=True)
    try:
        with enable_output():
            entrypoint_cli(arguments, standalone_mode=False)
    except BaseException as error:
        print(f"failed: {error!r}")
    sys.stdout.flush()
"""


@pytest.fixture(scope="module")
def stock(running: Running) -> Callable[..., list[str]]:
    """Run commands one after another; what each of them prints."""

    def run(*commands: str) -> list[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(STRANGE)}
        done = subprocess.run(
            [sys.executable, "-c", DRIVER],
            input=json.dumps([command.split() for command in commands]),
            env={**clean, **environ(running.cloud), "NO_COLOR": "1", "COLUMNS": "200"},
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        outputs = [part.strip() for part in done.stdout.split("\0")[1:]]
        assert len(outputs) == len(commands), done.stderr
        assert not [output for output in outputs if "failed:" in output], (outputs, done.stderr)
        return outputs

    return run


def column(rows: Sequence[dict[str, Any]], name: str) -> list[Any]:
    return [next(value for key, value in row.items() if key.lower().replace("_", " ") == name) for row in rows]


def test_apps(
    client: modal.Client, running: Running, stock: Callable[..., list[str]], load_app: Callable[[str], ModuleType]
) -> None:
    for version in (1, 2):
        app = modal.App("listed")
        app.function(timeout=60 + version, min_containers=1)(load_app("functions").double)
        app_id = app.deploy(client=client, tag=f"tag-{version}").app_id
    wait_until(
        lambda: (
            "container" in "".join(entry.message for entry in modal.App.lookup("listed", client=client).logs.tail(50))
        )
    )
    listed, history, told, containers, app_stats, stats, metrics, schema = stock(
        "app list --json",
        "app history listed --json",
        "app logs listed",
        "container list --json",
        "app stats listed --json",
        "function stats listed/double --json",
        "function metrics listed/double --group calls --csv",
        "function metrics listed/double",
    )
    rows = json.loads(listed)
    assert "listed" in column(rows, "description")
    assert column(json.loads(history), "version") == ["v2", "v1"]
    assert column(json.loads(history), "tag") == ["tag-2", "tag-1"]
    assert "starts" in told
    tasks = call(running.cloud, "TaskList", api_pb2.TaskListRequest(app_id=app_id)).tasks
    assert {task.task_id for task in tasks} & set(column(json.loads(containers), "container id"))
    assert json.loads(app_stats)["deployment_count"] == 2
    assert json.loads(stats)["container_total_count"] >= 1
    assert "successful_calls_count,calls," in metrics
    assert "startup_time_avg" in schema
    *_, history = stock(
        "app rollback listed",
        "app rollover listed",
        "app rollback listed v2 --strategy recreate",
        "app history listed --json",
    )
    assert column(json.loads(history), "version") == ["v5", "v4", "v3", "v2", "v1"]
    kinds = call(running.cloud, "AppDeploymentHistory", api_pb2.AppDeploymentHistoryRequest(app_id=app_id))
    assert [each.rollback_version for each in kinds.app_deployment_histories] == [2, 1, 1, 0, 0]
    stock("app stop listed --yes")
    with pytest.raises(modal.exception.NotFoundError):
        modal.App.lookup("listed", client=client)


def test_what_apps_use(client: modal.Client, stock: Callable[..., list[str]], tmp_path: Path) -> None:
    modal.Secret.objects.create("listed-keys", {"API_KEY": "sk-secret-1"}, client=client)
    volume = modal.Volume.from_name("listed-data", create_if_missing=True, client=client)
    with volume.batch_upload() as batch:
        batch.put_file(io.BytesIO(b"content"), "/folder/file")
    volumes, files, _, secrets, environments, rates = stock(
        "volume list --json",
        "volume ls listed-data folder --json",
        f"volume get listed-data folder/file {tmp_path / 'got'}",
        "secret list --json",
        "environment list --json",
        "billing rates --json",
    )
    assert column(json.loads(volumes), "name") == ["listed-data"]
    assert column(json.loads(files), "filename") == ["folder/file"]
    assert (tmp_path / "got").read_bytes() == b"content"
    assert column(json.loads(secrets), "name") == ["listed-keys"]
    assert column(json.loads(environments), "name") == ["main"]
    assert "gpu_hour_cost_b200" in rates
    _, left = stock("volume rm listed-data folder/file", "volume ls listed-data folder --json")
    assert json.loads(left) == []


def test_a_volume_that_is_made_again_is_another_one(client: modal.Client) -> None:
    first = modal.Volume.from_name("again", create_if_missing=True, client=client).hydrate(client).object_id
    assert modal.Volume.from_name("again", client=client).hydrate(client).object_id == first
    modal.Volume.objects.delete("again", client=client)
    with pytest.raises(modal.exception.NotFoundError):
        modal.Volume.from_name("again", client=client).hydrate(client)
    second = modal.Volume.from_name("again", create_if_missing=True, client=client).hydrate(client).object_id
    assert first != second


def test_an_app_tells_of_itself(client: modal.Client, load_app: Callable[[str], ModuleType]) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    app = modal.App("informed")
    app.function()(load_app("functions").double)
    deployed = app.deploy(client=client)
    assert "informed" in [each.name for each in modal.Environment.from_name("main", client=client).apps.list()]
    found = modal.App.lookup("informed", client=client)
    info = found.info()
    assert (info.app_id, info.lifecycle.version, bool(info.lifecycle.deployed_at)) == (deployed.app_id, 1, True)
    assert modal.Function.from_name("informed", "double", client=client).remote(2) == 4
    assert any("doubling 2" in entry.message for entry in found.logs.fetch(since=since, search_text="doubling"))
    assert any("doubling 2" in entry.message for entry in found.logs.stream(timeout=1))
    found.stop()
    assert "informed" not in [each.name for each in modal.Environment.from_name("main", client=client).apps.list()]
