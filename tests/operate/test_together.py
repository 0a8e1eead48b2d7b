"""Questions that are asked together, and a small file that is read without the SDK's own client."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from modal_proto import api_pb2
from support import serving

from glmdeploy.errors import DeployError
from glmdeploy.operate import asking, volumes
from glmdeploy.operate.asking import Question, together
from glmdeploy.operate.target import Target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

MODAL = Target(name="modal", environment=None)


def test_they_wait_for_each_other_and_answer_in_their_order() -> None:
    """Each waits until all three are there: one after the other none would ever end."""
    meeting = threading.Barrier(3)

    def ask(name: str) -> Callable[[], str]:
        return lambda: f"{name}{meeting.wait(30) * 0}"

    assert together(ask("a"), ask("b"), ask("c")) == ["a0", "b0", "c0"]
    assert together() == []


def test_the_first_fault_is_the_first_questions() -> None:
    def late() -> None:
        time.sleep(0.2)
        raise DeployError("late, and asked first")

    def early() -> None:
        raise DeployError("early, and asked second")

    with pytest.raises(DeployError, match="late"):
        together(late, early)


def test_who_interrupts_leaves_the_questions_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while they are waited for: the process does not wait for them at its end either."""
    end = threading.Event()

    class Struck(Question[Any]):
        def answered(self, seconds: float) -> bool:
            if seconds:
                raise KeyboardInterrupt
            return super().answered(seconds)

    monkeypatch.setattr(asking, "_left", [])
    monkeypatch.setattr(asking, "Question", Struck)
    with pytest.raises(KeyboardInterrupt):
        together(lambda: end.wait(60))
    assert asking.left()
    end.set()
    deadline = time.monotonic() + 30
    while asking.left():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class FakeVolume:
    """What of a volume's handle is used; ``asked`` counts what the SDK itself reads."""

    object_id = "vo-1"

    def __init__(self) -> None:
        self.asked = 0
        self.hydrate = self.read_file = self

    def aio(self, path: str | None = None) -> Any:
        return asyncio.sleep(0) if path is None else self._read()

    async def _read(self) -> AsyncIterator[bytes]:
        self.asked += 1
        yield b"by the SDK"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serves ``content``, and an error below ``/broken``."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=500) if request.path == "/broken" else web.Response(body=b"content")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    with serving(app) as url:
        yield url


@pytest.mark.parametrize(
    ("urls", "size", "by_the_sdk"),
    [
        (["/file"], 7, False),
        ([], 0, False),
        (["/file"], 6, True),  # more than was announced
        (["/file"], 8, True),  # less
        (["/broken"], 7, True),
        (["/file", "/file"], 14, True),
        (["/file"], volumes.SMALL_BYTES + 1, True),
    ],
)
def test_a_small_file_comes_whole_or_by_the_sdk(
    address: str, monkeypatch: pytest.MonkeyPatch, urls: list[str], size: int, by_the_sdk: bool
) -> None:
    async def rpc(name: str, request: Any) -> Any:
        assert (name, request.path) == ("VolumeGetFile2", "a/file")
        return api_pb2.VolumeGetFile2Response(get_urls=[f"{address}{url}" for url in urls], len=size, size=size)

    monkeypatch.setattr(volumes, "rpc", rpc)
    volume: Any = FakeVolume()
    found = volumes.content("name", "a/file", MODAL, volume)
    assert found == (b"by the SDK" if by_the_sdk else b"content"[:size])
    assert volume.asked == by_the_sdk
