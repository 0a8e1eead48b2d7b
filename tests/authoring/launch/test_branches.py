"""What a value is set under is said with all that it may be, and what a loop or a function launches."""

from __future__ import annotations

import pytest

from glmdeploy.authoring.launch.find import launches

SERVER = "python3 -m sglang.launch_server"
IF_ELSE = "if [ $C -gt 1 ]; then\n  T=8\nelse\n  T=4\nfi"


def told(text: str) -> tuple[list[str], set[str]]:
    """The words of the first launch in a text, and all that is noted of it."""
    launch = launches(text)[0]
    words = [*launch.words, *launch.env.values()]
    notes = [*launch.notes, *(note for word in words for note in word.notes)]
    return [word.text for word in launch.words], {note.message for note in notes}


@pytest.mark.parametrize(
    ("before", "words", "taken", "message"),
    [
        (IF_ELSE, "--tp $T", ["--tp", "4"], "`4` was taken (in its `else`); it is `8` if `[ $C -gt 1 ]`"),
        ("T=4\nif x; then T=8; fi", "--tp $T", ["--tp", "8"], "`8` was taken (if `x`); it is `4` otherwise"),
        ("if x; then T=8; fi", "--tp $T", ["--tp", "8"], "`8` was taken (if `x`); it is not set otherwise"),
        ("if x; then T=8; elif y; then T=4; fi", "--tp $T", ["--tp", "4"], "it is `8` if `x`, or not set otherwise"),
        ("T=4\n[ -n $Q ] && T=8", "--tp $T", ["--tp", "8"], "`8` was taken (if `[ -n $Q ]`); it is `4` otherwise"),
        ("[ -n $Q ] || T=8", "--tp $T", ["--tp", "8"], "`8` was taken (unless `[ -n $Q ]`); it is not set otherwise"),
        ("test -n $Q && { T=8; }", "--tp $T", ["--tp", "8"], "`8` was taken (if `test -n $Q`)"),
        ("case $G in a) T=8 ;; *) T=4 ;; esac", "--tp $T", ["--tp", "4"], "it is `8` in the case `a`"),
        ("T=4\nfor x in a b; do T=8; done", "--tp $T", ["--tp", "8"], "`8` was taken (in a loop); it is `4` otherwise"),
        ("T=4\n( T=8 )", "--tp $T", ["--tp", "4"], "is set to `8` inside ( ) only, which ends there; here it is `4`"),
        ("A=(--a)\nif x; then A=(); fi", '"${A[@]}"', [], "empty was taken (if `x`); it is `--a` otherwise"),
        (
            "if x; then A=(--a 1); else A=(); fi",
            '"${A[@]}"',
            [],
            "empty was taken (in its `else`); it is `--a 1` if `x`",
        ),
        ("A=(--a)\nx && A+=(--b)", '"${A[@]}"', ["--a", "--b"], "`--b` was added (if `x`); without that it is `--a`"),
        ("A=(--a)\nx && A+=(--b)\nA+=(--c)", '"${A[@]}"', ["--a", "--b", "--c"], "`--b` was added (if `x`)"),
        ("A=(--a)\nif x; then unset A; fi", '--x "${A:-1}"', ["--x", "1"], "not set was taken (if `x`)"),
        ("T=8\nexport T\nif x; then unset T; fi", "--a", ["--a"], "not set was taken (if `x`); it is `8` otherwise"),
    ],
)
def test_both_outcomes(before: str, words: str, taken: list[str], message: str) -> None:
    found, notes = told(f"{before}\n{SERVER} {words}")
    assert found == taken
    assert any(message in note for note in notes), notes


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (f"if x; then T=8; {SERVER} --tp $T; else T=4; fi", ["--tp", "8"]),
        (f"cd /srv && T=8\n{SERVER} --tp $T", ["--tp", "8"]),
        (f"x && T=8 && {SERVER} --tp $T", ["--tp", "8"]),
        (f"if x; then T=4; fi\nT=8\n{SERVER} --tp $T", ["--tp", "8"]),
        (f"if x; then T=8; else T=8; fi\n{SERVER} --tp $T", ["--tp", "8"]),
        (f"case $G in a) T=2 ;; b) T=8; {SERVER} --tp $T ;; esac", ["--tp", "8"]),
    ],
)
def test_what_is_certain_is_not_told(text: str, taken: list[str]) -> None:
    assert told(text) == (taken, set())


@pytest.mark.parametrize(
    ("text", "count", "message"),
    [
        (
            f"for i in 0 1 2 3; do {SERVER} --port $i & done",
            1,
            "four servers are launched by this loop (i is 0, 1, 2, 3)",
        ),
        (f"for i in {{1..3}}; do {SERVER} --port $i; done", 1, "three servers are launched"),
        (f"for ((i=0; i<2; i++)); do {SERVER} --port $i; done", 1, "two servers are launched"),
        (f"for i in $(seq 0 7); do {SERVER} --port $i; done", 1, "eight servers are launched"),
        (f"for i in $PORTS; do {SERVER} --port $i; done", 1, "how often is not known"),
        (f"while true; do {SERVER} --port 1; done", 1, "a loop that is repeated"),
        (f"f() {{ {SERVER} --port 1; }}", 1, "the function f is defined, but nothing in this text calls it"),
    ],
)
def test_loops_and_functions(text: str, count: int, message: str) -> None:
    assert len(launches(text)) == count
    _, notes = told(text)
    assert any(message in note for note in notes), notes


def test_a_function_gets_its_arguments() -> None:
    text = f'f() {{ local p=$1; shift; {SERVER} --port $p "$@"; }}\nf 8000 --tp 2\nf 8001'
    assert [[word.text for word in each.words] for each in launches(text)] == [
        ["--port", "8000", "--tp", "2"],
        ["--port", "8001"],
    ]


def test_functions_that_call_one_another_end() -> None:
    assert launches("f() { g; g; }\ng() { f; f; }\nf") == []


def test_a_secret_under_a_condition_is_not_shown() -> None:
    _, notes = told(
        f'export MY_TOKEN=abcdefgh\nx && MY_TOKEN=ijklmnop\nx && A=(--api-key qrstuvwx)\n{SERVER} "${{A[@]}}"'
    )
    assert notes
    assert not any(secret in note for note in notes for secret in ("abcdefgh", "ijklmnop", "qrstuvwx"))


def test_assigned_defaults_eval_and_inner_shells() -> None:
    text = f'echo "${{M:=a/b}}" "${{A:=--tp 2 --x}}"\nC="{SERVER} --model $M $A"\neval "$C"'
    assert told(text)[0] == ["--model", "a/b", "--tp", "2", "--x"]
    assert told(f"bash -c '{SERVER} --tp $0 --port $1' 2 8000")[0] == ["--tp", "2", "--port", "8000"]
    assert told(f"bash <<< '{SERVER} --tp 2'")[0] == ["--tp", "2"]
    words, notes = told(f"T=2\nbash -c '{SERVER} --tp $T'")
    assert words == ["--tp", "$T"]
    assert any("$T is set to `2` in this text, but not exported" in note for note in notes)
