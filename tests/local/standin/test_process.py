"""The life of a stand-in engine: its arguments, its end, what keeps it from starting, and what it compiles."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import pytest
from standin_process import ARGUMENTS, KEY, Engine, command, environment, free_port, run, start
from support import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path


def test_sigterm_finishes_running_requests(model: Path, container: Path, tmp_path: Path) -> None:
    engine = start(model, container, tmp_path / "log")
    engine.statuses_until_healthy()
    assert engine.ask("/metrics")[0] == 404  # not enabled
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 600, "ignore_eos": True}
    found: list[list[dict[str, Any]]] = []
    client = threading.Thread(target=lambda: found.append(engine.events("/v1/chat/completions", body)))
    client.start()
    while not engine.ask("/server_info")[1]["internal_states"][0]["num_running_reqs"]:
        pass
    engine.process.send_signal(signal.SIGTERM)
    assert engine.process.wait(timeout=PATIENCE) == 0
    client.join()
    assert found[0][-1]["choices"][0]["finish_reason"] == "length"
    assert "Draining requests" in engine.log.read_text()


def test_a_crash_file_kills_it_even_while_it_starts(model: Path, container: Path, tmp_path: Path) -> None:
    crash = tmp_path / "crash"
    variables = {"GLMDEPLOY_STANDIN_CRASH_FILE": str(crash), "GLMDEPLOY_STANDIN_START_SECONDS": "60"}
    engine = start(model, container, tmp_path / "log", **variables)
    while "Listening on" not in engine.log.read_text():
        assert engine.process.poll() is None
        time.sleep(0.02)
    assert engine.ask("/health")[0] == 503
    crash.touch()
    assert engine.process.wait(timeout=PATIENCE) == -signal.SIGKILL


def test_a_hang_file_stops_every_answer_until_it_is_gone(model: Path, container: Path, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    variables = {"GLMDEPLOY_STANDIN_HANG_FILE": str(hang), "SGLANG_HEALTH_CHECK_TIMEOUT": "1"}
    engine = start(model, container, tmp_path / "log", *ARGUMENTS, **variables)
    try:
        engine.statuses_until_healthy()
        hang.touch()
        # As SGLang with a scheduler that does not answer: its own limit, then 503.
        began = time.monotonic()
        assert engine.ask("/health", key=None)[0] == 503
        assert time.monotonic() - began >= 1
        with ThreadPoolExecutor() as threads:
            asked = [threads.submit(engine.ask, "/v1/models"), threads.submit(engine.chat, "Hi")]
            assert not wait(asked, timeout=1).done
            hang.unlink()
            assert [each.result()[0] for each in asked] == [200, 200]
        assert engine.ask("/health", key=None)[0] == 200
    finally:
        engine.process.kill()
        engine.process.wait()


def test_a_hang_stops_streams(model: Path, container: Path, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    engine = start(model, container, tmp_path / "log", *ARGUMENTS, GLMDEPLOY_STANDIN_HANG_FILE=str(hang))
    try:
        engine.statuses_until_healthy()
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 900, "ignore_eos": True}
        with ThreadPoolExecutor() as threads:
            stream = threads.submit(engine.events, "/v1/chat/completions", body)
            while not engine.ask("/server_info")[1]["internal_states"][0]["num_running_reqs"]:
                pass
            hang.touch()
            assert not wait([stream], timeout=2).done
            hang.unlink()
            assert stream.result()[-1]["choices"][0]["finish_reason"] == "length"
    finally:
        engine.process.kill()
        engine.process.wait()


def test_it_logs_what_it_decodes_unless_told_not_to(model: Path, container: Path, tmp_path: Path) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2000, "ignore_eos": True}
    seen = {}
    for level in ("info", "warning"):
        engine = start(model, container, tmp_path / level, "--log-level", level, "--api-key", KEY)
        try:
            engine.statuses_until_healthy()
            engine.chat("Hi", **{name: value for name, value in body.items() if name != "messages"})
        finally:
            engine.process.kill()
            engine.process.wait()
        seen[level] = engine.log.read_text()
    pattern = r"\] Decode batch, #running-req: 1, #token: \d+, token usage: 0\.\d\d, .*: [\d.]+, #queue-req: 0\n"
    assert re.search(pattern, seen["info"])
    assert "Decode batch" not in seen["warning"]
    assert KEY not in seen["warning"]
    assert "no model runs here" in seen["warning"]


def test_a_start_that_fails(model: Path, container: Path) -> None:
    done = run(container, *command("launch_server", model), GLMDEPLOY_STANDIN_FAIL_START="1")
    assert done.returncode == 1
    assert "GLMDEPLOY_STANDIN_FAIL_START is set, so the stand-in fails its start" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_launcher_may_start_it_with_a_key_that_no_argument_shows(
    model: Path, container: Path, tmp_path: Path
) -> None:
    launcher = (
        "import runpy, sys; sys.argv += ['--api-key', sys.stdin.readline().strip()]; "
        "runpy.run_module('sglang.launch_server', run_name='__main__', alter_sys=True)"
    )
    port = free_port()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", launcher, "--model-path", str(model), "--port", str(port)],
            cwd=container,
            env=environment(container),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        )
    engine = Engine(process=process, port=port, log=log)
    try:
        assert process.stdin is not None
        process.stdin.write(f"{KEY}\n".encode())
        process.stdin.close()
        engine.statuses_until_healthy()
        assert engine.ask("/v1/models", key=None)[0] == 401
        assert engine.ask("/v1/models")[0] == 200
    finally:
        process.kill()
        process.wait()


def test_a_port_in_use(engine: Engine, model: Path, container: Path) -> None:
    done = run(container, *command("launch_server", model, "--port", str(engine.port)))
    assert done.returncode == 1
    assert "address already in use" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["--tp", "eight"], "argument --tensor-parallel-size/--tp-size: invalid int value: 'eight'"),
        (["--kv-cache-dtype", "fp8"], "invalid choice: 'fp8'"),
    ],
)
def test_wrong_arguments_are_refused_as_argparse_does(
    model: Path, container: Path, arguments: list[str], message: str
) -> None:
    done = run(container, *command("launch_server", model, *arguments))
    assert done.returncode == 2
    assert done.stderr.splitlines()[2].startswith("usage: launch_server.py [-h]")
    assert message in done.stderr


def test_a_release_without_a_catalog(model: Path, container: Path) -> None:
    done = run(container, *command("launch_server", model), GLMDEPLOY_STANDIN_SGLANG_VERSION="0.4.0")
    assert done.returncode == 1
    assert "there is no option catalog of SGLang 0.4.0" in done.stderr


def test_a_model_that_cannot_be_loaded(model: Path, container: Path, tmp_path: Path) -> None:
    broken = tmp_path / "model"
    shutil.copytree(model, broken)
    (broken / "model-00001-of-00002.safetensors").unlink()
    done = run(container, *command("launch_server", broken))
    assert done.returncode == 1
    assert "FileNotFoundError: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_compile_deep_gemm(model: Path, container: Path, tmp_path: Path) -> None:
    words = command("compile_deep_gemm", model, "--tp", "8", "--timeout", "60")
    done = run(container, *words, SGLANG_DG_CACHE_DIR=str(tmp_path / "dg"))
    assert done.returncode == 0, done.stderr
    assert "what it writes are not kernels" in done.stdout
    assert "DeepGEMM Kernels compilation finished successfully." in done.stdout
    kernels = sorted((tmp_path / "dg" / "cache").glob("kernel.*.*"))
    assert kernels
    for kernel in kernels:
        assert "stand-in" in (kernel / "kernel.cubin").read_text()


def test_compile_deep_gemm_with_a_key_fails_at_once_where_sglang_hangs(
    model: Path, container: Path, tmp_path: Path
) -> None:
    words = command("compile_deep_gemm", model, "--api-key", KEY)
    done = run(container, *words, SGLANG_DG_CACHE_DIR=str(tmp_path / "dg"))
    assert done.returncode == 1
    assert "TimeoutError" in done.stderr
    assert "polls its server without a key" in done.stderr
    assert KEY not in done.stderr
    assert not (tmp_path / "dg").exists()


def test_a_real_engine_that_is_asked_for_and_is_not_there_is_no_stand_in(model: Path, container: Path) -> None:
    asked = {"GLMDEPLOY_LOCAL_ENGINE": "sglang", "GLMDEPLOY_STANDIN_SGLANG_VERSION": "0.5.23"}
    variables = {name: value for name, value in environment(container).items() if not name.endswith("START_SECONDS")}
    words = command("launch_server", model, "--device", "cpu")
    done = subprocess.run(words, cwd=container, env={**variables, **asked}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == (
        "Engine: GLMDEPLOY_LOCAL_ENGINE asks for the real SGLang, which cannot be: the real engine is not installed"
    )
