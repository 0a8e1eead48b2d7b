"""``plan`` against what really runs: drift of each kind, live changes, saved plans; it changes nothing anywhere."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal
import pytest
from grpclib import Status
from modal_proto import api_pb2
from operate_plane import TARGET, Plane, running
from support import call
from variations import COMMIT

from glmdeploy.app.build import build
from glmdeploy.errors import DeployError
from glmdeploy.operate.archive import VOLUME, archive, plan_path, runtime_path
from glmdeploy.operate.deployed import deployed
from glmdeploy.operate.preview import drift_of, preview
from glmdeploy.operate.publish import publish
from glmdeploy.operate.saved import saved_preview
from glmdeploy.plan import source
from glmdeploy.plan.make import plan_of
from glmdeploy.plan.saved import load_saved, save
from glmdeploy.profile.text.load import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.plan.plan import Plan

PROFILE = ("b200-eagle-bf16kv", "--set", f"model.revision='{COMMIT}'")
PLAN = ("plan", *PROFILE)
APP = "glm51-fp8"
READING = {
    *("AppDeploymentHistory", "AppGetByDeploymentName", "AppGetOrCreate", "FunctionGet", "FunctionGetSchedulingParams"),
    *("SecretGetOrCreate", "TaskList", "VolumeGetFile2", "VolumeGetOrCreate", "VolumeListFiles", "VolumeListFiles2"),
    *("EnvironmentGetOrCreate", "ClientHello", "FunctionGetById", "EnvironmentList"),
}
"""What ``plan`` may ask; the SDK looks apps, secrets and volumes up with RPCs that could create them too."""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A cloud with the profile's secrets, weights and kernels, and the profile as version 1."""
    with running(tmp_path_factory.mktemp("plane")) as plane:
        for name, key in (("huggingface-secret", "HF_TOKEN"), ("glm51-api-key", "API_KEY")):
            modal.Secret.objects.create(name, {key: "the-key-of-this-test"})
        plane.run("apply", *PROFILE, "--yes", "--no-wait", "--no-preflight")
        yield plane


@pytest.fixture(autouse=True)
def as_deployed(plane: Plane) -> Iterator[None]:
    """Each test begins and ends with the profile as it was deployed."""
    yield
    restore(plane)


def restore(plane: Plane) -> None:
    now = deployed(APP, TARGET)
    if now and now.foreign:
        call(plane.cloud, "AppStop", api_pb2.AppStopRequest(app_id=app_id(plane)))
    if plane.json(*PLAN)["acts"]:
        plane.run("apply", *PROFILE, "--yes", "--no-wait", "--no-preflight", "--force")


def planned(*sets: str) -> Plan:
    settings = (f"model.revision='{COMMIT}'", *sets)
    return plan_of(load("b200-eagle-bf16kv", sets=settings))[0].at(COMMIT)


def overridden(**fields: Any) -> None:
    modal.Cls.from_name(APP, "Server")().serve.autoscaler.update(**fields)  # type: ignore[attr-defined]


def found_drift(plane: Plane, *sets: str) -> list[dict[str, Any]]:
    drift: list[dict[str, Any]] = plane.json(*PLAN, *sets)["drift"]
    return drift


def app_id(plane: Plane) -> str:
    found = call(plane.cloud, "AppGetByDeploymentName", api_pb2.AppGetByDeploymentNameRequest(name=APP))
    return str(found.app_id)


def deploy_without_tag(plan: Plan) -> None:
    """As ``modal deploy`` of the rendered script does."""
    with tempfile.TemporaryDirectory() as folder:
        build(plan, Path(folder)).deploy(environment_name="main")


def test_no_change(plane: Plane) -> None:
    text = plane.run(*PLAN)
    assert text.startswith(f"{APP} on Modal (main): version ")
    assert ", as planned\n\nNo changes.\n" in text
    found = plane.json(*PLAN)
    assert (found["changed"], found["acts"], found["drift"], found["live"], found["changes"]) == (
        *(False, False),
        *([], [], []),
    )


