"""What is told of SGLang's decisions on several nodes against its real ones, on the first of two."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support import one_in

from glmdeploy.profile.text.load import load, read_text
from glmdeploy.rules.check import check
from glmdeploy.sglang import explain, models
from glmdeploy.sglang.catalog import version_key, versions
from glmdeploy.sglang.translation import translate

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.rules.facts import Facts
    from glmdeploy.sglang.real.oracle import Answers

RELEASES = [version for version in versions() if version_key(version) >= version_key("0.5.10")]

MACHINES = [(version, gpu) for version in RELEASES for gpu in ("B200", "H200")]

EAGLE = {
    "speculative-algorithm": "EAGLE",
    "speculative-num-steps": 3,
    "speculative-eagle-topk": 1,
    "speculative-num-draft-tokens": 4,
}

DIVISIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("zai-org/GLM-5.1", {"tp-size": 16, **EAGLE}),
    ("zai-org/GLM-5.1-FP8", {"tp-size": 8, "pp-size": 2}),
    ("zai-org/GLM-5.1-FP8", {"tp-size": 16, "dp-size": 16, "enable-dp-attention": True}),
    ("deepseek-ai/DeepSeek-V3", {"tp-size": 16}),
    ("zai-org/GLM-4.5-Air-FP8", {"tp-size": 8, "pp-size": 2}),
)
"""Models and how two nodes of eight GPUs divide them, in the words of 0.5.23."""


def on_two(version: str, gpu: str, repo: str, options: dict[str, Any]) -> Facts:
    data = dict(load("b200-nospec-bf16kv").data)
    moved = translate(options, {}, "0.5.23", version)
    data |= {
        "gpu": f"{gpu}:8",
        "cluster": {"nodes": 2},
        "model": {**data["model"], "repo": repo},
        "sglang": {**data["sglang"], "version": version, "args": moved.args, "env": moved.env},
    }
    facts = check(read_text(json.dumps(data), "two-nodes.json")).facts
    assert facts is not None
    return facts


@pytest.mark.parametrize(("version", "gpu"), one_in(3, MACHINES))
def test_what_two_nodes_decide_agrees_with_the_real_resolution(
    oracle: Callable[[str], Answers], gpu: str, version: str
) -> None:
    real, wrong, compared = oracle(version), [], 0
    for repo, options in DIVISIONS:
        facts = on_two(version, gpu, repo, options)
        resolved = explain.ask(
            real, facts.command, repo=repo, gpu=facts.gpu, env=facts.env, config=models.known(repo), nodes=2
        )
        assert resolved.error is None, f"{repo} {options}: {resolved.error}\n{resolved.stderr}"
        assert resolved.values["nnodes"] == 2
        rows = [row for row in explain.compared(explain.rows(facts.effective), resolved) if row.agrees is not None]
        wrong += [(repo, options, row.name, row.effective.value, row.real[0]) for row in rows if not row.agrees]
        assert "allreduce_fusion" in {row.name for row in rows}, (repo, options)
        compared += len(rows)
    assert wrong == []
    assert compared > 60, "something is claimed"
