"""What is fetched, as huggingface_hub itself decides it, and what is pinned."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import product
from typing import TYPE_CHECKING

import pytest
from judged import checked, messages

from glmdeploy.rules.guards import hub

if TYPE_CHECKING:
    from pathlib import Path


def test_offline_is_what_huggingface_hub_calls_offline() -> None:
    values = [None, "", "0", "1", "yes", "ON", "True", "2", "off"]
    cases = [
        {name: value for name, value in zip(hub.OFFLINE, pair, strict=True) if value is not None}
        for pair in product(values, values)
    ]
    script = (
        "import json, os, sys, importlib, huggingface_hub.constants as constants\n"
        "def ask(case):\n"
        f"    for name in {hub.OFFLINE}: os.environ.pop(name, None)\n"
        "    os.environ.update(case)\n"
        "    return importlib.reload(constants).HF_HUB_OFFLINE\n"
        "print(json.dumps([ask(case) for case in json.load(sys.stdin)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    assert [hub.offline(case) is not None for case in cases] == json.loads(done.stdout)


def test_the_hubs_files_are_where_the_variables_say(tmp_path: Path) -> None:
    script = "import huggingface_hub.constants as constants; print(constants.HF_HUB_CACHE)"
    for name in hub.CACHE:
        env = {key: value for key, value in os.environ.items() if key not in hub.CACHE}
        env[name] = str(tmp_path / name)
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(env[name])


@pytest.mark.parametrize(
    ("image", "moving"),
    [
        ("lmsysorg/sglang:v0.5.11-cu130", False),
        ("lmsysorg/sglang:V0.5.11", False),
        ("lmsysorg/sglang:v0.5.11-dev", True),
        ("lmsysorg/sglang:LATEST", True),
        ("lmsysorg/sglang:latest-runtime", True),
        ("lmsysorg/sglang:nightly-dev-cu13-20260401-0a1b2c3d", False),
        ("registry.example:5000/main/sglang:v1", False),
        ("registry.example:5000/sglang", True),
        ("developer/sglang:devel", False),
        (f"lmsysorg/sglang@sha256:{'0' * 64}", False),
        (f"lmsysorg/sglang:latest@sha256:{'0' * 64}", False),
        (f"lmsysorg/sglang:latest@sha256:{'0' * 63}", True),
    ],
)
def test_moving_tags(image: str, moving: bool) -> None:
    assert bool(messages("GLM070", f"sglang.image={image}")) is moving
    # One image is one finding: it moves, or it can be moved, or neither.
    pinned = bool(re.search("@sha256:0{64}$", image))
    assert len(messages("GLM070", f"sglang.image={image}")) + len(
        [text for text in messages("GLM069", f"sglang.image={image}") if "tag" in text]
    ) == (0 if pinned else 1)


def test_the_models_own_repository_is_replaced_by_its_folder() -> None:
    found = checked("sglang.args.speculative-draft-model-path=zai-org/GLM-5.1-FP8").findings
    [edit] = next(finding.edits for finding in found if finding.id == "GLM072")
    assert edit.value == "/model-cache/GLM-5.1-FP8"  # type: ignore[union-attr]


def test_the_models_own_tokenizer_is_the_one_in_its_folder() -> None:
    own = checked("sglang.args.tokenizer-path=zai-org/GLM-5.1-FP8", "server.env.HF_HUB_OFFLINE=null")
    assert own.facts
    assert "--tokenizer-path" not in own.facts.command
    assert not [finding for finding in own.findings if finding.id in ("GLM072", "GLM073", "GLM075")]


def test_three_adapters_are_fetched_in_one_finding() -> None:
    [text] = messages(
        "GLM073",
        "sglang.args.lora-paths=[a=acme/a, b=acme/b, c=acme/a]",
        "sglang.args.speculative-algorithm=null",
        "server.env.HF_HUB_OFFLINE=null",
    )
    assert "acme/a and acme/b from the hub for `lora-paths`" in text
