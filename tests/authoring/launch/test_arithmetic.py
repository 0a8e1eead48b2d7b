"""What a shell computes from numbers comes out as the shell would compute it, and nothing else does."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.authoring.launch.arithmetic import value
from glmdeploy.authoring.launch.find import launches

HELD = {"A": 2, "NODES": 16, "zero": 0}
LENGTHS = {"HOSTS": 3}


def computed(raw: str) -> int | None:
    found = value(raw, HELD.get, LENGTHS.get)
    return None if found is None else found[0]


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("$((8 * NODES))", 128),
        ("$(( $A*${NODES} ))", 32),
        ("$((${B:-4} + ${A:-9} + ${C-1}))", 7),
        ("$((8 * ${#HOSTS[@]}))", 24),
        ("${#HOSTS[*]}", 3),
        ("$((-7 / A % 3 - -(1)))", 1),
        ("$((2 * (3 + 4) * 5))", 70),
        ("$((B * 2))", None),
        ("${#B[@]}", None),
        ("$((1 / zero))", None),
        ("$((1 +))", None),
        ("$((1 2))", None),
        ("$(((1))", None),
        ("$((A++))", None),
        ("$((A ** 2))", None),
        ("$((0x10))", None),
        ("$((1.5))", None),
        ("$((A > 1 ? 2 : 3))", None),
        ("$(echo 2)", None),
        ("$((999999999999 * 999999999999))", None),
    ],
)
def test_what_is_computed(raw: str, number: int | None) -> None:
    assert computed(raw) == number


TERMS = st.recursive(
    st.sampled_from(["A", "$NODES", "${A}", "${B:-3}", "${#HOSTS[@]}", *map(str, range(1, 40))]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%", " + ", " * "]), inner).map("".join),
        inner.map("({})".format),
    ),
    max_leaves=6,
)


@given(st.lists(TERMS, min_size=1, max_size=8))
@settings(max_examples=examples(20), deadline=None)
def test_a_shell_computes_the_same(terms: list[str]) -> None:
    raws = [f"$(({term}))" for term in terms]
    # What divides by zero ends a shell: each has one of its own.
    text = "A=2 NODES=16 HOSTS=(a b c)\n" + "\n".join(f"( echo {raw} ) 2>&-\necho ," for raw in raws)
    said = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False, timeout=60).stdout
    shell = [part.strip() or None for part in said.split(",")[: len(raws)]]
    for raw, number in zip(raws, shell, strict=True):
        found = computed(raw)
        if number is None:
            assert found is None, raw
        else:
            assert found is not None, raw
            assert str(found) == number, raw


@given(st.text(alphabet="$(){}[]#@*+-/% :0123456789AN", max_size=30))
@settings(max_examples=examples(200), deadline=None)
def test_no_expression_is_too_odd(text: str) -> None:
    computed(f"$(({text}))")


def test_what_it_was_computed_from_is_told() -> None:
    text = 'N=2\nif [ -n "$X" ]; then N=4; fi\npython3 -m sglang.launch_server --tp $((8 * N))'
    [found] = launches(text)
    assert found.words[-1].text == "32"
    assert found.words[-1].variables == ("N",)
    assert any("$N is set under a condition" in note.message for note in found.words[-1].notes)
