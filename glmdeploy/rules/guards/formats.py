"""Rules about the files that a checkpoint consists of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import AIR, ISSUES, Look, Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.findings import KeyPath
    from glmdeploy.rules.facts import Facts

_GGUF = re.compile(r"[-_.]gguf$", re.IGNORECASE)
"""How repositories of GGUF files are called."""


def _gguf(facts: Facts) -> Iterator[Violation]:
    repo = facts.profile.model.repo
    where: KeyPath | None = None
    for dest in ("load_format", "quantization"):
        setting = facts.setting(dest)
        if setting and setting.value == "gguf":
            where, what = facts.path(dest), f"`{setting.key}: gguf`"
            break
    else:
        if _GGUF.search(repo):
            where, what = ("model", "repo"), f"`{repo}`"
    if where:
        yield Violation(
            path=where,
            message=f"{what} means a .gguf file, and SGLang is started with the folder {facts.model_path}",
        )


GGUF = Rule(
    id="GLM172",
    title="GGUF checkpoint, of which SGLang wants the file",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="SGLang loads GGUF from one file that `--model-path` names: its loader raises a ValueError for a folder "
    "(0.5.10 to 0.5.23), and with any other load format finds no weights that it can read. The download stage brings "
    "a repository into a folder, which is what the server is started with; a repository of GGUF files usually holds "
    "several, of different precisions, and no `config.json` beside them.",
    fix="take the repository with the model's safetensors, or a quantised one that SGLang reads from a folder (FP8, "
    "AWQ, GPTQ)",
    sources=(
        f"{ISSUES}4894",
        f"{ISSUES}1616",
        "sglang/srt/model_loader/loader.py, GGUFModelLoader (0.5.10, 0.5.16, 0.5.23)",
    ),
    check=_gguf,
    fails=(
        example("model.repo=acme/gemma-3-27b-it-GGUF", profile=AIR),
        example("model.repo=acme/other", "sglang.args.load-format=gguf", profile=AIR),
        example("model.repo=acme/other", "sglang.args.quantization=gguf", profile=AIR),
    ),
    passes=(
        example("model.repo=acme/gguf-tools-7B", profile=AIR),
        example("sglang.args.load-format=safetensors", profile=AIR),
    ),
    looked=Look(date="2026-11-29", release="0.5.23"),
)

RULES = (GGUF,)
