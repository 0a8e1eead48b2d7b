"""An image with a digest beside its tag is understood wherever an image is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reporting import call

from glmdeploy.profile.text.load import load
from glmdeploy.rules.check import check

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = f"sha256:{'0a1b' * 16}"
IMAGE = f"lmsysorg/sglang:v0.5.11-cu130@{DIGEST}"
PROFILE = "b200-eagle-bf16kv"


def rules(image: str) -> set[str]:
    return {finding.id for finding in check(load(PROFILE, sets=(f"sglang.image={image}",))).findings}


def test_the_rules_read_the_tag() -> None:
    assert rules(IMAGE) == rules("lmsysorg/sglang:v0.5.11-cu130") - {"GLM069"}
    assert rules(IMAGE.replace("v0.5.11", "v0.5.12")) - rules(IMAGE) == {"GLM037"}


def test_it_is_rendered_whole() -> None:
    code, out, err = call("render", PROFILE, "--set", f"sglang.image={IMAGE}")
    assert code == 0, err
    assert IMAGE in out


def test_import_reads_the_release_of_the_tag(tmp_path: Path) -> None:
    launch = f"docker run {IMAGE} python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8"
    file = tmp_path / "launch.sh"
    file.write_text(launch)
    code, out, err = call("import", str(file), "--json")
    data = json.loads(out)
    assert data["profile"]["sglang"]["version"] == "0.5.11", err
    assert data["profile"]["sglang"]["image"] == IMAGE
    assert code in (0, 1)


def test_upgrade_drops_the_digest_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"extends: {PROFILE}\nsglang: {{image: '{IMAGE}', version: 0.5.11}}\n")
    _, out, _ = call("upgrade", str(file), "--to", "0.5.23")
    assert "lmsysorg/sglang:v0.5.23-cu130 (suggested from the tag; not looked up; the old digest is dropped" in out
    _, out, _ = call("upgrade", str(file), "--to", "0.5.23", "--image", "mine:1")
    assert "mine:1 (the old digest is dropped, `glmdeploy pin` writes the new one)" in out
    other = f"mine:1@{DIGEST}"
    _, out, _ = call("upgrade", str(file), "--to", "0.5.23", "--image", other, "--json")
    assert json.loads(out)["image"] == {"old": IMAGE, "new": other, "verified": False, "unpinned": False}
