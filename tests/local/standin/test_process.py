"""The life of a stand-in engine: its arguments, its end, what keeps it from starting, and what it compiles."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from standin_process import KEY, command, run, start
from support import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from standin_process import Engine


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
    assert done.stderr.splitlines()[1].startswith("usage: launch_server.py [-h]")
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
