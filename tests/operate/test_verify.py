"""``verify`` of a deployment on the embedded cloud: from here, from a container, by its URL."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from modal_proto import api_pb2
from served import APP, APPLY, key
from support import PATIENCE, Shell, call, copied_cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROFILE = "b200-eagle-bf16kv"
LOCAL = (PROFILE, "--target", "local")
CHECKS = [
    *("health", "key", "model", "chat", "stream", "reasoning", "tool_call", "dropped_stream", "speculation"),
    *("effective_values", "metrics", "canary", "load"),
]


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rehearsal") / "faults"


@pytest.fixture(scope="module")
def shell(template: Path, faults: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with copied_cloud(template, tmp_path_factory.mktemp("verify")) as one:
        # One container, so that all that is asked is asked of the same one.
        sets = (f"sglang.env.GLMDEPLOY_STANDIN_FAULTS_FILE={faults}", "server.max_containers=1")
        one.run(*APPLY, *(word for each in sets for word in ("--set", each)))
        yield one


@contextmanager
def rehearsed(faults: Path, *names: str) -> Iterator[None]:
    faults.write_text("\n".join(names))
    try:
        yield
    finally:
        faults.unlink()


def verified(shell: Shell, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What it comes to as JSON; the key is nowhere in what it prints."""
    done = shell.run("verify", *arguments, "--json", code=code)
    assert key(shell) not in done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["ok"] is (code == 0)
    return found


def states(found: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["state"] for check in found["checks"]}


def everything(shell: Shell) -> tuple[Any, ...]:
    """All that a command may change: deployments, secrets, volumes."""
    secrets = call(shell.cloud, "SecretList", api_pb2.SecretListRequest()).items
    volumes = call(shell.cloud, "VolumeList", api_pb2.VolumeListRequest()).items
    return (
        *(shell.deployed(), shell.deployments(APP)),
        *(sorted(item.label for item in secrets), sorted(item.label for item in volumes)),
    )


def test_from_here_and_from_a_container(shell: Shell) -> None:
    before = everything(shell)
    here = verified(shell, *LOCAL, "--concurrency", "1,4", "--requests", "4")
    assert states(here) == dict.fromkeys(CHECKS, "ok")
    assert (here["app"], here["asked_from"], here["stand_in"]) == (APP, "here", True)
    assert [level["concurrency"] for level in here["load"]] == [1, 4]
    assert here["figures"]["canary_passed_ratio"] == 1.0
    there = verified(shell, *LOCAL, "--concurrency", "2", "--requests", "2", "--from", "container")
    assert states(there) == dict.fromkeys(CHECKS, "ok")
    assert there["asked_from"] == "container"
    assert there["url"] == here["url"]
    assert everything(shell) == before
    log = shell.modal("app", "logs", APP, "--tail", "2000").stdout
    assert key(shell) not in log


def test_by_its_url(shell: Shell) -> None:
    url = f"{shell.cloud.gateway_url}/{APP}-server-serve"
    named = Shell(shell.home, {"SOME_KEY": key(shell)})
    done = named.run("verify", url, "--api-key-env", "SOME_KEY", "--no-load")
    assert "  ✓ ok       tool call         get_weather(" in done.stdout
    assert "  - skipped  effective values  without a profile nothing is expected\n" in done.stdout
    assert done.stdout.endswith("It was the stand-in that answered: its figures say nothing of SGLang.\n")
    keyless = shell.run("verify", url, "--quick", code=1)
    assert "✗ failed   key     the server wants a key, and none was given" in keyless.stdout
    wrong = Shell(shell.home, {"SOME_KEY": "another-key-than-that"})
    refused = wrong.run("verify", url, "--api-key-env", "SOME_KEY", "--quick", code=1)
    assert "✗ failed   key     the server refuses the key (401)" in refused.stdout
    assert "another-key-than-that" not in refused.stdout + refused.stderr


def test_an_engine_that_answers_garbage_fails(shell: Shell, faults: Path) -> None:
    with rehearsed(faults, "wrong-answers", "strings-in-stream"):
        found = verified(shell, *LOCAL, "--no-load", code=1)
    failed = {check["name"]: check["words"] for check in found["checks"] if check["state"] == "failed"}
    assert failed.keys() == {"tool_call", "canary"}
    assert failed["tool_call"] == "in the stream days is a string, the schema says integer"
    assert failed["canary"].startswith("0 of 20 answers right, and 18 should be: ")


@pytest.mark.thorough
def test_a_profile_that_says_otherwise_fails(shell: Shell) -> None:
    changed = ("--set", "sglang.args.max-running-requests=40", "--set", "model.served_name=another")
    done = shell.run("verify", *LOCAL, *changed, "--no-load", "--no-canary", code=1)
    assert "✗ failed   model             it serves glm-5.1, and should serve another\n" in done.stdout
    assert "max_running_requests is 48, the plan says" in done.stdout


