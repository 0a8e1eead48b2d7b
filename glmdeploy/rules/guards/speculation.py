"""Rules about speculative decoding, whose settings SGLang takes one by one and judges together later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.facts import ALGORITHM, SPEC_V2, STEPS, TOKENS, TOPK
from glmdeploy.rules.rule import AIR, AT_0_5_10, AT_0_5_23, Rule, Scope, Topic, Violation, example
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.effective import Basis, Origin
from glmdeploy.sglang.models import GLM4_MOE, GLM_DSA
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.rules.facts import Facts

_GLM = (GLM_DSA, GLM4_MOE)

_KNOWN: Mapping[str, str] = {
    **dict.fromkeys(("EAGLE", "EAGLE3", "NEXTN", "STANDALONE", "NGRAM", "DFLASH"), "0.5.11"),
    "FROZEN_KV_MTP": "0.5.12.post1",
    "DSPARK": "0.5.16",
    "UNO": "0.5.20",
}
"""The algorithms and the first catalogued release with each; until 0.5.11 the option has choices, and the parser
judges. Source: ``SpeculativeAlgorithm`` (``sglang/srt/speculative/spec_info.py``)."""

_DRAFT = "speculative_draft_model_path"
_COMPANIONS = {"DFLASH": _DRAFT, "DSPARK": _DRAFT, "UNO": "uno_lora_path"}
"""Algorithms that need one option more. DSPARK does where the checkpoint brings no draft, and GLM's brings none."""

_PAGED_TREES = ("flashinfer", "fa3")
"""Attention backends that verify a tree in pages of several tokens; from 0.5.13 on also triton."""

_PAGED_ALWAYS = ("nsa", "dsa", "trtllm_mla", "flashmla", "cutlass_mla", "cutedsl_mla")
"""Attention backends that have pages of several tokens, whatever is asked for."""

_ARGS = "sglang/srt/server_args.py, _handle_speculative_decoding (0.5.10)"
_HOOK = "sglang/srt/arg_groups/speculative_hook.py (0.5.16, 0.5.23)"

_TREE = (
    *("sglang.args.speculative-eagle-topk=2", "sglang.args.speculative-num-draft-tokens=6"),
    "sglang.args.page-size=64",
)


def _asked(facts: Facts, dest: str) -> int | None:
    setting = facts.setting(dest)
    return setting.value if setting and isinstance(setting.value, int) else None


def _refused(facts: Facts) -> Iterator[Violation]:
    name = facts.algorithm
    if name is None:
        return
    if not _is_known(name, facts.catalog.version):
        yield Violation(
            path=facts.path(ALGORITHM),
            message=f"SGLang {facts.catalog.version} knows no speculative algorithm `{facts.value(ALGORITHM)}`"
            f"{_similar(name)}",
        )
    elif facts.builds_trees and not facts.value("speculative_adaptive"):
        yield from _incomplete(facts)
    elif (needed := _COMPANIONS.get(name)) and not facts.setting(needed) and facts.architecture in _GLM:
        yield Violation(
            path=facts.path(ALGORITHM), message=f"{name} without `{needed.replace('_', '-')}` ends SGLang's start"
        )


def _is_known(name: str, version: str) -> bool:
    if version_key(version) < version_key("0.5.12.post1") or name == "NONE":
        return True
    return name in _KNOWN and version_key(_KNOWN[name]) <= version_key(version)


def _similar(name: str) -> str:
    near = nearest(name, _KNOWN, most=1)
    return f", but `{near[0]}`" if near else ""


def _incomplete(facts: Facts) -> Iterator[Violation]:
    steps, topk, tokens = (_asked(facts, dest) for dest in (STEPS, TOPK, TOKENS))
    given = [facts.path(dest)[-1] for dest in (STEPS, TOPK, TOKENS) if facts.setting(dest)]
    if steps is None and given:
        lacking = "`speculative-num-steps`"
    elif steps is not None and topk is None:
        lacking = "`speculative-eagle-topk`"
    elif steps is not None and topk is not None and topk > 1 and tokens is None:
        lacking = "`speculative-num-draft-tokens`"
    else:
        return
    # A number of draft tokens that is one above the steps is that of a chain.
    chain = steps is not None and topk is None and tokens in (None, steps + 1)
    yield Violation(
        path=facts.path(next(dest for dest in (STEPS, TOPK, TOKENS) if facts.setting(dest))),
        key=True,
        message=f"{' and '.join(f'`{name}`' for name in given)} without {lacking} ends SGLang's start",
        edits=facts.put(TOPK, 1) if chain else (),
    )


