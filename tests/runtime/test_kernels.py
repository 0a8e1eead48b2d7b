"""SGLang's compiler of kernels, which fails, forgets, hangs: nothing of it is left, and what it was is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from container_process import container
from fault_rows import NONE
from support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from fault_rows import Fault

TOOL = """
import os, signal, subprocess, sys, time
deaf = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1e6)"]
def worker(**more):
    return subprocess.Popen(deaf, **more)
print("Begin", flush=True)
"""

PROGRAM = """
    import os, sys, time
    from pathlib import Path
    import glmdeploy.runtime.kernels as kernels
    from glmdeploy.runtime.engine import EngineError
    from glmdeploy.runtime.output import say
    kernels.CHECK_SECONDS = 0.3
    volume = Path("volume")
    for _ in range(int(os.environ["TIMES"])):
        try:
            say(str(kernels.compile_kernels(
                [sys.executable, "-c", os.environ["TOOL"]], os.environ, "abc", volume, Path("caches"),
                float(os.environ["SECONDS"]),
            )["key"]))
        except EngineError as error:
            say(f"failed: {error!r}")
    say("left: " + " ".join(map(str, sorted(volume.rglob("*.json")))))
    while True: time.sleep(1)
"""

FAULTS = {
    "fails": ("worker(); worker(start_new_session=True); sys.exit(3)", "ended with exit code 3\nBegin\n"),
    "crashes": (
        "worker(start_new_session=True); os.kill(os.getpid(), signal.SIGKILL)",
        "ended with exit code -9 (SIGKILL): ",
    ),
    "loses its server": (
        "server = worker(); time.sleep(1); server.kill(); server.wait(); time.sleep(1e6)",
        "lost the server that it had started\nBegin\n",
    ),
    "hangs with its server": ("worker(); worker(start_new_session=True); time.sleep(1e6)", "did not finish in 10 s\n"),
    "hangs alone": (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1e6)",
        "did not finish in 10 s\nBegin\n",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_failed_compile_leaves_no_worker_and_no_mark(tmp_path: Path, name: str, fault: Fault) -> None:
    code, said = FAULTS[name]
    seconds = "10" if "hangs" in name else "600"
    with container(tmp_path, PROGRAM, TOOL=TOOL + code, SECONDS=seconds, TIMES="1") as one:
        one.said("left: ")
        wait_until(lambda: one.output().endswith("left: \n"))
        assert f"failed: compile_deep_gemm {said}" in one.output()
        assert list(one.members()) == [one.process.pid]
    fault(f"compiler of kernels that {name}", f"compile_deep_gemm {said.splitlines()[0]}", engine=NONE)


def test_a_compile_that_succeeds_is_not_repeated_and_leaves_no_worker(tmp_path: Path) -> None:
    tool = TOOL + "worker(); worker(start_new_session=True)"
    with container(tmp_path, PROGRAM, TOOL=tool, SECONDS="600", TIMES="2") as one:
        one.said("left: volume/.glmdeploy/kernels-abc.json\n")
        assert one.output().count("Begin") == 1
        assert one.output().splitlines()[1:5] == [
            "kernels for abc are compiled",
            "abc",
            "kernels for abc are compiled, nothing to do",
            "abc",
        ]
        assert list(one.members()) == [one.process.pid]


def test_a_compiler_that_does_not_exist(tmp_path: Path) -> None:
    code = PROGRAM.replace("[sys.executable,", "['./none',")
    with container(tmp_path, code, TOOL="", SECONDS="600", TIMES="1") as one:
        one.said("failed: compile_deep_gemm could not be started: [Errno 2] No such file or directory: './none'")