@pytest.mark.parametrize("command", [("plan",), ("apply", "--dry-run")])
def test_it_changes_nothing_and_asks_little(plane: Plane, command: tuple[str, ...]) -> None:
    before = {path: path.stat().st_mtime_ns for path in plane.home.rglob("*") if "state.sqlite3" not in path.name}
    plane.asked.clear()
    plane.run(*command, *PROFILE, "--set", "server.max_inputs=7")
    asked = list(plane.asked)
    after = {path: path.stat().st_mtime_ns for path in plane.home.rglob("*") if "state.sqlite3" not in path.name}
    assert {name for name, _ in asked} <= READING
    for name, message in asked:
        if name.endswith("GetOrCreate"):
            assert not message.object_creation_type, (name, message)  # type: ignore[attr-defined]
    assert len(asked) <= 20, [name for name, _ in asked]
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == set()


ASKED = ("AppDeploymentHistory", "AppGetOrCreate", "FunctionGet", "FunctionGetSchedulingParams", "TaskList")
OTHERS = (Status.NOT_FOUND, Status.UNAVAILABLE, Status.INTERNAL, Status.UNAUTHENTICATED, Status.INVALID_ARGUMENT)
FAULTS = [
    *((rpc, Status.PERMISSION_DENIED) for rpc in (*ASKED, "SecretGetOrCreate", "VolumeGetOrCreate", "VolumeListFiles")),
    *(pytest.param(rpc, status, marks=pytest.mark.thorough) for rpc in ASKED for status in OTHERS),
]


@pytest.mark.parametrize(("rpc", "status"), FAULTS)
def test_a_control_plane_that_errs(plane: Plane, rpc: str, status: Status) -> None:
    """One clear error, or what is not found is taken not to be there; never a traceback."""
    plane.fault = (rpc, status)
    plane.asked.clear()
    try:
        ended, errors = plane.ended(*PLAN, "--set", "server.max_inputs=7")
    finally:
        plane.fault = None
    assert rpc in {name for name, _ in plane.asked}
    assert "has a bug" not in errors
    if status is Status.PERMISSION_DENIED:
        assert ended == 1
        assert errors.startswith("error: could not "), errors
        assert "does not permit it" in errors


def test_exit_codes(plane: Plane) -> None:
    plane.run(*PLAN, "--detailed-exitcode")
    plane.run(*PLAN, "--detailed-exitcode", "--set", "server.max_containers=2", code=2)
    plane.run(*PLAN, "--detailed-exitcode", "--no-such-option", code=1)
    plane.run(*PLAN, "--detailed-exitcode", "--json", "--markdown", code=1)
    plane.run(*PLAN, "--json", "--markdown", code=2)
    plane.run("plan", "no-such-profile", "--detailed-exitcode", code=1)


def test_the_autoscaler_alone_is_live(plane: Plane) -> None:
    found = plane.json(*PLAN, "--set", "server.max_containers=2", "--set", "server.scaledown_window=30m")
    assert not found["changed"]
    assert found["acts"]
    assert found["drift"] == []
    assert [(each["field"], each["now"], each["wanted"]) for each in found["live"]] == [
        ("max_containers", 3, 2),
        ("scaledown_window", 900, 1800),
    ]
    assert {each["name"]: each["costs"] for each in found["changes"]} == {
        "max_containers": ["live"],
        "scaledown_window": ["live"],
    }
    assert "Plan: 1 to update, live: no container restarts." in plane.run(*PLAN, "--set", "server.max_containers=2")


