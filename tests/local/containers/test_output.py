"""What a container prints: in lines, whole, without its secrets however they are spelled."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.local.containers.process import Lines
from glmdeploy.redaction import Redactor

AWKWARD = [
    "plain-0123456789",
    'quo"te-0123456789',
    "apo'strophe-0123456789",
    "back\\slash-0123456789",
    "tab\tstop-0123456789",
    "ünïcode-0123456789",
    "two-lines-0123\nof-them-4567",
    "snow\u2603man-0123456789",
]


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[low:high] for low, high in pairwise(edges)]


@given(st.lists(st.sampled_from(["\n", "x", "y" * 30, "é", *AWKWARD]), max_size=30), st.lists(st.integers(0, 2000)))
def test_no_secret_gets_through_wherever_the_output_is_cut(words: list[str], cuts: list[int]) -> None:
    redact = Redactor(AWKWARD)
    lines = Lines(redact, redact.longest, limit=20)
    said = "".join(words)
    got = [line for piece in pieces(said.encode(), cuts) for line in lines.feed(piece)] + lines.end()
    shown = "".join(got)
    for secret in AWKWARD:
        assert not any(part in shown for part in secret.splitlines())
    # Nothing else is lost.
    assert shown.count("x") >= sum(word == "x" for word in words)
    assert shown.count("y") >= 30 * sum(word == "y" * 30 for word in words)


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_any_bytes_are_lines(chunks: list[bytes]) -> None:
    lines = Lines(Redactor([]), 0, limit=10)
    got = [line for chunk in chunks for line in lines.feed(chunk)] + lines.end()
    assert "".join(got) == b"".join(chunks).decode(errors="replace").replace("\n", "")


def test_a_secret_is_masked_as_programs_write_it() -> None:
    for secret in AWKWARD:
        redact = Redactor([secret])
        for written in (
            repr(secret),
            ascii(secret),
            json.dumps(secret),
            json.dumps({"key": secret}, ensure_ascii=False),
        ):
            assert "0123" not in redact(written)


def test_a_long_line_is_not_kept() -> None:
    lines = Lines(Redactor(["secret-0123"]), 11, limit=1000)
    got = [line for _ in range(1000) for line in lines.feed(b"z" * 1000)]
    assert sum(map(len, got)) > 990_000
    assert sum(map(len, lines.end())) < 3000
