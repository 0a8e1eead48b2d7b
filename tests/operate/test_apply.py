"""``apply`` on the embedded cloud, as in the README: a live endpoint, no change the second time, one edit."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import PATIENCE

if TYPE_CHECKING:
    from support import Shell

PROFILE = "b200-eagle-bf16kv"
APPLY = ("apply", PROFILE, "--target", "local", "--yes", "--make-secrets")


@pytest.fixture(scope="module")
def applied(cloud: Shell) -> dict[str, Any]:
    """The first apply of the module."""
    done = cloud.run(*APPLY, "--json", "-v")
    result = json.loads(done.stdout)
    result["stderr"] = done.stderr
    return result


@pytest.fixture(scope="module")
def api_key(cloud: Shell, applied: dict[str, Any]) -> str:
    assert applied["changed"]
    return cloud.run("local", "secret", "glm51-api-key", "API_KEY").stdout.strip()


def chat(url: str, key: str | None, **more: Any) -> tuple[int, str]:
    body = {"model": "glm-5.1", "messages": [{"role": "user", "content": "Hello"}], **more}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_first_apply_creates(applied: dict[str, Any]) -> None:
    assert applied["app"] == "glm51-fp8"
    assert applied["stages"] == {"download": True, "compile": True}
    assert "downloading zai-org/GLM-5.1-FP8" in Path(applied["output"]).read_text()
    assert applied["healthy_after"] > 0
    assert {change["old"] for change in applied["changes"]} == {None}
    for words in (
        "downloading zai-org/GLM-5.1-FP8",
        "DeepGEMM Kernels compilation finished",
        "stand-in for SGLang 0.5.11",
    ):
        assert words in applied["stderr"]


def test_chat(applied: dict[str, Any], api_key: str) -> None:
    status, body = chat(applied["url"], api_key)
    assert status == 200
    answer = json.loads(body)
    assert answer["model"] == "glm-5.1"
    assert "stand-in" in answer["choices"][0]["message"]["content"]


def test_streaming_chat(applied: dict[str, Any], api_key: str) -> None:
    status, body = chat(applied["url"], api_key, stream=True)
    assert status == 200
    events = [line.removeprefix("data: ") for line in body.splitlines() if line]
    assert events[-1] == "[DONE]"
    text = "".join(json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events[:-1])
    assert "You said: Hello" in text
    assert len(events) > 3


@pytest.mark.parametrize("key", [None, "wrong"])
def test_wrong_key(applied: dict[str, Any], key: str | None) -> None:
    assert chat(applied["url"], key)[0] == 401


def test_the_key_is_nowhere_but_in_the_secret(cloud: Shell, applied: dict[str, Any], api_key: str) -> None:
    assert len(api_key) > 20
    assert api_key not in json.dumps(applied)
    logs = cloud.modal("app", "logs", "glm51-fp8", "--tail", "500")
    assert "server_args" in logs.stdout + logs.stderr
    assert api_key not in logs.stdout + logs.stderr
    leaks = [
        str(file)
        for file in cloud.home.rglob("*")
        if file.is_file() and not file.name.startswith("state.sqlite3") and api_key.encode() in file.read_bytes()
    ]
    assert leaks == []


def test_again_changes_nothing(cloud: Shell, applied: dict[str, Any]) -> None:
    before = cloud.deployments("glm51-fp8")
    quiet = cloud.run(*APPLY, "-q")
    assert (quiet.stdout, quiet.stderr) == (f"{applied['url']}\n", "")
    again = cloud.json(*APPLY)
    assert (again["changed"], again["changes"], again["url"]) == (False, [], applied["url"])
    assert again["stages"] == {"download": False, "compile": False}
    assert cloud.deployments("glm51-fp8") == before


def test_an_edit_shows_exactly_that_change(cloud: Shell, applied: dict[str, Any]) -> None:
    edit = ("--set", "server.max_inputs=19")
    expected = [{"section": "server", "name": "max_inputs", "old": 20, "new": 19, "costs": ["new containers"]}]
    before = cloud.deployments("glm51-fp8")

    planned = cloud.json("apply", PROFILE, "--target", "local", *edit, "--dry-run")
    assert planned["changes"] == expected
    assert "url" not in planned
    assert cloud.deployments("glm51-fp8") == before

    done = cloud.json(*APPLY, *edit)
    assert (done["changes"], done["url"]) == (expected, applied["url"])
    assert done["stages"] == {"download": False, "compile": False}, "the commit is the same"
    assert cloud.deployments("glm51-fp8") == before + 1
    assert len(json.loads(cloud.modal("app", "history", "glm51-fp8", "--json").stdout)) == before + 1
    assert cloud.json(*APPLY, *edit)["changes"] == []


RUNNING = ("--set", "sglang.args.max-running-requests=40")
IMAGE = ("--set", "sglang.image=lmsysorg/sglang:v0.5.11-cu129")


@pytest.mark.thorough
def test_more_requests_run_no_stage_again(cloud: Shell, applied: dict[str, Any]) -> None:
    done = cloud.run(*APPLY, *RUNNING)
    assert " No download, no compile.\n" in done.stdout
    assert "✓ kernels" not in done.stderr


@pytest.mark.thorough
def test_another_image_compiles_again_and_says_why(cloud: Shell, applied: dict[str, Any]) -> None:
    planned = cloud.json("apply", PROFILE, "--target", "local", *IMAGE, "--dry-run")
    assert planned["stages"] == {"download": False, "compile": True}
    change = {"section": "sglang", "name": "image", "old": "lmsysorg/sglang:v0.5.11-cu130", "new": IMAGE[1][13:]}
    assert planned["stages_because"] == {"download": [], "compile": [change]}
    done = cloud.run(*APPLY, *IMAGE)
    because = "  kernels because: sglang image: lmsysorg/sglang:v0.5.11-cu130 → lmsysorg/sglang:v0.5.11-cu129\n"
    assert because in done.stdout
    assert "✓ kernels" in done.stderr
    only_our_own_lines(cloud, done.stdout, done.stderr)
    cloud.run(*APPLY)  # what was compiled for the image before is still there
    assert "\nNo changes.\n" in cloud.run(*APPLY).stdout


OURS = re.compile(
    r"  [✓!✗] (?:preflight|kernels|rehearsal|deploy|start|verify|handover) +\S.*|  version \d.*| {12,}\S.*"
)
THEIRS = ("Created", "Initialized", "🎉", "View Deployment", "server_args", "DeepGEMM JIT", "container ta-", "#>")
"""Of the SDK's build log, of containers, and of SGLang's."""


def only_our_own_lines(cloud: Shell, out: str, err: str) -> None:
    """What the command printed is its own; what others printed is in the file, for the owner alone."""
    steps = [line for line in err.splitlines() if line and not re.fullmatch(r"\d+ warnings?: .*", line)]
    assert not [line for line in steps if not OURS.fullmatch(line)]
    assert not [words for words in THEIRS if words in out + err]
    [*_, newest] = sorted((cloud.home / "output" / "glm51-fp8").iterdir())
    kept = newest.read_text()
    assert not [words for words in THEIRS if words not in kept]
    assert newest.stat().st_mode & 0o077 == 0


def test_nobody_to_ask(cloud: Shell, applied: dict[str, Any]) -> None:
    before = cloud.deployments("glm51-fp8")
    done = cloud.run("apply", PROFILE, "--target", "local", "--set", "server.max_inputs=5", code=1)
    assert re.search(r"  ~ server     max_inputs  \d+ → 5  new containers\n", done.stdout)
    assert "run again with `--yes`" in done.stderr
    assert cloud.deployments("glm51-fp8") == before


@pytest.mark.thorough
def test_restart_keeps_everything(cloud: Shell, applied: dict[str, Any], api_key: str) -> None:
    current = cloud.json(*APPLY)
    cloud.run("local", "stop")
    assert cloud.run("local", "status", code=1).stdout.startswith("not running")
    cloud.run("local", "start")
    assert cloud.json(*APPLY)["changed"] is False
    assert chat(current["url"], api_key)[0] == 200, "the first request starts a container"


def test_weights_are_verified_where_nothing_changes(cloud: Shell, applied: dict[str, Any]) -> None:
    before = cloud.deployments("glm51-fp8")
    cloud.json(*APPLY)
    done = cloud.run(*APPLY, "--verify-weights", "--json")
    result = json.loads(done.stdout)
    assert (result["changed"], result["url"]) == (False, applied["url"])
    assert "✓ weights" in done.stderr
    assert "of the weights read and compared with their hashes" in done.stderr
    assert "weights" in result
    again = cloud.deployments("glm51-fp8")
    assert again == cloud.deployments("glm51-fp8") >= before


def test_what_the_volumes_lost_is_brought_back_when_nothing_changes(cloud: Shell, applied: dict[str, Any]) -> None:
    """A shard that lost its end, and a kernel that is gone: the plan is the same, and nothing is deployed."""
    assert applied["url"]
    options = (*APPLY, "--set", "server.max_containers=2")
    cloud.run(*options)
    before = cloud.deployments("glm51-fp8")
    volumes = cloud.home / "volumes"
    shard = next(path for path in volumes.rglob("*.safetensors") if "work" not in path.parts)
    kernel = next(volumes.rglob("*.cubin"))
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:100])
    kernel.unlink()
    done = cloud.run(*options)
    assert "the weights and kernels that the volume lost are brought back" in done.stdout
    assert shard.stat().st_size == size
    assert kernel.exists()
    assert cloud.deployments("glm51-fp8") == before
    assert "brought back" not in cloud.run(*options).stdout


@pytest.mark.thorough
def test_failed_starts_are_forgotten_when_nothing_changes(cloud: Shell, applied: dict[str, Any]) -> None:
    assert applied["url"]
    options = (*APPLY, "--set", "server.max_containers=1")
    cloud.run(*options)
    volume = next(path for path in (cloud.home / "volumes").iterdir() if (path / "zai-org").is_dir())
    digest = cloud.json(*options, "--dry-run")["digest"][:40]
    failure = volume / ".glmdeploy" / "failures" / digest / "1795900000-0123abcd.json"
    failure.parent.mkdir(parents=True)
    failure.write_text('{"at": 1795900000, "reason": "a test"}')
    cloud.run(*options, "--dry-run")
    assert failure.exists(), "that changes nothing"
    assert "No changes" in cloud.run(*options).stdout
    assert not failure.exists()
