"""Rules about what the checkpoint is, and the options that say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import AIR, AT_0_5_23, Rule, Violation, example
from glmdeploy.sglang.catalog import version_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.rules.facts import Facts

_QUANTIZATION = "quantization"


_TAKEN: Mapping[str, Mapping[str, str]] = {
    "fp8": {
        **dict.fromkeys(("fp8", "unquant", "humming", "nvfp4_online"), "0.5.8"),
        "quark_mxfp4": "0.5.17",
        "modelopt_fp4": "0.5.18",
    },
    "compressed-tensors": {
        **dict.fromkeys(("compressed-tensors", "w8a8_int8", "w8a8_fp8", "auto-round-int8"), "0.5.8"),
        **dict.fromkeys(("unquant", "humming"), "0.5.8"),
        "quark_mxfp4": "0.5.17",
    },
}
"""How the weights of known checkpoints are stored, and the values of ``quantization`` that SGLang takes for them, each
with the first release that does so, where its option has the value."""


def _stored_otherwise(facts: Facts) -> Iterator[Violation]:
    asked, stored = facts.value(_QUANTIZATION), facts.model.quantization if facts.model else ""
    if not isinstance(asked, str) or stored not in _TAKEN:
        return
    since = _TAKEN[stored].get(asked)
    if since and version_key(since) <= version_key(facts.catalog.version):
        return
    yield Violation(
        path=facts.path(_QUANTIZATION),
        message=f"`quantization` is {asked}, and the weights of {facts.profile.model.repo} are stored as {stored}",
        edits=facts.drop(_QUANTIZATION),
    )


QUANTIZATION = Rule(
    id="GLM121",
    title="quantization that is not the checkpoint's",
    severity=Severity.ERROR,
    why="SGLang reads from the checkpoint how its weights are stored, and refuses a `quantization` that says something "
    "else (a ValueError at start, tried on its argument resolution with each method of six releases). GLM-5.1-FP8 is "
    "`fp8`; GLM-4.5-Air-FP8, in spite of its name, is `compressed-tensors`. Newer releases can quantise stored weights "
    "once more: `modelopt_fp4` for `fp8` from 0.5.18 on.",
    fix="remove `quantization`: SGLang finds out by itself",
    sources=("sglang/srt/configs/model_config.py, _verify_quantization (0.5.10, 0.5.18, 0.5.23)",),
    check=_stored_otherwise,
    fails=(
        example("sglang.args.quantization=modelopt_fp4"),
        example("sglang.args.quantization=awq", profile=AT_0_5_23),
        example("sglang.args.quantization=fp8", profile=AIR),
    ),
    passes=(
        example("sglang.args.quantization=fp8"),
        example("sglang.args.quantization=w8a8_fp8", profile=AIR),
        example("sglang.args.quantization=awq", "model.repo=acme/other"),
    ),
)

RULES = (QUANTIZATION,)
