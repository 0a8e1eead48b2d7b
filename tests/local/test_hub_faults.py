"""Failures of the hub to rehearse, and what it costs whom anybody may ask."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import pytest
from huggingface_hub import HfApi, hf_hub_download
from support import PATIENCE, serving

from glmdeploy.local import hub, repository, tiny_model

if TYPE_CHECKING:
    from collections.abc import Iterator

NOWHERE = Path("/nonexistent")
SHARD = "model-00001-of-00002.safetensors"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serving(hub.application(tmp_path / "hub")) as url:
        yield url


def ask(
    url: str, path: str, *, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """The answer; a body that is cut off is given as far as it came."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        try:
            return answer.status, answer.headers, answer.read()
        except http.client.IncompleteRead as cut:
            return answer.status, answer.headers, cut.partial
    finally:
        connection.close()


def content(repo: str, file: str = SHARD) -> bytes:
    return tiny_model.files(repo, tiny_model.head(repo))[file]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_busy(url: str, method: str) -> None:
    path = f"/busy/model/resolve/main/{SHARD}"
    answers = [ask(url, path, method=method) for _ in range(3)]
    assert [status for status, _, _ in answers] == [503, 429, 200]
    assert [headers["Retry-After"] for _, headers, _ in answers] == ["1", "1", None]
    # Another file, and another repository, begin anew.
    assert ask(url, "/busy/model/resolve/main/config.json")[0] == 503
    assert ask(url, f"/busy/other/resolve/main/{SHARD}")[0] == 503
    assert HfApi(endpoint=url, token=False).model_info("busy/model").sha == tiny_model.head("busy/model")


def test_cut(url: str) -> None:
    whole = content("cut/model")
    path = f"/cut/model/resolve/main/{SHARD}"
    status, headers, body = ask(url, path)
    assert (status, headers["Content-Length"], body) == (200, str(len(whole)), whole[: len(whole) // 2])
    rest = ask(url, path, headers={"Range": f"bytes={len(body)}-"})
    assert (rest[0], body + rest[2]) == (206, whole)


def test_corrupt(url: str, tmp_path: Path) -> None:
    whole = content("corrupt/model")
    options = {"endpoint": url, "cache_dir": tmp_path / "cache", "token": False}
    # The real client takes it for the file.
    wrong = hf_hub_download("corrupt/model", SHARD, **options)  # type: ignore[call-overload]
    got = Path(wrong).read_bytes()
    assert len(got) == len(whole)
    assert hashlib.sha256(got).digest() != hashlib.sha256(whole).digest()
    right = hf_hub_download("corrupt/model", SHARD, force_download=True, **options)  # type: ignore[call-overload]
    assert Path(right).read_bytes() == whole


def test_stalled(url: str) -> None:
    whole = content("stalled/model")
    path = f"/stalled/model/resolve/main/{SHARD}"

    async def first_half() -> bytes:
        async with aiohttp.ClientSession() as session, session.get(f"{url}{path}") as answer:
            half = await answer.content.readexactly(len(whole) // 2)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(answer.content.readany(), 0.5)
            return half

    assert asyncio.run(first_half()) == whole[: len(whole) // 2]
    assert ask(url, path)[2] == whole


@pytest.mark.parametrize("path", ["/silent/model/resolve/main/config.json", "/api/models/silent/model"])
def test_silent(url: str, path: str) -> None:
    async def wait() -> None:
        async with aiohttp.ClientSession() as session, session.get(f"{url}{path}"):
            pass

    async def patient() -> None:
        await asyncio.wait_for(wait(), 0.5)

    with pytest.raises(TimeoutError):
        asyncio.run(patient())


def test_what_lies_in_a_folder_is_served_in_place_of_a_tiny_model(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "own" / "model"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    assert ask(url, "/own/model/resolve/main/notes.txt")[2] == b"mine"
    assert HfApi(endpoint=url, token=False).model_info("own/model").config is None


def test_a_flood_of_names_costs_neither_disk_nor_memory(url: str, tmp_path: Path) -> None:
    def flood(first: int, last: int) -> None:
        for number in range(first, last):
            status, _, body = ask(url, f"/api/models/flood/model-{number}")
            assert (status, json.loads(body)["id"]) == (200, f"flood/model-{number}")

    flood(0, 20)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        flood(20, 50)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    one = sum(map(len, tiny_model.files("flood/model", "0" * 40).values()))
    # Those that were kept from before tracing are replaced by as many that are counted.
    assert after - before < 25 * one
    assert not (tmp_path / "hub").exists()


def test_what_was_dropped_from_memory_comes_back_the_same() -> None:
    commit = "1" * 40
    first = repository.load(NOWHERE, "org/first", commit)
    for number in range(40):
        repository.load(NOWHERE, f"org/{number}", commit)
    again = repository.load(NOWHERE, "org/first", commit)
    assert again is not first
    assert again == first
