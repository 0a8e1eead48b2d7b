"""A new version under requests and streams: nobody notices one that serves, and one that does not is taken back.

What ``test_life`` does of it is tried here with ``--all`` alone.
"""

from __future__ import annotations

import json
import signal
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from support import PATIENCE, copied_cloud, wait_until
from traffic import traffic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fault_rows import Fault
    from support import Shell
    from traffic import Traffic

APP = "glm51-fp8"
PROFILE = ("b200-eagle-bf16kv", "--target", "local")
APPLY = ("apply", *PROFILE, "--yes", "--no-preflight", "--make-secrets")
GARBAGE = ("--set", "sglang.env.GLMDEPLOY_STANDIN_GARBAGE='<html>'")
CRASH = ("--set", "sglang.env.GLMDEPLOY_STANDIN_CRASH_FILE=/proc/self/cmdline")
LATE = ("--set", "sglang.env.GLMDEPLOY_STANDIN_START_SECONDS=600")


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with copied_cloud(template, tmp_path_factory.mktemp("rollout")) as one:
        yield one


@pytest.fixture(scope="module")
def url(shell: Shell) -> str:
    return str(shell.json(*APPLY)["url"])


@pytest.fixture
def loop(shell: Shell, url: str) -> Iterator[Traffic]:
    """Requests all the while, the first of which has been answered: the version that runs is warm."""
    shell.run(*APPLY)
    key = shell.run("local", "secret", "glm51-api-key", "API_KEY").stdout.strip()
    with traffic(url, key, "glm-5.1") as one:
        yield one


def running(count: int) -> tuple[str, ...]:
    return ("--set", f"sglang.args.max-running-requests={count}")


def planned(shell: Shell, *more: str) -> dict[str, Any]:
    """What is still to do for the profile."""
    found: dict[str, Any] = shell.json("apply", *PROFILE, *more, "--dry-run")
    return found


def as_planned(shell: Shell, *more: str) -> bool:
    found = planned(shell, *more)
    return not (found["changed"] or found["live"] or found["drift"])


@pytest.mark.thorough
def test_nobody_notices_a_new_version(shell: Shell, loop: Traffic) -> None:
    before = planned(shell)["now"]["version"]
    result = shell.json(*APPLY, *running(40))
    loop.goes_on()
    assert loop.faults() == []
    assert (result["version"], result["version_before"], result["guarded"], result["proven"]) == (
        before + 1,
        before,
        True,
        True,
    )
    assert as_planned(shell, *running(40)), "what gave it room is set back"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("bad", "reason"),
    [(GARBAGE, "warm-up: the answer is not JSON"), (CRASH, "SGLang ")],
    ids=["garbage", "no start"],
)
def test_one_that_does_not_serve_is_taken_back(
    shell: Shell, loop: Traffic, bad: tuple[str, ...], reason: str, fault: Fault
) -> None:
    before = planned(shell)["now"]["version"]
    done = shell.run(*APPLY, *bad, code=1, container_failed=True)
    loop.goes_on()
    assert loop.faults() == []
    told = f"version {before} never stopped answering; version {before + 1} was taken back"
    assert told in done.stderr
    assert f"error: the new version of {APP} refuses to serve: {reason}" in done.stderr
    now = planned(shell)
    assert as_planned(shell)
    assert now["now"]["version"] == before + 2
    if bad == GARBAGE:
        fault("new version that answers garbage while the old one serves", "it is taken back; no request fails")


@pytest.mark.thorough
def test_one_that_is_late_is_taken_back_and_overrides_come_back(shell: Shell, loop: Traffic) -> None:
    shell.run(*APPLY, "--set", "server.scaledown_window=777")
    done = shell.run(*APPLY, *LATE, "--timeout", "5", code=1)
    assert "was not ready within 5 s" in done.stderr
    assert "scaledown_window is 12 min 57 s now, as it was set before the deployment" in done.stderr
    assert loop.faults() == []
    assert as_planned(shell, "--set", "server.scaledown_window=777")


