"""The digest depends on meaning only; the canonical form goes both ways; a diff says what a change means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.plan.diff import Change, diff, options
from glmdeploy.plan.make import made, plan_of
from glmdeploy.plan.plan import canonical
from glmdeploy.profile.text.load import load, read_text
from glmdeploy.rules.check import check

if TYPE_CHECKING:
    import random

    from glmdeploy.plan.plan import Plan

PROFILE = "b200-eagle-bf16kv"


def plan(*sets: str, profile: str = PROFILE) -> Plan:
    return plan_of(load(profile, sets=sets))[0]


def shuffled(value: Any, generator: random.Random) -> Any:
    if not isinstance(value, dict):
        return value
    keys = list(value)
    generator.shuffle(keys)
    return {key: shuffled(value[key], generator) for key in keys}


@given(generator=st.randoms(use_true_random=False))
def test_digest_ignores_key_order(generator: random.Random) -> None:
    data = shuffled(load(PROFILE).data, generator)
    checked = check(read_text(json.dumps(data), "shuffled.json"))
    found = made(checked)
    assert found is not None
    assert found.digest == plan().digest


@pytest.mark.parametrize(
    "sets",
    [
        ("sglang.args.tp=null", "sglang.args.tensor-parallel-size=8"),
        ("sglang.args.ep=null", "sglang.args.expert-parallel-size=1"),
        ("sglang.args.max-total-tokens=64Ki",),
        ("sglang.args.watchdog-timeout=1200.0",),
        ("server.timeout=24h", "server.scaledown_window=15m"),
        ("description=other words",),
        ("sglang.args.disable-radix-cache=false",),
        ("server.env.HF_HUB_OFFLINE=1",),
        ("keepalive.schedule='* * * * *'",),
    ],
)
def test_digest_ignores_spelling(sets: tuple[str, ...]) -> None:
    assert plan(*sets).canonical() == plan().canonical()


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (("server.timeout=1h",), [("server", "timeout", 86400, 3600)]),
        (
            ("sglang.args.max-running-requests=32",),
            [
                ("compile command", "--max-running-requests", "48", "32"),
                ("sglang", "--max-running-requests", "48", "32"),
            ],
        ),
        (("sglang.args.watchdog-timeout=900",), [("sglang", "--watchdog-timeout", "1200", "900")]),
        (("sglang.args.enable-metrics=null",), [("sglang", "--enable-metrics", "true", None)]),
        (
            ("sglang.args.log-requests=true",),
            [("compile command", "--log-requests", None, "true"), ("sglang", "--log-requests", None, "true")],
        ),
        (("sglang.env.SGLANG_X=1",), [("server", "image.env.SGLANG_X", None, "1")]),
        (
            ("keepalive.enabled=true",),
            [
                ("keepalive", "schedule", None, "*/10 9-18 * * 1-5"),
                ("keepalive", "timezone", None, "UTC"),
                ("keepalive", "url", None, ""),
            ],
        ),
        (("app=other",), [("app", "app", "glm51-fp8", "other")]),
    ],
)
def test_diff(sets: tuple[str, ...], expected: list[tuple[Any, ...]]) -> None:
    changes = diff(plan().data(), plan(*sets).data())
    assert [(change.section, change.name, change.old, change.new) for change in changes] == expected
    assert plan(*sets).digest != plan().digest


def test_diff_of_equal_plans_is_empty() -> None:
    assert diff(plan().data(), plan().data()) == ()


def test_diff_symbols() -> None:
    kinds = [Change(section="s", name="n", old=old, new=new).symbol for old, new in ((None, 1), (1, None), (1, 2))]
    assert kinds == ["+", "-", "~"]


def test_options_of_a_command() -> None:
    words = ["python3", "-m", "x", "--a", "1", "--b", "--c=-x", "--d", "1", "2"]
    assert options(words) == {"command": "python3 -m x", "--a": "1", "--b": "true", "--c": "-x", "--d": "1 2"}


def test_canonical_is_the_data_without_missing_values() -> None:
    one = plan("compile=null")
    assert json.loads(one.canonical()) == one.data()
    assert "compile" not in one.data()


def test_each_gpu_of_a_list_has_kernels_of_its_own() -> None:
    one = plan("gpu=[B200:8, B300:8]")
    assert one.compile is not None
    assert list(one.compile.keys) == list(one.gpus) == ["B200:8", "B300:8"]
    assert len(set(one.compile.keys.values())) == 2
    alone = plan().compile
    assert alone is not None
    assert alone.keys["B200:8"] == one.compile.keys["B200:8"]


def test_the_api_key_is_in_no_command() -> None:
    one = plan()
    assert one.compile is not None
    assert not {"--api-key", "--admin-api-key"} & {*one.server.command, *one.compile.command}


def test_compiler_does_not_get_what_it_overrides() -> None:
    stage = plan().compile
    assert stage is not None
    assert "--watchdog-timeout" not in stage.command
    assert "--served-model-name" not in stage.command
    assert stage.command[:3] == ("python3", "-m", "sglang.compile_deep_gemm")
    assert stage.command[-2:] == ("--timeout", "3540")


def test_letters_beyond_ascii_stand_in_the_canonical_form_as_they_are() -> None:
    """Else another release's digest of the same plan would be another one."""
    assert canonical({"b": "\u00e9", "a": [1, None]}) == '{"a":[1,null],"b":"\u00e9"}'
