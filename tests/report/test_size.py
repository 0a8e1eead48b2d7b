"""``glmdeploy size`` as text: in the width of the terminal, with bars that follow each other."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click
import pytest

from glmdeploy.profile.text.load import load
from glmdeploy.report.size import WIDEST, size_text
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check
from glmdeploy.rules.rule import TWO_NODES
from glmdeploy.sizing import size
from glmdeploy.sizing.cost import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

B200 = "b200-eagle-bf16kv"
PROFILES = sorted(path.stem for path in profiles_dir().glob("*.yaml") if not path.stem.startswith("local-cpu"))


def sized(profile: str = B200, *sets: str, **options: Any) -> size.Size:
    judged = check(load(profile, sets=sets)).facts
    assert judged is not None
    return size.size(judged, size.dimensions(judged), **options)


class TestText:
    @pytest.mark.parametrize("width", [60, 80, 100, 250])
    @pytest.mark.parametrize("profile", PROFILES)
    def test_keeps_to_the_terminal(self, profile: str, width: int) -> None:
        text = click.unstyle(size_text(sized(profile, traffic=Traffic(busy_hours=9)), width))
        assert max(map(len, text.splitlines())) <= min(width, WIDEST)

    def test_bars_follow_each_other(self) -> None:
        text = click.unstyle(size_text(sized("b200-longcontext-bf16kv"), 100))
        lines = part(text, "Memory", "KV cache").splitlines()
        bars = [match.span() for line in lines if (match := re.search("[▐▕█-▏]+", line))]
        assert len(bars) == 5
        for (_, end), (start, _) in pairwise(bars):
            assert start in (end - 1, end)

    def test_a_terminal_too_narrow_for_bars(self, snapshot: Callable[[str, str], None]) -> None:
        snapshot("size-narrow", click.unstyle(size_text(sized(), 20)))

    def test_what_does_not_fit(self, snapshot: Callable[[str, str], None]) -> None:
        snapshot("size-does-not-fit", click.unstyle(size_text(sized(B200, "gpu=H100:8"), 100)))

    def test_a_cap_above_what_fits(self, snapshot: Callable[[str, str], None]) -> None:
        text = click.unstyle(size_text(sized(B200, "sglang.args.max-total-tokens=5000000"), 100))
        snapshot("size-cap-above-what-fits", text)

    @pytest.mark.parametrize(
        ("name", "more"),
        [
            ("divided", ()),
            ("piped", ("sglang.args.tp=8", "sglang.args.pp-size=2")),
            ("without-rdma", ("cluster.rdma=false",)),
        ],
    )
    def test_a_cluster(self, name: str, more: tuple[str, ...], snapshot: Callable[[str, str], None]) -> None:
        found = sized("b200-nospec-bf16kv", *TWO_NODES, *more, traffic=Traffic(busy_hours=9))
        snapshot(f"size-cluster-{name}", click.unstyle(size_text(found, 100)))
        assert max(map(len, click.unstyle(size_text(found, 40, everything=False)).splitlines())) <= 40


def part(text: str, first: str, last: str) -> str:
    return text[text.index(f"\n{first}") : text.index(f"\n{last}")]
