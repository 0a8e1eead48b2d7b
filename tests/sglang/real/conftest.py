"""The real SGLang: its recorded answers, and itself where it is asked. See ``sglang_record.py``."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from real_engine import engine_interpreter
from sglang_record import PROBES, Recorder, programs

from glmdeploy.errors import GlmdeployError
from glmdeploy.local import tiny_model
from glmdeploy.profile.text.load import load
from glmdeploy.sglang import catalog, command
from glmdeploy.sglang.real import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.sglang.real.oracle import Answers

PATIENCE = 600
"""Seconds until the engine must serve; on a free machine with two cores it does after 15."""

SHARDING = (
    *("tp_size", "dp_size", "attn_dp_size", "pp_size", "moe_dense_tp_size"),
    *("enable_dp_attention", "enable_dp_lm_head", "moe_a2a_backend"),
)
"""What of the engine's settings decides how it shards a model."""


@pytest.fixture(scope="session")
def recorder(pytestconfig: pytest.Config) -> Iterator[Recorder]:
    cache = os.environ.get("GLMDEPLOY_ORACLE")
    options = {"ask": pytestconfig.getoption("--ask-sglang"), "write": pytestconfig.getoption("--record")}
    if options["write"] and "PYTEST_XDIST_WORKER" in os.environ:
        raise pytest.UsageError("only one process can record: add -n 0")
    recorder = Recorder(**options, cache=Path(cache) if cache else None)
    yield recorder
    recorder.close()


@pytest.fixture(scope="session")
def oracle(recorder: Recorder) -> Callable[[str], Answers]:
    """The real SGLang of a release, recorded."""
    return recorder.oracle


@pytest.fixture(scope="session")
def engine(
    recorder: Recorder, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[dict[str, Any], dict[str, Any]]]:
    """Serves a tiny model as the profile ``local-cpu`` would, with ``options`` beside its own; or knows what that told.

    Returned are the model's configuration, and what the engine said of itself while it served, recorded.
    """

    def serve(repo: str, options: dict[str, str | int]) -> tuple[dict[str, Any], dict[str, Any]]:
        scratch = tmp_path_factory.mktemp("engine")
        tiny_model.write(scratch / "model", repo)
        config: dict[str, Any] = json.loads((scratch / "model" / "config.json").read_text())
        own = load("local-cpu").data["sglang"]
        assert own["version"] == environment.ENGINE_VERSION
        args, env = {**own["args"], **options}, own["env"]
        program = programs((*PROBES[1:], environment.ENGINE_LOCK, environment.ENGINE_SHIMS / "sitecustomize.py"))
        question = {"config": config, "args": args, "env": env}
        return config, recorder.record(environment.ENGINE_VERSION).answer(
            "engine", program, question, lambda: ask(scratch, args, env)
        )

    return serve


def ask(scratch: Path, args: dict[str, Any], env: dict[str, str]) -> dict[str, Any]:
    """What the real engine says of itself, with the checkpoint in ``scratch / "model"``.

    :raises GlmdeployError: if it cannot be installed, or does not serve.
    """
    interpreter = engine_interpreter()
    release = catalog.load(environment.ENGINE_VERSION)
    settings, problems = command.read(args, release)
    assert not problems
    port = free_port()
    model = str(scratch / "model")
    words = command.server_command(settings, release, model_path=model, served_name="tiny", port=port)
    log = scratch / "engine.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(interpreter), *words[1:], "--host", "127.0.0.1"],
            env={**environment.engine_variables(interpreter, scratch), **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, log, process)
        info = json.loads(get(f"{url}/server_info"))
        metrics = re.findall(r"^sglang:(\w+){.*} (\S+)$", get(f"{url}/metrics"), re.MULTILINE)
    finally:
        # Its other processes are in its group; none has anything to lose.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    [state] = info["internal_states"]
    return {
        "info": {name: info[name] for name in (*SHARDING, "max_total_num_tokens")},
        "token_capacity": state["memory_usage"]["token_capacity"],
        "metrics": {name: float(value) for name, value in metrics if "total_num_tokens" in name or "kv_cache" in name},
        "allocated": re.findall(r"KV Cache is allocated\..*", log.read_text(errors="replace")),
    }


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=300) as answer:
        return str(answer.read().decode())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(url: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            get(f"{url}/health")
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
        else:
            return
    last_words = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
    raise GlmdeployError(f"the engine does not serve (exit code {process.poll()})", advice=last_words)