def _impossible_tree(facts: Facts) -> Iterator[Violation]:
    if facts.algorithm == "NGRAM":
        if message := _unverified(facts, facts.number("speculative_ngram_max_bfs_breadth"), "NGRAM's breadth of"):
            yield Violation(path=facts.path(ALGORITHM), message=message)
        return
    topk = facts.number(TOPK)
    if not facts.builds_trees or topk is None or topk < 2:
        return
    chain = facts.put(TOPK, 1) + facts.put(TOKENS, (_asked(facts, STEPS) or 0) + 1)
    if message := _unverified(facts, topk, "`speculative-eagle-topk`"):
        forced = facts.effective["page_size"].origin is Origin.SGLANG and _asked(facts, STEPS)
        yield Violation(path=facts.path(TOPK), message=message, edits=chain if forced else ())
    elif version_key(facts.catalog.version) < version_key("0.5.11") and facts.env_flag(SPEC_V2) and facts.setting(TOPK):
        # A top-k that SGLang chooses itself comes after this check.
        yield Violation(
            path=facts.path(TOPK),
            message=f"`speculative-eagle-topk` {topk} is refused with `{SPEC_V2}` in SGLang {facts.catalog.version}",
        )
    elif message := _too_many_tokens(facts, topk):
        yield Violation(path=facts.path(TOKENS), message=message)


def _unverified(facts: Facts, topk: int | None, what: str) -> str | None:
    """Why the attention backend cannot verify a tree, where it is known and cannot."""
    page, backend = facts.number("page_size"), facts.value("attention_backend")
    # What was never recorded is not sure enough: on some GPUs, and with fa4, SGLang makes pages of one token instead.
    derived = {dest for dest in ("page_size", "attention_backend") if facts.effective[dest].basis is Basis.DERIVED}
    if derived and backend not in _PAGED_ALWAYS and (facts.algorithm != "NGRAM" or backend == "fa4"):
        return None
    if topk is None or topk < 2 or page is None or page < 2 or backend is None:
        return None
    triton = version_key("0.5.13.post1") <= version_key(facts.catalog.version) and facts.algorithm != "NGRAM"
    able = ("flashinfer",) if facts.algorithm == "NGRAM" else (*_PAGED_TREES, *(("triton",) if triton else ()))
    if backend in able:
        return None
    return f"{what} {topk} makes a tree, which `{backend}` cannot verify in pages of {page} tokens"


def _too_many_tokens(facts: Facts, topk: int) -> str | None:
    steps, tokens = facts.number(STEPS), facts.number(TOKENS)
    if steps is None or steps < 1 or tokens is None:
        return None
    # The root, top-k children, and then top-k children for each of the top-k best of a step (select_top_k_tokens).
    most = 1 + topk + (steps - 1) * topk**2
    if tokens <= most:
        return None
    return f"{steps} steps with top-k {topk} draft {most} tokens at most, and {tokens} are to be verified"


def _no_overlap(facts: Facts) -> Iterator[Violation]:
    if not facts.builds_trees or facts.setting("disable_overlap_schedule"):
        return
    topk = facts.number(TOPK)
    if version_key(facts.catalog.version) >= version_key("0.5.11"):
        if topk is not None and topk > 1:
            yield Violation(
                path=facts.path(TOPK),
                message=f"`speculative-eagle-topk` {topk} switches the overlap schedule off in SGLang "
                f"{facts.catalog.version}, which overlaps with 1 only",
            )
    elif facts.env_flag(SPEC_V2):
        return
    elif facts.number(TOPK) in (None, 1) and facts.number("pp_size") in (None, 1):
        yield Violation(
            path=facts.path(ALGORITHM),
            message=f"{facts.algorithm} runs without the overlap schedule in SGLang {facts.catalog.version} "
            f"unless `{SPEC_V2}` is on",
        )


REFUSED = Rule(
    id="GLM027",
    title="speculative settings that SGLang refuses",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="SGLang takes steps, top-k and draft tokens all together or not at all: without the steps it asserts that the "
    "others are not there either, with steps and no top-k it compares None with a number, and with a top-k above 1 it "
    "leaves the number of draft tokens empty. With top-k 1 it works that number out. DFLASH, DSPARK and UNO need a "
    "draft of their own. Since 0.5.12 the algorithm is any text, and one that no release knows is refused after the "
    "parser. All of this was tried on SGLang's own argument resolution, from 0.5.10 to 0.5.23.",
    fix="write `speculative-num-steps`, `speculative-eagle-topk` and `speculative-num-draft-tokens` together, or only "
    "`speculative-algorithm: EAGLE`, for which SGLang takes 3, 1 and 4 with GLM",
    sources=(_ARGS, _HOOK, "sglang/srt/speculative/spec_info.py (0.5.12.post1, 0.5.23)"),
    check=_refused,
    fails=(
        example("sglang.args.speculative-algorithm=EAGEL", profile=AT_0_5_23),
        example("sglang.args.speculative-num-steps=null"),
        example("sglang.args.speculative-eagle-topk=null"),
        example("sglang.args.speculative-eagle-topk=null", "sglang.args.speculative-num-draft-tokens=null"),
        example("sglang.args.speculative-eagle-topk=2", "sglang.args.speculative-num-draft-tokens=null", profile=AIR),
        example("sglang.args.speculative-algorithm=DFLASH"),
        example("sglang.args.speculative-algorithm=dspark", profile=AT_0_5_23),
        example("sglang.args.speculative-algorithm=UNO", profile=AT_0_5_23),
    ),
    passes=(
        example(),
        example("sglang.args.speculative-num-draft-tokens=null"),
        example(*(f"sglang.args.speculative-{name}=null" for name in ("num-steps", "eagle-topk", "num-draft-tokens"))),
        example("sglang.args.speculative-algorithm=nextn", profile=AT_0_5_23),
    ),
)

