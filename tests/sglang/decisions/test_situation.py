"""A situation's own words, and which decision is taken in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from glmdeploy import gpus
from glmdeploy.sglang.decisions.situation import MODEL, Decision, Situation


def situation(version: str = "0.5.16", gpu: str = "H200:8", **values: Any) -> Situation:
    return Situation(version=version, gpu=gpus.parse(gpu), quantization=None, env={}, values=values)


def test_releases() -> None:
    now = situation("0.5.12.post1")
    assert [now.since(each) for each in ("0.5.9", "0.5.12", "0.5.12.post1", "0.5.13.post1")] == [
        True,
        True,
        True,
        False,
    ]
    assert now.between("0.5.12.post1", "0.5.12.post1")
    assert now.between("0.5.10", "0.5.23")
    assert not now.between("0.5.10", "0.5.12")
    assert not now.between("0.5.13.post1", "0.5.23")


@pytest.mark.parametrize(
    ("algorithm", "eagle", "other"),
    [
        ("EAGLE", True, False),
        ("NEXTN", True, False),
        ("eagle", True, False),
        ("EAGLE3", False, True),
        ("NGRAM", False, True),
        (None, False, False),
    ],
)
def test_speculation(algorithm: str | None, eagle: bool, other: bool) -> None:
    now = situation(speculative_algorithm=algorithm)
    assert (now.eagle, now.other_algorithm) == (eagle, other)


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        ({}, 1),
        ({"dp_size": 8}, 1),
        ({"dp_size": 8, "enable_dp_attention": True}, 8),
        ({"dp_size": None, "enable_dp_attention": True}, 1),
        ({"attn_dp_size": 4}, 4),
        ({"attn_dp_size": 4, "dp_size": 1, "enable_dp_attention": True}, 4),
        ({"attn_dp_size": 1, "dp_size": 2, "enable_dp_attention": True}, 2),
        ({"attn_dp_size": None, "dp_size": 2}, 1),
    ],
)
def test_groups_of_attention(values: dict[str, Any], groups: int) -> None:
    """``handle_deprecated_dp_attention`` (``sglang/srt/arg_groups/parallel_hook.py``, 0.5.22 and 0.5.23)."""
    assert situation("0.5.22", **values).attention_dp == groups


ROW = Decision(name="page_size", value=64, why="a reason", files=MODEL)


@pytest.mark.parametrize(
    ("row", "now", "applies"),
    [
        (ROW, situation(), True),
        (ROW, situation(page_size="auto"), True),
        (ROW, situation(page_size=1), False),
        (ROW, situation(page_size=False), False),
        (replace(ROW, gpu=9), situation(), True),
        (replace(ROW, gpu=10), situation(), False),
        (replace(ROW, gpu=10), situation(gpu="B200:8"), True),
        (replace(ROW, since="0.5.16", until="0.5.16"), situation(), True),
        (replace(ROW, since="0.5.17"), situation(), False),
        (replace(ROW, until="0.5.15.post1"), situation(), False),
        (ROW, situation("0.5.9"), False),
        (replace(ROW, when=lambda now: now["dtype"] == "half"), situation(page_size=1, dtype="half"), True),
        (replace(ROW, when=lambda now: now["dtype"] == "half"), situation(), False),
    ],
)
def test_where_a_decision_is_taken(row: Decision, now: Situation, applies: bool) -> None:
    assert row.applies(now) is applies


def test_what_is_decided() -> None:
    assert ROW.decide(situation()) == 64
    assert replace(ROW, value=lambda now: now["tp_size"] * 2).decide(situation(tp_size=4)) == 8


@pytest.mark.parametrize(
    ("version", "file"),
    [
        ("0.5.10", "server_args.py"),
        ("0.5.14", "server_args.py"),
        ("0.5.15.post1", "arg_groups/overrides.py"),
        ("0.5.18", "arg_groups/overrides.py"),
        ("0.5.19", "arg_groups/model_overrides/deepseek_v2.py"),
        ("0.5.23", "arg_groups/model_overrides/deepseek_v2.py"),
    ],
)
def test_the_file_that_decides(version: str, file: str) -> None:
    assert ROW.file(version) == f"sglang/srt/{file}"