def test_a_container_that_goes_away_is_asked_again(shell: Shell, faults: Path) -> None:
    with rehearsed(faults, "gone-once"):
        found = verified(shell, *LOCAL, "--quick")
    chat = found["checks"][3]
    assert (chat["name"], chat["state"]) == ("chat", "ok")
    assert chat["asked_again"]


def test_a_figure_that_is_worse_than_the_baseline_fails(shell: Shell, faults: Path, tmp_path: Path) -> None:
    file = tmp_path / "good.json"
    file.write_text(json.dumps(verified(shell, *LOCAL, "--quick")))
    compared = ("--quick", "--baseline", str(file), "--tolerance", "300")
    with rehearsed(faults, "slow"):
        slow = verified(shell, *LOCAL, *compared, code=1)
    worse = {each["name"]: each for each in slow["baseline"]["worse"]}
    assert "failed" not in states(slow).values()
    token = worse["inter_token_latency_ms p50"]
    assert token["now"] > 4 * token["before"]


@pytest.mark.thorough
def test_the_users_own_canary(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"prompt": "Say hello.", "contains": "You said: Say hello."}\n{"prompt": "x", "equal": "y"}\n')
    found = verified(shell, *LOCAL, "--quick", "--canary", str(file), code=1)
    [canary] = [check for check in found["checks"] if check["name"] == "canary"]
    assert canary["words"].startswith('1 of 2 answers right, and 2 should be: "x" got "This answer comes from')
    file.write_text('{"pass_mark": 0.5}\n' + file.read_text())
    assert states(verified(shell, *LOCAL, "--quick", "--canary", str(file)))["canary"] == "ok"


def test_the_stand_in_has_no_benchmark_of_sglangs(shell: Shell) -> None:
    found = verified(shell, *LOCAL, "--bench", "sglang", "--no-canary", "--concurrency", "1")
    assert found["checks"][-1] == {
        "name": "load",
        "state": "skipped",
        "words": "the stand-in has no sglang.bench_serving",
    }


def test_what_is_not_deployed(shell: Shell) -> None:
    done = shell.run("verify", *LOCAL, "--set", "app=nowhere", code=1)
    assert "error: could not look up the address of nowhere: " in done.stderr
    assert "is it deployed? `glmdeploy apply` does so" in done.stderr


API = """
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load
from glmdeploy.operate.target import connect
plan, _ = plan_of(load("b200-eagle-bf16kv"))
target = connect("local", plan, None)
from glmdeploy.operate.verify import verify
for where in ("here", "container"):
    found = verify(plan, target, quick=True, where=where)
    assert found.ok, found
    assert [check.name for check in found.checks] == ["health", "key", "model", "chat", "stream"]
    assert found.figures["time_to_first_token_ms"]["p50"] > 0
    assert found.where == where
print(found.url)
"""


def test_from_python(shell: Shell) -> None:
    done = subprocess.run(
        [sys.executable, "-c", API], env=shell.env, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{shell.cloud.gateway_url}/{APP}-server-serve"


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["web_server", "server"])
def test_behind_modals_proxy(ready: Shell, kind: str) -> None:
    sets = [
        *(f"server.kind={kind}", "server.requires_proxy_auth=true", "server.max_containers=1"),
        "secrets.proxy_token={name: modal-proxy, keys: [PROXY_KEY, PROXY_SECRET]}",
        *(("server.timeout=null", "server.max_inputs=null") if kind == "server" else ()),
    ]
    words = [word for each in sets for word in ("--set", each)]
    url = ready.json(*APPLY, *words)["url"]
    told = "401 without, 401 with a wrong one; 401 of Modal's proxy without its token"
    for where in ("here", "container"):
        found = verified(ready, *LOCAL, *words, "--from", where, "--concurrency", "2")
        assert states(found) == dict.fromkeys(CHECKS, "ok")
        assert found["checks"][1]["words"] == told
    token = ("PROXY_KEY", "PROXY_SECRET")
    identifier, secret = (ready.run("local", "secret", "modal-proxy", each).stdout.strip() for each in token)
    named = Shell(ready.home, {"SOME_KEY": key(ready), "ID": identifier, "SECRET": secret})
    by_url = named.run("verify", url, "--api-key-env", "SOME_KEY", "--proxy-token-env", "ID", "SECRET", "--quick")
    assert told in " ".join(by_url.stdout.split())
    assert secret not in by_url.stdout + by_url.stderr
    refused = ready.run("verify", url, "--quick", "--timeout", "1", code=1)
    assert "Modal's proxy lets nobody through" in refused.stdout
