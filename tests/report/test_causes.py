"""The likely cause of a failed start: only where a rule has found it on the profile."""

from __future__ import annotations

import pytest

from glmdeploy.profile.text.load import load
from glmdeploy.report.causes import CAUSES, likely
from glmdeploy.rules.check import check
from glmdeploy.rules.registry import rules

OUT_OF_MEMORY = (
    "refuses to serve: exit code 1: the GPU's memory did not suffice\ntorch.OutOfMemoryError: CUDA out of memory"
)
TIGHT = ("sglang.args.mem-fraction-static=0.97", "sglang.args.max-total-tokens=null")


def test_every_rule_that_a_cause_names_exists() -> None:
    known = {rule.id for rule in rules()}
    assert {rule for cause in CAUSES for rule in cause.rules} <= known


def test_what_a_rule_has_found_is_likely() -> None:
    findings = check(load("b200-eagle-bf16kv", sets=TIGHT)).findings
    assert "GLM083" in {found.id for found in findings}
    told = [*likely(OUT_OF_MEMORY, findings, "mine.yaml")]
    assert told[0].startswith("likely: ")
    assert "(GLM083)" in "".join(told)
    assert told[-1] == "try: `glmdeploy size mine.yaml`"


def test_nothing_is_guessed() -> None:
    findings = check(load("b200-eagle-bf16kv")).findings
    assert not {"GLM080", "GLM083"} & {found.id for found in findings}
    assert [*likely(OUT_OF_MEMORY, findings, None)] == []
    assert [*likely("it ended for another reason", findings, "mine.yaml")] == []


@pytest.mark.parametrize(
    "said", ["the new version of a was not ready within 900 s", "NCCL error", "4 is not divisible"]
)
def test_other_words_mean_other_rules(said: str) -> None:
    matching = [cause for cause in CAUSES if cause.says.search(said)]
    assert matching
    assert not any(cause.says.search(OUT_OF_MEMORY) for cause in matching)
