"""``glmdeploy upgrade``: what it shows, what it writes, and what it leaves alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from judged import MINIMAL
from reporting import call
from support import one_in

from glmdeploy.findings import Severity
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load, read_text
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check
from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import version_key

if TYPE_CHECKING:
    from pathlib import Path

    from snapshots import Shows

B200 = (profiles_dir() / "b200-eagle-bf16kv.yaml").read_bytes()


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_bytes(B200)
    return path


def small(path: Path, rest: str) -> Path:
    path.write_text(MINIMAL + rest)
    return path


def run(*arguments: object) -> tuple[int, str, str]:
    return call("upgrade", *map(str, arguments))


def plan_data(path: Path | str) -> dict[str, Any]:
    data = plan_of(load(str(path)))[0].data()
    del data["profile"]
    return data


def test_the_shipped_upgrade_is_the_written_one(profile: Path) -> None:
    code, _, err = run(profile, "--to", "0.5.23", "--write")
    assert code == 0
    assert f"Wrote {profile}." in err
    assert plan_data(profile) == plan_data("b200-eagle-bf16kv-0.5.23")
    before, after = B200.decode().splitlines(), profile.read_text().splitlines()
    comment = "asked for: 0.5.10 or newer; the first with the fixes of #22359 and #21291"
    assert [line for line in after if line not in before] == [
        "# yaml-language-server: $schema=.glmdeploy/profile-0.5.23.schema.json",
        f"  version: 0.5.23                   # {comment}",
        "  image: lmsysorg/sglang:v0.5.23-cu130",
        "    attention-backend: dsa          # sparse attention; 0.5.13 renames it dsa",
        "    dsa-prefill-backend: trtllm     # not flashmla: accuracy loss on B200, #21291",
        "    dsa-decode-backend: trtllm",
        "    flashinfer-allreduce-fusion-backend: auto",
    ]
    assert len(before) == len(after) + 1, "the line of SGLANG_ENABLE_SPEC_V2 went"


@pytest.mark.parametrize(
    "target", one_in(4, [version for version in catalog.versions() if version_key(version) >= version_key("0.5.10")])
)
def test_written_profiles_are_good_and_come_back(target: str, profile: Path) -> None:
    assert run(profile, "--to", target, "--write")[0] == 0
    written = load(str(profile))
    assert written.data["sglang"]["version"] == target
    errors = {found.id for found in check(written).findings if found.severity is Severity.ERROR}
    assert errors <= {"GLM013"}, "0.5.12 itself is reported to fail on B200; what was translated is good"
    code, out, _ = run(profile, "--to", "0.5.11", "--write", "--json")
    assert (code, json.loads(out)["impossible"]) == (0, [])
    back, original = load(str(profile)).data["sglang"], read_text(B200.decode(), "b").data["sglang"]
    assert back["args"] == original["args"]
    assert (back["version"], back["image"]) == (original["version"], original["image"])


def test_without_write_nothing_is_written(profile: Path, shows: Shows) -> None:
    assert shows("upgrade", "upgrade", profile, "--to", "0.5.23")[0] == 0
    assert profile.read_bytes() == B200


def test_json(profile: Path, shows: Shows) -> None:
    arguments = ("upgrade", profile, "--to", "0.5.23", "--image", "mine:1", "--write", "--json")
    code, out, _ = shows("upgrade-json", *arguments)
    assert code == 0
    data = json.loads(out)
    assert (data["from"], data["to"], data["possible"], data["written"]) == ("0.5.11", "0.5.23", True, True)
    assert data["image"] == {
        "old": "lmsysorg/sglang:v0.5.11-cu130",
        "new": "mine:1",
        "verified": False,
        "unpinned": False,
    }
    assert {"option": "hicache-storage-prefetch-policy", "old": "best_effort", "new": "timeout"} in data["defaults"]
    assert all(change["why"] and change["source"] for change in data["changes"])
    assert "image: mine:1" in profile.read_text()


def test_impossible(tmp_path: Path, shows: Shows) -> None:
    path = small(tmp_path / "p.yaml", "  args: {tp: 8, torchao-config: int4wo-128, nsa-prefill-backend: trtllm}\n")
    text = path.read_text()
    assert shows("upgrade-impossible", "upgrade", path, "--to", "0.5.23", "--write")[0] == 1
    assert path.read_text() == text


def test_an_image_that_cannot_be_guessed_is_asked_for(tmp_path: Path, shows: Shows) -> None:
    path = small(tmp_path / "p.yaml", "  args: {tp: 8}\n")
    path.write_text(path.read_text().replace(":v0.5.11-cu130", ":latest"))
    assert run(path, "--to", "0.5.23")[0] == 0
    assert shows("upgrade-no-image", "upgrade", path, "--to", "0.5.23", "--write")[0] == 1
    assert run(path, "--to", "0.5.23", "--write", "--image", "sglang:new")[0] == 0
    # The quotes of the old values stay.
    assert '  version: "0.5.23"   # quoted\n  image: "sglang:new"\n' in path.read_text()


def test_nothing_to_do(tmp_path: Path, shows: Shows) -> None:
    path = small(tmp_path / "p.yaml", "  args: {tp: 8}\n")
    text = path.read_text()
    assert shows("upgrade-nothing-to-do", "upgrade", path, "--to", "0.5.11", "--write")[0] == 0
    assert path.read_text() == text


def test_a_pin_that_was_changed_by_hand_can_be_repaired(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(B200.replace(b"version: 0.5.11", b"version: 0.5.23").replace(b"v0.5.11-", b"v0.5.23-"))
    assert run(path, "--to", "0.5.23", "--write")[0] == 0
    assert plan_data(path) == plan_data("b200-eagle-bf16kv-0.5.23")


def test_variables_come_and_go_with_their_section(tmp_path: Path) -> None:
    args = "  args: {tp: 8, speculative-algorithm: EAGLE, speculative-eagle-topk: 1}\n"
    path = small(tmp_path / "p.yaml", args)
    text = path.read_text()
    assert run(path, "--to", "0.5.10", "--write")[0] == 0
    assert load(str(path)).data["sglang"]["env"] == {"SGLANG_ENABLE_SPEC_V2": "1"}
    assert run(path, "--to", "0.5.16", "--write")[0] == 0
    assert "env" not in load(str(path)).data["sglang"]
    assert path.read_text() == text.replace("0.5.11", "0.5.16")


def test_several_settings_become_one_and_back(tmp_path: Path) -> None:
    lines = (
        "  args:\n    tp: 8\n    enable-dp-attention: true  # why\n    dp: 8\n    disable-cuda-graph: true\n    ep: 1\n"
    )
    path = small(tmp_path / "p.yaml", lines)
    assert run(path, "--to", "0.5.23", "--write")[0] == 0
    assert path.read_text().partition("  args:\n")[2].splitlines() == [
        "    tp: 8",
        "    attn-dp-size: 8            # why",
        "    cuda-graph-backend-decode: disabled",
        "    cuda-graph-backend-prefill: disabled",
        "    ep: 1",
    ]
    assert run(path, "--to", "0.5.11", "--write")[0] == 0
    assert load(str(path)).data["sglang"]["args"] == {
        "tp": 8,
        "enable-dp-attention": True,
        "dp-size": 8,
        "disable-cuda-graph": True,
        "ep": 1,
    }


def test_values_of_an_extended_file_are_named(profile: Path, shows: Shows) -> None:
    child = profile.with_name("child.yaml")
    child.write_text("extends: p.yaml\nsglang:\n  version: 0.5.12.post1\n  image: a:v0.5.12.post1\n")
    text = child.read_text()
    assert shows("upgrade-extended", "upgrade", child, "--to", "0.5.23", "--write")[0] == 1
    assert (child.read_text(), profile.read_bytes()) == (text, B200)
    assert run(child, "--to", "0.5.11", "--write")[0] == 0, "only its own two lines change"
    assert child.read_text() == text.replace("0.5.12.post1", "0.5.11")


def test_a_value_from_below_that_would_show_through_is_refused(tmp_path: Path, shows: Shows) -> None:
    small(tmp_path / "base.yaml", '  env: {SGLANG_ENABLE_SPEC_V2: "0"}\n  args: {tp: 8}\n')
    child = tmp_path / "child.yaml"
    child.write_text(
        "extends: base.yaml\nsglang:\n  version: 0.5.12.post1\n  image: a:v0.5.12.post1\n"
        '  env: {SGLANG_ENABLE_SPEC_V2: "1", A: "1"}\n'
    )
    text = child.read_text()
    assert shows("upgrade-covered", "upgrade", child, "--to", "0.5.23", "--write")[0] == 1
    assert child.read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.yaml", "child.yaml"], "no draft is left"


def test_a_profile_that_ships_is_not_edited_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shows: Shows
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("b200-eagle-bf16kv", "--to", "0.5.23")[0] == 0
    assert shows("upgrade-what-ships", "upgrade", "b200-eagle-bf16kv", "--to", "0.5.23", "--write")[0] == 1
    assert (profiles_dir() / "b200-eagle-bf16kv.yaml").read_bytes() == B200


def test_line_ends_and_mode_stay(profile: Path) -> None:
    profile.write_bytes(b"\xef\xbb\xbf" + B200.replace(b"\n", b"\r\n"))
    profile.chmod(0o640)
    assert run(profile, "--to", "0.5.23", "--write")[0] == 0
    data = profile.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf# yaml")
    assert data.count(b"\r\n") == data.count(b"\n") == B200.count(b"\n") - 1
    assert profile.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("unknown-release", ("b200-eagle-bf16kv", "--to", "0.6.0"), 1),
        ("no-release", ("b200-eagle-bf16kv",), 2),
        ("standard-input", ("-", "--to", "0.5.23", "--write"), 2),
        ("no-such-profile", ("no-such-profile", "--to", "0.5.23"), 1),
    ],
)
def test_wrong_use(name: str, arguments: tuple[str, ...], code: int, shows: Shows) -> None:
    assert shows(f"upgrade-{name}", "upgrade", *arguments)[0] == code


def test_a_profile_without_the_shape_of_one(tmp_path: Path, shows: Shows) -> None:
    path = small(tmp_path / "p.yaml", "  argz: {}\n")
    assert shows("upgrade-no-profile", "upgrade", path, "--to", "0.5.23")[0] == 1
