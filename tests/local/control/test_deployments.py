"""What is live of an app, what was, and what its autoscaler is told beside that."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import modal
import pytest
from modal_proto import api_pb2
from support import call

from glmdeploy.local.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from glmdeploy.local.daemon import Running


@pytest.fixture
def app(load_app: Callable[[str], ModuleType]) -> Callable[..., modal.App]:
    """An app with a function that doubles; ``settings`` are keywords of it."""

    def make(name: str, *, tags: dict[str, str] | None = None, **settings: object) -> modal.App:
        made = modal.App(name, tags=tags or {})
        secret = modal.Secret.from_dict({"KEY": "sk-very-secret-0123"})
        image = modal.Image.debian_slim().add_local_file(__file__, "/root/note.txt")
        made.function(image=image, secrets=[secret], **settings)(load_app("functions").double)  # type: ignore[arg-type]
        return made

    return make


def history(running: Running, app_id: str) -> api_pb2.AppDeploymentHistoryResponse:
    request = api_pb2.AppDeploymentHistoryRequest(app_id=app_id)
    return call(running.cloud, "AppDeploymentHistory", request)  # type: ignore[no-any-return]


def kinds(running: Running, app_id: str) -> list[tuple[int, str, int, str]]:
    return [
        (
            each.version,
            api_pb2.DeploymentType.Name(each.deployment_type).removeprefix("DEPLOYMENT_TYPE_"),
            each.rollback_version,
            each.tag,
        )
        for each in history(running, app_id).app_deployment_histories
    ]


class TestHistory:
    def test_knows_ways_back_and_fresh_containers(
        self, client: modal.Client, running: Running, app: Callable[..., modal.App]
    ) -> None:
        app_id = app("kinds", tags={"of": "one"}).deploy(client=client, tag="one").app_id
        app("kinds", timeout=60, tags={"of": "two"}).deploy(client=client, tag="two")
        rolled = call(running.cloud, "AppRollback", api_pb2.AppRollbackRequest(app_id=app_id, version=-1))
        call(running.cloud, "AppRollover", api_pb2.AppRolloverRequest(app_id=app_id))
        call(running.cloud, "AppRollback", api_pb2.AppRollbackRequest(app_id=app_id, version=2))
        call(running.cloud, "AppRollover", api_pb2.AppRolloverRequest(app_id=app_id))
        assert kinds(running, app_id) == [
            (6, "ROLLOVER", 2, ""),
            (5, "ROLLBACK", 2, ""),
            (4, "ROLLOVER", 1, ""),
            (3, "ROLLBACK", 1, ""),
            (2, "STANDARD", 0, "two"),
            (1, "STANDARD", 0, "one"),
        ]
        found = history(running, app_id)
        assert found.production_app_version == 6
        assert found.app_deployment_histories[3].deployed_at == rolled.deployed_at
        assert all(each.rollback_allowed for each in found.app_deployment_histories)
        # The tags of the app are those of the last deployment: nobody may take them for the version's.
        assert modal.App.lookup("kinds", client=client).get_tags() == {"of": "two"}

    def test_what_does_not_exist_cannot_come_back(
        self, client: modal.Client, running: Running, app: Callable[..., modal.App]
    ) -> None:
        app_id = app("first").deploy(client=client).app_id
        for version in (-1, 2, 99):
            with pytest.raises(Exception, match="has no version"):
                call(running.cloud, "AppRollback", api_pb2.AppRollbackRequest(app_id=app_id, version=version))

    def test_a_cheaper_plan_has_no_way_back(
        self,
        client: modal.Client,
        running: Running,
        app: Callable[..., modal.App],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        app_id = app("starter").deploy(client=client).app_id
        app("starter", timeout=60).deploy(client=client)
        object.__setattr__(running.backend, "subscription", Subscription(paid=False))
        try:
            with pytest.raises(Exception, match="not part of this workspace's plan") as failure:
                call(running.cloud, "AppRollback", api_pb2.AppRollbackRequest(app_id=app_id, version=-1))
            assert "FAILED_PRECONDITION" in repr(failure.value)
            assert not any(each.rollback_allowed for each in history(running, app_id).app_deployment_histories)
            call(running.cloud, "AppRollover", api_pb2.AppRolloverRequest(app_id=app_id))
        finally:
            object.__setattr__(running.backend, "subscription", Subscription())

    def test_a_stopped_app_begins_a_new_one(
        self, client: modal.Client, running: Running, app: Callable[..., modal.App]
    ) -> None:
        first = app("again").deploy(client=client).app_id
        modal.App.lookup("again", client=client).stop()
        second = app("again").deploy(client=client).app_id
        assert first != second
        assert [each[0] for each in kinds(running, second)] == [1]
        assert [each[0] for each in kinds(running, first)] == [1]


class TestNothingNew:
    def test_makes_no_version(self, client: modal.Client, running: Running, app: Callable[..., modal.App]) -> None:
        app_id = app("same", tags={"a": "b"}).deploy(client=client, tag="one").app_id
        function = modal.Function.from_name("same", "double", client=client)
        function.autoscaler.update(scaledown_window=77)
        for tag in ("one", ""):
            app("same", tags={"a": "b"}).deploy(client=client, tag=tag)
        assert kinds(running, app_id) == [(1, "STANDARD", 0, "one")]
        assert function.autoscaler.settings().scaledown_window == 77

    @pytest.mark.parametrize(
        ("name", "changed"),
        [("tagged", {"tag": "two"}), ("labelled", {"tags": {"a": "c"}}), ("slower", {"timeout": 61})],
    )
    def test_but_this_does(
        self,
        client: modal.Client,
        running: Running,
        app: Callable[..., modal.App],
        name: str,
        changed: dict[str, object],
    ) -> None:
        app_id = app(name, tags={"a": "b"}).deploy(client=client, tag="one").app_id
        tag = str(changed.pop("tag", "one"))
        app(name, **{"tags": {"a": "b"}, **changed}).deploy(client=client, tag=tag)
        assert [each[0] for each in kinds(running, app_id)] == [2, 1]


class TestVersions:
    def test_are_asked_and_called_by_number(
        self, client: modal.Client, running: Running, load_app: Callable[[str], ModuleType]
    ) -> None:
        def version(number: int) -> modal.App:
            made = modal.App("versions")
            made.function(name="who", serialized=True, timeout=60 + number)(lambda: number)
            return made

        version(1).deploy(client=client)
        version(2).deploy(client=client)
        old = modal.Function.from_name("versions", "who", version=1, client=client)
        assert old.info().timeout == 61
        assert modal.Function.from_name("versions", "who", version=2, client=client).info().timeout == 62
        version(3).deploy(client=client)
        assert old.remote() == 1
        assert modal.Function.from_name("versions", "who", client=client).remote() == 3
        with pytest.raises(modal.exception.NotFoundError, match="no version 4"):
            modal.Function.from_name("versions", "who", version=4, client=client).hydrate(client)
        with pytest.raises(modal.exception.Error, match="only the version that is live"):
            old.autoscaler.update(min_containers=1)

    def test_of_a_class(self, client: modal.Client) -> None:
        def version(number: int) -> None:
            class Server:
                @modal.method()
                def who(self) -> int:
                    return number

            made = modal.App("classes")
            made.cls(serialized=True)(Server)
            made.deploy(client=client)

        version(1)
        version(2)
        assert modal.Cls.from_name("classes", "Server", version=1, client=client)().who.remote() == 1


class TestAutoscaler:
    def test_tells_who_overrode_what(
        self, client: modal.Client, running: Running, app: Callable[..., modal.App]
    ) -> None:
        app_id = app("scaled", max_containers=4, scaledown_window=30).deploy(client=client).app_id
        function = modal.Function.from_name("scaled", "double", client=client)
        before = time.time()
        function.autoscaler.update(max_containers=None, buffer_containers=0)

        def found() -> api_pb2.AutoscalerConfiguration:
            request = api_pb2.FunctionGetSchedulingParamsRequest(function_id=function.object_id)
            answer = call(running.cloud, "FunctionGetSchedulingParams", request)
            return answer.autoscaler_configuration  # type: ignore[no-any-return]

        assert (found().default_settings.scaledown_window, found().default_settings.HasField("min_containers")) == (
            60,
            True,
        )
        assert (found().static_settings.max_containers, found().override_settings.max_containers) == (4, 0)
        assert (found().settings.max_containers, found().settings.scaledown_window) == (0, 30)
        assert set(found().override_events) == {"max_containers", "buffer_containers"}
        event = found().override_events["max_containers"]
        assert event.requested_by
        assert before <= event.timestamp <= time.time()
        call(running.cloud, "AppRollover", api_pb2.AppRolloverRequest(app_id=app_id))
        assert not found().override_events
        assert function.autoscaler.settings().max_containers == 4

    def test_of_a_server_and_of_a_web_class(
        self, client: modal.Client, running: Running, load_app: Callable[[str], ModuleType]
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for kind, name in (("web_server", "scaled-class"), ("server", "scaled-server")):
                patch.setenv("SETTINGS", f'{{"kind": "{kind}", "version": 1}}')
                patch.delitem(sys.modules, "rolling", raising=False)
                load_app("rolling").app.deploy(client=client, name=name)
        serve = modal.Cls.from_name("scaled-class", "Server", client=client)().serve
        assert serve.autoscaler.settings().scaledown_window == 3600
        assert serve.autoscaler.update(min_containers=0, max_containers=3).max_containers == 3
        server = modal.Server.from_name("scaled-server", "Server", client=client)
        changed = server.autoscaler.update(target_concurrency=2.5, scaleup_window=7)
        assert (changed.target_concurrency, changed.scaleup_window, changed.scaledown_window) == (2.5, 7, 3600)
        assert server.autoscaler.settings() == changed
        request = api_pb2.FunctionGetSchedulingParamsRequest(function_id=server.object_id)
        found = call(running.cloud, "FunctionGetSchedulingParams", request).autoscaler_configuration
        assert set(found.override_events) == {"target_concurrency_float", "scaleup_window"}
        assert found.default_settings.HasField("target_concurrency_float")
