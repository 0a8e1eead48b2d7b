"""A start proves itself to ``apply``: what differs, or talks nonsense, is refused with every reason."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import modal
import pytest
from grpclib import GRPCError, Status
from support import PATIENCE, STRANGE, copied_cloud

from glmdeploy import cli
from glmdeploy.local.cloud import environ
from glmdeploy.local.daemon import in_thread
from glmdeploy.operate import proof
from glmdeploy.operate.live import endpoint
from glmdeploy.operate.target import Target
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load
from glmdeploy.runtime.verdict import read_verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fault_rows import Fault
    from support import Shell

    from glmdeploy.runtime.verdict import Verdict

APPLY = ("apply", "b200-eagle-bf16kv", "--target", "local", "--yes", "--no-preflight", "--make-secrets")
BEHIND = "sglang.env.GLMDEPLOY_STANDIN_BEHIND='{changed}'"
REVISION = "model.revision='0123456789abcdef0123456789abcdef01234567'"
"""A commit, so that no hub is asked for it."""
GARBAGE = "sglang.env.GLMDEPLOY_STANDIN_GARBAGE='<html>'"


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with copied_cloud(template, tmp_path_factory.mktemp("proof")) as one:
        yield one


def verdicts(shell: Shell, app: str) -> list[Verdict]:
    lines = shell.modal("app", "logs", app, "--tail", "2000").stdout.splitlines()
    return [found for line in lines if (found := read_verdict(line))]


def refused(shell: Shell, app: str, *sets: str) -> tuple[list[str], str]:
    """The reasons of a start that must be refused, and all that apply said; nothing ever answers."""
    words = [word for each in (f"app={app}", *sets) for word in ("--set", each)]
    done = shell.run(*APPLY, *words, code=1, container_failed=True)
    [found] = verdicts(shell, app)
    error = done.stderr[done.stderr.index("error: ") :]
    assert f"error: the new version of {app} refuses to serve: {found.reasons[0]}\n" in error
    assert all(f"  and {reason}\n" in error for reason in found.reasons[1:])
    assert "it never answered a request\n" in error
    assert error.splitlines()[-1].startswith(f"all of its output: `glmdeploy logs {app} --version 1 ")
    failures = [file.read_text() for file in (shell.home / "volumes").rglob(f"failures/{found.digest}/*.json")]
    assert len(failures) == 1, "it counts as a failed start"
    assert found.reasons[0] in failures[0]
    for path in ("/health", "/v1/models"):
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"{shell.cloud.gateway_url}/{app}-server-serve{path}", timeout=PATIENCE)
        assert raised.value.code >= 500
        raised.value.close()
    return list(found.reasons), done.stderr


def test_a_start_that_proves_itself(shell: Shell) -> None:
    result = shell.json(*APPLY, "--set", "app=proven")
    assert result["proven"] is True
    [found] = verdicts(shell, "proven")
    assert (found.digest, found.reasons) == (result["digest"][:40], ())
    assert found.task in shell.containers("proven")
    again = shell.run(*APPLY, "-v", "--set", "app=proven", "--set", "sglang.args.max-running-requests=40")
    said = [line for line in again.stderr.splitlines() if " took " in line]
    assert [line.split(" took ")[0] for line in said] == ["  | imports", "  | warm-up"]
    assert "✓ start       runs what was planned, and answered the quick checks" in again.stderr


def test_options_changed_behind_the_plan(shell: Shell, fault: Fault) -> None:
    changed = '{"kv_cache_dtype": "fp8_e4m3", "max_running_requests": 8, "speculative_algorithm": null}'
    reasons, said = refused(shell, "behind", BEHIND.format(changed=changed))
    assert reasons == [
        "kv_cache_dtype is fp8_e4m3, the plan says bfloat16",
        "speculative_algorithm is null, the plan says EAGLE",
        "max_running_requests is 8, the plan says 48",
    ]
    assert "warm-up took" not in said, "nothing is warmed up that will not serve"
    fault("start that runs other values than planned", "; ".join(reasons))


@pytest.mark.thorough
def test_what_is_tolerated_may_differ(shell: Shell) -> None:
    sets = (BEHIND.format(changed='{"kv_cache_dtype": "fp8_e4m3"}'), "server.tolerate=[kv_cache_dtype]")
    words = [word for each in ("app=tolerant", *sets) for word in ("--set", each)]
    assert shell.json(*APPLY, *words)["proven"] is True


@pytest.mark.thorough
def test_an_engine_that_answers_garbage(shell: Shell, fault: Fault) -> None:
    reasons, _ = refused(shell, "garbage", GARBAGE)
    assert reasons == [
        "warm-up: the answer is not JSON",
        "chat: the answer is not JSON",
        "stream: it is no stream of events",
        "tool_call: the answer is not JSON",
    ]
    fault("start that answers garbage to the checks", "; ".join(reasons))


class Plane:
    """An embedded cloud in this process, and the RPC that fails in it."""

    def __init__(self) -> None:
        self.broken = ""

    def observe(self, rpc: str, _: Any) -> None:
        if rpc == self.broken:
            raise GRPCError(Status.PERMISSION_DENIED, f"{rpc} is out of order")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plane, Target]]:
    folder, plane = tmp_path_factory.mktemp("plane"), Plane()
    with (
        pytest.MonkeyPatch.context() as patch,
        in_thread(folder / "home", observer=plane.observe) as running,
    ):
        for name in [name for name in os.environ if name.startswith(STRANGE)]:
            patch.delenv(name)
        for name, value in {**environ(running.cloud), "GLMDEPLOY_HOME": str(folder / "locks")}.items():
            patch.setenv(name, value)
        modal.Secret.objects.create("glm-local-api-key", {"API_KEY": "the-key-of-this-test"})
        assert cli.run(("apply", "local-cpu", "--yes", "--no-wait", "--set", REVISION)) == 0
        yield plane, Target(name="modal", environment=None)
        modal.Client.from_env().close()


def followed(target: Target) -> list[proof.Told]:
    plan = plan_of(load("local-cpu", sets=(REVISION,)))[0]
    return list(proof.follow(plan, target, endpoint(plan, target), PATIENCE))


def test_a_log_that_cannot_be_read_leaves_the_public_answer(plane: tuple[Plane, Target]) -> None:
    plane[0].broken = "AppFetchLogs"
    try:
        *_, last = followed(plane[1])
    finally:
        plane[0].broken = ""
    assert isinstance(last, proof.Healthy)
    assert last.task is None
    assert last.doubt is not None
    assert last.doubt.startswith("could not read the log of glm-local-cpu: Modal does not permit it")


def test_a_container_from_before_proves_nothing(plane: tuple[Plane, Target], monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers, and its log has the verdict of the very same plan; but it is older than the deployment."""
    assert isinstance(followed(plane[1])[-1], proof.Healthy)
    later = datetime.now(UTC) + timedelta(seconds=1)
    monkeypatch.setattr(proof, "published_at", lambda *_: later)
    monkeypatch.setattr(proof, "OLD_SECONDS", 2.0)
    [only] = followed(plane[1])
    assert isinstance(only, proof.Healthy)
    assert (only.task, only.doubt) == (None, proof.OLD)
