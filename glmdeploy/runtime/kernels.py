"""Stage 2: DeepGEMM kernels into the kernels volume, once for everything that decides them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from glmdeploy.runtime.engine import EngineError
from glmdeploy.runtime.markers import read_marker, write_marker
from glmdeploy.runtime.processes import Process

CHECK_SECONDS = 5


def compile_kernels(command: list[str], env: dict[str, str], key: str, volume: Path, seconds: float) -> dict[str, Any]:
    """Run SGLang's ``compile_deep_gemm`` unless it already ran for ``key``; the kernels lie in ``volume``.

    Returns the mark.

    SGLang's tool needs watching (``sglang/compile_deep_gemm.py``, 0.5.11): it does not notice when the server that it
    started dies, and polls on for an hour of rented GPUs; and after a failure it can wait for that server for ever. It
    never gets the API key: it polls without one, so that with a key it waits for itself in vain.

    :raises EngineError: when the tool fails or takes more than ``seconds``.
    """
    name = f"kernels-{key}.json"
    if marker := read_marker(volume, name):
        print(f"kernels for {key} are compiled, nothing to do", flush=True)
        return marker
    process = Process(command, env, [])
    deadline = time.monotonic() + seconds
    had_server = False
    while (code := process.wait(CHECK_SECONDS)) is None:
        has_server = bool(process.workers())
        late = time.monotonic() > deadline
        if late or (had_server and not has_server and process.wait(CHECK_SECONDS) is None):
            process.kill()
            reason = f"did not finish in {seconds:.0f} s" if late else "lost the server that it had started"
            raise EngineError(f"compile_deep_gemm {reason}\n{process.tail()}")
        had_server = has_server
    if code:
        raise EngineError(f"compile_deep_gemm ended with exit code {code}\n{process.tail()}")
    marker = {"key": key, "command": command}
    write_marker(volume, name, marker)
    print(f"kernels for {key} are compiled", flush=True)
    return marker
