"""What shells complete: the candidates, and real shells that ask for them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from external import program
from reporting import call
from snapshots import ROOT
from support import PATIENCE
from typed_line import ALL, installed, typed

from glmdeploy.cli import COMMANDS, group
from glmdeploy.cli.complete_shells import Bash, Zsh
from glmdeploy.cli.rule_titles import titles
from glmdeploy.gpus import TYPES
from glmdeploy.local.state.names import DEPLOYED
from glmdeploy.rules import registry
from glmdeploy.sglang.catalog import versions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch) -> Completed:
    return Completed(monkeypatch)


class Completed:
    """The candidates for the last word of a line: the text of those that are words, ``*.yaml`` where files are."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch

    def lines(self, line: str) -> list[str]:
        *before, word = line.split(" ")
        self.patch.setenv("COMP_WORDS", "\n".join(["glmdeploy", *before]))
        self.patch.setenv("COMP_WORD", word)
        return Zsh(group, {}, "glmdeploy", "_GLMDEPLOY_COMPLETE").complete().splitlines()

    def __call__(self, line: str) -> list[str]:
        found = [each.split("\t") for each in self.lines(line)]
        return [f"*{value.removeprefix('*')}" if kind == "files" else value for kind, value, *_ in found]


SHIPPED = sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml"))
FILES = ["*.yaml", "*.yml"]
SGLANG = ("add_python=", "args.", "env.", "image=", "image_steps=", "version=")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", COMMANDS),
        ("ro", ["rollback", "rollover"]),
        ("help lo", ["logs", "local"]),
        ("help local se", ["secret"]),
        ("validate ", [*SHIPPED, *FILES]),
        ("validate b200-n", ["b200-nospec-bf16kv", *FILES]),
        ("validate one two b200-n", ["b200-nospec-bf16kv", *FILES]),
        ("apply b200-n", ["b200-nospec-bf16kv", "*"]),
        ("explain x --overlay ", FILES),
        ("validate --model-config ", ["*"]),
        ("render x -o ", ["*"]),
        ("import ", ["*"]),
        ("validate --strict-", ["--strict-knowledge"]),
        ("validate --format ", ["pretty", "json", "sarif", "junit", "github"]),
        ("rules GLM00", [f"GLM00{number}" for number in range(1, 10)]),
        ("validate --select ya", ["yaml"]),
        ("validate --ignore GLM001,GLM00", [f"GLM001,GLM00{number}" for number in range(2, 10)]),
        ("upgrade x --to ", [*reversed(versions())]),
        ("catalog show ", [*reversed(versions())]),
        ("catalog diff 0.5.11 0.5.8", ["0.5.8"]),
        ("catalog show 0.5.23 kv-cache-d", ["kv-cache-dtype"]),
        ("size x --gpu H", [name for name in TYPES if name.startswith("H")]),
        ("size x --gpu A10:", ["A10:1", "A10:2", "A10:3", "A10:4"]),
        ("size x --gpu=A10:4", ["--gpu=A10:4"]),
        ("size x --gpu Z80:", []),
        ("size x --set mod", ["model."]),
        ("size x --set model.", ["model.repo=", "model.revision=", "model.served_name="]),
        ("size x --set server.kind=", ["server.kind=web_server", "server.kind=server"]),
        ("size x --set server.public=", ["server.public=true", "server.public=false"]),
        (
            "size x --set server.warmup.",
            [f"server.warmup.{name}=" for name in ("batch", "output_tokens", "prompt_tokens")],
        ),
        ("size x --set sglang.", [f"sglang.{name}" for name in SGLANG]),
        ("size x --set sglang.args.kv-cache-dt", ["sglang.args.kv-cache-dtype="]),
        ("size x --set sglang.args.model-p", []),
        (
            "size x --set sglang.args.trust-remote-code=",
            [f"sglang.args.trust-remote-code={each}" for each in ("true", "false")],
        ),
        ("size x --set sglang.args.nothing=", []),
        ("size x --set nothing.", []),
        ("size x --set gpu=H2", ["gpu=H200"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("status --target ", ["modal", "local"]),
        ("local e", ["engine", "env"]),
        ("no-such-command x", []),
        ("diff g", ["git:", *FILES]),
    ],
)
def test_candidates(line: str, expected: list[str], completed: Completed) -> None:
    assert completed(line) == expected


