"""Arguments that nobody judged before: ``apply`` stops with the parser's own words, and says what was not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from support import PATIENCE, Shell, copied_cloud, some

from glmdeploy.cli.apply import places
from glmdeploy.errors import DeployError
from glmdeploy.operate import events
from glmdeploy.operate.preflight import ArgumentsRefused, judged_preflight, judged_rehearsal, named
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load
from glmdeploy.report.progress import preflight_data
from glmdeploy.report.rows import told_lines
from glmdeploy.report.steps import Steps
from glmdeploy.runtime.preflight_image import Judgement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fault_rows import Fault

    from glmdeploy.operate.preflight import Preflight

APPLY = ("apply", "b200-eagle-bf16kv", "--target", "local", "--yes", "--no-wait")

BY_HAND = """
import dataclasses, json, sys
from glmdeploy.cli.apply import places
from glmdeploy.errors import DeployError
from glmdeploy.operate import target
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load

stage, words = sys.argv[1], json.loads(sys.argv[2])
plan, _ = plan_of(load("b200-eagle-bf16kv"))
old = getattr(plan, stage)
plan = dataclasses.replace(plan, **{stage: dataclasses.replace(old, command=(*old.command, *words))})
there = target.connect("local", plan, None)
from glmdeploy.operate.apply import carry_out
from glmdeploy.operate.events import Published
from glmdeploy.operate.preview import preview
from glmdeploy.operate.revision import resolved
from glmdeploy.operate.rollout import Guard

plan = resolved(plan, there, tell=print)
try:
    for event in carry_out(preview(plan, there), guard=Guard(wait=False), tag=""):
        assert not isinstance(event, Published)
except DeployError as error:
    print(json.dumps({"message": error.message, "options": getattr(error, "options", None)}))
"""
"""Carries out a plan with further words in a command, which no profile can have: the validator is in front of it."""


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """An embedded cloud that runs a deployment."""
    with copied_cloud(template, tmp_path_factory.mktemp("arguments")) as one:
        one.run("local", "start")
        yield one


def carried_out(shell: Shell, stage: str, words: list[str]) -> tuple[Any, str]:
    """What the plan with further words comes to, and all that was printed."""
    command = [sys.executable, "-c", BY_HAND, stage, json.dumps(words)]
    done = subprocess.run(command, env=shell.env, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


WRONG: dict[str, tuple[str, list[str], str, list[str]]] = {
    "unknown": (
        *("server", ["--kv-cach-dtype", "auto"], "unrecognized arguments: --kv-cach-dtype auto"),
        ["kv-cach-dtype"],
    ),
    "choice": (
        *("server", ["--kv-cache-dtype", "fp9"], "argument --kv-cache-dtype: invalid choice: 'fp9'"),
        ["kv-cache-dtype"],
    ),
    "missing": ("server", ["--page-size"], "argument --page-size: expected one argument", ["page-size"]),
    "type": (
        *("compile", ["--tp", "two"], "argument --tensor-parallel-size/--tp-size: invalid int"),
        ["tensor-parallel-size", "tp-size"],
    ),
    "ambiguous": ("server", ["--spec", "EAGLE"], "ambiguous option: --spec could match --speculative-", ["spec"]),
    "of a later release": (
        *("server", ["--dsa-decode-backend", "trtllm"], "unrecognized arguments: --dsa-decode"),
        ["dsa-decode-backend"],
    ),
}
"""Stage and words, what the parser says of them, and the options that it names."""


@pytest.mark.parametrize("what", some(WRONG, "unknown"))
def test_the_parsers_own_words_stop_it(what: str, shell: Shell, fault: Fault) -> None:
    stage, words, said, options = WRONG[what]
    before = shell.deployments("glm51-fp8")
    told, printed = carried_out(shell, stage, words)
    whose = {"server": "of the server", "compile": "of the kernel compilation"}[stage]
    assert told["message"].startswith(f"the stand-in for SGLang 0.5.11 refuses the arguments {whose}: {said}")
    assert told["options"] == options
    assert "✓ weights" not in printed
    assert shell.deployments("glm51-fp8") == before
    if words[0] == "--page-size":
        fault("option without its value that no rule has found", f"error: {told['message']}")


@pytest.mark.parametrize(
    ("said", "keys"),
    [
        ("argument --tensor-parallel-size/--tp-size: invalid int value: 'two'", ["tp"]),
        ("DeepSeek DSA only supports bf16/bfloat16 or fp8_e4m3 kv_cache_dtype", ["kv-cache-dtype"]),
        ("speculative_eagle_topk(10) > 1 with page_size(64) > 1 is unstable", ["speculative-eagle-topk"]),
        ("ambiguous option: --spec could match --speculative-algorithm, --speculative-num-steps", []),
        ("unrecognized arguments: --kv-cach-dtype auto", []),
    ],
)
def test_the_place_in_the_profile(said: str, keys: list[str]) -> None:
    document = load("b200-eagle-bf16kv")
    lines = list(places(document, "0.5.11", named(said)))
    assert [line.rpartition(".")[2] for line in lines] == keys
    for line in lines:
        file, number, _, _ = line.strip().split(":")
        assert Path(file).read_text().splitlines()[int(number) - 1].strip().startswith(line.rpartition(".")[2])


def test_a_secret_in_them_is_masked(shell: Shell) -> None:
    key = shell.run("local", "secret", "glm51-api-key", "API_KEY").stdout.strip()
    told, printed = carried_out(shell, "server", [f"--no-such-option={key}"])
    assert told["message"].endswith("unrecognized arguments: --no-such-option=***")
    assert key not in printed


@pytest.mark.thorough
def test_what_changes_no_argument_is_not_judged_again(shell: Shell) -> None:
    scaling = shell.run(*APPLY, "--set", "server.max_inputs=19")
    assert "✓ preflight" in scaling.stderr
    assert "takes the arguments" not in scaling.stderr
    assert "rehearsal" not in scaling.stderr
    flags = shell.run(*APPLY, "--set", "sglang.args.max-running-requests=40")
    assert "the stand-in for SGLang 0.5.11 takes the arguments" in flags.stderr
    assert "✓ rehearsal   the server finds what it loads" in flags.stderr
    skipped = shell.run(*APPLY, "--no-preflight", "--set", "sglang.args.max-running-requests=41")
    assert "takes the arguments" not in skipped.stderr
    assert "rehearsal" not in skipped.stderr


def test_json_tells_what_was_judged(shell: Shell) -> None:
    told = shell.json(*APPLY, "--set", "sglang.args.max-running-requests=42")
    first, second = told["preflight"]
    assert first == {
        "arguments": "the stand-in for SGLang 0.5.11 takes the arguments",
        "not_judged": [],
        "placeholders": [],
    }
    assert second["arguments"] is None
    [doubt] = second["not_judged"]
    assert doubt.startswith(
        "whether the stand-in for SGLang 0.5.11 takes them with these weights on a simulated B200:8"
    )


PLAN, _ = plan_of(load("b200-eagle-bf16kv"))


def judged(**arguments: Any) -> dict[str, Any]:
    return {"unusable": [], "arguments": Judgement(**{"release": "0.5.11", **arguments}).data()}


def test_another_release_than_the_profiles_stops_it() -> None:
    with pytest.raises(DeployError) as raised:
        judged_preflight(judged(release="0.5.12"), PLAN, None)  # type: ignore[arg-type]
    image = PLAN.server.image.registry
    assert raised.value.message == f"the image {image} has SGLang 0.5.12, and `sglang.version` is 0.5.11"


def told(found: Preflight) -> list[str]:
    """What is told of it, without marks' colors; a line each however long it is."""
    steps = Steps(clock=lambda: 0.0)
    steps.hear(events.StageStarted(name="preflight"))
    lines = [line for each in steps.hear(events.Judged(found=found)) for line in told_lines(each, 100)]
    return [" ".join(click.unstyle(line).split()) for line in lines]


