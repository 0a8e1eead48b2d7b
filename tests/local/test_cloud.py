"""The daemon's life: start, status, stop, restart, and what goes wrong with these."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pickle
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import modal
import pytest
from support import PATIENCE, alive, connect, wait_until

from glmdeploy.errors import LocalCloudError
from glmdeploy.local import cloud
from glmdeploy.local.daemon import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from glmdeploy.local.cloud import Cloud


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of this test's own, whose daemon is gone afterwards."""
    monkeypatch.setenv("GLMDEPLOY_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    with contextlib.suppress(LocalCloudError):
        cloud.stop()


class TestHome:
    def test_is_chosen(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("GLMDEPLOY_HOME", str(tmp_path))
        assert cloud.home() == tmp_path
        monkeypatch.delenv("GLMDEPLOY_HOME")
        monkeypatch.setenv("XDG_STATE_HOME", "/state")
        assert cloud.home() == Path("/state/glmdeploy")
        monkeypatch.delenv("XDG_STATE_HOME")
        assert cloud.home() == Path.home() / ".local/state/glmdeploy"

    def test_that_is_no_directory(self, home: Path) -> None:
        home.write_text("a file")
        with pytest.raises(LocalCloudError, match=f"cannot use {home}") as failure:
            cloud.start()
        assert "GLMDEPLOY_HOME" in str(failure.value.advice)

    def test_that_was_damaged(self, home: Path) -> None:
        home.mkdir()
        (home / "state.sqlite3").write_bytes(b"not a database" * 100)
        with pytest.raises(LocalCloudError, match="cannot be read"):
            cloud.read_secret("a", "B")
        with pytest.raises(LocalCloudError) as failure:
            cloud.start()
        assert "file is not a database" in str(failure.value.advice)

    def test_of_a_newer_version(self, home: Path) -> None:
        home.mkdir()
        with contextlib.closing(sqlite3.connect(home / "state.sqlite3")) as database:
            database.execute("PRAGMA user_version = 99")
        with pytest.raises(LocalCloudError) as failure:
            cloud.start()
        assert "newer version of glmdeploy" in str(failure.value.advice)


class TestLife:
    def test_start_status_stop_reset(self, home: Path) -> None:
        assert cloud.status() is None
        assert cloud.stop() is False
        started = cloud.start()
        assert cloud.start() == cloud.status() == started
        assert started.token_secret not in repr(started)
        for private in (home, home / "credentials.json"):
            assert stat.S_IMODE(private.stat().st_mode) & 0o077 == 0
        assert started.token_secret not in (home / "daemon.json").read_text()
        (home / "something of the user's").write_text("keep")
        cloud.reset()
        assert cloud.status() is None
        assert [path.name for path in home.iterdir()] == ["something of the user's"]

    def test_two_starts_at_once_make_one_daemon(self, home: Path) -> None:
        command = [
            sys.executable,
            "-c",
            "from glmdeploy.local import cloud; print(cloud.start().pid)",
        ]
        with ThreadPoolExecutor() as threads:
            outputs = list(threads.map(lambda _: subprocess.check_output(command), range(3)))
        assert len(set(outputs)) == 1

    def test_ports(self, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(LocalCloudError) as failure:
                cloud.start(port=port)
            assert f"port {port} is not available" in str(failure.value.advice)
        started = cloud.start(port=port)
        assert started.gateway_url == f"http://127.0.0.1:{port}"
        with pytest.raises(LocalCloudError, match=f"runs already, with its gateway on port {port}"):
            cloud.start(port=port + 1)
        cloud.stop()
        # The ports are taken again, as long as they are free.
        again = cloud.start()
        assert (again.gateway_url, again.server_url) == (started.gateway_url, started.server_url)
        cloud.stop()
        with socket.create_server(("127.0.0.1", port)):
            moved = cloud.start()
        assert moved.gateway_url != started.gateway_url
        assert any(f"port {port} is taken" in note for note in moved.notes)

    def test_importing_the_interface_is_cheap(self) -> None:
        code = "import sys, glmdeploy.local.cloud; print({'modal', 'aiohttp', 'grpclib', 'sqlite3'} & set(sys.modules))"
        assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


class TestSilence:
    """A daemon that is there and does not answer."""

    @pytest.fixture
    def stopped(self, home: Path) -> Iterator[Cloud]:
        running = cloud.start()
        os.kill(running.pid, signal.SIGSTOP)
        yield running
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGCONT)

    def test_is_told(self, stopped: Cloud) -> None:
        for command in (cloud.status, cloud.start):
            with pytest.raises(LocalCloudError, match=rf"process {stopped.pid}\) but has not answered for 5 s") as told:
                command()
            assert f"kill -CONT {stopped.pid}" in str(told.value.advice)
        os.kill(stopped.pid, signal.SIGCONT)
        assert cloud.status() == stopped

    def test_is_told_by_the_commands(self, stopped: Cloud) -> None:
        def run(*words: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "glmdeploy", "local", *words]
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)

        with ThreadPoolExecutor() as threads:
            runs = [threads.submit(run, *words.split()) for words in ("status", "status --json", "start", "env")]
        for done in (each.result() for each in runs):
            assert done.returncode != 0
            assert "has not answered for 5 s" in done.stdout + done.stderr
            assert "Traceback" not in done.stderr

    def test_ends_with_stop(self, stopped: Cloud) -> None:
        assert cloud.stop() is True
        assert not alive(stopped.pid)
        # In the orderly way: it has been woken up for that.
        assert "stopping" in (stopped.home / "daemon.log").read_text()


class TestStop:
    def test_lets_a_stream_end(self, home: Path, load_app: Callable[[str], ModuleType]) -> None:
        client = connect(cloud.start())
        with pytest.MonkeyPatch.context() as patch:
            patch.delitem(sys.modules, "website", raising=False)
            load_app("website").app.deploy(client=client)
        url = modal.Cls.from_name("website", "Website", client=client)().serve.get_web_url()
        with ThreadPoolExecutor(1) as threads:
            with urllib.request.urlopen(f"{url}/stream?count=50", timeout=PATIENCE) as answer:
                first = answer.readline()
                stopping = threads.submit(cloud.stop)
                rest = answer.read()
            assert stopping.result() is True
        assert (first + rest).count(b"data: ") == 50
        assert rest.endswith(b"data: 49\n\n")

    def test_ends_a_stream_that_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_app: Callable[[str], ModuleType]
    ) -> None:
        monkeypatch.setattr("glmdeploy.local.daemon.STOP_GRACE", 1.0)
        with ThreadPoolExecutor(1) as threads, in_thread(tmp_path / "home") as running:
            client = connect(running.cloud)
            with pytest.MonkeyPatch.context() as patch:
                patch.delitem(sys.modules, "website", raising=False)
                load_app("website").app.deploy(client=client)
            url = modal.Cls.from_name("website", "Website", client=client)().serve.get_web_url()
            answer = urllib.request.urlopen(f"{url}/stream?count=6000", timeout=PATIENCE)
            assert answer.readline() == b"data: 0\n"
            rest = threads.submit(answer.read)
            began = time.monotonic()
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            rest.result()
        assert time.monotonic() - began >= 1.0
        answer.close()


