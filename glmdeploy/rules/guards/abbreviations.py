"""Rules about options that are not written out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import RenameKey, Severity
from glmdeploy.rules.facts import ARGS
from glmdeploy.rules.rule import AIR, AT_0_5_23, Look, Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

USUAL = frozenset({"tp", "dp", "pp"})
"""What SGLang's own documentation writes for ``tp-size``, ``dp-size`` and ``pp-size``; ``ep`` is an option itself."""


def _shortened(facts: Facts) -> Iterator[Violation]:
    for setting in facts.settings.values():
        flag = setting.key if setting.key.startswith("-") else f"--{setting.key}"
        if flag in setting.option.flags or flag.removeprefix("--") in USUAL:
            continue
        full = next(name for name in setting.option.flags if name.startswith(flag)).removeprefix("--")
        path = (*ARGS, setting.key)
        yield Violation(
            path=path,
            key=True,
            message=f"`{setting.key}` is short for `{full}`",
            edits=(RenameKey(path=path, name=full),),
        )


ABBREVIATED = Rule(
    id="GLM220",
    title="option that is not written out",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="SGLang's parser takes the beginning of an option for the option, as long as no other begins so. The next"
    " release may bring one, and then refuses what worked: `cuda-graph-max` was `cuda-graph-max-bs` until 0.5.13, and"
    " in 0.5.14 it could be two. A slip that happens to be a beginning is taken as well. `tp`, `dp` and `pp` are what"
    " everybody writes, and stay without a warning.",
    fix="write the option's whole name",
    sources=(
        "https://docs.python.org/3/library/argparse.html#argument-abbreviations-prefix-matching",
        "sglang/srt/server_args.py, prepare_server_args, 0.5.8 to 0.5.23: a parser with allow_abbrev",
        "https://github.com/sgl-project/sglang/issues/3574",
    ),
    check=_shortened,
    fails=(
        example("sglang.args.mem-fraction-static=null", "sglang.args.mem-frac=0.85"),
        example("sglang.args.kv-cache-dtype=null", "sglang.args.kv-cache-dtyp=bfloat16", profile=AT_0_5_23),
        example("sglang.args.mem-fraction-static=null", "sglang.args.--mem-frac=0.85"),
    ),
    passes=(
        example("sglang.args.tp=null", "sglang.args.tensor-parallel-size=8"),
        example(profile=AIR),
    ),
    looked=Look(date="2026-11-29", release="0.5.23"),
)

RULES = (ABBREVIATED,)
