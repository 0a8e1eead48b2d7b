"""Which answers pass a check of the canary."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.local.standin import rehearsed
from glmdeploy.operate.canary import SHIPPED, read_canary
from glmdeploy.runtime.verify_canary import after_thought, right


@pytest.mark.parametrize(
    ("item", "answer", "passes"),
    [
        ({"equal": "Paris"}, " Paris\n", True),
        ({"equal": "Paris"}, "Paris.", False),
        ({"equal": "Paris"}, "paris", False),
        ({"contains": "paris"}, "It is PARIS.", True),
        ({"contains": ["cold", "cool"]}, "Cool!", True),
        ({"contains": ["cold", "cool"]}, "hot", False),
        ({"regex": r"\bAu\b"}, "The symbol is Au.", True),
        ({"regex": r"\bAu\b"}, "Australia", False),
        ({"number": 391}, "391", True),
        ({"number": 391}, "17 × 23 = 391.", True),
        ({"number": 391}, "391 is what 17 times 24 is not", False),
        ({"number": 1969}, "1,969", True),
        ({"number": -4}, "It is -4", True),
        ({"number": -4}, "It is \u22124", True),
        ({"number": 6}, "17-11 is 6", True),
        ({"number": 23}, "17-23", True),
        ({"number": 7.75, "tolerance": 0.01}, "7.755", True),
        ({"number": 7.75}, "7.755", False),
        ({"number": 1000}, "1e3", True),
        ({"number": 1}, "1e999", False),
        ({"number": 8}, "eight", False),
        ({"number": 8}, "", False),
    ],
)
def test_a_check(item: dict[str, Any], answer: str, passes: bool) -> None:
    assert right(item, answer) is passes


@given(st.integers(-(10**12), 10**12), st.text(st.characters(categories=["Ll", "Zs"])))
def test_the_last_number_is_found_behind_any_words(number: int, words: str) -> None:
    assert right({"number": number}, f"{words} {number}")
    assert right({"number": number}, f"{words} {number:,}.")
    assert not right({"number": number + 1}, f"{words} {number}")


@given(st.text(), st.sampled_from(["equal", "contains", "regex", "number"]))
def test_any_answer_is_judged(answer: str, check: str) -> None:
    value: Any = 1 if check == "number" else "x"
    assert right({check: value}, answer) in {True, False}


def test_an_answer_without_its_thought() -> None:
    assert after_thought({"content": "<think>12?</think>\n 13 "}) == "13"
    assert after_thought({"content": None, "reasoning_content": "x"}) == ""


def test_the_stand_in_knows_the_answers_of_the_shipped_canary() -> None:
    canary = read_canary(SHIPPED)
    assert len(canary.items) == 20
    for item in canary.items:
        answer = rehearsed.rehearsed_answer(item["prompt"], {})
        assert answer is not None
        assert answer.endswith("(From the table of glmdeploy's stand-in.)")
        assert right(item, answer), item
        assert not right(item, f"This answer comes from nowhere. You said: {item['prompt']}"), "an echo passes"
