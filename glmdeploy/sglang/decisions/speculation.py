"""Speculative decoding and what comes with it: the overlap schedule and the number of running requests."""

from __future__ import annotations

from glmdeploy.sglang.catalog import boolean
from glmdeploy.sglang.decisions.situation import (
    AT_START,
    BY_MEMORY_LEFT,
    FIRST,
    OVERRIDES,
    SPECULATION,
    UNKNOWN,
    Decision,
    Situation,
)


def _spec_v2(now: Situation) -> bool:
    """``SGLANG_ENABLE_SPEC_V2``, as ``sglang.srt.environ`` reads it."""
    text = now.env.get("SGLANG_ENABLE_SPEC_V2")
    return now.since("0.5.11") if text is None else boolean(text) is True


def _only_eagle(name: str) -> Decision:
    return Decision(
        name=name,
        when=lambda now: now.other_algorithm and now[name] in (None, False),
        value=UNKNOWN,
        why="only EAGLE (NEXTN) is covered",
        files=SPECULATION,
    )


ROWS = (
    Decision(
        name="speculative_algorithm",
        when=lambda now: now.eagle,
        value="EAGLE",
        why="NEXTN is another name for EAGLE",
        files=SPECULATION,
    ),
    Decision(
        name="disable_overlap_schedule",
        when=lambda now: bool(now["pp_size"] > 1),
        value=True,
        why="pipeline parallelism does not overlap the scheduler",
        files=OVERRIDES,
    ),
    *(
        _only_eagle(name)
        for name in (
            *("max_running_requests", "speculative_draft_model_path", "disable_overlap_schedule"),
            *("speculative_num_steps", "speculative_eagle_topk", "speculative_num_draft_tokens"),
        )
    ),
    Decision(
        name="max_running_requests",
        when=lambda now: now.eagle and now["max_running_requests"] is None,
        value=48,
        why="speculative decoding runs 48 requests at most unless told otherwise",
        files=SPECULATION,
    ),
    Decision(
        name="max_running_requests",
        when=lambda now: now["max_running_requests"] is None,
        value=AT_START,
        why=BY_MEMORY_LEFT,
        files=((FIRST, "model_executor/model_runner.py"),),
    ),
    Decision(
        name="disable_overlap_schedule",
        when=lambda now: now.eagle,
        value=lambda now: not _spec_v2(now),
        until="0.5.10.post1",
        why="EAGLE overlaps the scheduler with SGLANG_ENABLE_SPEC_V2=1 and not without it, whatever is asked for",
        files=SPECULATION,
    ),
    Decision(
        name="disable_overlap_schedule",
        when=lambda now: now.eagle and not _spec_v2(now),
        value=True,
        since="0.5.11",
        until="0.5.13.post1",
        why="EAGLE does not overlap the scheduler with SGLANG_ENABLE_SPEC_V2=0",
        files=SPECULATION,
    ),
    Decision(
        name="disable_overlap_schedule",
        when=lambda now: now.eagle and (now["speculative_eagle_topk"] or 1) > 1,
        value=True,
        since="0.5.11",
        until="0.5.12.post1",
        why="EAGLE with a top-k above 1 does not overlap the scheduler",
        files=SPECULATION,
    ),
    Decision(
        name="speculative_draft_model_path",
        when=lambda now: now.eagle and now["speculative_draft_model_path"] is None,
        value=lambda now: now["model_path"],
        why="the checkpoint's own MTP layer drafts",
        files=SPECULATION,
    ),
    Decision(
        name="speculative_num_steps",
        when=lambda now: now.eagle and now["speculative_num_steps"] is None,
        value=3,
        why="EAGLE's default for this architecture is 3 steps, top-k 1, 4 draft tokens",
        files=SPECULATION,
    ),
    Decision(
        name="speculative_eagle_topk",
        when=lambda now: now.eagle and now["speculative_eagle_topk"] is None,
        value=1,
        why="EAGLE's default for this architecture is 3 steps, top-k 1, 4 draft tokens",
        files=SPECULATION,
    ),
    Decision(
        name="speculative_num_draft_tokens",
        when=lambda now: (
            now.eagle
            and now["speculative_eagle_topk"] == 1
            and now["speculative_num_draft_tokens"] != now["speculative_num_steps"] + 1
        ),
        value=lambda now: now["speculative_num_steps"] + 1,
        why="with top-k 1 always one more than the steps",
        files=SPECULATION,
    ),
)
