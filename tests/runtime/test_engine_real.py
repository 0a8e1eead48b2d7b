"""The real SGLang on a CPU: nobody sees its key, streams end in order, and nothing is left of an engine that dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from container_process import ROOT, Looker, container
from fault_rows import REAL
from real_engine import engine_interpreter
from support import PATIENCE, wait_until

from glmdeploy.local import tiny_model
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load
from glmdeploy.sglang import catalog, command
from glmdeploy.sglang.real import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from container_process import Container
    from fault_rows import Fault

KEY = 'sk-it\'s a "very" $ecret \\ key/+%&<>=0123456789'

PROGRAM = """
    import json, os, time
    from pathlib import Path
    from glmdeploy.runtime.engine import EngineError, Proof, start_engine
    from glmdeploy.runtime.keys import without_secrets
    from glmdeploy.runtime.masking import Mask
    from glmdeploy.runtime.output import say
    from glmdeploy.runtime.verdict import say_refused
    given = json.loads(Path("given.json").read_text())
    try:
        engine = start_engine(
            given["command"], without_secrets({**given["environment"], "API_KEY": os.environ["API_KEY"]}, ["API_KEY"]),
            port=given["port"], api_key=os.environ["API_KEY"], mask=Mask([], keys=[os.environ["API_KEY"]]),
            health={}, caches=[], proof=Proof("tiny", **given["proof"]), seconds=600,
        )
    except EngineError as error:
        say_refused("0" * 40, error.reasons)
        raise
    say("it is ready")
    while not os.path.exists("stop"):
        time.sleep(0.02)
    engine.stop()
    say("stopped")
    while True: time.sleep(1)
"""

# The shims fork where SGLang spawns, for speed.
SPAWNING = f"""
import multiprocessing, runpy
real = multiprocessing.set_start_method
runpy.run_path({str(environment.ENGINE_SHIMS / "sitecustomize.py")!r}, run_name="sitecustomize")
multiprocessing.set_start_method = real
"""


@pytest.fixture(scope="module")
def interpreter(pytestconfig: pytest.Config) -> Path:
    if not pytestconfig.getoption("--engine"):
        pytest.skip("needs --engine")
    return engine_interpreter()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_model.write(folder, "zai-org/GLM-4.5-Air")
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    folder: Path, interpreter: Path, model: Path, *, spawn: bool = False, behind: tuple[str, ...] = ()
) -> Iterator[tuple[Container, str]]:
    """A container that starts the engine as the profile ``local-cpu`` says, and its URL.

    ``behind`` are words of the engine's command that its plan does not know of.
    """
    sglang: Any = load("local-cpu").data["sglang"]
    server = plan_of(load("local-cpu"))[0].data()["server"]
    release = catalog.load(environment.ENGINE_VERSION)
    settings, problems = command.read(sglang["args"], release)
    assert not problems
    port = free_port()
    words = command.server_command(settings, release, model_path=str(model), served_name="tiny", port=port)
    variables = {
        **environment.engine_variables(interpreter, folder),
        **sglang["env"],
        "SGLANG_CUDA_COREDUMP_BEFORE_CRASH": "0",
        "HERE": str(folder),
    }
    if spawn:
        (folder / "spawning").mkdir()
        (folder / "spawning" / "sitecustomize.py").write_text(SPAWNING)
        variables["PYTHONPATH"] = str(folder / "spawning")
    given = {
        "command": [str(interpreter), *words[1:], "--host", "127.0.0.1", *behind],
        "environment": variables,
        "port": port,
        "proof": {name: server[name] for name in ("expected", "tolerate", "warmup", "checks")},
    }
    (folder / "given.json").write_text(json.dumps(given))
    with container(folder, PROGRAM, API_KEY=KEY, PYTHONPATH=str(ROOT)) as one:
        yield one, f"http://127.0.0.1:{port}"


def test_it_proves_itself(tmp_path: Path, interpreter: Path, model: Path) -> None:
    with running(tmp_path, interpreter, model) as (one, _):
        one.said("it is ready")
        told = [line for line in one.output().splitlines() if line.startswith("glmdeploy ")]
    assert [line.split(" took ")[0] for line in told] == [
        "glmdeploy start imports",
        "glmdeploy start loading weights",
        "glmdeploy start memory and graphs",
        "glmdeploy start warm-up",
    ]
    assert told[-1].endswith(": a prompt of 2025 tokens, then 8 requests at a time")
    assert "SGLang is ready after" in told[-2]


def test_an_option_changed_behind_the_plan_is_refused(
    tmp_path: Path, interpreter: Path, model: Path, fault: Fault
) -> None:
    behind = ("--max-running-requests", "4", "--max-total-tokens", "2048", "--context-length", "1024")
    with running(tmp_path, interpreter, model, behind=behind) as (one, url):
        assert one.wait() == 1
        [refused] = [line for line in one.output().splitlines() if line.startswith("glmdeploy refused ")]
        assert refused.partition(": ")[2].split("; ") == [
            "max_running_requests is 4, the plan says 8",
            "max_total_num_tokens is 2048, the plan says 3841 to 4096",
            "context_length is 1024, the plan says 2048",
        ]
        with pytest.raises(OSError, match="refused"):
            status(url, KEY)
    assert "glmdeploy start warm-up" not in one.output()
    fault("engine that runs other values than planned", refused.partition(": ")[2], engine=REAL)


def test_another_model_behind_the_plan_is_refused(tmp_path: Path, interpreter: Path, model: Path) -> None:
    with running(
        tmp_path, interpreter, model, behind=("--served-model-name", "another", "--tool-call-parser", "qwen25")
    ) as (
        one,
        _,
    ):
        assert one.wait() == 1
    assert (
        "refused 0000000000000000000000000000000000000000 unknown: /v1/models: it does not serve tiny" in one.output()
    )


def status(url: str, key: str | None) -> int:
    request = urllib.request.Request(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def stream(url: str, tokens: int) -> Any:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Go on."}], "max_tokens": tokens, "stream": True}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        data=json.dumps({**body, "ignore_eos": True}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
    )
    return urllib.request.urlopen(request, timeout=PATIENCE)


def part(one: Container, title: str) -> int:
    """The id of the engine's process with this title."""
    [pid] = [pid for pid, words in one.members().items() if words.startswith(title)]
    return pid


