"""``glmdeploy pin``: the commit of the embedded hub and the digest of a registry, written into a profile."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from registry import Registry, digest, manifest, registry
from support import Shell, own_cloud

from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE = "b200-eagle-bf16kv"
TAG = ("lmsysorg/sglang", "v0.5.11-cu130")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Commands whose hub is the embedded cloud's."""
    with own_cloud(tmp_path_factory.mktemp("cloud")) as shell:
        shell.run("local", "start")
        yield replace(shell, extra={"HF_ENDPOINT": shell.cloud.hub_url})


@pytest.fixture
def images() -> Iterator[Registry]:
    with registry() as one:
        yield one


def profile(folder: Path, images: Registry) -> Path:
    text = (profiles_dir() / f"{BASE}.yaml").read_text()
    file = folder / "mine.yaml"
    file.write_text(
        text.replace("image: lmsysorg/", f"image: '{images.host}/lmsysorg/").replace("-cu130\n", "-cu130'\n")
    )
    return file


def test_a_profile_is_pinned_checked_and_found_moved(shell: Shell, images: Registry, tmp_path: Path) -> None:
    file = profile(tmp_path, images)
    before = file.read_text()
    tag = f"{images.host}/lmsysorg/sglang:v0.5.11-cu130"

    unpinned = shell.json("pin", str(file), "--check", code=1)
    assert [pin["state"] for pin in unpinned["pins"]] == ["not pinned", "not pinned"]
    shown = shell.run("pin", str(file), "--image", "--dry-run")
    assert f"+  image: '{tag}@{digest(images.images[TAG])}'" in shown.stdout
    assert file.read_text() == before

    done = shell.run("pin", str(file))
    assert f"wrote {file}\n" in done.stderr
    assert "compiles the kernels anew" in done.stderr
    after = load(str(file)).data
    commit = after["model"]["revision"]
    assert len(commit) == 40
    assert after["sglang"]["image"] == f"{tag}@{digest(images.images[TAG])}"
    changed = [new for old, new in zip(before.splitlines(), file.read_text().splitlines(), strict=True) if old != new]
    assert len(changed) == 2, "nothing but the two values"
    ids = {found["id"] for found in shell.json("validate", str(file))["profiles"][0]["findings"]}
    assert not ids & {"GLM068", "GLM069"}, "nothing is unpinned for the rules"

    assert shell.json("pin", str(file), "--check")["pinned"] is True
    images.images[TAG] = manifest("second")
    moved = shell.run("pin", str(file), "--check", code=1).stdout
    assert f"- {tag}@{digest(manifest('first'))}" in moved
    assert f"+ {tag}@{digest(manifest('second'))}" in moved
    assert shell.json("pin", str(file), "--image")["written"] is True
    assert load(str(file)).data["sglang"]["image"].endswith(digest(manifest("second")))


def test_what_is_extended_is_overridden(shell: Shell, images: Registry, tmp_path: Path) -> None:
    file = profile(tmp_path, images)
    base = file.rename(tmp_path / "base.yaml")
    file.write_text("# ours\nextends: base.yaml\nserver:\n  max_containers: 2   # two\n")
    before = base.read_text()
    shell.run("pin", str(file), "--image")
    assert base.read_text() == before
    text = file.read_text()
    assert text.startswith("# ours\nextends: base.yaml\nserver:\n  max_containers: 2   # two\n")
    assert f"@{digest(images.images[TAG])}" in text


def test_a_hub_without_the_revision_and_no_registry(shell: Shell, images: Registry, tmp_path: Path) -> None:
    file = profile(tmp_path, images)
    before = file.read_text()
    images.status = 404
    none = shell.run("pin", str(file), "--model", "--revision", "no-such-branch", code=1)
    assert "has no revision no-such-branch" in none.stderr
    failed = json.loads(shell.run("pin", str(file), "--json", code=1).stdout)
    assert "has no image" in failed["error"]["message"]
    assert file.read_text() == before
    assert "cannot be edited" in shell.run("pin", "-", code=2).stderr
