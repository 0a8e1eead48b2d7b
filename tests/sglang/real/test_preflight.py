"""The preflight against real releases: what it makes of arguments that they take, and of those that they refuse.

Their packages for GPUs are absent here, so that placeholders stand in for them; a server's image has them.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sglang_record import PROBES, programs

from glmdeploy.runtime.preflight_image import IMAGE_PROBE, Judgement, judge_arguments
from glmdeploy.sglang import catalog, command, models
from glmdeploy.sglang.real import environment, oracle

if TYPE_CHECKING:
    from sglang_record import Recorder

RELEASES = ("0.5.11", "0.5.23")

ARGS = {"tp": 8, "mem-fraction-static": 0.85, "speculative-algorithm": "EAGLE", "trust-remote-code": True}

MODEL = "/model-cache/GLM-5.1-FP8"


def words(release: str) -> dict[str, list[str]]:
    """The words after the module's name of the two commands for eight B200."""
    known = catalog.load(release)
    settings, problems = command.read(ARGS, known)
    assert not problems
    served = command.server_command(settings, known, model_path=MODEL, served_name="glm-5.1", port=8000)
    compiled = command.compile_command(settings, known, model_path=MODEL, seconds=3600)
    return {"server": list(served)[3:], "compile": list(compiled)[3:]}


def judged(recorder: Recorder, release: str, argvs: dict[str, list[str]], *, resolve: bool = False) -> Judgement:
    """What the release says, recorded."""
    config = models.known("zai-org/GLM-5.1-FP8") if resolve else None
    machine = oracle.simulated("B200", 8) if resolve else None

    def ask() -> dict[str, Any]:
        place = environment.existing(release, recorder.cache) or environment.build(release, recorder.cache)
        with tempfile.TemporaryDirectory() as scratch:
            model = Path(scratch) / "GLM-5.1-FP8"
            model.mkdir()
            (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
            moved = {name: [str(model) if word == MODEL else word for word in argv] for name, argv in argvs.items()}
            variables = environment.variables(place.source, Path(scratch))
            absent = oracle.placeholders().split(",")
            found = judge_arguments(
                str(place.interpreter), variables, moved, seconds=600, resolve=resolve, machine=machine, absent=absent
            )
            return found.data()

    program = programs((*PROBES, IMAGE_PROBE), oracle.placeholders())
    question = {"argvs": argvs, "machine": machine, "config": config}
    answer = recorder.record(release).answer("image_probe", program, question, ask)
    return Judgement(**{name: value for name, value in answer.items() if name in Judgement.__dataclass_fields__})


@pytest.mark.parametrize("release", RELEASES)
def test_good_arguments_are_taken(release: str, recorder: Recorder) -> None:
    assert judged(recorder, release, words(release), resolve=True) == Judgement(release=release)


@pytest.mark.parametrize("release", RELEASES)
def test_the_parsers_words(release: str, recorder: Recorder) -> None:
    bad = {"server": ["--kv-cach-dtype", "auto"], "compile": ["--page-size", "large"]}
    found = judged(recorder, release, {name: [*words(release)[name], *bad[name]] for name in bad})
    assert found == Judgement(
        release=release,
        refused={
            "server": "unrecognized arguments: --kv-cach-dtype auto",
            "compile": "argument --page-size: invalid int value: 'large'",
        },
    )


KV = "DeepSeek DSA only supports bf16/bfloat16 or fp8_e4m3 kv_cache_dtype"


@pytest.mark.parametrize(
    ("release", "further", "said"),
    [
        *((release, ("--kv-cache-dtype", "fp8_e5m2"), KV) for release in RELEASES),
        ("0.5.23", ("--schedule-conservativeness", "-1"), "schedule_conservativeness must be non-negative"),
    ],
)
def test_what_the_resolution_refuses(release: str, further: tuple[str, ...], said: str, recorder: Recorder) -> None:
    found = judged(recorder, release, {"server": [*words(release)["server"], *further]}, resolve=True)
    assert (found.release, found.unjudged) == (release, "")
    assert said in found.refused["server"]
