"""What an upgrade finds: changed defaults and decisions, and the image that follows from a tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from judged import MINIMAL

from glmdeploy.authoring import upgrade
from glmdeploy.authoring.upgrade import suggested_image
from glmdeploy.profile.text.load import load

if TYPE_CHECKING:
    from pathlib import Path


def small(path: Path, rest: str) -> Path:
    path.write_text(MINIMAL + rest)
    return path


def test_what_the_profile_sets_is_no_changed_default(tmp_path: Path) -> None:
    path = small(tmp_path / "p.yaml", "  args: {tp: 8, hicache-ratio: 1.5}\n")
    names = {item.name for item in upgrade.upgraded(load(str(path)), "0.5.23").defaults}
    assert "hicache-mem-layout" in names
    assert "hicache-ratio" not in names


def test_decisions_of_sglang_that_change_are_shown(tmp_path: Path) -> None:
    """EAGLE runs without overlap in 0.5.10 unless a variable says otherwise, and with overlap from 0.5.11 on."""
    path = small(tmp_path / "p.yaml", "  args: {tp: 8, speculative-algorithm: EAGLE}\n")
    down = upgrade.upgraded(load(str(path)), "0.5.10").effective
    assert upgrade.Difference(name="disable-overlap-schedule", old=False, new=True) in down
    same = upgrade.upgraded(load("b200-eagle-bf16kv"), "0.5.10.post1").effective
    assert "disable-overlap-schedule" not in [item.name for item in same], "the profile sets the variable"


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    """0.5.9 cannot resolve this model from its own pins, so nothing is known of its decisions."""
    path = small(tmp_path / "p.yaml", "  args: {tp: 8}\n")
    down = {item.name: item for item in upgrade.upgraded(load(str(path)), "0.5.9").effective}
    assert (down["kv-cache-dtype"].old, down["kv-cache-dtype"].new) == ("fp8_e4m3", upgrade.UNKNOWN)


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
        (f"lmsysorg/sglang:v0.5.11-cu130@sha256:{'0a' * 32}", "lmsysorg/sglang:v0.5.23-cu130"),
        (f"reg.example:5000/sglang@sha256:{'0a' * 32}", None),
    ],
)
def test_suggested_image(image: str, expected: str | None) -> None:
    assert suggested_image(image, "0.5.11", "0.5.23") == expected
