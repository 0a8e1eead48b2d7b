"""How people are told times, durations, money and bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from glmdeploy.findings import listed
from glmdeploy.report import words

NOW = datetime(2026, 11, 29, 3, 20, tzinfo=UTC)
BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.041, "41 ms"),
        (0.9999, "1 s"),
        (11, "11 s"),
        (59.6, "1 min"),
        (291, "4 min 51 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (7800, "2 h 10 min"),
        (86_400, "1 day"),
        (90_000, "1 day 1 h"),
        (86_460, "1 day"),
        (3 * 86_400 + 7200 + 60, "3 days 2 h"),
    ],
)
def test_a_duration(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (119, "1 min 59 s"), (472, "8 min"), (7790, "2 h 10 min")])
def test_an_estimate(seconds: float, text: str) -> None:
    assert words.about(seconds) == text


@pytest.mark.parametrize(
    ("amount", "exact", "about", "cents"),
    [
        (49.9968, "$50", "$50", "$50.00"),
        (9.999, "$10", "$10", "$10.00"),
        (6.2496, "$6.25", "$6", "$6.25"),
        (0.348, "$0.35", "$0.35", "$0.35"),
        (0, "$0.00", "$0.00", "$0.00"),
        (1234.5, "$1,234", "$1,234", "$1,234.50"),
    ],
)
def test_money(amount: float, exact: str, about: str, cents: str) -> None:
    assert (words.dollars(amount), words.about_dollars(amount), words.cents(amount)) == (exact, about, cents)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_500, "1.0 MB"),
        (5_900_000_000, "5.9 GB"),
        (9_960_000_000, "10 GB"),
        (755_600_000_000, "756 GB"),
        (1.5e12, "1.5 TB"),
    ],
)
def test_bytes(count: float, text: str) -> None:
    assert words.count_bytes(count) == text


def test_a_moment() -> None:
    at = datetime(2026, 11, 27, 23, 31, 5, tzinfo=UTC)
    assert words.moment(at, NOW, zone=UTC) == "27 Nov 23:31 UTC"
    assert words.moment(at, NOW, zone=BERLIN) == "28 Nov 00:31"
    assert words.moment(at.replace(year=2025), NOW, zone=BERLIN) == "28 Nov 2025 00:31"
    # In Berlin it is the new year already.
    assert words.moment(at, datetime(2026, 12, 31, 23, 30, tzinfo=UTC), zone=BERLIN) == "28 Nov 2026 00:31"
    assert words.iso(at) == "2026-11-27T23:31:05Z"
    assert words.iso(None) is None


def test_numbers_and_lists() -> None:
    assert words.counted(1, "container") == "1 container"
    assert words.counted(1870, "kernel") == "1,870 kernels"
    assert words.counted(2, "entry", "entries") == "2 entries"
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a", "b"], "or") == "a or b"