class TestState:
    def test_survives_kill_9_and_leaves_no_processes(
        self,
        home: Path,
        load_app: Callable[[str], ModuleType],
    ) -> None:
        first = cloud.start()
        client = connect(first)
        modal.Secret.objects.create("kept", {"KEY": "value-of-kept"}, client=client)
        volume = modal.Volume.from_name("data", create_if_missing=True, client=client)
        app = modal.App("survivor")
        load_app("functions").register(app, volume)
        app.deploy(client=client)
        call = modal.Function.from_name("survivor", "orphan", client=client).spawn("/data/pids")
        modal.Function.from_name("survivor", "apart", client=client).spawn("/data/apart")
        volume.hydrate()
        written = home / "volumes" / volume.object_id / "pids"
        apart = home / "volumes" / volume.object_id / "apart"
        wait_until(lambda: apart.exists() and written.exists() and written.stat().st_size > 0)
        pids = [*pickle.loads(written.read_bytes()), *map(int, apart.read_text().split())]
        assert all(alive(pid) for pid in pids)

        os.kill(first.pid, signal.SIGKILL)
        wait_until(lambda: cloud.status() is None)
        wait_until(lambda: not any(alive(pid) for pid in pids))

        second = cloud.start()
        assert second.pid != first.pid
        assert (second.token_id, second.token_secret) == (first.token_id, first.token_secret)
        # A client from before goes on; a call from before has ended, and says so.
        with pytest.raises(modal.exception.NotFoundError, match="forgotten when the embedded cloud restarts"):
            call.get(timeout=PATIENCE)
        assert modal.Function.from_name("survivor", "act", client=client).remote("double", 4) == 8
        assert cloud.read_secret("kept", "KEY") == "value-of-kept"
        with pytest.raises(LocalCloudError, match="`kept` with the key `OTHER`"):
            cloud.read_secret("kept", "OTHER")
        history = [entry.message for entry in modal.App.lookup("survivor", client=client).logs.tail(100)]
        assert any("starts" in message for message in history)

    def test_is_not_half_written_on_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        mount = tmp_path / "small"
        mount.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mount)]
        if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
            pytest.skip("needs the right to mount a tmpfs, to fill it")
        try:
            monkeypatch.setenv("GLMDEPLOY_HOME", str(mount / "home"))
            started = cloud.start()
            client = connect(started)
            volume = modal.Volume.from_name("v", create_if_missing=True, client=client)
            with volume.batch_upload() as batch:
                batch.put_file(__file__, "/small")
            large = tmp_path / "large"
            large.write_bytes(os.urandom(3 * 1024 * 1024))
            (mount / "filler").write_bytes(bytes(4 * 1024 * 1024))
            # The model hub writes nothing, and so has nothing to complain of.
            with urllib.request.urlopen(f"{started.hub_url}/org/model/resolve/main/config.json") as answer:
                assert json.loads(answer.read())["architectures"]

            def fill() -> None:
                for number in range(4):
                    with volume.batch_upload() as batch:
                        batch.put_file(large, f"/large{number}")

            with pytest.raises(modal.exception.ResourceExhaustedError, match=f"no space left in {mount}"):
                fill()
            files = {entry.path: entry.size for entry in volume.iterdir("/")}
            assert set(files.values()) <= {large.stat().st_size, Path(__file__).stat().st_size}
            assert b"".join(volume.read_file("small")) == Path(__file__).read_bytes()
            (mount / "filler").unlink()
            modal.Secret.objects.create("after", {"A": "1"}, client=client)
        finally:
            cloud.stop()
            subprocess.run(["umount", str(mount)], check=True)


