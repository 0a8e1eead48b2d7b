"""``glmdeploy clean``: what nobody needs goes, and nothing else; on the embedded cloud, with Modal's own client."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import modal
import pytest
from modal_proto import api_pb2
from support import PATIENCE, Shell, call, connect, copied_cloud

from glmdeploy.operate.leftovers import File, contents
from glmdeploy.operate.lock import exclusive
from glmdeploy.plan.needs import Needs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APP = "glm51-fp8"
WEIGHTS, KERNELS, PLANS = "glm51-model-weights", "glm51-deepgemm-cache", "glmdeploy-plans"
OLD = f"acme/Old/{'a' * 40}"
MIXED = f"acme/Mixed/{'b' * 40}"
KEY = "0123456789abcdef"
CONTENT = b"old weights"


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A cloud that has deployed the app, with leftovers of other times in its volumes, and things of others."""
    with copied_cloud(template, tmp_path_factory.mktemp("cloud")) as shell:
        shell.run("local", "start")
        put(shell, WEIGHTS, {**version(OLD), **version(MIXED), f"{MIXED}/notes.txt": b"somebody's", "own.bin": b"1234"})
        put(shell, WEIGHTS, {".glmdeploy/work/0011/parts/x": b"half"})
        put(shell, KERNELS, old_kernels(shell))
        put(shell, PLANS, {"plans/README.txt": b"?", f"runtime/{'c' * 64}.zip": b"zip"})
        yield shell


