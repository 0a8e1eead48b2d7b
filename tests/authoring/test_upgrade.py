"""`glmdeploy upgrade`: what it shows, what it writes, and what it leaves alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy import cli
from glmdeploy.authoring import upgrade
from glmdeploy.authoring.upgrade import suggested_image
from glmdeploy.findings import Severity
from glmdeploy.profile.text.load import load, read_text
from glmdeploy.resolve import plan_of, resolve
from glmdeploy.resources import profiles_dir
from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import version_key

if TYPE_CHECKING:
    from pathlib import Path

B200 = (profiles_dir() / "b200-eagle-bf16kv.yaml").read_bytes()
MINIMAL = """\
# pinned
schema: 1
name: small
app: small
gpu: B200:8
model: {repo: zai-org/GLM-5.1-FP8, served_name: glm}
volumes: {weights: {name: w, mount: /w}}
server: {public: true}
sglang:
  version: "0.5.11"   # quoted
  image: "lmsysorg/sglang:v0.5.11-cu130"
"""


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_bytes(B200)
    return path


def small(path: Path, rest: str) -> Path:
    path.write_text(MINIMAL + rest)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.run([str(argument) for argument in ("upgrade", *arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def plan_data(path: Path | str) -> dict[str, Any]:
    data = plan_of(load(str(path)))[0].data()
    del data["profile"]
    return data


def test_the_shipped_upgrade_is_the_written_one(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, profile, "--to", "0.5.23", "--write")
    assert code == 0
    assert f"Wrote {profile}." in err
    assert plan_data(profile) == plan_data("b200-eagle-bf16kv-0.5.23")
    before, after = B200.decode().splitlines(), profile.read_text().splitlines()
    comment = "asked for: 0.5.10 or newer; the first with the fixes of #22359 and #21291"
    assert [line for line in after if line not in before] == [
        f"  version: 0.5.23                   # {comment}",
        "  image: lmsysorg/sglang:v0.5.23-cu130",
        "    attention-backend: dsa          # sparse attention; 0.5.13 renames it dsa",
        "    dsa-prefill-backend: trtllm     # not flashmla: accuracy loss on B200, #21291",
        "    dsa-decode-backend: trtllm",
        "    flashinfer-allreduce-fusion-backend: auto",
    ]
    assert len(before) == len(after) + 1, "the line of SGLANG_ENABLE_SPEC_V2 went"


@pytest.mark.parametrize(
    "target", [version for version in catalog.versions() if version_key(version) >= version_key("0.5.10")]
)
def test_written_profiles_are_good_and_come_back(
    target: str, profile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, profile, "--to", target, "--write")[0] == 0
    written = load(str(profile))
    assert written.data["sglang"]["version"] == target
    errors = {found.id for found in resolve(written).findings if found.severity is Severity.ERROR}
    assert errors <= {"GLM013"}, "0.5.12 itself is reported to fail on B200; what was translated is good"
    code, out, _ = run(capsys, profile, "--to", "0.5.11", "--write", "--json")
    assert (code, json.loads(out)["impossible"]) == (0, [])
    back, original = load(str(profile)).data["sglang"], read_text(B200.decode(), "b").data["sglang"]
    assert back["args"] == original["args"]
    assert (back["version"], back["image"]) == (original["version"], original["image"])


def test_without_write_nothing_is_written(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, profile, "--to", "0.5.23")
    assert code == 0
    assert profile.read_bytes() == B200
    assert "Nothing was written" in err
    assert out.splitlines()[:3] == [
        "b200-eagle-bf16kv: SGLang 0.5.11 -> 0.5.23",
        "what the profile says",
        "  ~ nsa-prefill-backend: trtllm -> dsa-prefill-backend: trtllm",
    ]
    assert "  ~ hicache-mem-layout: layer_first -> page_first" in out.splitlines()
    assert "v0.5.23-cu130 (suggested from the tag; not looked up)" in out


def test_json(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, profile, "--to", "0.5.23", "--image", "mine:1", "--write", "--json")
    assert code == 0
    data = json.loads(out)
    assert (data["from"], data["to"], data["possible"], data["written"]) == ("0.5.11", "0.5.23", True, True)
    assert data["image"] == {"old": "lmsysorg/sglang:v0.5.11-cu130", "new": "mine:1", "verified": False}
    assert {"option": "hicache-ratio", "old": 2.0, "new": None} in data["defaults"]
    assert all(change["why"] and change["source"] for change in data["changes"])
    assert "image: mine:1" in profile.read_text()


def test_what_the_profile_sets_is_no_changed_default(tmp_path: Path) -> None:
    path = small(tmp_path / "p.yaml", "  args: {tp: 8, hicache-ratio: 1.5}\n")
    names = {item.name for item in upgrade.plan(load(str(path)), "0.5.23").defaults}
    assert "hicache-mem-layout" in names
    assert "hicache-ratio" not in names


def test_decisions_of_sglang_that_change_are_shown(tmp_path: Path) -> None:
    """EAGLE runs without overlap in 0.5.10 unless a variable says otherwise, and with overlap from 0.5.11 on."""
    path = small(tmp_path / "p.yaml", "  args: {tp: 8, speculative-algorithm: EAGLE}\n")
    down = upgrade.plan(load(str(path)), "0.5.10").effective
    assert upgrade.Difference(name="disable-overlap-schedule", old=False, new=True) in down
    same = upgrade.plan(load("b200-eagle-bf16kv"), "0.5.10.post1").effective
    assert "disable-overlap-schedule" not in [item.name for item in same], "the profile sets the variable"


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    """0.5.9 cannot resolve this model from its own pins, so nothing is known of its decisions."""
    path = small(tmp_path / "p.yaml", "  args: {tp: 8}\n")
    down = {item.name: item for item in upgrade.plan(load(str(path)), "0.5.9").effective}
    assert (down["kv-cache-dtype"].old, down["kv-cache-dtype"].new) == ("fp8_e4m3", upgrade.UNKNOWN)


def test_impossible(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small(tmp_path / "p.yaml", "  args: {tp: 8, torchao-config: int4wo-128, nsa-prefill-backend: trtllm}\n")
    text = path.read_text()
    code, out, err = run(capsys, path, "--to", "0.5.23", "--write")
    assert code == 1
    assert "  ! SGLang 0.5.23 has no option `torchao-config`: it went in 0.5.18" in out.splitlines()
    assert "~ nsa-prefill-backend: trtllm -> dsa-prefill-backend: trtllm" in out, "the rest is shown all the same"
    assert "Nothing was written" in err
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("lmsysorg/sglang:v0.5.11-cu130", "lmsysorg/sglang:v0.5.23-cu130"),
        ("lmsysorg/sglang:v0.5.11", "lmsysorg/sglang:v0.5.23"),
        ("reg.example:5000/a/sglang:0.5.11-cu130", "reg.example:5000/a/sglang:0.5.23-cu130"),
        ("lmsysorg/sglang:v0.5.11.post1", None),
        ("lmsysorg/sglang:v10.5.11", None),
        ("lmsysorg/sglang:latest", None),
        ("lmsysorg/sglang", None),
        ("reg.example:5000/sglang", None),
        ("lmsysorg/sglang:v0.5.11@sha256:0a0a", None),
    ],
)
def test_suggested_image(image: str, expected: str | None) -> None:
    assert suggested_image(image, "0.5.11", "0.5.23") == expected


def test_an_image_that_cannot_be_guessed_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small(tmp_path / "p.yaml", "  args: {tp: 8}\n")
    path.write_text(path.read_text().replace(":v0.5.11-cu130", ":latest"))
    assert run(capsys, path, "--to", "0.5.23")[0] == 0
    code, _, err = run(capsys, path, "--to", "0.5.23", "--write")
    assert (code, "--image" in err) == (1, True)
    assert run(capsys, path, "--to", "0.5.23", "--write", "--image", "sglang:new")[0] == 0
    # The quotes of the old values stay.
    assert '  version: "0.5.23"   # quoted\n  image: "sglang:new"\n' in path.read_text()


def test_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small(tmp_path / "p.yaml", "  args: {tp: 8}\n")
    text = path.read_text()
    code, out, _ = run(capsys, path, "--to", "0.5.11", "--write")
    assert code == 0
    assert out.splitlines() == ["small: SGLang 0.5.11 -> 0.5.11", "Every option is understood as it is."]
    assert path.read_text() == text


def test_a_pin_that_was_changed_by_hand_can_be_repaired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(B200.replace(b"version: 0.5.11", b"version: 0.5.23").replace(b"v0.5.11-", b"v0.5.23-"))
    assert run(capsys, path, "--to", "0.5.23", "--write")[0] == 0
    assert plan_data(path) == plan_data("b200-eagle-bf16kv-0.5.23")


def test_variables_come_and_go_with_their_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = "  args: {tp: 8, speculative-algorithm: EAGLE, speculative-eagle-topk: 1}\n"
    path = small(tmp_path / "p.yaml", args)
    text = path.read_text()
    assert run(capsys, path, "--to", "0.5.10", "--write")[0] == 0
    assert load(str(path)).data["sglang"]["env"] == {"SGLANG_ENABLE_SPEC_V2": "1"}
    assert run(capsys, path, "--to", "0.5.16", "--write")[0] == 0
    assert "env" not in load(str(path)).data["sglang"]
    assert path.read_text() == text.replace("0.5.11", "0.5.16")


def test_several_settings_become_one_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (
        "  args:\n    tp: 8\n    enable-dp-attention: true  # why\n    dp: 8\n    disable-cuda-graph: true\n    ep: 1\n"
    )
    path = small(tmp_path / "p.yaml", lines)
    assert run(capsys, path, "--to", "0.5.23", "--write")[0] == 0
    assert path.read_text().partition("  args:\n")[2].splitlines() == [
        "    tp: 8",
        "    attn-dp-size: 8            # why",
        "    cuda-graph-backend-decode: disabled",
        "    cuda-graph-backend-prefill: disabled",
        "    ep: 1",
    ]
    assert run(capsys, path, "--to", "0.5.11", "--write")[0] == 0
    assert load(str(path)).data["sglang"]["args"] == {
        "tp": 8,
        "enable-dp-attention": True,
        "dp-size": 8,
        "disable-cuda-graph": True,
        "ep": 1,
    }


def test_values_of_an_extended_file_are_named(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    child = profile.with_name("child.yaml")
    child.write_text("extends: p.yaml\nsglang:\n  version: 0.5.12.post1\n  image: a:v0.5.12.post1\n")
    text = child.read_text()
    code, _, err = run(capsys, child, "--to", "0.5.23", "--write")
    assert code == 1
    assert "`sglang.args.nsa-prefill-backend` is not written in" in err
    assert "p.yaml, line 59" in err
    assert (child.read_text(), profile.read_bytes()) == (text, B200)
    assert run(capsys, child, "--to", "0.5.11", "--write")[0] == 0, "only its own two lines change"
    assert child.read_text() == text.replace("0.5.12.post1", "0.5.11")


def test_a_value_from_below_that_would_show_through_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small(tmp_path / "base.yaml", '  env: {SGLANG_ENABLE_SPEC_V2: "0"}\n  args: {tp: 8}\n')
    child = tmp_path / "child.yaml"
    child.write_text(
        "extends: base.yaml\nsglang:\n  version: 0.5.12.post1\n  image: a:v0.5.12.post1\n"
        '  env: {SGLANG_ENABLE_SPEC_V2: "1", A: "1"}\n'
    )
    text = child.read_text()
    code, _, err = run(capsys, child, "--to", "0.5.23", "--write")
    assert code == 1
    assert f"covers what {tmp_path / 'base.yaml'}, line 12, says" in err
    assert child.read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.yaml", "child.yaml"], "no draft is left"


def test_a_profile_that_ships_is_not_edited_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "b200-eagle-bf16kv", "--to", "0.5.23")[0] == 0
    code, _, err = run(capsys, "b200-eagle-bf16kv", "--to", "0.5.23", "--write")
    assert (code, "ships with glmdeploy" in err) == (1, True)
    assert (profiles_dir() / "b200-eagle-bf16kv.yaml").read_bytes() == B200


def test_line_ends_and_mode_stay(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile.write_bytes(b"\xef\xbb\xbf" + B200.replace(b"\n", b"\r\n"))
    profile.chmod(0o640)
    assert run(capsys, profile, "--to", "0.5.23", "--write")[0] == 0
    data = profile.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf# yaml")
    assert data.count(b"\r\n") == data.count(b"\n") == B200.count(b"\n") - 1
    assert profile.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("b200-eagle-bf16kv", "--to", "0.6.0"), 1, "does not know SGLang 0.6.0"),
        (("b200-eagle-bf16kv",), 2, "--to"),
        (("-", "--to", "0.5.23", "--write"), 2, "name a file"),
        (("no-such-profile", "--to", "0.5.23"), 1, "no-such-profile"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    found, out, err = run(capsys, *arguments)
    assert found == code
    assert words in out + err


def test_a_profile_without_the_shape_of_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small(tmp_path / "p.yaml", "  argz: {}\n")
    code, _, err = run(capsys, path, "--to", "0.5.23")
    assert (code, "unknown key `argz`" in err) == (1, True)
