"""What the rules say is held against what SGLang did: a sample of the situations that its releases were asked about.

``resolved.json`` has situations (release, GPU, architecture, the checkpoint's quantization, options, variables) that
``glmdeploy.sglang.real.record`` asked about: those that the release took, and those that it refused when it resolved
its arguments or, some, when it checked them (``check_server_args``), with the first words of its error. Of the refused
each kind of error is there, in proportion; none has more than eight GPUs, which a profile cannot have.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from judged import TODAY, generated

from glmdeploy.findings import Severity
from glmdeploy.profile.text.load import read_text
from glmdeploy.rules.check import check
from glmdeploy.rules.registry import rules
from glmdeploy.sglang.real.checkpoints import CHECKPOINTS
from glmdeploy.sizing.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FILE = Path(__file__).with_name("resolved.json")

LATER = {
    "GLM006": "kernels, some of which are asked for at the first request only",
    "GLM167": "backends that are built after the weights are loaded",
    "GLM168": "backends that are built after the weights are loaded",
}
"""Rules whose errors come at the resolution in some releases, and later in others."""

ELSEWHERE = {
    "GLM001": "a pair that was reported to fail in service",
    "GLM002": "a pair that was reported to fail in service",
    "GLM007": "a KV cache that is written one way and read another",
    "GLM013": "a regression in service",
    "GLM020": "GPUs that nobody uses, or that are too few",
    "GLM066": "modes that serve no clients",
    "GLM080": "memory",
    "GLM084": "a share of the memory that SGLang works out, and that is none",
    "GLM169": "kernels at the first request",
    "GLM170": "kernels when the weights are loaded",
    "GLM171": "kernels when the weights are loaded",
    "GLM176": "drafts, when they are loaded",
    "GLM186": "allreduce fusion, when it is set up",
    "GLM210": "blocks, when the layers are made",
}
"""Rules whose errors are about something else than the argument resolution, and what."""

LEAST = 0.95
"""Of what SGLang refuses, how much the rules must find."""

MOST_FALSE = 0
"""Situations that SGLang takes and a rule calls refused."""


@cache
def situations() -> dict[str, list[list[Any]]]:
    content: dict[str, list[list[Any]]] = json.loads(FILE.read_text("utf-8"))
    return content


def errors(
    version: str, gpu: str, architecture: str, quantization: str, args: Mapping[str, Any], env: Mapping[str, str]
) -> set[str]:
    """The ids of what is wrong with a profile of the situation, on as many GPUs as it uses."""
    replicas = 1 if args.get("enable-dp-attention") else args.get("dp-size", 1)
    count = args.get("tp-size", 1) * args.get("pp-size", 1) * replicas
    checkpoint = CHECKPOINTS[architecture]
    data = generated(
        dict(args),
        version=version,
        gpu=f"{gpu}:{count}",
        model={"repo": f"acme/{checkpoint.name}", "served_name": "model"},
        sglang={"env": dict(env)},
    )
    config = Checkpoint(config=checkpoint.configured(quantization), weights=None)
    checked = check(read_text(json.dumps(data), "generated.json"), today=TODAY, checkpoint=config)
    assert checked.facts, checked.findings
    return {found.id for found in checked.findings if found.severity is Severity.ERROR}


def test_nothing_is_called_refused_that_sglang_takes() -> None:
    accused = [
        (ids, situation)
        for situation in situations()["accepted"]
        if (ids := errors(*situation) - LATER.keys() - ELSEWHERE.keys())
    ]
    assert len(accused) <= MOST_FALSE, accused


def test_what_sglang_refuses_is_found(record_testsuite_property: Callable[[str, Any], None]) -> None:
    missed: list[Any] = []
    refused = situations()["refused"]
    for *situation, error in refused:
        ids = errors(*situation) - ELSEWHERE.keys()
        if not (ids & LATER.keys() and "backend" in error) and not ids - LATER.keys():
            missed.append((error, situation))
    found = len(refused) - len(missed)
    record_testsuite_property("refusals of SGLang that rules find", f"{found} of {len(refused)}")
    print(f"{found} of {len(refused)} refusals are found")
    assert found >= LEAST * len(refused), missed


def test_the_rules_that_were_written_for_it_find_something() -> None:
    counted = Counter(found for *situation, _ in situations()["refused"] for found in errors(*situation))
    assert {"GLM120", "GLM121", "GLM184", "GLM187", *(f"GLM{number}" for number in range(213, 218))} <= counted.keys()
    assert {"GLM221", "GLM222", "GLM223"} <= counted.keys()


@pytest.mark.parametrize("rule", sorted({*LATER, *ELSEWHERE}))
def test_the_rules_exist(rule: str) -> None:
    assert rule in {known.id for known in rules()}