@pytest.mark.parametrize("name", ["b200-eagle-bf16kv", "profiles/b200-eagle-bf16kv.yaml"])
def test_options_are_of_the_profiles_release(name: str, completed: Completed) -> None:
    """0.5.11 has a type of KV cache that the newest release does not have, and not one that it has."""
    of_profile = completed(f"size {name} --set sglang.args.kv-cache-dtype=fp4_")
    assert of_profile == ["sglang.args.kv-cache-dtype=fp4_e2m1"]
    assert completed("size x --set sglang.args.kv-cache-dtype=fp4_") == ["sglang.args.kv-cache-dtype=fp4_mx_block16"]


def test_candidates_are_told_with_what_they_mean(completed: Completed) -> None:
    assert completed.lines("rules GLM001") == [f"word\tGLM001\t{titles()['GLM001']}"]
    assert completed.lines("valid") == [
        "word\tvalidate\tCheck profiles: syntax, schema, SGLang options and guard rules."
    ]
    assert completed.lines("diff l")[0] == "part\tlive:\twhat runs"


def test_titles_are_those_of_all_rules() -> None:
    assert titles() == {rule.id: rule.title for rule in registry.rules()}


def test_profiles_of_this_folder(here: Path, completed: Completed) -> None:
    (here / "profiles").mkdir()
    (here / "profiles" / "zebra.yaml").write_text('app: "striped"\n')
    (here / "plain.yaml").write_text("# app: no\napp: other # yes\n")
    assert completed("plan z") == ["zebra", *FILES]
    # Modal is not asked: what is known are the profiles, and what was changed from this machine.
    locks = here / "home" / "locks"
    locks.mkdir(parents=True)
    for name in ("gone on modal.lock", "gone on modal.pid", "rehearsed on local.lock"):
        (locks / name).touch()
    assert completed("status ")[:3] == ["gone", "other", "striped"]
    assert completed("diff live:") == ["live:gone", "live:other", "live:striped"]
    assert completed("rollback gone ") == []
    assert completed("status --target local striped") == FILES


def test_deployed_is_what_modal_calls_so() -> None:
    from modal_proto import api_pb2

    assert api_pb2.APP_STATE_DEPLOYED == DEPLOYED


