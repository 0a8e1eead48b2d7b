"""The control plane in the test process: Modal's own client against it, every request watched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import modal
import pytest
from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2
from support import call, connect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from google.protobuf.message import Message

    from glmdeploy.local.daemon import Running

Requests = list[tuple[str, "Message"]]


def demo(name: str, load_app: Callable[[str], ModuleType], **settings: str) -> modal.App:
    app = modal.App(name, **settings)  # type: ignore[arg-type]
    app.function(image=modal.Image.debian_slim())(load_app("functions").double)
    return app


class TestDeployment:
    def test_is_sent_as_written(
        self, client: modal.Client, requests: Requests, load_app: Callable[[str], ModuleType]
    ) -> None:
        app = modal.App("watched")
        app.function(
            image=modal.Image.from_registry("lmsysorg/sglang:v0.5.11-cu130").pip_install("attrs").entrypoint([]),
            gpu="B200:8",
            timeout=3600,
            scaledown_window=900,
            max_containers=3,
        )(load_app("functions").double)
        requests.clear()
        app.deploy(client=client)
        sent = dict(requests)
        function = sent["FunctionCreate"].function  # type: ignore[attr-defined]
        assert (function.resources.gpu_config.gpu_type, function.resources.gpu_config.count) == ("B200", 8)
        assert (function.timeout_secs, function.concurrency_limit) == (3600, 3)
        commands = [
            command
            for rpc, request in requests
            if rpc == "ImageGetOrCreate"
            for command in request.image.dockerfile_commands  # type: ignore[attr-defined]
        ]
        assert "FROM lmsysorg/sglang:v0.5.11-cu130" in commands

    def test_keeps_its_identity_and_history(
        self, client: modal.Client, running: Running, load_app: Callable[[str], ModuleType]
    ) -> None:
        first = demo("kept", load_app).deploy(client=client, tag="one")
        second = demo("kept", load_app).deploy(client=client, tag="two")
        assert first.app_id == second.app_id
        history = call(running.cloud, "AppDeploymentHistory", api_pb2.AppDeploymentHistoryRequest(app_id=first.app_id))
        assert [(entry.version, entry.tag) for entry in history.app_deployment_histories] == [
            (2, "two"),
            (1, "one"),
        ]

    def test_that_is_aborted_changes_nothing(
        self, client: modal.Client, running: Running, load_app: Callable[[str], ModuleType]
    ) -> None:
        demo("steady", load_app).deploy(client=client)
        before = running.backend.registry.deployed("steady", "main")
        broken = demo("steady", load_app)
        broken.function(secrets=[modal.Secret.from_name("no-such-secret")])(load_app("functions").refuse)
        with pytest.raises(modal.exception.NotFoundError):
            broken.deploy(client=client)
        assert running.backend.registry.deployed("steady", "main") == before

    def test_by_several_at_once_ends_with_one_of_them(
        self, client: modal.Client, running: Running, load_app: Callable[[str], ModuleType]
    ) -> None:
        apps = [demo("contested", load_app, tags={"by": str(number)}) for number in range(4)]
        with ThreadPoolExecutor() as threads:
            results = list(threads.map(lambda app: app.deploy(client=client), apps))
        live = running.backend.registry.deployed("contested", "main")
        assert live is not None
        assert live.id in {result.app_id for result in results}
        assert live.tags["by"] in {"0", "1", "2", "3"}
        deployed = [app for app in running.backend.registry.live_apps() if app.name == "contested"]
        assert deployed == [live]
        assert [each.tag for each in running.backend.registry.functions(live)] == ["double"]

    def test_has_tags(self, client: modal.Client, load_app: Callable[[str], ModuleType]) -> None:
        demo("tagged", load_app, tags={"digest": "abc"}).deploy(client=client)
        app = modal.App.lookup("tagged", client=client)
        assert app.get_tags() == {"digest": "abc"}
        app.set_tags({"digest": "def"})
        assert modal.App.lookup("tagged", client=client).get_tags() == {"digest": "def"}

    def test_can_be_rolled_back(
        self, client: modal.Client, running: Running, load_app: Callable[[str], ModuleType]
    ) -> None:
        app_id = demo("rolled", load_app).deploy(client=client).app_id
        second = modal.App("rolled")
        second.function()(load_app("functions").refuse)
        second.deploy(client=client)
        call(running.cloud, "AppRollback", api_pb2.AppRollbackRequest(app_id=app_id, version=-1))
        live = running.backend.registry.deployed("rolled", "main")
        assert live is not None
        assert live.version == 3
        assert [each.tag for each in running.backend.registry.functions(live)] == ["double"]
        call(running.cloud, "AppRollover", api_pb2.AppRolloverRequest(app_id=app_id))
        again = running.backend.registry.deployed("rolled", "main")
        assert again is not None
        assert (again.id, again.version) == (app_id, 4)

    def test_of_what_is_not_supported_is_refused(
        self, client: modal.Client, load_app: Callable[[str], ModuleType]
    ) -> None:
        app = modal.App("too-much")
        app.function()(modal.asgi_app()(load_app("functions").surroundings))
        with pytest.raises(modal.exception.UnimplementedError, match=r"other than @modal\.web_server"):
            app.deploy(client=client)

    def test_with_a_bad_schedule_is_refused(self, client: modal.Client, load_app: Callable[[str], ModuleType]) -> None:
        app = modal.App("badly-timed")
        app.function(schedule=modal.Cron("61 * * * *"))(load_app("functions").surroundings)
        with pytest.raises(modal.exception.InvalidError, match="minute: '61' is not a number from 0 to 59"):
            app.deploy(client=client)

    def test_may_ask_for_an_address(
        self, client: modal.Client, running: Running, load_app: Callable[[str], ModuleType]
    ) -> None:
        app = modal.App("addressed")
        app.function()(modal.web_server(8000, label="my-own-label")(load_app("functions").surroundings))
        app.deploy(client=client)
        found = running.backend.registry.door("my-own-label")
        assert found is not None
        assert found.live.tag == "surroundings"


class TestLookup:
    def test_of_an_app(self, client: modal.Client) -> None:
        with pytest.raises(modal.exception.NotFoundError, match="App 'nowhere' not found"):
            modal.App.lookup("nowhere", client=client)

    def test_of_a_function(self, client: modal.Client, load_app: Callable[[str], ModuleType]) -> None:
        demo("found", load_app).deploy(client=client)
        assert modal.Function.from_name("found", "double", client=client).hydrate().object_id.startswith("fu-")
        with pytest.raises(modal.exception.NotFoundError, match="'triple'"):
            modal.Function.from_name("found", "triple", client=client).hydrate()

    def test_of_a_stopped_app(self, client: modal.Client, load_app: Callable[[str], ModuleType]) -> None:
        demo("gone", load_app).deploy(client=client)
        modal.App.lookup("gone", client=client).stop()
        with pytest.raises(modal.exception.NotFoundError):
            modal.Function.from_name("gone", "double", client=client).hydrate()


class TestAutoscaler:
    def test_is_overridden_until_the_next_deployment(
        self, client: modal.Client, load_app: Callable[[str], ModuleType]
    ) -> None:
        demo("scaled", load_app).deploy(client=client)
        function = modal.Function.from_name("scaled", "double", client=client)
        assert function.autoscaler.update(max_containers=7, scaledown_window=33).max_containers == 7
        assert function.autoscaler.settings().scaledown_window == 33
        demo("scaled", load_app).deploy(client=client, tag="another")
        assert function.autoscaler.settings().max_containers is None


class TestSecrets:
    def test_missing(self, client: modal.Client) -> None:
        with pytest.raises(modal.exception.NotFoundError, match=r"Secret \('absent', 'main'\) not found"):
            modal.Secret.from_name("absent", client=client).hydrate()

    def test_missing_key(self, client: modal.Client) -> None:
        modal.Secret.objects.create("half", {"A": "1"}, client=client)
        modal.Secret.from_name("half", required_keys=["A"], client=client).hydrate()
        with pytest.raises(modal.exception.InvalidError, match=r"'half' is missing key\(s\): B"):
            modal.Secret.from_name("half", required_keys=["A", "B"], client=client).hydrate()

    def test_life(self, client: modal.Client, running: Running) -> None:
        modal.Secret.objects.create("short-lived", {"A": "1"}, client=client)
        with pytest.raises(modal.exception.AlreadyExistsError):
            modal.Secret.objects.create("short-lived", {"A": "2"}, client=client)
        modal.Secret.from_name("short-lived", client=client).update({"B": "2"})
        stored = running.backend.store.secrets.get(name="short-lived")
        assert stored is not None
        assert stored.contents == {"A": "1", "B": "2"}
        assert "short-lived" in [secret.name for secret in modal.Secret.objects.list(client=client)]
        modal.Secret.objects.delete("short-lived", client=client)
        assert running.backend.store.secrets.get(name="short-lived") is None


@pytest.mark.parametrize("version", [1, 2])
class TestVolumes:
    def test_files(self, client: modal.Client, version: int, tmp_path: Path) -> None:
        name = f"volume-{version}"
        with pytest.raises(modal.exception.NotFoundError):
            modal.Volume.from_name(name, client=client).listdir("/")
        volume = modal.Volume.from_name(name, create_if_missing=True, version=version, client=client)
        large = bytes(range(256)) * (9 * 4096) + bytes(5000)
        (tmp_path / "tree" / "deep").mkdir(parents=True)
        (tmp_path / "tree" / "deep" / "leaf").write_text("green")
        with volume.batch_upload() as batch:
            batch.put_file(BytesIO(b"hello"), "/dir/small.txt")
            batch.put_file(BytesIO(large), "/large.bin")
            batch.put_file(BytesIO(b""), "/empty")
            batch.put_directory(tmp_path / "tree", "/tree")
        assert b"".join(volume.read_file("dir/small.txt")) == b"hello"
        assert b"".join(volume.read_file("large.bin")) == large
        assert b"".join(volume.read_file("empty")) == b""
        target = BytesIO()
        assert volume.read_file_into_fileobj("large.bin", target) == len(large)
        assert target.getvalue() == large
        assert {entry.path for entry in volume.iterdir("/", recursive=True)} == {
            "dir",
            "dir/small.txt",
            "empty",
            "large.bin",
            "tree",
            "tree/deep",
            "tree/deep/leaf",
        }
        with pytest.raises(FileExistsError), volume.batch_upload() as batch:
            batch.put_file(BytesIO(b"again"), "/dir/small.txt")
        with volume.batch_upload(force=True) as batch:
            batch.put_file(BytesIO(b"again"), "/dir/small.txt")
        volume.copy_files(["dir/small.txt"], "copy.txt")
        volume.remove_file("dir", recursive=True)
        assert b"".join(volume.read_file("copy.txt")) == b"again"
        with pytest.raises(FileNotFoundError):
            list(volume.read_file("dir/small.txt"))

    def test_nothing_outside_is_reached(self, client: modal.Client, running: Running, version: int) -> None:
        volume = modal.Volume.from_name(f"walls-{version}", create_if_missing=True, version=version, client=client)
        volume.hydrate()
        directory = running.cloud.home / "volumes" / volume.object_id
        (directory / "hole").symlink_to(running.cloud.home)
        for path in ("../../credentials.json", "hole/credentials.json"):
            with pytest.raises(modal.exception.InvalidError, match="leads out of"):
                list(volume.read_file(path))
        with pytest.raises(modal.exception.InvalidError), volume.batch_upload() as batch:
            batch.put_file(BytesIO(b"x"), "/hole/credentials.json")
        assert (running.cloud.home / "credentials.json").stat().st_size > 1


class TestEnvironments:
    def test_are_separate(self, client: modal.Client, load_app: Callable[[str], ModuleType]) -> None:
        modal.Environment.objects.create("dev", client=client)
        assert {each.name for each in modal.Environment.objects.list(client=client)} >= {"main", "dev"}
        demo("apart", load_app).deploy(client=client, environment_name="dev")
        modal.App.lookup("apart", environment_name="dev", client=client)
        with pytest.raises(modal.exception.NotFoundError):
            modal.App.lookup("apart", client=client)


class TestAccess:
    def test_needs_the_token(self, running: Running) -> None:
        stranger = connect(replace(running.cloud, token_secret="as-wrong"))
        with pytest.raises(modal.exception.AuthError, match="does not know this token"):
            stranger.hello()

    def test_a_container_needs_its_own(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MODAL_OVERRIDE_HEADERS", "x-glmdeploy-task:ta-0,x-glmdeploy-task-secret:guess")
        with pytest.raises(modal.exception.AuthError):
            connect(running.cloud).hello()

    def test_a_client_is_no_container(self, running: Running) -> None:
        with pytest.raises(GRPCError) as refusal:
            call(running.cloud, "FunctionGetInputs", api_pb2.FunctionGetInputsRequest())
        assert refusal.value.status is Status.PERMISSION_DENIED

    def test_what_is_missing_is_named(self, client: modal.Client, running: Running) -> None:
        with pytest.raises(GRPCError) as refusal:
            call(running.cloud, "ProxyList", Empty())
        assert refusal.value.message == "ProxyList is not supported by the embedded cloud"
        assert refusal.value.status is Status.UNIMPLEMENTED
        with pytest.raises(modal.exception.UnimplementedError, match="QueueGetOrCreate is not supported"):
            modal.Queue.from_name("q", create_if_missing=True, client=client).hydrate()
