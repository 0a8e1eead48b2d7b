"""Rules about which SGLang release runs the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import AT_0_5_23, ISSUES, Look, Rule, Topic, Violation, example
from glmdeploy.sglang import models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_BEFORE_GLM = "0.5.9"
"""The last release of which GLM010 says that it runs no GLM-5."""

_LOOK = Look(date="2026-11-29", release="0.5.23")


def _too_old(facts: Facts) -> Iterator[Violation]:
    family = models.family(facts.profile.model.repo)
    if family is None or family.since is None or facts.between(family.since, None):
        return
    if family.architecture == models.GLM_DSA and facts.between(None, _BEFORE_GLM):
        return
    yield Violation(
        path=("sglang", "version"),
        message=f"{family.name} runs from SGLang {family.since} on, and this is {facts.catalog.version}",
    )


TOO_OLD = Rule(
    id="GLM213",
    title="release that does not run the model",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="A release runs the models whose class it has, with the configuration that its own transformers reads. "
    "DeepSeek V4 has a class from 0.5.12.post1 on, GLM-5.3-Flash from 0.5.20 on (#38253); of GLM-5.2 and 5.3, which "
    "share GLM-5's class, the transformers of 0.5.12.post1 and before reads a rotary width of 192 for one of 64 (seen "
    "in what those releases make of the configuration), so that the weights do not match. The start ends after the "
    "download.",
    fix="use a newer release: `sglang.version` with an image of it",
    sources=("EntryClass of sglang/srt/models (0.5.8 to 0.5.23)", f"{ISSUES}38253"),
    check=_too_old,
    fails=(example("model.repo=zai-org/GLM-5.2-FP8"),),
    passes=(
        example(),
        example("model.repo=zai-org/GLM-5.2-FP8", profile=AT_0_5_23),
        example("model.repo=acme/other", "sglang.args.kv-cache-dtype=null"),
    ),
    looked=_LOOK,
)

RULES = (TOO_OLD,)
