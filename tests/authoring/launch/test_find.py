"""Shell text is read as a shell reads it, and nothing of it is executed."""

from __future__ import annotations

import re
import shlex
import shutil
import string
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.authoring.launch.find import launches
from glmdeploy.authoring.launch.imported import import_script
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from pathlib import Path

    from glmdeploy.authoring.launch.launch import Launch

SERVER = "python3 -m sglang.launch_server"


def launch(text: str) -> Launch:
    [found] = launches(text)
    return found


def words(text: str) -> list[str]:
    return [word.text for word in launch(text).words]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--a b \\\n  --c d", ["--a", "b", "--c", "d"]),
        ("--a b \\\r\n  --c d\r\n", ["--a", "b", "--c", "d"]),
        ("--a 'x  y' \"z's\" w\\ v # comment", ["--a", "x  y", "z's", "w v"]),
        ("--a b#c", ["--a", "b#c"]),
        ("--a $'1\\t2\\x41\\u00e9\\'' $\"x\"", ["--a", "1\t2Aé'", "x"]),
        ("--a '' \"\"", ["--a", "", ""]),
        ('--a "\\$X \\" \\\\ \\n"', ["--a", '$X " \\ \\n']),
        ("--a b > log 2>&1 < /dev/null &", ["--a", "b"]),
        ("--a b 2>&1 | tee log", ["--a", "b"]),
        ("--a b; echo --c", ["--a", "b"]),
        ("--a b && echo --c", ["--a", "b"]),
        ("--a b\n--c d", ["--a", "b"]),
        ("--a {b,c}", ["--a", "{b,c}"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(f"{SERVER} {text}") == expected


@pytest.mark.parametrize(
    ("before", "text", "expected"),
    [
        ("A=1", "$A ${A} '$A' \"$A\"x", ["1", "1", "$A", "1x"]),
        ("A='x  y'", '$A "$A"', ["x", "y", "x  y"]),
        ("A=", '$A "$A"', [""]),
        ("A=' x '", "a$A", ["a", "x"]),
        ("", "${A:-b} ${A-c} ${A:-'d e'} ${A:-$B}", ["b", "c", "d e", "$B"]),
        ("A=", "${A:-b} ${A-c}x", ["b", "x"]),
        ("A=1", "${A:-b} ${A:+c} ${B:+d}", ["1", "c"]),
        ("A=1; A+=2", "$A", ["12"]),
        ("A=(--x 'a b'); A+=(c)", '"${A[@]}"', ["--x", "a b", "c"]),
        ("A=(--x 'a b')", "${A[@]}", ["--x", "a", "b"]),
        ("A=(1\n 2 # no\n)", "${A[@]}", ["1", "2"]),
        ("A=1\nB=$A$A", "$B", ["11"]),
        ("export A=1", "$A", ["1"]),
        ("A=1\nunset A", "$A", ["$A"]),
        ("", "$(nproc) `nproc` $((N+2)) ${A%x} $1", ["$(nproc)", "`nproc`", "$((N+2))", "${A%x}", "$1"]),
        ("cat > x <<EOF\nA=2 '\nEOF\nA=1", "$A", ["1"]),
    ],
)
def test_variables(before: str, text: str, expected: list[str]) -> None:
    assert words(f"{before}\n{SERVER} {text}") == expected


@pytest.mark.parametrize(
    "text",
    [
        f"{SERVER} --tp 1",
        "python -m sglang.launch_server --tp 1",
        "/usr/bin/python3.12 -u -W ignore -m sglang.launch_server --tp 1",
        "sglang serve --tp 1",
        "/opt/venv/bin/sglang serve --model-type llm --tp 1",
        f"exec {SERVER} --tp 1",
        f"nohup {SERVER} --tp 1 &",
        f"sudo -E -u me {SERVER} --tp 1",
        f"env -u X A=b {SERVER} --tp 1",
        f"A=b B='c d' {SERVER} --tp 1",
        f"sh -c '{SERVER} --tp 1'",
        f'bash -lc "cd /x && exec {SERVER} --tp 1"',
        f"bash -c \"sh -c '{SERVER} --tp 1'\"",
        f"$ {SERVER} --tp 1",
        f"pip install sglang\necho {SERVER} --tp 9\n{SERVER} --tp 1",
        f"if true; then\n  {SERVER} --tp 1\nfi",
        f"start() {{\n  {SERVER} --tp 1\n}}",
        f"docker run image {SERVER} --tp 1",
        f"podman run --rm -it -p8000:8000 -eA=b image {SERVER} --tp 1",
        f"docker container run --entrypoint bash image -c '{SERVER} --tp 1'",
        f"cat > run.sh <<'EOF'\n{SERVER} --tp 1\nEOF\nsh run.sh",
        f"$PYTHON {SERVER.removeprefix('python3 ')} --tp 1",
        f"numactl -N 0 {SERVER} --tp 1",
        f"ssh host '{SERVER} --tp 1'",
        f"uv run {SERVER} --tp 1",
        f"git commit -m 'run sglang serve'\nwhatever \"it's sglang serve\"\n{SERVER} --tp 1",
        f"cat <<EOF\nit's about sglang\nEOF\n{SERVER} --tp 1",
    ],
)
def test_the_launch_is_found(text: str) -> None:
    assert words(text) == ["--tp", "1"]


def test_nothing_that_does_not_launch_is_found() -> None:
    for text in ("", "echo sglang serve", f"pkill -f '{SERVER}'", "python3 -m sglang.bench_serving", "sglang generate"):
        assert launches(text) == []


def test_a_positional_model() -> None:
    assert words("sglang serve org/name --tp 8") == ["--model-path", "org/name", "--tp", "8"]


def test_environment() -> None:
    env = launch(f"export A=1 B\nexport C='2 3'\nD=4\nE=5 env F=6 G=$A {SERVER}").env
    assert {name: word.text for name, word in env.items()} == {"A": "1", "C": "2 3", "E": "5", "F": "6", "G": "1"}


def test_a_container_has_an_environment_of_its_own() -> None:
    found = launch(f"export A=1 B=2\ndocker run -e A -e C=3 --env D --env-file x image env E=4 {SERVER}")
    assert {name: word.text for name, word in found.env.items()} == {"A": "1", "C": "3", "D": "$D", "E": "4"}
    assert found.container is not None
    assert [(name, word.text) for name, word in found.container.flags] == [("env-file", "x")]


def test_places() -> None:
    text = f"TP=8\n{SERVER} --tp=$TP \\\n  --chat-template 'a b' $TP"
    shown = [text[slice(*word.span)] for word in launch(text).words]
    assert shown == ["--tp=$TP", "--chat-template", "'a b'", "$TP"]
    inner = f"bash -c '{SERVER} --tp 8'"
    assert [inner[slice(*word.span)] for word in launch(inner).words] == ["--tp", "8"]


@pytest.mark.parametrize(
    "text", ["'a", '"a', "$'a", "`a", "$(a", "${a", "A=(a", "${a:-", "a >", "$((1)", "${A%(", "a > >b"]
)
def test_unclosed(text: str) -> None:
    with pytest.raises(ShellError):
        launches(f"{SERVER} --tp 1\n{text}")


def test_bounds() -> None:
    doubling = "A=xxxxxxxxxx\n" + "A=$A$A\n" * 30
    with pytest.raises(ShellError, match="million"):
        launches(doubling)
    with pytest.raises(ShellError, match="inside one another"):
        launches("x " + "${A:-" * 30)
    nested = SERVER
    for _ in range(9):
        nested = f"sh -c {shlex.quote(nested)}"
    with pytest.raises(ShellError, match="shells inside"):
        launches(nested)


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = f'touch {mark}\n{SERVER} --model-path a/b --chat-template "$(touch {mark})" --port `touch {mark}`'
    result = import_script(Script(file="x", text=text), ImportOptions(sglang_version="0.5.16"))
    assert not mark.exists()
    [error] = [note.message for note in result.notes if note.severity is Severity.ERROR]
    assert error.startswith("--chat-template was left out: $(touch ")


PLAIN = st.text(string.ascii_letters + string.digits + "-_=./,:@%+é!", min_size=1, max_size=4)
QUOTED = st.text(string.ascii_letters + ' $`\\"{}#;|&<>()*?~!\n\t', max_size=5)
NAMES = st.sampled_from(["A", "B", "C"])
FRAGMENTS = st.one_of(
    PLAIN,
    QUOTED.map(lambda text: f"'{text}'"),
    st.text(string.ascii_letters + " '#;|&<>()*?{}\n", max_size=5).map(lambda text: f'"{text}"'),
    NAMES.map(lambda name: f"${{{name}}}"),
    NAMES.map(lambda name: f'"${name}"'),
    NAMES.map(lambda name: f"${{{name}:-d e}}"),
    NAMES.map(lambda name: f'"${{{name}:-"d  e"}}"'),
    NAMES.map(lambda name: f"${{{name}:-'d  e' f}}"),
    NAMES.map(lambda name: f"${{{name}:+f g}}"),
    NAMES.map(lambda name: f"${{{name}:-${{A}}}}"),
    st.sampled_from(['"${D[@]}"', "${D[@]}", "${D}"]),
    st.sampled_from(list(" '\"\\$`;|&<>()#*~")).map(lambda character: f"\\{character}"),
    st.just("\\\n"),
    st.sampled_from(["\\t", "\\'", "\\\\", "\\x41", "\\101", "q"]).map(lambda escape: f"$'{escape}'"),
)
LINES = st.lists(st.lists(FRAGMENTS, min_size=1, max_size=4).map("".join), max_size=5).map(" ".join)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@settings(deadline=None, max_examples=examples(100))
@given(line=LINES)
def test_words_are_those_of_bash(line: str) -> None:
    assume(not re.search(r"\\[ ]($|[^\S\n]|#)|\\#[ ]", line))  # what ends a launch too early is read as it was meant
    variables = "A='x  y'\nB=\nC=1\nD=(1 '2  3')\n"
    script = f"set -f\n{variables}x() {{ printf '%s\\0' \"$@\"; }}\nx start {line}\n"
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, check=True, timeout=300)
    assert ["start", *words(f"{variables}{SERVER} {line}\n")] == done.stdout.decode().split("\0")[:-1]
