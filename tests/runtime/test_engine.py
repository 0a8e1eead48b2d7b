"""An engine that answers, refuses, crashes, hangs, talks nonsense: how a start and a life with it end."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from container_process import Looker
from engine_process import ENGINE, KEY, PROGRAM, free_port, put_engine, running
from fault_rows import NONE
from support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from container_process import Container
    from fault_rows import Fault

SERVE = f"""{PROGRAM}
    engine = begin()
    say("ready")
    while not os.path.exists("stop"):
        time.sleep(0.02)
    engine.stop()
    say("stopped")
    while True: time.sleep(1)
"""

FAIL = f"""{PROGRAM}
    try:
        begin(float(os.environ.get("SECONDS", "600")))
    except EngineError as error:
        say(f"failed: {{error!r}}")
    while True: time.sleep(1)
"""


@pytest.fixture
def engine_path(tmp_path: Path) -> str:
    return str(put_engine(tmp_path))


def without_key(one: Container) -> bool:
    """Whether the key is nowhere in the output, nor in what it is made of."""
    return not any(part in one.output() for part in ("ecret", "0123456789"))


def test_a_key_reaches_the_engine_and_nobody_who_looks(tmp_path: Path, engine_path: str) -> None:
    more = {"COPY": KEY, "HEADER": f"Bearer {KEY}"}
    with running(tmp_path, SERVE, "well", **more) as one, Looker(one) as looker:
        one.said("ready")
        wait_until(lambda: looker.looks > 20)
        assert len(one.members()) == 4
    assert not [text for text in looker.arguments | looker.environments if "$ecret" in text]
    assert [text for text in looker.arguments if "sglang.launch_server" in text]
    # Its program prints its arguments, as SGLang does; `--port 8000` is as the plan has it.
    assert "'--model-path', 'a model'" in one.output()
    assert "--api-key=***" in one.output()
    assert without_key(one)


@pytest.mark.parametrize("key", ["x", "abc", "=", "a b", "x" * 60_000, '"', "'", "\\"])
def test_any_usable_key(tmp_path: Path, engine_path: str, key: str) -> None:
    with running(tmp_path, SERVE, "well", key) as one:
        one.said("ready")
        assert f"--api-key={key}" not in one.output()


def test_without_a_key_the_command_runs_as_it_stands(tmp_path: Path, engine_path: str) -> None:
    with running(tmp_path, SERVE, "well", None) as one:
        one.said("ready")
        assert [line for line in one.members().values() if "-m sglang.launch_server --model-path a model" in line]


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_proxy_is_not_asked(tmp_path: Path, engine_path: str, name: str) -> None:
    with running(tmp_path, SERVE, "well", **{name: f"http://127.0.0.1:{free_port()}"}) as one:
        one.said("ready")


def test_nonsense_is_no_answer(tmp_path: Path, engine_path: str) -> None:
    with running(tmp_path, SERVE, "nonsense first") as one:
        one.said("ready")


FAILURES = {
    "open": "SGLang fails open: it answers 200 to GET /v1/models without the API key, not 401\n",
    "any key": "SGLang fails open: it answers 200 to GET /v1/models with a wrong API key, not 401\n",
    "broken": "SGLang fails open: it answers 500 to GET /v1/models without the API key, not 401\n",
    "nonsense": "SGLang was not healthy after ",
    "never healthy": "SGLang was not healthy after ",
    "end at once": "SGLang ended while starting: exit code 1: a Python exception, which stands above\n",
    "crash in the first request": ": exit code 1: the GPU's memory did not suffice\n",
    "cut answer": "SGLang did not answer /v1/chat/completions: IncompleteRead(4 bytes read, 996 more expected)\n",
    "no answer": "SGLang did not answer /v1/chat/completions: ",
    "refuse": "the start is refused: chat: status 400: no, ***\n",
}


@pytest.mark.parametrize("does", FAILURES)
def test_a_failed_start_leaves_nothing_but_its_reason(
    tmp_path: Path, engine_path: str, does: str, fault: Fault
) -> None:
    seconds = "12" if does in ("nonsense", "never healthy", "no answer") else "600"
    with running(tmp_path, FAIL, does, SECONDS=seconds) as one:
        one.said("failed: ")
        wait_until(lambda: one.output().endswith("\n"))
        assert list(one.members()) == [one.process.pid]
        failed = one.output().partition("failed: ")[2]
        assert FAILURES[does] in failed
        assert "arguments: ['" in failed, "the last lines of output"
        if does == "end at once":
            assert "ValueError: no such model" in failed
        assert without_key(one)
    if "fails open" in FAILURES[does]:
        fault(f"engine that fails open: {does}", FAILURES[does], engine=NONE)


def test_a_program_that_does_not_exist(tmp_path: Path, engine_path: str) -> None:
    code = FAIL.replace("[sys.executable,", "['./none',")
    with running(tmp_path, code, "well") as one:
        one.said("failed: SGLang could not be started: [Errno 2] No such file or directory: './none'")


def test_a_key_that_cannot_be_a_header_is_not_shown(tmp_path: Path, engine_path: str) -> None:
    """It is refused before; were it not, http.client would put it into its exception."""
    code = FAIL.replace('os.environ.get("API_KEY")', 'os.environ.get("API_KEY") + chr(10) + "second-half-of-it"')
    with running(tmp_path, code, "well") as one:
        one.said("failed: ")
        assert "Invalid header value" in one.output()
        assert "second-half" not in one.output()
        assert without_key(one)
        assert list(one.members()) == [one.process.pid]


def test_an_interrupted_start_leaves_nothing(tmp_path: Path, engine_path: str) -> None:
    with running(tmp_path, FAIL, "never healthy") as one:
        one.said("arguments")
        wait_until(lambda: len(one.members()) == 4)
        os.kill(one.process.pid, signal.SIGINT)
        one.wait()
        assert not one.members()


def test_a_crash_ends_the_container_and_is_explained_after_its_last_words(tmp_path: Path, engine_path: str) -> None:
    with running(tmp_path, SERVE, "crash later") as one:
        one.said("ready")
        (tmp_path / "crash").touch()
        assert one.wait() == 1
        assert not one.members()
        *before, last_words, explained = one.output().splitlines()
        assert before[-2000:] == [f"line {number}" for number in range(2000)]
        assert last_words == "the last words"
        assert explained.startswith("SGLang ended with exit code -9 (SIGKILL): out of memory")
        assert explained.endswith("; ending the container")


def test_a_stop_ends_the_engine_and_not_the_container(tmp_path: Path, engine_path: str) -> None:
    with running(tmp_path, SERVE, "well") as one:
        one.said("ready")
        (tmp_path / "stop").touch()
        one.said("stopped")
        assert list(one.members()) == [one.process.pid]
        assert "ending the container" not in one.output()


@pytest.mark.parametrize("moved", [True, False])
def test_a_hung_engine_is_ended_with_its_container(tmp_path: Path, engine_path: str, moved: bool) -> None:
    """Whether it can still be asked to end, or not."""
    watch = """
    class Watch:
        def __init__(self, *, url, api_key, settings, caches):
            self.lines = []
        def see(self, line):
            self.lines.append(line)
        def run(self, pid, stopping):
            while not os.path.exists("hang"):
                time.sleep(0.02)
            assert any(line.startswith(b"arguments") for line in self.lines)
            return f"rule H of {pid}\\nand more of " + key
    engines.Watch = Watch
    health = {"limit": 5}
"""
    code = SERVE.replace("    health = {}\n", watch)
    with running(tmp_path, code, "well") as one:
        one.said("ready")
        [engine] = [
            pid for pid, words in one.members().items() if "sglang.launch_server" in words and pid != one.process.pid
        ]
        if not moved:
            os.kill(engine, signal.SIGSTOP)
        (tmp_path / "hang").touch()
        assert one.wait() == 1
        assert not one.members()
        assert one.output().splitlines()[-3:] == [f"rule H of {engine}", "and more of ***", "ending the container"]


def test_a_descriptor_of_the_key_is_closed_before_the_engine_runs(tmp_path: Path, engine_path: str) -> None:
    look = "    print('open:', [fd for fd in range(3, 50) if os.path.exists(f'/proc/self/fd/{fd}')], flush=True)\n"
    module = tmp_path / "path" / "sglang" / "launch_server.py"
    module.write_text(ENGINE.replace("    subprocess.Popen", look + "    subprocess.Popen", 1))
    with running(tmp_path, SERVE, "well") as one:
        one.said("ready")
        assert "open: []" in one.output()
