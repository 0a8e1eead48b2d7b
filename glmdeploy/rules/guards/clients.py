"""Rules about what clients meet: the model's name, and the parsers that make reasoning and tool calls of its text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import Rule, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.rules.facts import Facts

_REASONING, _TOOLS = "reasoning_parser", "tool_call_parser"

_GLM = re.compile(r"/GLM-(?:4\.(?P<four>[567])|5(?:\.\d+)?)(?:-(?:Air|FP8|NVFP4))*$", re.IGNORECASE)
"""Chat models whose formats are known. Base models answer no chats, and those with images have their own."""

_AIR, _BASE = "h100-glm45-air-fp8", "model.repo=zai-org/GLM-4.5-Air-Base"


def _parsers(repo: str) -> Mapping[str, tuple[str, ...]]:
    """The parsers that read what the repository's model writes, the usual one first; empty where that is not known."""
    found = _GLM.search(repo)
    if found is None:
        return {}
    # glm45 became another name of glm, and is what the model's authors write.
    return {_REASONING: ("glm45",), _TOOLS: ("glm45", "glm") if found["four"] in ("5", "6") else ("glm47",)}


def _wrong_parser(facts: Facts) -> Iterator[Violation]:
    for dest, fitting in _parsers(facts.profile.model.repo).items():
        setting = facts.setting(dest)
        if setting and setting.value not in (*fitting, "auto"):
            yield Violation(
                path=facts.path(dest),
                message=f"`{setting.key}: {setting.value}` does not read what {facts.profile.model.repo} writes, "
                f"`{fitting[0]}` does",
                edits=facts.put(dest, fitting[0]),
            )


def _no_parser(facts: Facts) -> Iterator[Violation]:
    effects = {_REASONING: "thinking arrives inside the answer", _TOOLS: "tool calls arrive as text"}
    for dest, fitting in _parsers(facts.profile.model.repo).items():
        if facts.setting(dest) is None:
            yield Violation(
                path=facts.path(dest),
                key=True,
                message=f"{effects[dest]}: there is no `{dest.replace('_', '-')}`, which for "
                f"{facts.profile.model.repo} is `{fitting[0]}`",
                edits=facts.put(dest, fitting[0]),
            )


def _served_name(facts: Facts) -> Iterator[Violation]:
    name = facts.profile.model.served_name
    if ":" in name and not re.match(r"(?:s3|gs|az)://", name):
        yield Violation(path=("model", "served_name"), message=f"SGLang refuses the colon in `{name}`")


WRONG_PARSER = Rule(
    id="GLM035",
    title="parser of another model family",
    severity=Severity.WARNING,
    why="The parsers turn what the model writes between its special tokens into `reasoning_content` and `tool_calls`. "
    "SGLang takes any that it knows, whatever the model, and a wrong one leaves tool calls as text or cuts answers. By "
    "its own sources GLM-4.5 and 4.6 write tool calls for `glm45` (also called `glm`), GLM-4.7 and 5 for `glm47`; all "
    "of them think in the format of `glm45`.",
    fix="write the parser that the message names, or `auto` from 0.5.12 on",
    sources=(
        "sglang/srt/function_call/glm4_moe_detector.py (0.5.10)",
        "sglang/srt/function_call/glm47_moe_detector.py (0.5.10)",
        "sglang/srt/parser/reasoning_parser.py (0.5.10, 0.5.23)",
        "sglang/srt/parser/template_detection.py (0.5.16, 0.5.23)",
    ),
    check=_wrong_parser,
    fails=(
        example("sglang.args.tool-call-parser=glm45"),
        example("sglang.args.reasoning-parser=deepseek-r1"),
        example("sglang.args.tool-call-parser=glm47", profile=_AIR),
    ),
    passes=(
        example(),
        example(profile=_AIR),
        example("sglang.args.tool-call-parser=glm", profile=_AIR),
        example("sglang.args.tool-call-parser=auto", profile="b200-eagle-bf16kv-0.5.23"),
        example("model.repo=acme/other", "sglang.args.tool-call-parser=qwen25"),
    ),
)

NO_PARSER = Rule(
    id="GLM036",
    title="chat model without parsers",
    severity=Severity.INFO,
    why="Without a reasoning parser the model's thinking stands inside the answer's text, and without a parser for "
    "tool calls `tool_calls` stays empty. Both are off unless they are named, and nothing else depends on them.",
    fix="name the parsers, unless clients read the raw text",
    sources=(
        "sglang/srt/entrypoints/openai/serving_chat.py (0.5.10, 0.5.23)",
        "sglang/srt/function_call/glm47_moe_detector.py (0.5.10)",
    ),
    check=_no_parser,
    fails=(
        example("sglang.args.reasoning-parser=null"),
        example("sglang.args.tool-call-parser=null", profile=_AIR),
    ),
    passes=(
        example(),
        example(_BASE, "sglang.args.reasoning-parser=null", "sglang.args.tool-call-parser=null", profile=_AIR),
        example("model.repo=acme/other", "sglang.args.tool-call-parser=null", "sglang.args.reasoning-parser=null"),
    ),
)

SERVED_NAME = Rule(
    id="GLM124",
    title="served name with a colon",
    severity=Severity.ERROR,
    why="In a request `model:adapter` means a LoRA adapter of the model, so SGLang asserts at start that the name of "
    "the model itself has no colon (tried on its own check, 0.5.10 to 0.5.23).",
    fix="write `model.served_name` without a colon",
    sources=(
        "sglang/srt/server_args.py, check_server_args (0.5.10, 0.5.16)",
        "sglang/srt/arg_groups/validation_hook.py (0.5.23)",
    ),
    check=_served_name,
    fails=(example("model.served_name=glm-5.1:fp8"),),
    passes=(example("model.served_name=zai-org/GLM-5.1-FP8"), example("model.served_name=s3://models/glm")),
    waivable=False,
)

RULES = (WRONG_PARSER, NO_PARSER, SERVED_NAME)