IMPOSSIBLE_TREE = Rule(
    id="GLM028",
    title="draft tree that cannot be verified",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="A top-k above 1 makes a tree of drafts. With pages of several tokens only some attention backends verify "
    "one, and sparse attention (DSA) always has pages of 64 tokens, so for GLM-5 the top-k is 1, and NGRAM, whose "
    "breadth is 10 unless told otherwise, is out. With SGLANG_ENABLE_SPEC_V2 0.5.10 refuses trees altogether. Those "
    "end the start with a ValueError (tried on SGLang's own argument resolution). More tokens than the tree has nodes "
    "fail when the drafts are chosen (`torch.topk`), which was read and not tried.",
    fix="write `speculative-eagle-topk: 1` and a `speculative-num-draft-tokens` of one more than the steps",
    sources=(_ARGS, _HOOK, "sglang/srt/speculative/eagle_utils.py, organize_draft_results (0.5.10, 0.5.23)"),
    check=_impossible_tree,
    fails=(
        example("sglang.args.speculative-eagle-topk=4", "sglang.args.speculative-num-draft-tokens=8"),
        example("sglang.args.speculative-eagle-topk=4", profile=AT_0_5_23),
        example(
            *("sglang.args.speculative-algorithm=NGRAM", "sglang.args.speculative-num-steps=null"),
            *("sglang.args.speculative-eagle-topk=null", "sglang.args.speculative-num-draft-tokens=null"),
        ),
        example("sglang.args.speculative-eagle-topk=2", "sglang.args.speculative-num-draft-tokens=12", profile=AIR),
        example(*_TREE, "sglang.args.attention-backend=triton", profile=AIR),
        example(
            *(*AT_0_5_10, f"sglang.env.{SPEC_V2}=1"),
            *("sglang.args.speculative-eagle-topk=2", "sglang.args.speculative-num-draft-tokens=6"),
            profile=AIR,
        ),
    ),
    passes=(
        example(),
        example("sglang.args.speculative-eagle-topk=2", "sglang.args.speculative-num-draft-tokens=11", profile=AIR),
        example(
            *(*AT_0_5_10, "sglang.args.speculative-eagle-topk=2", "sglang.args.speculative-num-draft-tokens=6"),
            profile=AIR,
        ),
        example(*_TREE, "sglang.args.attention-backend=fa3", profile=AIR),
        example(
            *("sglang.version=0.5.13.post1", "sglang.image=lmsysorg/sglang:v0.5.13.post1"),
            *(*_TREE, "sglang.args.attention-backend=triton"),
            profile=AIR,
        ),
    ),
)

NO_OVERLAP = Rule(
    id="GLM029",
    title="EAGLE without the overlap schedule",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="Until 0.5.10.post1 EAGLE prepares the next batch while the GPU works on the last one only with "
    "SGLANG_ENABLE_SPEC_V2=1, and with top-k 1; otherwise SGLang switches that overlap off and says so in its log. "
    "The release calls it experimental. 0.5.11 made it the default, and until 0.5.12.post1 a top-k above 1 still "
    "switches it off. What it gains was not measured.",
    fix='write `SGLANG_ENABLE_SPEC_V2: "1"` under `sglang.env`, or `disable-overlap-schedule: true` to say that it is '
    "meant, or use 0.5.11 or later, with `speculative-eagle-topk: 1`",
    sources=(
        *(_ARGS, "sglang/srt/environ.py (0.5.10, 0.5.11)"),
        "sglang/srt/server_args.py, _handle_speculative_decoding (0.5.11, 0.5.12.post1)",
    ),
    check=_no_overlap,
    fails=(
        example(*AT_0_5_10, f"sglang.env.{SPEC_V2}=null"),
        example(*AT_0_5_10, f"sglang.env.{SPEC_V2}=0"),
        example("sglang.args.speculative-eagle-topk=2", "sglang.args.speculative-num-draft-tokens=6", profile=AIR),
    ),
    passes=(
        example(*AT_0_5_10),
        example(f"sglang.env.{SPEC_V2}=null"),
        example(*AT_0_5_10, f"sglang.env.{SPEC_V2}=null", "sglang.args.disable-overlap-schedule=true"),
        example(*AT_0_5_10, profile="b200-nospec-bf16kv"),
    ),
    scope=Scope(until="0.5.12.post1"),
)

RULES = (REFUSED, IMPOSSIBLE_TREE, NO_OVERLAP)
