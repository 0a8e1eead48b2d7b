"""What SGLang refuses is made valid by what is nearest to it, or stays; and what a rule replaces is said."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from faulty_profiles import GOOD, validate, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.authoring.fix import Outcome, fix
from glmdeploy.authoring.own_file import OwnFile
from glmdeploy.sglang import catalog
from glmdeploy.sglang.command import RESERVED

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = catalog.load("0.5.11")


def fixed(text: str) -> Outcome:
    written(text)
    return fix(OwnFile.read("p.yaml"))


def replaced(outcome: Outcome) -> list[tuple[str, object, object]]:
    return [(each.finding.id, each.old, each.new) for each in outcome.replaced]


def with_kv(value: str) -> str:
    return GOOD.replace("kv-cache-dtype: bfloat16 ", f"kv-cache-dtype: {value} ")


def test_valid_first_and_then_judged(here: Path) -> None:
    """The whole way from vLLM's `fp8`: what it means, and then what a rule says of that, each told."""
    outcome = fixed(with_kv("fp8"))
    assert replaced(outcome) == [("sglang", "fp8", "fp8_e4m3"), ("GLM001", "fp8_e4m3", "bfloat16")]
    assert [found.id for found in outcome.fixed] == ["sglang", "GLM001"]


def test_without_speculation_it_stays_what_it_was_to_be(here: Path) -> None:
    outcome = fixed(with_kv("fp8").replace("    speculative-algorithm: EAGLE\n", ""))
    assert outcome.file.document.data["sglang"]["args"]["kv-cache-dtype"] == "fp8_e4m3"
    assert replaced(outcome) == [("sglang", "fp8", "fp8_e4m3")]


@pytest.mark.parametrize("value", ["int3", "fp4", "fp8_e4m2", "half"])
def test_what_nothing_is_near_to_is_left(value: str, here: Path) -> None:
    outcome = fixed(with_kv(value))
    assert outcome.file.document.data["sglang"]["args"]["kv-cache-dtype"] == value
    assert outcome.replaced == ()
    places = [found for found in outcome.after.findings if found.path == ("sglang", "args", "kv-cache-dtype")]
    assert sorted(found.id for found in places) == ["knowledge", "sglang"], "no rule calls it left out"


def test_a_rule_does_not_replace_it_either_where_only_rules_are_chosen(here: Path) -> None:
    written(with_kv("fp8"))
    outcome = fix(OwnFile.read("p.yaml"), chosen=lambda finding: finding.id != "sglang")
    assert outcome.file.text == with_kv("fp8")


def test_keys(here: Path) -> None:
    text = GOOD.replace("reasoning-parser:", "reasoning_parser:").replace("watchdog-timeout", "watchdog-time")
    outcome = fixed(text)
    assert outcome.file.text == GOOD
    assert sorted(found.id for found in outcome.fixed) == ["GLM220", "sglang"]
    assert outcome.replaced == ()


def test_a_waived_abbreviation_stays(here: Path) -> None:
    text = GOOD.replace("watchdog-timeout", "watchdog-time")
    text += "waive:\n- {rule: GLM220, reason: we like it, until: 2099-01-01}\n"
    assert fixed(text).file.text == text


CHOICES = {
    option.canonical.removeprefix("--"): tuple(option.choices)
    for option in RELEASE.options
    if option.choices and option.type == "str" and option.nargs is None and option.dest not in RESERVED
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(25))
@given(st.sampled_from(sorted(CHOICES)), st.data())
def test_no_intent_is_turned_round(here: Path, name: str, data: st.DataObject) -> None:
    """A slip in a value: it stays, or becomes the value that it is a slip of; what came after is said."""
    meant = data.draw(st.sampled_from(CHOICES[name]))
    at = data.draw(st.integers(0, len(meant) - 1))
    slip = meant[:at] + meant[at + 1 :]
    if not slip or slip in CHOICES[name] or not slip[0].isalpha():
        return
    args = GOOD.partition("  args:\n")
    kept = "".join(line for line in args[2].splitlines(keepends=True) if line.strip().partition(":")[0] != name)
    outcome = fixed(f'{args[0]}{args[1]}    {name}: "{slip}"\n{kept}')
    path = ("sglang", "args", name)
    steps = [each for each in outcome.replaced if each.path == path]
    now = outcome.file.document.data["sglang"]["args"].get(name)
    if not steps:
        assert now in (slip, None)
    else:
        assert (steps[0].finding.id, steps[0].old) == ("sglang", slip)
        assert steps[-1].new == now
        assert all(before.new == after.old for before, after in pairwise(steps))


def test_what_was_replaced_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(with_kv("fp8"))
    _, out, err = validate(capsys, "--diff", "p.yaml")
    assert "  sglang.args.kv-cache-dtype: fp8 became fp8_e4m3 (sglang)\n" in out + err
    assert "  sglang.args.kv-cache-dtype: fp8_e4m3 became bfloat16 (GLM001)\n" in out + err
    _, out, _ = validate(capsys, "--fix", "--format", "json", "p.yaml")
    assert json.loads(out)["profiles"][0]["replaced"] == [
        {"id": "sglang", "path": "sglang.args.kv-cache-dtype", "old": "fp8", "new": "fp8_e4m3"},
        {"id": "GLM001", "path": "sglang.args.kv-cache-dtype", "old": "fp8_e4m3", "new": "bfloat16"},
    ]
    assert "kv-cache-dtype: bfloat16" in path.read_text()
