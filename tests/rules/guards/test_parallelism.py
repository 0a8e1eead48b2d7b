"""How a model is divided: what the rules refuse is what does not come out even."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from judged import few, generated, ids

SIZES = st.integers(1, 9)


@few
@given(tp=SIZES, pp=SIZES, dp=SIZES, gpus=st.integers(1, 8), attention=st.booleans())
def test_gpus_are_counted(tp: int, pp: int, dp: int, gpus: int, *, attention: bool) -> None:
    args = {"tp-size": tp, "pp-size": pp, "dp-size": dp, "enable-dp-attention": attention}
    needed = tp * pp * (1 if attention else dp)
    assert ("GLM020" in ids(generated(args, gpu=f"B200:{gpus}"))) is (needed != gpus)


@few
@given(tp=SIZES, groups=SIZES)
def test_groups_divide_ranks_and_ranks_divide_heads(tp: int, groups: int) -> None:
    old = {"tp-size": tp, "dp-size": groups, "enable-dp-attention": True}
    new = {"tp-size": tp, "attn-dp-size": groups}
    even = tp % groups == 0 and 64 % (tp // groups) == 0
    assert ("GLM026" not in ids(generated(old))) is even
    assert ("GLM026" not in ids(generated(new, version="0.5.23"))) is even, "the same, spelled as 0.5.22 does"
