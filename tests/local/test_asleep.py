"""An embedded cloud that does not run is read, and nothing of it is touched."""

from __future__ import annotations

import hashlib
import io
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import modal
import pytest
from modal_proto import api_pb2
from support import call, connect

from glmdeploy.errors import LocalCloudError
from glmdeploy.local import cloud
from glmdeploy.local.asleep import asleep
from glmdeploy.local.daemon import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


def tree(root: Path) -> dict[str, object]:
    """Everything there is, with its content, its mode and its times."""
    found: dict[str, object] = {}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(root))] = (status.st_mode, status.st_size, status.st_mtime_ns, content)
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, load_app: Callable[[str], ModuleType]) -> Path:
    """What a daemon leaves that is killed: the newest commits are in the write-ahead log alone."""
    living, left = tmp_path_factory.mktemp("living"), tmp_path_factory.mktemp("left") / "home"
    with in_thread(living) as running:
        client = connect(running.cloud)
        modal.Secret.objects.create("keys", {"API_KEY": "sk-secret-1"}, client=client)
        volume = modal.Volume.from_name("data", create_if_missing=True, client=client)
        with volume.batch_upload() as batch:
            batch.put_file(io.BytesIO(b"content" * 1000), "/folder/file")
        for version in ("one", "two"):
            app = modal.App("kept", tags={"of": version})
            app.function(volumes={"/data": volume}, timeout=60)(load_app("functions").double)
            app.deploy(client=client, tag=version)
        shutil.copytree(living, left, symlinks=True)
    return left


def test_all_is_read_and_nothing_touched(home: Path) -> None:
    before = tree(home)
    with asleep(home) as sleeping:
        client = connect(sleeping)
        app = modal.App.lookup("kept", client=client)
        assert app.get_tags() == {"of": "two"}
        request = api_pb2.AppDeploymentHistoryRequest(app_id=app.app_id)
        entries = call(sleeping, "AppDeploymentHistory", request).app_deployment_histories
        assert [each.tag for each in entries] == ["two", "one"]
        function = modal.Function.from_name("kept", "double", client=client)
        assert function.info().timeout == 60
        assert function.autoscaler.settings().min_containers == 0
        assert modal.Function.from_name("kept", "double", version=1, client=client).info().timeout == 60
        volume = modal.Volume.from_name("data", client=client)
        assert [entry.path for entry in volume.listdir("/", recursive=True)] == ["folder", "folder/file"]
        assert b"".join(volume.read_file("folder/file")) == b"content" * 1000
        assert [each.name for each in modal.Volume.objects.list(client=client)] == ["data"]
        assert [each.name for each in modal.Secret.objects.list(client=client)] == ["keys"]
        modal.Secret.from_name("keys", required_keys=["API_KEY"], client=client).hydrate(client)
        assert not call(sleeping, "TaskList", api_pb2.TaskListRequest(app_id=app.app_id)).tasks
        yesterday = datetime.now(UTC) - timedelta(days=1)
        assert modal.Workspace.from_context(client=client).billing.report(start=yesterday, resolution="h") == []
    assert tree(home) == before


def test_what_would_change_anything_is_refused(home: Path, load_app: Callable[[str], ModuleType]) -> None:
    before = tree(home)
    refused = pytest.raises(modal.exception.Error, match="the embedded cloud does not run: this only reads")
    with asleep(home) as sleeping:
        client = connect(sleeping)
        volume = modal.Volume.from_name("data", client=client)
        function = modal.Function.from_name("kept", "double", client=client)
        app = modal.App("new")
        app.function()(load_app("functions").double)
        with refused:
            volume.remove_file("folder/file")
        with refused:
            function.remote(1)
        with refused:
            function.autoscaler.update(min_containers=1)
        with refused:
            app.deploy(client=client)
        with refused:
            modal.App.lookup("kept", client=client).stop()
        with refused:
            modal.Volume.from_name("other", create_if_missing=True, client=client).hydrate(client)
    assert tree(home) == before


def test_where_there_is_no_home_it_is_empty(tmp_path: Path) -> None:
    with asleep(tmp_path / "none" / "home") as sleeping:
        client = connect(sleeping)
        with pytest.raises(modal.exception.NotFoundError):
            modal.App.lookup("kept", client=client)
        with pytest.raises(modal.exception.NotFoundError):
            modal.Volume.from_name("data", client=client).hydrate(client)
        assert modal.Environment.from_name("main", client=client).apps.list() == []
    assert list(tmp_path.iterdir()) == []


def test_the_usual_home_is_the_one_that_is_set(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLMDEPLOY_HOME", str(home))
    assert cloud.status() is None
    with asleep() as sleeping:
        assert sleeping.home == home
        assert sleeping.token_secret not in repr(sleeping)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(LocalCloudError, match="cannot be read"), asleep(tmp_path):
        pass
    (tmp_path / "state.sqlite3").unlink()
    with sqlite3.connect(tmp_path / "state.sqlite3") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(LocalCloudError, match="newer version"), asleep(tmp_path):
        pass
