"""Which figures are worse than those of a former verification."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy.errors import GlmdeployError
from glmdeploy.operate.baseline import compare, read_baseline
from glmdeploy.operate.verification import Verification
from glmdeploy.report.verification import verification_data

if TYPE_CHECKING:
    from pathlib import Path


def verification(first: float, throughput: float, **figures: Any) -> Verification:
    level = {
        "concurrency": 8,
        "requests": 24,
        "failed": 0,
        "time_to_first_token_ms": {"avg": 1.0, "p50": first, "p90": first, "p99": 5000.0},
        "output_token_throughput_tokens_per_s": throughput,
    }
    return Verification(url="http://x", app="x", where="here", checks=(), figures=figures, load=(level,))


def saved(folder: Path, found: Verification) -> dict[str, float]:
    file = folder / "good.json"
    file.write_text(json.dumps(verification_data(found)))
    return read_baseline(file)


def test_worse_is_more_of_a_latency_and_less_of_a_throughput(tmp_path: Path) -> None:
    before = saved(tmp_path, verification(100.0, 1000.0, acceptance_length_tokens=3.0, health_ms=1.0))
    same = compare(before, verification(100.0, 1000.0, acceptance_length_tokens=3.0, health_ms=9.0), 0)
    assert (same.compared, same.worse, same.unmeasured) == (4, (), ()), "what is measured once is not compared"
    better = verification(10.0, 9000.0, acceptance_length_tokens=9.0)
    assert compare(before, better, 0).worse == ()
    within = verification(109.0, 910.0, acceptance_length_tokens=2.8)
    assert compare(before, within, 10).worse == ()
    beyond = compare(before, verification(111.0, 890.0, acceptance_length_tokens=2.6), 10).worse
    assert [(each.name, each.before, each.now) for each in beyond] == [
        ("acceptance_length_tokens", 3.0, 2.6),
        ("load 8 time_to_first_token_ms p50", 100.0, 111.0),
        ("load 8 time_to_first_token_ms p90", 100.0, 111.0),
        ("load 8 output_token_throughput_tokens_per_s", 1000.0, 890.0),
    ]
    assert [round(each.percent or 0) for each in beyond] == [13, 11, 11, 11]


def test_what_is_not_measured_any_more_is_told(tmp_path: Path) -> None:
    before = saved(tmp_path, verification(100.0, 1000.0, acceptance_length_tokens=3.0))
    found = compare(before, verification(100.0, 1000.0), 10)
    assert (found.worse, found.unmeasured) == ((), ("acceptance_length_tokens",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", ":1:2: no JSON: "),
        ("[]", ": there are no figures in it"),
        ("{}", ": there are no figures in it"),
        ('{"figures": {}, "load": []}', ": there are no figures in it"),
        ('{"figures": 1, "load": []}', ": there are no figures in it"),
        ('{"error": {"message": "x"}}', ": there are no figures in it"),
        ("[" * 100_000, ":1:1: no JSON"),
    ],
)
def test_a_file_that_is_no_baseline(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.json"
    file.write_text(text)
    with pytest.raises(GlmdeployError) as raised:
        read_baseline(file)
    assert raised.value.message.startswith(f"{file}{said}")