@pytest.mark.parametrize(
    ("answer", "doubt"),
    [
        ({"release": None}, "does not know its version: the profile says 0.5.11"),
        (
            {"unjudged": "it cannot be imported: ImportError: x"},
            "was not judged: it cannot be imported: ImportError: x",
        ),
        ({"unjudged": "it was ended by SIGSEGV"}, "whether SGLang 0.5.11 takes the arguments was not judged"),
    ],
)
def test_no_verdict_is_a_warning(answer: dict[str, Any], doubt: str) -> None:
    found = judged_preflight(judged(**answer), PLAN, None)  # type: ignore[arg-type]
    [row, *_] = told(found)
    assert row.startswith("! preflight")
    assert doubt in " ".join(told(found))


def test_a_build_of_the_release_is_the_release() -> None:
    found = judged_preflight(judged(release="0.5.11+cu130"), PLAN, None)  # type: ignore[arg-type]
    assert (found.arguments, found.doubts) == ("SGLang 0.5.11 takes the arguments", ())


def test_room() -> None:
    def with_room(**room: Any) -> Preflight:
        return judged_preflight({"unusable": [], "room": room}, PLAN, None)  # type: ignore[arg-type]

    fits = with_room(coming=756_000_000_000, free=756_000_000_000)
    assert "2 secrets; room for 756 GB" in told(fits)[0]
    with pytest.raises(DeployError, match=r"there is no room: 756\.0 GB .* and the volume \S+ has 11\.0 GB"):
        with_room(coming=756_000_000_000, free=11_000_000_000)
    unknown = with_room(unknown="the volume's file system does not tell how much is free")
    assert unknown.coming is None
    assert "warning: whether there is room for the weights is not known" in " ".join(told(unknown))


def test_what_the_rehearsal_finds() -> None:
    lost = {"lacking": ["/model-cache has no mark of complete weights"], "on_cpu": False, "arguments": []}
    with pytest.raises(DeployError, match="would not find what the stages made: /model-cache has no mark"):
        judged_rehearsal(lost, PLAN)
    words = "DeepSeek DSA only supports bf16/bfloat16 or fp8_e4m3 kv_cache_dtype"
    refused = judged(refused={"server": words})["arguments"]
    with pytest.raises(ArgumentsRefused, match=words):
        judged_rehearsal({"lacking": [], "on_cpu": False, "arguments": [refused]}, PLAN)
    good = judged(placeholders={"sgl_kernel": "libcuda.so.1: cannot open shared object file"})["arguments"]
    assert told(judged_rehearsal({"lacking": [], "on_cpu": False, "arguments": [good]}, PLAN)) == [
        "✓ preflight SGLang 0.5.11 takes them with these weights on a simulated B200:8 < 1 s",
        "placeholders stand in for sgl_kernel, which cannot be imported without a driver",
    ]


def test_a_rehearsal_with_a_stand_in_warns_of_nothing_that_a_stand_in_cannot_know() -> None:
    found = {"lacking": [], "on_cpu": False, "arguments": judged_rehearsals(unjudged="a stand-in resolves nothing")}
    quiet = judged_rehearsal(found, PLAN, stand_in=True)
    assert told(quiet) == [
        "✓ preflight the server finds what it loads; whether SGLang takes it is judged on Modal < 1 s"
    ]
    assert preflight_data(quiet)["not_judged"], "a program is still told of it"
    assert told(judged_rehearsal(found, PLAN))[0].startswith("! preflight")


def judged_rehearsals(**arguments: Any) -> list[dict[str, Any]]:
    return [judged(**arguments)["arguments"]]
