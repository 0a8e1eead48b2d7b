"""A value that is refused makes no cascade: what depends on it is not judged, and that is said in one line.

Held against itself: whatever is found beside a refused value is found as well with every value that may stand there.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judged import checked
from support import examples

from glmdeploy.findings import Severity
from glmdeploy.sglang.effective import Basis

PROFILES = ("b200-eagle-bf16kv", "b200-eagle-bf16kv-0.5.23", "h100-glm45-air-fp8", "b200-nospec-bf16kv")
NUMBERS = (1, 2, 4, 8, 64, 4096)


def findings(*sets: str, profile: str = "b200-eagle-bf16kv") -> dict[str, set[str]]:
    """By id what is found beside the release's own refusals; what waits for knowledge is apart."""
    found: dict[str, set[str]] = {}
    for each in checked(*sets, profile=profile).findings:
        found.setdefault(each.id, set()).add(each.message)
    return found


def values(profile: str) -> list[tuple[str, list[str]]]:
    """The options that the profile sets and that take no text whatever, each with values that may stand there."""
    facts = checked(profile=profile).facts
    assert facts is not None
    found = []
    for setting in facts.settings.values():
        option = setting.option
        if option.choices:
            found.append((setting.key, [str(choice) for choice in option.choices]))
        elif option.type in ("int", "human_readable_int"):
            found.append((setting.key, [str(number) for number in NUMBERS]))
        elif option.type == "float":
            found.append((setting.key, ["0.5", "0.9", "1200"]))
    return found


CASES = [(profile, key, allowed) for profile in PROFILES for key, allowed in values(profile)]


@pytest.mark.parametrize(
    ("value", "key"), [("bf17", "kv-cache-dtype"), ("eight", "tp"), ("EAGEL", "speculative-algorithm")]
)
def test_one_error_and_one_line_about_what_was_not_judged(key: str, value: str) -> None:
    usual = findings()
    found = findings(f"sglang.args.{key}={value}")
    assert len(found.pop("sglang")) == 1
    [line] = found.pop("knowledge")
    assert line.startswith(f"what depends on `{key}` was not judged: ")
    assert line.endswith(" rules")
    assert {name: said - usual.get(name, set()) for name, said in found.items()} == {name: set() for name in found}


def test_nothing_is_said_of_what_nobody_asks_for() -> None:
    assert "knowledge" not in findings("sglang.args.log-level-http=[a, b]")


def test_a_misspelled_option_is_not_one_that_is_left_out() -> None:
    """Its value may be the right one."""
    found = findings("sglang.args.kv-cache-dtype=null", "sglang.args.kv-cache-dtpe=bfloat16")
    assert set(found) & {"GLM001", "GLM002"} == set()
    [line] = found["knowledge"]
    assert line.startswith("what depends on `kv-cache-dtpe` was not judged: ")
    assert "GLM002" in findings("sglang.args.kv-cache-dtype=null")


def test_of_several_the_line_names_three() -> None:
    sets = [
        f"sglang.args.{key}=x y" for key in ("tp", "kv-cache-dtype", "max-total-tokens", "mem-fraction-static", "ep")
    ]
    [line] = findings(*sets)["knowledge"]
    assert "and 2 more was not judged" in line


def test_a_waiver_of_what_was_not_judged_is_not_called_idle() -> None:
    waiver = 'waive=[{rule: GLM020, reason: x, until: "2030-01-01"}]'
    assert "waiver" in findings(waiver)
    assert "waiver" not in findings(waiver, "sglang.args.tp=eight")


def test_effective_values_that_depend_on_it_are_not_known() -> None:
    facts = checked("sglang.args.kv-cache-dtype=bf17").facts
    assert facts is not None
    assert facts.effective["kv_cache_dtype"].basis is Basis.REFUSED
    assert facts.effective["tp_size"].value == 8
    assert facts.memory is None


@settings(max_examples=examples(60), deadline=None)
@given(case=st.sampled_from(CASES), data=st.data())
def test_what_is_found_beside_it_is_found_with_every_value(
    case: tuple[str, str, list[str]], data: st.DataObject
) -> None:
    profile, key, allowed = case
    refused = findings(f"sglang.args.{key}=no such value", profile=profile)
    assert len(refused.pop("sglang")) == 1
    refused.pop("knowledge", None)
    value = data.draw(st.sampled_from(allowed))
    other = findings(f"sglang.args.{key}={value}", profile=profile)
    if "sglang" not in other:
        for name, said in refused.items():
            assert said <= other.get(name, set()), f"{name} is judged without `{key}`, and depends on it"


def test_the_cases_are_many() -> None:
    assert len({key for _, key, _ in CASES}) > 12
    found = checked("sglang.args.tp=x").findings
    assert {each.severity for each in found if each.id == "knowledge"} == {Severity.INFO}