@pytest.fixture(scope="module")
def modal_cli(daemon: Cloud) -> Callable[..., str]:
    """Modal's own command line, with the variables that ``environ`` gives."""

    def run(*arguments: str) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "modal", *arguments],
            env={**os.environ, **cloud.environ(daemon), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    return run


@pytest.mark.thorough
def test_apps_from_the_command_line(modal_cli: Callable[..., str], client: modal.Client) -> None:
    script = str(Path(__file__).parent / "apps" / "website.py")
    assert "/cli-demo-website-serve" in modal_cli("deploy", script, "--name", "cli-demo", "--tag", "t1")
    listed = json.loads(modal_cli("app", "list", "--json"))
    assert [app["state"] for app in listed if app["description"] == "cli-demo"] == ["deployed"]
    assert json.loads(modal_cli("app", "history", "cli-demo", "--json"))[0]["tag"] == "t1"
    modal_cli("app", "logs", "cli-demo")
    modal_cli("app", "stop", "cli-demo", "--yes")
    with pytest.raises(modal.exception.NotFoundError):
        modal.App.lookup("cli-demo", client=client)


@pytest.mark.thorough
def test_secrets_and_volumes_from_the_command_line(modal_cli: Callable[..., str], tmp_path: Path) -> None:
    modal_cli("secret", "create", "from-cli", "KEY=value-from-cli")
    assert "from-cli" in modal_cli("secret", "list")
    (tmp_path / "file").write_text("content")
    modal_cli("volume", "create", "cli-volume")
    modal_cli("volume", "put", "cli-volume", str(tmp_path / "file"), "/dir/")
    assert "dir/file" in modal_cli("volume", "ls", "cli-volume", "/dir")
    modal_cli("volume", "get", "cli-volume", "/dir/file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "content"


def test_the_hub_is_served(daemon: Cloud) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{daemon.hub_url}/no/such/path")
    with error.value:
        assert error.value.code == 404