def test_an_override_is_drift_unless_the_profile_says_the_same(plane: Plane) -> None:
    overridden(max_containers=5)
    [drift] = found_drift(plane)
    assert (drift["kind"], drift["name"], drift["found"], drift["expected"], drift["repair"]) == (
        *("autoscaler", "max_containers"),
        *(5, 3, "live"),
    )
    same = plane.json(*PLAN, "--set", "server.max_containers=5")
    assert (same["acts"], same["drift"], same["changes"]) == (False, [], [])
    [told] = drift_of(deployed(APP, TARGET) or pytest.fail("nothing runs"), TARGET)
    assert (told.kind, told.found, told.expected) == ("autoscaler", 5, 3)
    assert (told.by is None) == (told.at is None)
    overridden(max_containers=3, buffer_containers=1)
    [left] = found_drift(plane)
    assert (left["name"], left["found"], left["expected"], left["repair"]) == ("buffer_containers", 1, 0, "live")
    overridden(buffer_containers=None)


def test_apply_repairs_an_override_without_a_deployment(plane: Plane) -> None:
    before = deployed(APP, TARGET)
    overridden(max_containers=5, min_containers=1)
    plane.run("apply", *PROFILE, "--yes", "--no-wait")
    after = deployed(APP, TARGET)
    assert before is not None
    assert after is not None
    assert after.version == before.version
    assert found_drift(plane) == []


def test_a_saved_plan_is_applied_exactly_or_refused(plane: Plane, tmp_path: Path) -> None:
    file = str(tmp_path / "a.plan")
    plane.run(*PLAN, "--set", "server.max_containers=4", "--set", "server.max_inputs=7", "--out", file)
    digest = load_saved(Path(file)).plan.digest
    overridden(scaledown_window=60)
    refused = plane.json("apply", file, "--yes", "--no-wait", "--no-preflight", code=1)["error"]["message"]
    assert refused.startswith("the world moved since the plan was saved: scaledown_window was as planned, and is 60")
    overridden(scaledown_window=900)
    plane.run("apply", file, "--yes", "--no-wait", "--no-preflight")
    now = deployed(APP, TARGET)
    assert now is not None
    assert now.digest == digest
    plane.run("apply", file, "--yes", "--no-wait", "--no-preflight")
    again = deployed(APP, TARGET)
    assert again is not None
    assert again.version == now.version, "it is what runs"


@pytest.mark.parametrize("gone", [True, False])
def test_a_volume_that_was_deleted_or_made_again(plane: Plane, gone: bool) -> None:
    modal.Volume.objects.delete("glm51-deepgemm-cache")
    if not gone:
        modal.Volume.objects.create("glm51-deepgemm-cache")
    found = plane.json(*PLAN)
    [drift] = found["drift"]
    assert (drift["kind"], drift["name"], drift["found"] is None) == ("volume", "glm51-deepgemm-cache", gone)
    assert found["changed"]
    assert found["stages"] == {"download": False, "compile": True}
    restore(plane)
    assert found_drift(plane) == []


def test_a_secret_that_was_made_again(plane: Plane) -> None:
    modal.Secret.objects.delete("glm51-api-key")
    found = plane.json(*PLAN)
    assert [(each["kind"], each["name"], each["found"]) for each in found["drift"]] == [
        ("secret", "glm51-api-key", None)
    ]
    assert [each["name"] for each in found["missing_secrets"]] == ["glm51-api-key"]
    modal.Secret.objects.create("glm51-api-key", {"API_KEY": "another"})
    found = plane.json(*PLAN)
    assert [each["found"] is not None for each in found["drift"]] == [True]
    assert found["changed"]
    assert found["missing_secrets"] == []


def test_other_code_and_its_image(plane: Plane) -> None:
    last = deployed(APP, TARGET)
    deploy_without_tag(planned("sglang.image=lmsysorg/sglang:v0.5.11-cu129"))
    found = plane.json(*PLAN)
    assert [each["kind"] for each in found["drift"]] == ["code", "image"]
    assert last is not None
    assert found["drift"][0]["expected"] == last.version.number
    assert found["changed"]
    assert "is no deployment of glmdeploy, which deployed" in plane.run(*PLAN)


