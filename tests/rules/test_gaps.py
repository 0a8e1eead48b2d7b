"""What was asked for and is not known is told to the one who asked, and to nobody else."""

from __future__ import annotations

from glmdeploy.rules.gaps import Gap, gaps, miss, refused


def test_each_is_told_what_was_missed_within() -> None:
    with gaps() as outer:
        miss(Gap.MODEL)
        with gaps() as inner:
            refused()
        miss(Gap.VALUES)
    miss(Gap.MEMORY)
    assert outer == {Gap.MODEL, Gap.VALUES}
    assert inner == {Gap.REFUSED}
