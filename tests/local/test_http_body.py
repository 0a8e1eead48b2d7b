"""Answers taken apart: heads, and where their bodies end, however they are cut into pieces on the way."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.local.http_body import Body, Chunked, MalformedError, Open, Sized, body_of, read_head

AFTER = b"HTTP/1.1 200 OK\r\n"


def fed(body: Body, data: bytes, cuts: list[int]) -> bytes:
    """The whole body, of data that comes in pieces; what comes after its end is left out."""
    taken = b""
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(bounds):
        if body.done:
            break
        taken += body.feed(data[start:end])
    return taken


@given(st.lists(st.binary(min_size=1, max_size=300)), st.lists(st.integers(0, 10_000)), st.sampled_from(["x", "X"]))
def test_chunks_come_out_whole_however_they_are_cut(chunks: list[bytes], cuts: list[int], case: str) -> None:
    sizes = [f"{len(chunk):{case}}".encode() for chunk in chunks]
    wire = b"".join(b"%b; name=value\r\n%b\r\n" % pair for pair in zip(sizes, chunks, strict=True))
    body = Chunked()
    assert fed(body, wire + b"0\r\nDigest: trailer\r\n\r\n", cuts) == b"".join(chunks)
    assert body.done
    assert body.rest == b""


def test_what_follows_a_body_is_kept_apart() -> None:
    chunked, sized = Chunked(), Sized(3)
    assert chunked.feed(b"3\r\nabc\r\n0\r\n\r\n" + AFTER) == b"abc"
    assert sized.feed(b"abc" + AFTER) == b"abc"
    assert (chunked.done, chunked.rest) == (sized.done, sized.rest) == (True, AFTER)


@pytest.mark.parametrize("wire", [b"-1\r\n", b"0x3\r\nabc\r\n", b"\r\n", b"1_0\r\n", b" 3\r\nabc", b"3\r\nabcd\r\n"])
def test_chunks_that_are_none(wire: bytes) -> None:
    with pytest.raises(MalformedError):
        Chunked().feed(wire)


def test_a_size_without_an_end_is_not_waited_for() -> None:
    with pytest.raises(MalformedError):
        Chunked().feed(b"0" * 20_000)


def test_a_head() -> None:
    head = read_head(b"HTTP/1.1 418 I'm a \xc3\xbc\r\nSet-Cookie: a=1\r\nset-cookie:\tb=2 \r\nX-Empty:")
    assert (head.status, head.reason, head.keep_alive) == (418, "I'm a ü", True)
    assert head.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert head.headers["x-empty"] == ""


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK", True),
        (b"HTTP/1.1 200", True),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive", False),
    ],
)
def test_whether_a_connection_may_be_used_again(head: bytes, keep_alive: bool) -> None:
    assert read_head(head).keep_alive is keep_alive


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6",
        b"HTTP/2 200 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded: c",
        b"HTTP/1.1 200 OK\r\nName : value",
        b"HTTP/1.1 200 OK\r\n: value",
        b"HTTP/1.1 200 O\0K",
        b"HTTP/1.1 200 OK\rX: y",
        b"HTTP/1.1 200 OK\r\nName: a\nb",
        b"HTTP/1.1 200 OK\r\nName: a\x0bb",
        b"HTTP/1.1 200 OK\r\nName: a\x7fb",
    ],
)
def test_heads_that_are_none(head: bytes) -> None:
    with pytest.raises(MalformedError):
        read_head(head)


@pytest.mark.parametrize(
    ("head", "method", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5", "GET", Sized),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: Chunked", "GET", Chunked),
        (b"HTTP/1.1 200 OK", "GET", Open),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "HEAD", Sized),
        (b"HTTP/1.1 204 No Content", "GET", Sized),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5", "GET", Sized),
    ],
)
def test_where_a_body_ends(head: bytes, method: str, kind: type[Body]) -> None:
    body = body_of(read_head(head), method)
    assert type(body) is kind
    assert body.done is (method == "HEAD" or b" 204 " in head or b" 304 " in head)


@pytest.mark.parametrize(
    "header", [b"Content-Length: +5", b"Content-Length: 5\r\nContent-Length: 6", b"Transfer-Encoding: gzip, chunked"]
)
def test_bodies_whose_end_nobody_knows(header: bytes) -> None:
    with pytest.raises(MalformedError):
        body_of(read_head(b"HTTP/1.1 200 OK\r\n" + header), "GET")