def version(folder: str) -> dict[str, bytes]:
    """A complete version of a model, with its mark."""
    repo, _, commit = folder.rpartition("/")
    entry = {"size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    mark = {"repo": repo, "revision": "main", "commit": commit, "files": {"model.safetensors": entry}}
    model = f"{folder}/{repo.rpartition('/')[2]}/model.safetensors"
    return {model: CONTENT, f"{folder}/.glmdeploy/weights.json": json.dumps(mark).encode()}


def old_kernels(shell: Shell) -> dict[str, bytes]:
    """Of another key, whose mark names a kernel of its own and all that are there."""
    own = "cache/kernel.old.1/kernel.cubin"
    names = {path: 1 for path in (own, *there(shell, KERNELS)) if path.endswith(".cubin")}
    files = {own: b"cubin", own.replace(".cubin", ".cu"): b"source", f".glmdeploy/caches-{KEY}.tar": b"tar"}
    return {**files, f".glmdeploy/kernels-{KEY}.json": json.dumps({"files": names}).encode()}


def put(shell: Shell, volume: str, files: dict[str, bytes]) -> None:
    handle = modal.Volume.from_name(volume, client=connect(shell.cloud))
    with handle.batch_upload(force=True) as batch:
        for path, content in files.items():
            batch.put_file(io.BytesIO(content), path)


def there(shell: Shell, volume: str) -> set[str]:
    entries = modal.Volume.from_name(volume, client=connect(shell.cloud)).listdir("/", recursive=True)
    return {entry.path.lstrip("/") for entry in entries if entry.type == modal.types.FileEntryType.FILE}


def found(data: Any) -> set[tuple[str, str]]:
    return {(each["kind"], each["name"]) for each in data["leftovers"]}


EXPECTED = {("weights", "acme/Old at aaaaaaa"), ("kernels", KEY), ("runtime", "c" * 20)}


def test_what_is_young_is_kept(shell: Shell) -> None:
    assert found(shell.json("clean", "--target", "local", "--dry-run")) == set()


def test_what_nobody_needs_is_listed(shell: Shell) -> None:
    data = shell.json("clean", "--target", "local", "--dry-run", "--grace", "0")
    assert found(data) == EXPECTED
    assert data["apps"] == [{"app": APP, "plans": 1}]
    weights = next(each for each in data["volumes"] if each["volume"] == WEIGHTS)
    assert weights["downloading_bytes"] == 4
    assert weights["unknown_files"] == 4, "the mixed version whole, and a file of somebody"
    assert weights["kept_bytes"] > 0
    assert next(each["bytes"] for each in data["leftovers"] if each["kind"] == "weights") > len(CONTENT)


def test_nothing_goes_unasked_or_beside_an_apply(shell: Shell) -> None:
    before = {volume: there(shell, volume) for volume in (WEIGHTS, KERNELS, PLANS)}
    asked = shell.run("clean", "--target", "local", "--grace", "0", code=1)
    assert "nobody can be asked" in asked.stderr
    assert "- weights" in asked.stdout
    with exclusive(shell.home / "locks", f"{APP} on local"):
        busy = shell.run("clean", "--target", "local", "--grace", "0", "--yes", code=1)
    assert f"another command changes {APP} on local" in busy.stderr
    assert before == {volume: there(shell, volume) for volume in before}


def test_a_volume_that_another_app_uses_is_left_alone(shell: Shell) -> None:
    client = connect(shell.cloud)
    app = modal.App("somebody-elses")
    volume = modal.Volume.from_name(KERNELS)
    app.function(volumes={"/k": volume}, serialized=True, name="f", image=modal.Image.debian_slim())(print)
    app.deploy(client=client)
    data = shell.json("clean", "--target", "local", "--dry-run", "--grace", "0")
    assert data["left_alone"] == [{"volume": KERNELS, "why": "somebody-elses uses it"}]
    assert ("kernels", KEY) not in found(data)
    call(shell.cloud, "AppStop", api_pb2.AppStopRequest(app_id=app.app_id or ""))


def test_leftovers_go_and_nothing_else(shell: Shell) -> None:
    before = {volume: there(shell, volume) for volume in (WEIGHTS, KERNELS, PLANS)}
    data = shell.json("clean", "--target", "local", "--grace", "0", "--yes")
    assert all(each["removed"] for each in data["leftovers"])
    assert found(data) == EXPECTED
    gone = {volume: before[volume] - there(shell, volume) for volume in before}
    assert gone == {
        WEIGHTS: {f"{OLD}/Old/model.safetensors", f"{OLD}/.glmdeploy/weights.json"},
        KERNELS: {
            *(f".glmdeploy/kernels-{KEY}.json", f".glmdeploy/caches-{KEY}.tar"),
            *("cache/kernel.old.1/kernel.cubin", "cache/kernel.old.1/kernel.cu"),
        },
        PLANS: {f"runtime/{'c' * 64}.zip"},
    }
    done = shell.run("clean", "--target", "local", "--grace", "0", "--yes")
    assert done.stdout.startswith("Nothing to remove.\n")


def test_earlier_plans_are_kept_as_asked(shell: Shell) -> None:
    change = ("--set", "tags.team=two", "--no-preflight", "--no-wait", "--yes")
    shell.run("apply", "b200-eagle-bf16kv", "--target", "local", *change)
    look = ("clean", "--target", "local", "--grace", "0", "--dry-run")
    two = shell.json(*look)
    assert two["apps"] == [{"app": APP, "plans": 2}]
    assert found(two) == set()
    assert {kind for kind, _ in found(shell.json(*look, "--keep", "0"))} == {"plan"}


RACE = """
import sys
from pathlib import Path
from glmdeploy.operate.target import connect
target = connect("local", None, None)
from glmdeploy.operate.clean import remove, survey
shown = survey(target, keep=0, grace=0)
print([each.kind for each in shown.leftovers], list(remove(shown, target, Path(sys.argv[1]), keep=2, grace=0)))
"""
"""What was shown is needed by the time it is to go: here since more versions are kept."""


def test_what_is_needed_by_now_stays(shell: Shell) -> None:
    before = there(shell, PLANS)
    command = [sys.executable, "-c", RACE, str(shell.home / "locks")]
    done = subprocess.run(command, env=shell.env, text=True, capture_output=True, check=False, timeout=PATIENCE)
    assert done.stdout == "['plan'] []\n", done.stderr
    assert there(shell, PLANS) == before


def test_a_plan_that_cannot_be_read_stops_it(shell: Shell) -> None:
    plans = {path for path in there(shell, PLANS) if path.endswith(".json")}
    volume = modal.Volume.from_name(PLANS, client=connect(shell.cloud))
    saved = {path: b"".join(volume.read_file(path)) for path in plans}
    put(shell, PLANS, dict.fromkeys(plans, b"{}"))
    broken = shell.run("clean", "--target", "local", "--grace", "0", "--yes", code=1)
    assert "cannot be used" in broken.stderr
    assert plans <= there(shell, PLANS)
    put(shell, PLANS, saved)


def test_after_the_last_app_all_goes_but_the_volumes(shell: Shell) -> None:
    found_app = call(shell.cloud, "AppGetByDeploymentName", api_pb2.AppGetByDeploymentNameRequest(name=APP))
    call(shell.cloud, "AppStop", api_pb2.AppStopRequest(app_id=found_app.app_id))
    kinds = {kind for kind, _ in found(shell.json("clean", "--target", "local", "--grace", "0", "--yes"))}
    assert kinds == {"weights", "kernels", "plan", "runtime"}
    assert there(shell, PLANS) == {"plans/README.txt"}
    assert {path.split("/")[0] for path in there(shell, WEIGHTS)} == {"acme", "own.bin", ".glmdeploy"}
    assert there(shell, KERNELS) <= {".glmdeploy/lock"}


@pytest.mark.parametrize(
    "change",
    [
        {"repo": "acme/Other"},
        {"files": {"../../escape": {"size": 1, "sha256": "0" * 64}}},
        {"commit": "main"},
        {"files": None},
    ],
    ids=str,
)
def test_a_mark_that_says_something_else_is_not_believed(change: dict[str, Any]) -> None:
    files = version(OLD)
    path = f"{OLD}/.glmdeploy/weights.json"
    files[path] = json.dumps({**json.loads(files[path]), **change, "revision": "x"}).encode()
    listed = {name: File(size=len(content), at=0) for name, content in files.items()}
    seen = contents("v", listed, Needs(), files.__getitem__, before=1)
    assert seen.leftovers == ()
    assert seen.other == 2