def test_the_same_plan_without_its_tag_is_other_code(plane: Plane) -> None:
    deploy_without_tag(planned("server.max_inputs=7"))
    deploy_without_tag(planned())
    now = deployed(APP, TARGET)
    assert now is not None
    assert (now.origin, now.plan, now.foreign) == (None, None, False)
    assert now.digest == planned().digest
    found = plane.json(*PLAN)
    assert (found["changed"], found["changes"]) == (True, [])
    assert [each["kind"] for each in found["drift"]] == ["code"]


def test_a_rollback_is_followed_and_told(plane: Plane) -> None:
    first = deployed(APP, TARGET)
    plan = planned("sglang.args.max-running-requests=40")
    publish(plan, TARGET, strategy="rolling")
    assert first is not None
    call(plane.cloud, "AppRollback", api_pb2.AppRollbackRequest(app_id=app_id(plane), version=first.version.number))
    call(plane.cloud, "AppRollover", api_pb2.AppRolloverRequest(app_id=app_id(plane)))
    now = deployed(APP, TARGET)
    assert now is not None
    assert now.digest == first.digest
    assert now.version.number == first.version.number + 3
    assert now.origin is not None
    assert plane.json(*PLAN)["acts"] is False, "the profile is what runs, whoever brought it back"
    found = plane.json(*PLAN, "--set", "sglang.args.max-running-requests=40")
    assert [each["kind"] for each in found["drift"]] == ["rollback"]
    assert found["changed"]


def test_an_archive_that_is_gone_and_one_that_is_forged(plane: Plane) -> None:
    now = deployed(APP, TARGET)
    assert now is not None
    assert now.plan is not None
    assert now.origin is not None
    path = plan_path(now.origin.digits or "")
    volume = modal.Volume.from_name(VOLUME)
    kept = b"".join(volume.read_file(path))
    volume.remove_file(path)
    asked = deployed(APP, TARGET)
    assert asked is not None
    assert (asked.plan, asked.data) == (None, now.data), "describe told it"
    unasked = deployed(APP, TARGET, ask=False)
    assert unasked is not None
    assert unasked.data is None

    import io

    other = json.loads(kept)
    other["plan"]["server"]["public"] = True
    for content in (json.dumps(other).encode(), b"{"):
        with volume.batch_upload(force=True) as batch:
            batch.put_file(io.BytesIO(content), path)
        with pytest.raises(DeployError, match="cannot be used"):
            deployed(APP, TARGET)
        plane.run(*PLAN, code=1)
    with volume.batch_upload(force=True) as batch:
        batch.put_file(io.BytesIO(kept), path)


@pytest.mark.parametrize("damaged", [None, b"", b"no archive"])
def test_a_container_side_that_is_gone_or_damaged_is_kept_anew(plane: Plane, damaged: bytes | None) -> None:
    import io

    plan = planned()
    path, volume = runtime_path(plan.runtime), modal.Volume.from_name(VOLUME, create_if_missing=True)
    archive(plan, TARGET)
    if damaged is None:
        volume.remove_file(path)
    else:
        with volume.batch_upload(force=True) as batch:
            batch.put_file(io.BytesIO(damaged), path)
    archive(plan, TARGET)
    assert source.unpacked(b"".join(volume.read_file(path)), plan.runtime) == source.files()


def test_an_unknown_commit_is_compared_by_its_revision(plane: Plane) -> None:
    sets = ("app=glm-branch", "model.revision=main")
    unknown = plan_of(load("b200-eagle-bf16kv", sets=sets))[0]
    assert unknown.model.commit is None
    new = preview(unknown, TARGET)
    assert (new.changed, new.need.download) == (True, True)
    publish(unknown.at(COMMIT), TARGET, strategy="rolling")
    found = preview(unknown, TARGET)
    assert (found.changes, found.acts) == ((), False)


