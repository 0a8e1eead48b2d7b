"""The embedded hub with faults: what a test lists for a file is done once each, then the hub answers as ever.

``served`` counts the bytes of each file that were sent, ``stalls`` the requests that were left without an end: until
``released`` is set, when they are reset. A file is named as in its repository; ``api`` are the questions
about the repository, ``xet`` the tokens for its storage, where ``xet_names`` has the files' names.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from support import PATIENCE, STRANGE, serving

from glmdeploy.local import hub

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REPO = "org/Model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
SHARDS = ("model-1.safetensors", "model-2.safetensors", "model-3.safetensors")
SIZE = 2_000_003
DRIVER = Path(__file__).with_name("download_process.py")


@dataclass(frozen=True)
class Status:
    """An answer without content."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """Ends the connection after some bytes of the body, at once where ``reset``."""

    after: int
    reset: bool = False


@dataclass(frozen=True)
class Stall:
    """Sends some bytes of the body and then none; no answer at all where ``after`` is None."""

    after: int | None = None


@dataclass(frozen=True)
class Trickle:
    """A byte now and then."""


@dataclass(frozen=True)
class Wrong:
    """Other bytes, as many."""


@dataclass(frozen=True)
class Short:
    """Half of the bytes, as if that were all."""


@dataclass(frozen=True)
class Whole:
    """All bytes, whatever part was asked for."""


@dataclass(frozen=True)
class Redirect:
    """To the same path elsewhere."""

    url: str


Fault = Status | Cut | Stall | Trickle | Wrong | Short | Whole | Redirect


@dataclass
class FaultyHub:
    """``faults`` are done in order, ``always`` whenever none is left; ``asked`` has the ranges that were asked for."""

    faults: dict[str, list[Fault]] = field(default_factory=dict)
    always: dict[str, Fault] = field(default_factory=dict)
    served: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    answers: dict[str, list[tuple[dict[str, str], Any]]] = field(default_factory=dict)
    xet_names: dict[str, str] = field(default_factory=dict)
    stalls: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    root: Path = Path()

    def application(self, root: Path) -> web.Application:
        self.root = root
        app = hub.application(root)
        app.middlewares.insert(0, self.handle)
        return app

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        api = "/xet-read-token/" if "xet-read-token" in request.path else "/api/"
        name = api.strip("/-") if request.path.startswith("/api/") else request.path.rpartition("/")[2]
        name = "xet" if name.startswith("xet") else name
        self.tokens.append(request.headers.get("Authorization", ""))
        wanted = request.headers.get("Range", "")
        self.asked.append((name, wanted))
        listed = self.faults.get(name)
        fault = listed.pop(0) if listed else self.always.get(name)
        if isinstance(fault, Status):
            return web.Response(status=fault.status, headers=fault.headers)
        if isinstance(fault, Redirect):
            raise web.HTTPFound(fault.url + request.path_qs)
        if fault == Stall():
            self.stalls += 1
            return await self._wait(request)
        if name in self.answers:
            headers, data = self.answers[name].pop(0) if len(self.answers[name]) > 1 else self.answers[name][0]
            return web.json_response(data, headers=headers)
        if isinstance(fault, Whole):
            info = request.match_info
            return web.Response(body=(self.root / info["organization"] / info["name"] / name).read_bytes())
        answer = await handler(request)
        assert isinstance(answer, web.Response)
        assert isinstance(answer.body, bytes)
        if "/tree/" in request.path:
            files = json.loads(answer.body)
            answer.body = json.dumps([{**file, "xetHash": self.xet_names.get(file["path"])} for file in files]).encode()
        body = answer.body
        if isinstance(fault, Wrong):
            answer.body = bytes(byte ^ 1 for byte in body)
        if isinstance(fault, Short):
            answer.body = body[: len(body) // 2]
        if isinstance(fault, Cut | Stall | Trickle):
            return await self._part(request, answer, fault, name)
        self.served[name] += len(answer.body)
        return answer

    async def _part(
        self, request: web.Request, whole: web.Response, fault: Cut | Stall | Trickle, name: str
    ) -> web.StreamResponse:
        assert isinstance(whole.body, bytes)
        headers = {key: value for key, value in whole.headers.items() if key != "Content-Type"}
        answer = web.StreamResponse(status=whole.status, headers={**headers, "Content-Length": str(len(whole.body))})
        await answer.prepare(request)
        if isinstance(fault, Trickle):
            for number in range(len(whole.body)):
                if request.transport is None or request.transport.is_closing():
                    return answer
                await answer.write(whole.body[number : number + 1])
                await asyncio.sleep(0.05)
            return answer
        await answer.write(whole.body[: fault.after])
        self.served[name] += fault.after or 0
        if isinstance(fault, Stall):
            self.stalls += 1
            return await self._wait(request)
        self._close(request, reset=fault.reset)
        return answer

    def _close(self, request: web.Request, *, reset: bool) -> None:
        assert request.transport is not None
        if reset:  # a socket that lingers for no time is closed by RST (socket(7))
            connection = request.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()

    async def _wait(self, request: web.Request) -> web.StreamResponse:
        while request.transport is not None and not request.transport.is_closing():
            if self.released.is_set():
                self._close(request, reset=True)
            await asyncio.sleep(0.02)
        return web.Response()


@contextmanager
def faulty(root: Path, **settings: Any) -> Iterator[FaultyHub]:
    """A hub whose repositories lie below ``root``, as :func:`repository` writes them."""
    one = FaultyHub(**settings)
    with serving(one.application(root)) as url:
        one.url = url
        try:
            yield one
        finally:
            one.released.set()


def repository(root: Path, repo: str = REPO, *, seed: str = "", readme: str = "A model.", size: int = SIZE) -> Path:
    """The hub's files of ``repo``: three shards, whose content follows from ``seed``, and two files of Git."""
    folder = root / repo
    folder.mkdir(parents=True)
    for name in SHARDS:
        (folder / name).write_bytes(hashlib.shake_128(f"{repo} {seed} {name}".encode()).digest(size))
    (folder / "config.json").write_text('{"architectures": []}', encoding="utf-8")
    (folder / "README.md").write_text(readme, encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Done:
    """What a process that downloads has said, and the manifest or the text of the failure."""

    code: int
    log: str
    manifest: dict[str, Any] | None
    failure: str | None


def started(url: str, volume: Path, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
    """A process that downloads into ``volume``."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(STRANGE)}
    patience = {"GLMDEPLOY_STALL_SECONDS": "60", "GLMDEPLOY_PAUSE_SECONDS": "0.01"}
    chosen = {"repo": REPO, "revision": COMMIT, "commit": None, "name": "Model", "volume": str(volume), **options}
    return subprocess.Popen(
        [sys.executable, str(DRIVER), json.dumps(chosen)],
        env={**clean, "HF_ENDPOINT": url, "HF_HOME": str(volume.parent / "hf"), **patience, **(env or {})},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def ended(process: subprocess.Popen[str]) -> Done:
    log, _ = process.communicate(timeout=PATIENCE)
    last = log.splitlines()[-1] if log else ""
    kind, _, text = last.partition(" ")
    data = json.loads(text) if kind in ("MANIFEST", "FAILURE") else None
    return Done(process.returncode, log, data if kind == "MANIFEST" else None, data if kind == "FAILURE" else None)


def download(url: str, volume: Path, env: dict[str, str] | None = None, **options: Any) -> Done:
    """Download in a process of its own, to the end."""
    return ended(started(url, volume, env, **options))


def same(volume: Path, source: Path, commit: str = COMMIT, repo: str = REPO) -> bool:
    """Whether the version's folder has exactly the hub's files, and its mark, and nobody's work is left."""
    version = volume / repo / commit
    there = {path.name: path.read_bytes() for path in (version / "Model").iterdir()}
    hubs = {path.name: path.read_bytes() for path in source.iterdir()}
    marks = [path.name for path in (version / ".glmdeploy").iterdir()]
    works = list((volume / ".glmdeploy" / "work").iterdir())
    return there == hubs and marks == ["weights.json"] and not works
