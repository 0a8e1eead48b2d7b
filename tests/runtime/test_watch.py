"""The watch for hangs at work: over HTTP, in threads, with engines that are scripts, and with all else broken."""

from __future__ import annotations

import errno
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from support import PATIENCE, wait_until

from glmdeploy.runtime.prober import Prober, is_our_own, loads_told
from glmdeploy.runtime.vitals import Vital
from glmdeploy.runtime.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "a-key-of-tests"
SETTINGS = {"interval": 5, "timeout": 6, "limit": 1, "compiling": 600, "decoding": "lines", "ranks": 0}
LINE = b"[2026-11-28 20:00:00 TP0] Decode batch, #running-req: 1, #token: 5, token usage: 0.00, cuda graph: True\n"


@dataclass
class Answers:
    """What an HTTP server answers: ``health``, a status or None for nothing at all until ``over``; and loads."""

    url: str = ""
    health: int | None = 200
    loads: Any = None
    over: threading.Event = field(default_factory=threading.Event)
    asked: Counter[str] = field(default_factory=Counter)
    keys: set[str | None] = field(default_factory=set)
    most_at_once: int = 0
    at_once: int = 0


@contextmanager
def serving() -> Iterator[Answers]:
    answers = Answers()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                answers.asked[self.path] += 1
                answers.at_once += 1
                answers.most_at_once = max(answers.most_at_once, answers.at_once)
            try:
                self.answer()
            finally:
                with lock:
                    answers.at_once -= 1

        def answer(self) -> None:
            if self.path == "/health":
                assert self.headers["Authorization"] is None
                if answers.health is None:
                    answers.over.wait(PATIENCE)
                    return
                self.send_response(answers.health)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                return
            answers.keys.add(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answers.loads).encode())

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    answers.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        answers.over.set()
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """A server, and proxies in the environment that lead nowhere."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving() as one:
        yield one


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(6000)"]) as process:
        yield process
        process.kill()


@dataclass
class Running:
    watch: Watch
    stopping: threading.Event
    thread: threading.Thread
    verdict: str | None = "it runs"


@contextmanager
def running(url: str, pid: int, *, caches: list[Path] | None = None, processes: Any = None, **settings: Any) -> Any:
    watch = Watch(url=url, api_key=KEY, settings={**SETTINGS, **settings}, caches=caches or [], processes=processes)
    one = Running(watch, threading.Event(), threading.Thread(target=lambda: None))

    def run() -> None:
        one.verdict = watch.run(pid, one.stopping)

    one.thread = threading.Thread(target=run, daemon=True)
    one.thread.start()
    try:
        yield one
    finally:
        one.stopping.set()
        one.thread.join(PATIENCE)
        assert not one.thread.is_alive()


def verdict(one: Running) -> str:
    one.thread.join(PATIENCE)
    assert one.verdict is not None
    return one.verdict


def test_a_healthy_engine_is_left_alone(answers: Answers, sleeper: subprocess.Popen[bytes]) -> None:
    with running(answers.url, sleeper.pid, limit=60, interval=0.1) as one:
        wait_until(lambda: answers.asked["/health"] > 12)
        assert one.thread.is_alive()
    assert one.verdict is None
    assert answers.most_at_once == 1
    assert set(answers.asked) == {"/health"}


@pytest.mark.parametrize("health", [503, 404, 302, None])
def test_an_engine_that_does_not_answer_is_hung(
    health: int | None, answers: Answers, sleeper: subprocess.Popen[bytes]
) -> None:
    answers.health = health
    with running(answers.url, sleeper.pid) as one:
        first, process = verdict(one).splitlines()
    assert first == "hung (H): /health gave no sign of life for 1 s"
    assert process.startswith(f"  process {sleeper.pid} python")
    assert ": state S, 0." in process
    assert answers.asked["/elsewhere"] == 0


def test_nobody_listens(sleeper: subprocess.Popen[bytes]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with running(f"http://127.0.0.1:{taken.getsockname()[1]}", sleeper.pid) as one:
            assert verdict(one).startswith("hung (H)")


def test_who_stops_watches_no_more(answers: Answers, sleeper: subprocess.Popen[bytes]) -> None:
    answers.health = None
    with running(answers.url, sleeper.pid, limit=600) as one:
        wait_until(lambda: answers.asked["/health"] == 1)
        one.stopping.set()
        one.thread.join(PATIENCE)
    assert one.verdict is None


def test_a_stopped_process(answers: Answers, sleeper: subprocess.Popen[bytes]) -> None:
    with running(answers.url, sleeper.pid, limit=5) as one:
        wait_until(lambda: answers.asked["/health"] > 1)
        sleeper.send_signal(signal.SIGSTOP)
        first, process = verdict(one).splitlines()
    assert first.startswith(f"hung (S): process {sleeper.pid} python")
    assert ": state T, " in process


def test_decoding_that_nobody_hears(answers: Answers) -> None:
    """Lines of the output count, those in which a request says the words do not."""
    deaf = Vital(pid=5, began=1, command="", title="sglang::detokenizer", state="S", cpu=0.0, switches=4)
    over = threading.Event()

    def speak(line: bytes) -> None:
        while not over.wait(0.01):
            one.watch.see(line)

    quoted = b"[2026-11-28 20:00:00] Receive: obj=GenerateReqInput(text='" + b"x" * 99 + b" Decode batch')\n"
    for line, letter in ((LINE, "D"), (quoted, None)):
        over.clear()
        with running(answers.url, 5, limit=5, processes=lambda _pid: (deaf,)) as one:
            speaker = threading.Thread(target=speak, args=(line,), daemon=True)
            speaker.start()
            if letter:
                assert verdict(one).startswith(f"hung ({letter}): ")
            else:
                begun = answers.asked["/health"]
                wait_until(lambda begun=begun: answers.asked["/health"] > begun + 12)
                assert one.thread.is_alive()
            over.set()
            speaker.join(PATIENCE)


def test_decoding_is_asked_for_where_no_line_tells(answers: Answers) -> None:
    deaf = Vital(pid=5, began=1, command="", title="sglang::detokenizer", state="S", cpu=0.0, switches=4)
    passes = iter(range(0, 10**9, 30))

    def told() -> Any:
        return [{"dp_rank": 0, "timestamp": 1.0, "decode_moments": [next(passes)]}]

    answers.loads = {"loads": told()}

    def read(_pid: int) -> tuple[Vital, ...]:
        answers.loads = {"loads": told()}
        return (deaf,)

    with running(answers.url, 5, limit=5, decoding="loads", processes=read) as one:
        assert verdict(one).startswith("hung (D): ")
    assert answers.keys == {f"Bearer {KEY}"}


def test_a_rank_that_stands_still(answers: Answers, sleeper: subprocess.Popen[bytes]) -> None:
    answers.loads = {"loads": [{"dp_rank": rank, "timestamp": 1.0} for rank in (0, 1)]}
    with running(answers.url, sleeper.pid, limit=6, ranks=2, decoding="off") as one:
        assert verdict(one).startswith("hung (R): dp rank 0 has not moved for ")


def test_kernels_that_are_written_excuse(answers: Answers, sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    answers.health = 503
    with running(answers.url, sleeper.pid, limit=8, caches=[tmp_path / "none", tmp_path]) as one:
        for number in range(40):
            (tmp_path / f"kernel{number}").touch()
            one.thread.join(0.3)
        assert one.thread.is_alive(), one.verdict
        assert verdict(one).startswith("hung (H): /health gave no sign of life for 8 s, ")


def test_what_cannot_be_read_is_said_once(
    answers: Answers, sleeper: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    answers.loads = {"strange": True}
    with running(answers.url, sleeper.pid, limit=4, processes=lambda _pid: None, ranks=1, decoding="loads"):
        wait_until(lambda: answers.asked["/health"] > 20)
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "rule C of the watch for hangs is off: processes cannot be seen, only files in the kernel caches",
        "rule D of the watch for hangs is off: no process of a detokenizer can be seen",
        "rule R of the watch for hangs is off: /v1/loads does not answer",
        "rule S of the watch for hangs is off: processes cannot be seen",
    ]


def test_the_watch_goes_on_when_it_fails(answers: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    calls = Counter[str]()

    def broken(_pid: int) -> None:
        calls["read"] += 1
        raise ZeroDivisionError("of a test")

    with running(answers.url, 5, processes=broken) as one:
        wait_until(lambda: calls["read"] > 5)
        assert one.thread.is_alive()
    assert capsys.readouterr().out.splitlines() == ["the watch failed, and goes on: ZeroDivisionError('of a test')"]


def test_no_thread_can_be_started(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    stopping = threading.Event()
    stopping.set()
    watch = Watch(url="http://127.0.0.1:1", api_key=None, settings=SETTINGS, caches=[])
    assert watch.run(5, stopping) is None
    assert capsys.readouterr().out == "/health cannot be asked: can't start new thread\n"


# The prober


@pytest.mark.parametrize(
    ("error", "own"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), False),
        (urllib.error.URLError(ConnectionResetError(errno.ECONNRESET, "reset")), False),
        (TimeoutError("timed out"), False),
        (urllib.error.HTTPError("http://127.0.0.1", 503, "", http.client.HTTPMessage(), None), False),
        (http.client.BadStatusLine("x"), False),
        (http.client.IncompleteRead(b""), False),
        (OSError("answered 204"), False),
        (urllib.error.URLError(OSError(errno.EMFILE, "Too many open files")), True),
        (OSError(errno.EADDRNOTAVAIL, "no ports"), True),
        (MemoryError(), True),
        (RuntimeError("can't start new thread"), True),
    ],
    ids=repr,
)
def test_whose_fault_it_is(error: Exception, own: bool) -> None:
    def fail(*_arguments: Any) -> bytes:
        raise error

    prober = Prober("http://127.0.0.1:1", None, interval=1, timeout=1, loads=True, ask=fail)
    prober.once(lambda _seconds: None)
    assert is_our_own(error) is own
    assert prober.signs.asked is not own
    assert prober.signs.answered is None


def test_the_prober_pauses_after_the_answer_and_asks_for_loads_in_the_pause() -> None:
    now = 100.0
    asked: list[tuple[str, float, float]] = []
    pauses: list[float] = []

    def ask(request: Any, timeout: float) -> bytes:
        nonlocal now
        asked.append((request.selector, now, timeout))
        now += 3.0
        return b'{"loads": [{"dp_rank": 0, "timestamp": 5.5, "decode_moments": null}]}'

    def pause(seconds: float) -> None:
        nonlocal now
        pauses.append(seconds)
        now += seconds

    prober = Prober("http://x", KEY, interval=5, timeout=65, loads=True, clock=lambda: now, ask=ask)
    prober.once(pause)
    assert (prober.signs.answered, prober.signs.ranks, prober.signs.decoded) == (103.0, {0: 5.5}, 0.0)
    prober.once(pause)
    assert asked == [
        ("/health", 100.0, 65),
        ("/v1/loads?include=core", 103.0, 5),
        ("/health", 108.0, 65),
        ("/v1/loads?include=core", 111.0, 5),
    ]
    assert pauses == [2.0, 2.0]


def test_what_loads_tell() -> None:
    """As SGLang 0.5.23 answered, and without what 0.5.13 did not have."""
    ranks = [{"dp_rank": 0, "timestamp": 1.5, "decode_moments": [6.0, 6.0]}, {"dp_rank": 1, "timestamp": 2}]
    assert loads_told({"loads": ranks}) == ({0: 1.5, 1: 2.0}, None)
    assert loads_told({"loads": [ranks[0], {**ranks[1], "decode_moments": [4]}]}) == ({0: 1.5, 1: 2.0}, 10.0)
