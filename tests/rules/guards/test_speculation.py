"""A tree of drafts is as large as SGLang grows it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from judged import few, generated, ids


@few
@given(steps=st.integers(1, 6), topk=st.integers(2, 5), tokens=st.integers(2, 150))
def test_a_tree_has_no_more_tokens_than_nodes(steps: int, topk: int, tokens: int) -> None:
    # As SGLang grows it: the root, its children, and of each later level the children of the best ones.
    nodes, level = 1, 1
    for _ in range(steps):
        nodes += level * topk
        level = min(level * topk, topk)
    args = {
        "tp-size": 4,
        "speculative-algorithm": "EAGLE",
        "speculative-num-steps": steps,
        "speculative-eagle-topk": topk,
        "speculative-num-draft-tokens": tokens,
    }
    air = generated(args, gpu="H100:4", model={"repo": "zai-org/GLM-4.5-Air-FP8", "served_name": "air"})
    assert ("GLM028" in ids(air)) is (tokens > nodes)
