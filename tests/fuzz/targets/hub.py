"""The embedded hub: raw HTTP, answered with what the hub has and nothing else of this machine, and never by 500."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz import wire
from fuzz.still import loop, run
from fuzz.target import Target, words
from fuzz.wire import HOST
from glmdeploy.local import hub

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTSIDE = b"what lies outside"
INSIDE = b"what a user put there"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PATIENCE = 100.0
"""Seconds of the loop's clock: organizations that keep a client waiting do so for ever."""


@cache
def _folder() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    """A hub's folder with a repository of the user's own, and files beside it that are nobody's business."""
    folder = tempfile.TemporaryDirectory(prefix="glmdeploy-fuzz-")
    base = Path(folder.name)
    root = base / "hub"
    own = root / "mine" / "model"
    own.mkdir(parents=True)
    (own / "config.json").write_bytes(b'{"about": "%s"}' % INSIDE)
    (own / "model.safetensors").write_bytes(bytes(range(256)) * 4)
    (root / "mine" / "moved.main").write_text(COMMIT)
    for place in (base / "secret.txt", root / "secret.txt", root / "mine" / "secret.txt", base / "config.json"):
        place.write_bytes(OUTSIDE)
    return folder, root


def check(data: bytes) -> None:
    _, root = _folder()
    with loop() as made:
        talk = run(made, wire.talk(hub.application(root), data, seconds=PATIENCE))
    assert OUTSIDE not in talk.said, "a file from outside of the hub's folder"
    assert not wire.fails(talk.said, data), f"500: {talk.said[:400]!r}"
    assert b"Traceback" not in talk.said
    _answers(data, talk)
    left = [each for each in root.rglob("*") if each.name not in _KNOWN]
    assert not left, f"the hub has written {left}"


_KNOWN = frozenset({"mine", "model", "config.json", "model.safetensors", "moved.main", "secret.txt"})


def _answers(data: bytes, talk: wire.Talk) -> None:
    """To each request that can be read in one way there is an answer that can be, until the connection ends."""
    at = behind = 0
    while at < len(data):
        try:
            asked = wire.request(data, at)
        except (wire.NotStrictError, wire.IncompleteError):
            return
        at = asked.end
        method, target = asked.first[:2]
        try:
            answer = wire.answer(talk.said, method, behind, ended=talk.closed)
        except wire.IncompleteError:
            broken = any(name in target for name in (b"cut", b"stalled", b"silent"))
            assert broken or talk.closed or asked.values(b"expect"), f"no answer to {method!r} {target[:80]!r}"
            return
        behind = answer.end
        _range(method, asked, answer)
        if any(b"close" in value.lower() for value in answer.values(b"connection")):
            return


def _range(method: bytes, asked: wire.Message, answer: wire.Message) -> None:
    """A part is the part that it says, and no longer than what was asked for."""
    status = int(answer.first[1])
    if status == 206:
        assert asked.values(b"range"), "a part that nobody asked for"
        [told] = answer.values(b"content-range")
        unit, _, rest = told.partition(b" ")
        part, _, size = rest.partition(b"/")
        first, _, last = part.partition(b"-")
        assert unit == b"bytes", told
        assert 0 <= int(first) <= int(last) < int(size), told
        [length] = answer.values(b"content-length")
        assert int(length) == int(last) - int(first) + 1, f"{told!r} and {length!r}"
    elif status == 416:
        assert answer.values(b"content-range"), "416 without the size"
    if (
        status == 200
        and answer.values(b"content-type")[:1] == [b"application/json; charset=utf-8"]
        and method == b"GET"
    ):
        json.loads(answer.body)


def seeds() -> Iterator[bytes]:
    def get(path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST.decode()}", *headers]
        return "\r\n".join([*lines, "", ""]).encode() + body

    model = "/api/models/zai-org/GLM-5.1-FP8"
    yield get("/api/whoami-v2", "Authorization: Bearer hf_x")
    yield get("/api/whoami-v2", "Authorization: Bearer hf_invalid")
    for path in (
        model,
        f"{model}?blobs=true",
        f"{model}/revision/main",
        f"{model}/revision/{COMMIT}",
        f"{model}/tree/main?expand=true",
        f"{model}/tree/main/a/b",
        "/api/models/mine/model/tree/main",
        "/api/models/mine/moved",
        "/api/models/../secret.txt",
        "/api/models/mine/..%2f..",
        "/mine/model/resolve/main/..%2f..%2fsecret.txt",
        "/mine/model/resolve/main/%2e%2e/secret.txt",
        "/mine/model/resolve/main//etc/passwd",
        "/mine/..%2F../resolve/main/secret.txt",
        "/mine/secret.txt/resolve/main/x",
        "/nonexistent/x/resolve/main/config.json",
        "/gated/x/resolve/main/config.json",
        "/private/x/resolve/main/config.json",
        "/busy/x/resolve/main/config.json",
        "/cut/x/resolve/main/config.json",
        "/corrupt/x/resolve/main/config.json",
        "/stalled/x/resolve/main/config.json",
        "/silent/x/resolve/main/config.json",
    ):
        yield get(path)
    file = "/mine/model/resolve/main/model.safetensors"
    for wanted in ("0-9", "5-", "-5", "9-5", "2000-", "0-1,3-4", "x", "-0", "0-99999999999999999999", "1023-1023"):
        yield get(file, f"Range: bytes={wanted}")
    yield get(file, method="HEAD") + get(file, "Range: bytes=0-9", "Connection: close")
    form = b"paths=config.json&paths=x&expand=true"
    kind = "Content-Type: application/x-www-form-urlencoded"
    yield get("/api/models/mine/model/paths-info/main", kind, f"Content-Length: {len(form)}", method="POST", body=form)
    parts = b'--b\r\nContent-Disposition: form-data; name="paths"\r\n\r\nconfig.json\r\n--b--\r\n'
    kind = "Content-Type: multipart/form-data; boundary=b"
    yield get(
        "/api/models/mine/model/paths-info/main", kind, f"Content-Length: {len(parts)}", method="POST", body=parts
    )
    yield get("/mine/model.git/info/lfs/objects/batch", "Content-Length: 2", method="POST", body=b"{}")
    yield get("/api/models/mine/model/xet-read-token/main", "X-Xet-Session-Id: 1")


TARGET = Target(name="hub", check=check, seeds=seeds, words=words("hub"), longest=2048)