def test_live_changes_deploy_nothing(shell: Shell, url: str) -> None:
    shell.run(*APPLY)
    before = shell.deployments(APP)
    result = shell.json(*APPLY, "--set", "server.max_containers=2")
    assert result["rescaled"] == {"max_containers": 2}
    assert shell.deployments(APP) == before
    assert as_planned(shell, "--set", "server.max_containers=2")
    assert shell.json(*APPLY)["rescaled"] == {"max_containers": 3}, "the override is drift for this profile"


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.thorough)])
def test_an_interrupt_leaves_the_one_that_serves(shell: Shell, loop: Traffic, number: signal.Signals) -> None:
    before = planned(shell)["now"]["version"]
    with shell.started(*APPLY, "-v", *LATE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "start ..." in line:
                break
        process.send_signal(number)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert f"version {before} never stopped answering" in stderr
    assert loop.faults() == []
    assert as_planned(shell)


@pytest.mark.thorough
def test_no_rollback_leaves_it_and_the_next_one_sees_to_it(shell: Shell, loop: Traffic) -> None:
    before = planned(shell)["now"]["version"]
    done = shell.run(*APPLY, *GARBAGE, "--no-rollback", code=1, container_failed=True)
    said = " ".join(done.stderr.split())
    assert f"version {before + 1} is deployed and stays: --no-rollback; to change that: glmdeploy rollback" in said
    assert planned(shell)["now"]["version"] == before + 1
    shell.run("rollback", APP, "--target", "local", "--yes")
    assert as_planned(shell)
    assert loop.faults() == []


@pytest.mark.thorough
def test_without_rollbacks_the_plan_before_is_deployed_again(template: Path, tmp_path: Path) -> None:
    with copied_cloud(template, tmp_path) as shell:
        shell.extra["GLMDEPLOY_LOCAL_PLAN"] = "starter"
        url = shell.json(*APPLY)["url"]
        urllib.request.urlopen(f"{url}/health", timeout=PATIENCE).close()
        before = planned(shell)["now"]["version"]
        done = shell.run(*APPLY, *GARBAGE, code=1, container_failed=True)
        said = " ".join(done.stderr.split())
        assert f"version {before + 1} was taken back: version {before + 2} runs, which is version {before}" in said
        assert as_planned(shell)


@pytest.mark.thorough
def test_nothing_before_nothing_runs(ready: Shell) -> None:
    done = ready.run(*APPLY, *GARBAGE, "--set", "server.min_containers=1", code=1, container_failed=True)
    assert "nothing runs: there was nothing before version" in done.stderr
    wait_until(lambda: not ready.containers(APP))


def test_somebody_else_deployed_meanwhile(shell: Shell, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from glmdeploy.errors import DeployError
    from glmdeploy.operate import publish, rollout
    from glmdeploy.operate.target import Target

    monkeypatch.setattr(publish, "production", lambda *_: 7)
    with pytest.raises(DeployError, match=f"somebody deployed version 7 of {APP} meanwhile"):
        rollout.note(None, APP, Target(name="modal", environment=None))
    assert url


@pytest.mark.parametrize("tag", ["a" * 30, "with space", "ümlaut"])
def test_a_tag_that_modal_would_refuse(shell: Shell, tag: str) -> None:
    assert "--tag" in shell.run(*APPLY, "--tag", tag, code=2).stderr


@pytest.mark.parametrize("good", [True, pytest.param(False, marks=pytest.mark.thorough)])
def test_a_canary_leaves_nothing(shell: Shell, url: str, good: bool) -> None:
    before = planned(shell)["now"]["version"]
    edit = (*running(32), *(() if good else GARBAGE))
    done = shell.run(*APPLY, *edit, "--canary", code=0 if good else 1, container_failed=not good)
    assert "twice the GPUs" in done.stdout
    assert shell.deployed().count(APP) == 1
    assert not [name for name in shell.deployed() if "canary" in name]
    assert planned(shell)["now"]["version"] == before + good
    assert good or "production is untouched" in done.stderr


def test_what_a_rollback_would_do(shell: Shell, url: str) -> None:
    shell.run(*APPLY)
    shell.run(*APPLY, *running(24), "--no-wait")
    dry = shell.run("rollback", APP, "--target", "local", "--dry-run").stdout
    assert "max-running-requests 24 → 48" in dry
    assert "On Modal about 8 min and $7." in dry
    asked = shell.run("rollback", APP, "--target", "local", code=1)
    assert "run again with `--yes`" in asked.stderr
    assert "no version 99" in shell.run("rollback", APP, "99", "--target", "local", "--yes", code=1).stderr


@pytest.mark.thorough
def test_rollback_and_rollover(shell: Shell, loop: Traffic) -> None:
    shell.run(*APPLY, *running(24))
    result = json.loads(shell.run("rollback", APP, "--target", "local", "--yes", "--json").stdout)
    assert (result["proven"], result["guarded"]) == (True, True)
    assert as_planned(shell)
    old = shell.containers(APP)
    shell.run("rollover", APP, "--target", "local", "--yes")
    assert shell.containers(APP)
    assert not shell.containers(APP) & old
    assert as_planned(shell)
    assert loop.faults() == []