def test_a_saved_plan(plane: Plane, tmp_path: Path) -> None:
    file = str(tmp_path / "a.plan")
    edit = ("--set", "server.max_containers=4")
    shown = plane.run(*PLAN, *edit, "--out", file)
    assert plane.run("show", file).split("\n\n", 1)[1].strip() in shown
    assert plane.json("show", file)["saved"]["stale"] is False
    publish(planned(), TARGET, strategy="rolling")
    assert plane.json("show", file)["saved"]["stale"] is False, "a deployment of the same changes nothing"
    overridden(scaledown_window=60)
    stale = plane.json("show", file)["saved"]
    assert stale["stale"] is True
    assert "scaledown_window was as planned, and is 60 now" in stale["warning"]
    overridden(scaledown_window=900)
    publish(planned("server.max_inputs=7"), TARGET, strategy="rolling")
    assert "another plan was deployed" in plane.json("show", file)["saved"]["warning"]
    assert plane.json("show", file, "--offline")["saved"]["stale"] is None


SERVER = (
    *("app=glm-server", "server.kind=server", "server.timeout=null", "server.max_inputs=null"),
    *("server.max_concurrency=20", "server.target_concurrency=8", "server.min_containers=0"),
)


def test_of_a_server_more_is_live(plane: Plane) -> None:
    publish(planned(*SERVER), TARGET, strategy="rolling")
    sets = [word for each in SERVER for word in ("--set", each)]
    assert plane.json(*PLAN, *sets)["live"] == []
    found = plane.json(*PLAN, *sets, "--set", "server.target_concurrency=6", "--set", "server.scaleup_window=30s")
    assert not found["changed"]
    assert {each["field"]: each["wanted"] for each in found["live"]} == {"target_concurrency": 6, "scaleup_window": 30}


def test_what_is_not_done_any_more_moves_nothing(plane: Plane, tmp_path: Path) -> None:
    file = tmp_path / "a.plan"
    plane.run(*PLAN, "--set", "server.max_containers=4", "--out", str(file))
    overridden(max_containers=4)
    assert plane.json("show", str(file))["saved"]["stale"] is False
    again = saved_preview(load_saved(file), TARGET)
    assert not again.acts
    overridden(max_containers=3)
    edited = ("--set", "server.max_inputs=7")
    plane.run(*PLAN, *edited, "--out", str(file))
    publish(planned("server.max_inputs=7"), TARGET, strategy="rolling")
    assert plane.json("show", str(file))["saved"]["stale"] is False, "it is what runs"


def test_another_release_shows_a_saved_plan_and_does_not_deploy_it(plane: Plane, tmp_path: Path) -> None:
    file = tmp_path / "a.plan"
    plane.run(*PLAN, "--out", str(file))
    kept = load_saved(file)
    save(file, replace(kept, plan=replace(kept.plan, runtime="0" * 64), release="9.9.9"))
    told = plane.json("show", str(file))["saved"]
    assert "the plan was saved by glmdeploy 9.9.9, whose container side is not this one's" in told["warning"]
    with pytest.raises(DeployError, match=r"saved by glmdeploy 9\.9\.9"):
        saved_preview(load_saved(file), TARGET)


def test_stopped_then_foreign_then_adopted(plane: Plane) -> None:
    call(plane.cloud, "AppStop", api_pb2.AppStopRequest(app_id=app_id(plane)))
    found = plane.json(*PLAN)
    assert [each["kind"] for each in found["drift"]] == ["stopped"]
    assert found["now"] is None
    assert plane.run(*PLAN).startswith(f"{APP} on Modal (main): stopped by you on ")

    modal.App(APP).deploy(environment_name="main")
    error = plane.json(*PLAN, code=1)["error"]["message"]
    assert error.startswith(f"an app {APP} that glmdeploy did not deploy runs already: version 1 of ")
    adopted = plane.json(*PLAN, "--adopt")
    assert (adopted["changed"], adopted["now"]["foreign"]) == (True, True)
    now = deployed(APP, TARGET)
    assert now is not None
    assert drift_of(now, TARGET) == ()