@pytest.mark.parametrize("spawn", [True, False], ids=["spawned", "forked"])
def test_nobody_sees_the_key(tmp_path: Path, interpreter: Path, model: Path, spawn: bool) -> None:
    with running(tmp_path, interpreter, model, spawn=spawn) as (one, url):
        with Looker(one) as looker:
            one.said("it is ready")
        assert [status(url, key) for key in (None, "wrong", KEY)] == [401, 401, 200]
        assert not [text for text in looker.arguments | looker.environments if "ecret" in text]
        assert looker.looks > 50
        assert [words for words in looker.arguments if words.startswith("sglang::scheduler")]
        assert bool([words for words in looker.arguments if "multiprocessing.spawn" in words]) is spawn
        # It prints its arguments; and nothing of the key is anywhere in the output.
        assert "'api_key': '***'" in one.output()
        assert not any(piece in one.output() for piece in ("ecret", "0123456789"))
        (tmp_path / "stop").touch()
        one.said("stopped")
        assert list(one.members()) == [one.process.pid]
        assert "ecret" not in one.output()


def test_a_stop_lets_a_stream_end(tmp_path: Path, interpreter: Path, model: Path, fault: Fault) -> None:
    with running(tmp_path, interpreter, model) as (one, url):
        one.said("it is ready")
        with stream(url, 1500) as answer:
            lines = [answer.readline() for _ in range(10)]
            started = time.monotonic()
            (tmp_path / "stop").touch()
            lines += answer.readlines()
        assert lines[-2] == b"data: [DONE]\n"
        assert b'"finish_reason":"length"' in lines[-4].replace(b" ", b"")
        one.said("stopped")
        seconds = time.monotonic() - started
        assert list(one.members()) == [one.process.pid]
    sees = f"the stream comes to its end, and SGLang ends {seconds:.0f} s after it was asked to"
    fault("SIGTERM with a stream in flight", sees, engine=REAL)


@pytest.mark.parametrize("title", ["sglang::scheduler", "sglang::detokenizer", "engine"])
def test_a_killed_process_ends_the_container_and_leaves_nothing(
    tmp_path: Path, interpreter: Path, model: Path, title: str, fault: Fault
) -> None:
    with running(tmp_path, interpreter, model) as (one, _):
        one.said("it is ready")
        os.kill(part(one, str(interpreter) if title == "engine" else title), signal.SIGKILL)
        started = time.monotonic()
        assert one.wait() == 1
        seconds = time.monotonic() - started
        assert not one.members()
        last = one.output().splitlines()[-1]
        assert "SGLang ended with exit code -9 (SIGKILL): " in last
    fault(f"kill -9 of the {title.removeprefix('sglang::')}", last, engine=REAL, seconds=seconds)


def test_a_start_that_fails_leaves_nothing(tmp_path: Path, interpreter: Path, fault: Fault) -> None:
    with running(tmp_path, interpreter, tmp_path / "no-model") as (one, _):
        assert one.wait() == 1
        wait_until(lambda: not one.members())
        [said] = [line for line in one.output().splitlines() if "SGLang ended while starting: exit code" in line]
    fault("start that fails", said.partition("EngineError: ")[2] or said, engine=REAL)