@pytest.mark.parametrize(
    ("line", "kept", "expected"),
    [
        ("glmdeploy size --gpu=A10:", "=:", ["word\t1", "word\t2", "word\t3", "word\t4"]),
        ("glmdeploy size --gpu A10:4", "", ["word\tA10:4"]),
        ("glmdeploy size x --set server.kind=w", "=:", ["word\tweb_server"]),
        ("glmdeploy validate --overlay=on", "=:", ["files\t.yaml\ton", "files\t.yml\ton"]),
        ("glmdeploy validate ~/on", "=:", []),
    ],
)
def test_bash_is_told_what_it_replaces(
    line: str, kept: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bash replaces what stands behind the last of the characters at which it splits words."""
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_WORDBREAKS", f" \t\n\"'><;|&({kept}")
    told = Bash(group, {}, "glmdeploy", "_GLMDEPLOY_COMPLETE").complete().splitlines()
    assert [each.split("\t$")[0] for each in told] == expected


def test_little_is_imported_and_nothing_said() -> None:
    """One process for all: a key is pressed, and there is no time."""
    code = """
import os, sys
os.environ["_GLMDEPLOY_COMPLETE"] = "zsh_complete"
from glmdeploy.cli import complete_shells, group
for line in ("", "validate b", "size x --set sglang.args.k", "size x --set server.", "validate --select G",
             "upgrade x --to 0", "size --gpu H", "status x", "diff live:", "logs x --target local --version "):
    before, _, word = f"glmdeploy {line}".rpartition(" ")
    os.environ |= {"COMP_WORDS": before.replace(" ", "\\n"), "COMP_WORD": word}
    assert complete_shells.answer(group) == 0
heavy = {"modal", "modal_proto", "yaml", "huggingface_hub", "jsonschema", "rich", "aiohttp", "subprocess", "socket"}
print(sorted(heavy & {*sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert (done.stdout.splitlines()[-1], done.stderr) == ("[]", "")


@pytest.fixture
def folder(here: Path) -> Path:
    """Where files are to be completed."""
    place = here / "work"
    (place / "sub dir").mkdir(parents=True)
    for name in ("one.yaml", "two.yml", "three.json", "a b.yaml"):
        (place / name).touch()
    os.chdir(place)
    return place


TYPED = {
    "glmdeploy valid\t": "glmdeploy validate ",
    "glmdeploy validate o\t": "glmdeploy validate one.yaml ",
    "glmdeploy validate a\t": r"glmdeploy validate a\ b.yaml ",
    "glmdeploy validate sub\t": r"glmdeploy validate sub\ dir/",
    "glmdeploy validate --overlay=on\t": "glmdeploy validate --overlay=one.yaml ",
    "glmdeploy size --set server.ki\tw\t": "glmdeploy size --set server.kind=web_server ",
    "glmdeploy diff li\t": "glmdeploy diff live:",
    "glmdeploy explain 'a \t": "glmdeploy explain 'a b.yaml' ",
    f"glmdeploy validate --ignore GLM001,GLM04{ALL}": "glmdeploy validate --ignore "
    + " ".join(f"GLM001,GLM04{number}" for number in range(10))
    + " ",
    f"glmdeploy catalog {ALL}": "glmdeploy catalog list show diff build ",
    f"glmdeploy import {ALL}": r"glmdeploy import a\ b.yaml one.yaml sub\ dir three.json two.yml ",
    f"glmdeploy validate t{ALL}": "glmdeploy validate two.yml ",
}
"""Lines with the keys that complete them, and what they become."""


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_real_shell(shell: str, folder: Path) -> None:
    environment = {"PATH": installed(folder.parent / "bin"), "PYTHONPATH": str(ROOT), "HOME": str(folder.parent)}
    found = typed(shell, program(shell), [*TYPED], folder.parent / "shell", environment)
    # In which order a shell lists files is its own matter.
    assert [sorted(line.split(" ")) for line in found] == [sorted(line.split(" ")) for line in TYPED.values()]


def test_fish(folder: Path) -> None:
    asked = {
        "glmdeploy valid": ["validate"],
        "glmdeploy validate o": ["one.yaml"],
        "glmdeploy validate a": ["a b.yaml"],
        "glmdeploy validate --overlay=on": ["--overlay=one.yaml"],
        "glmdeploy render x -o th": ["three.json"],
        "glmdeploy size --set server.kind=": ["server.kind=server", "server.kind=web_server"],
        "glmdeploy diff li": ["live:"],
        "glmdeploy validate sub": ["sub dir/"],
        "glmdeploy catalog ": ["build", "diff", "list", "show"],
        "glmdeploy validate t": ["two.yml"],
    }
    script = "glmdeploy completion fish | source\n" + "".join(
        f"echo '== {line}'\ncomplete -C '{line}'\n" for line in asked
    )
    done = subprocess.run(
        [program("fish"), "--no-config", "-c", script],
        env={"PATH": installed(folder.parent / "bin"), "PYTHONPATH": str(ROOT), "HOME": str(folder.parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stderr == ""
    found = {part.splitlines()[0]: part.splitlines()[1:] for part in done.stdout.split("== ")[1:]}
    assert {line: [each.partition("\t")[0] for each in told] for line, told in found.items()} == asked


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script(shell: str) -> None:
    code, out, err = call("completion", shell)
    assert (code, err) == (0, "")
    assert f"_GLMDEPLOY_COMPLETE={shell}_complete" in out


@pytest.mark.parametrize("wanted", ["tcsh_complete", "bash_nothing", "zsh_complete"])
def test_what_cannot_be_answered_is_silent(wanted: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "glmdeploy"],
        env={**os.environ, "_GLMDEPLOY_COMPLETE": wanted},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
