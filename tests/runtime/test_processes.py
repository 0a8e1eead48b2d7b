"""Children that end, crash, linger, hide and write too much: what is printed, what the end is called, what is left."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from container_process import ROOT, container
from support import PATIENCE

from glmdeploy.runtime.exits import explained

if TYPE_CHECKING:
    from pathlib import Path

START = """
    import os, signal, sys, time
    from glmdeploy.runtime.masking import Mask
    from glmdeploy.runtime.output import say
    from glmdeploy.runtime.processes import Process
    def start(code, *keys, **more):
        return Process([sys.executable, "-c", code], os.environ, Mask([], keys=keys), **more)
"""
"""The beginning of a container's program."""

CRASHES = 12
LINES = 2000

FAMILY = """
import os, signal, subprocess, sys, time
sleep = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1e6)"]
subprocess.Popen(sleep)                              # a child
subprocess.Popen(sleep, start_new_session=True)      # one that has left session and group
subprocess.Popen(sleep, process_group=0)             # one that has left the group
orphan = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)"
subprocess.run([sys.executable, "-c", orphan, *sleep])   # one that has lost its parent, too
subprocess.Popen(sleep, env={"HERE": os.environ["HERE"]}, stdout=subprocess.DEVNULL)
print("family complete", flush=True)
"""
"""A program that starts five processes, none of which heeds SIGTERM. It says when all have begun."""


def test_no_last_line_of_a_crash_is_lost(tmp_path: Path) -> None:
    """A container that crashes with much output, many times, several at once on few processors."""
    code = f"""{START}
    child = start('''if 1:
        import os, signal
        for number in range({LINES}):
            print(f"line {{number}} " + "x" * 200)
        print("Traceback: the reason", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    ''')
    child.wait()
    child.kill()
    say(f"ended with {{child.explained()}}")
    os._exit(1)
    """

    def crash(number: int) -> list[str]:
        folder = tmp_path / str(number)
        folder.mkdir()
        with container(folder, code) as one:
            assert one.wait() == 1
            assert not one.members()
            return one.output().splitlines()

    with ThreadPoolExecutor(4) as pool:
        for lines in pool.map(crash, range(CRASHES)):
            assert [line.split()[1] for line in lines[:LINES]] == [str(number) for number in range(LINES)]
            assert lines[LINES] == "Traceback: the reason"
            assert lines[LINES + 1].startswith("ended with exit code -9 (SIGKILL): ")
            assert len(lines) == LINES + 2


@pytest.mark.parametrize(
    ("rest", "ending"),
    {
        "it ends by itself": ("", "child.wait(); child.kill()"),
        "it fails": ("raise SystemExit(3)", "child.wait(); child.kill()"),
        "it crashes": ("os.kill(os.getpid(), signal.SIGSEGV)", "child.wait(); child.kill()"),
        "it is killed": ("time.sleep(1e6)", "child.kill()"),
        "it is stopped and heeds": ("time.sleep(1e6)", "child.stop(60)"),
        "it is stopped and ends in order": (
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); time.sleep(1e6)",
            "child.stop(60)",
        ),
        "it is stopped and does not heed": (
            "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(1e6)",
            "child.stop(0.1)",
        ),
        "it does not move": ("os.kill(os.getpid(), signal.SIGSTOP)", "child.stop(0.1)"),
        "the wait is interrupted": (
            "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(1e6)",
            "signal.setitimer(signal.ITIMER_REAL, 0.2); signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
            "    try:\n        child.stop(1e6)\n    except KeyboardInterrupt:\n        pass",
        ),
    }.values(),
)
def test_nothing_is_left(tmp_path: Path, rest: str, ending: str) -> None:
    code = f"""{START}
    import threading
    complete = threading.Event()
    child = start({FAMILY + rest!r}, see=lambda line: complete.set() if b"family complete" in line else None)
    complete.wait()
    workers = child.workers()
    say(f"{{len(workers)}} workers")
    {ending}
    say(f"left: {{child.workers()}}, ended: {{child.ended() is not None}}")
    say("and " + ("no" if not os.path.exists(f"/proc/{{child.pid}}") else "a") + " process of its number")
    time.sleep(1e6)
    """
    with container(tmp_path, code) as one:
        one.said("process of its number")
        assert "5 workers" in one.output()
        assert "left: [], ended: True\nand no process" in one.output()
        assert list(one.members()) == [one.process.pid]


def test_only_the_first_process_is_asked_to_end(tmp_path: Path) -> None:
    """SGLang drains on SIGTERM, and its schedulers end at once on it."""
    inner = """
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", '''
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("the scheduler was asked to end", flush=True))
print("begun", flush=True)
while True: time.sleep(0.1)
'''])
def drain(*_):
    print("draining", flush=True)
    time.sleep(0.5)
    print("drained", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, drain)
while True: time.sleep(0.1)
"""
    code = f"""{START}
    import threading
    begun = threading.Event()
    child = start({inner!r}, see=lambda line: begun.set())
    begun.wait()
    say(f"code {{child.stop(600)}}")
    """
    with container(tmp_path, code) as one:
        assert one.wait() == 0
        assert one.output().splitlines() == ["begun", "draining", "drained", "code 0"]


def test_the_container_itself_and_its_other_children_live_on(tmp_path: Path) -> None:
    code = f"""{START}
    import subprocess
    before = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    child = start("print(1)")
    same_group = subprocess.Popen(["sleep", "1000"])
    child.wait()
    child.kill()
    say(f"others: {{before.poll()}} {{same_group.poll()}}")
    """
    with container(tmp_path, code) as one:
        assert one.wait() == 0
        assert "others: None None" in one.output()


def test_the_group_is_in_the_session_of_the_container(tmp_path: Path) -> None:
    code = f"""{START}
    child = start("import os; print(os.getsid(0), os.getpgrp() == os.getpid(), os.getppid())")
    child.wait()
    child.kill()
    say(f"{{os.getsid(0)}} True {{os.getpid()}}")
    """
    with container(tmp_path, code) as one:
        assert one.wait() == 0
        first, second = one.output().splitlines()
        assert first == second


def test_a_child_gets_its_environment_and_no_other_descriptor(tmp_path: Path) -> None:
    code = f"""{START}
    secret = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(secret, True)
    child = Process([sys.executable, "-c", "import os; print(sorted(os.environ), os.listdir('/proc/self/fd'))"],
                    {{"ONLY": "this"}}, Mask([]))
    child.wait()
    child.kill()
    """
    with container(tmp_path, code) as one:
        assert one.wait() == 0
        variables, descriptors = re.fullmatch(r"(\[.*\]) (\[.*\])\n", one.output()).groups()  # type: ignore[union-attr]
        assert "ONLY" in variables
        assert "HERE" not in variables
        assert sorted(ast.literal_eval(descriptors)) == [
            "0",
            "1",
            "2",
            "3",
        ]  # the last one is the folder that is listed


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    code = f"""{START}
    try:
        Process(["./nothing"], os.environ, Mask([]))
    except FileNotFoundError as error:
        say(f"no {{error.filename}}, {{len(os.listdir('/proc/self/fd'))}} descriptors")
    """
    with container(tmp_path, code) as one:
        assert one.wait() == 0
        assert one.output() == "no ./nothing, 4 descriptors\n"


@pytest.mark.parametrize(
    ("code", "said"),
    {
        -9: r"exit code -9 \(SIGKILL\): out of memory .* SGLang ended itself.*Xid",
        137: r"exit code 137 \(SIGKILL\): out of memory",
        -11: r"exit code -11 \(SIGSEGV\): a fault in native code",
        -6: r"exit code -6 \(SIGABRT\): aborted by one of its libraries, as on a CUDA or NCCL error",
        -7: r"exit code -7 \(SIGBUS\): no room in shared memory",
        -15: r"exit code -15 \(SIGTERM\): ended from outside",
        -2: r"exit code -2 \(SIGINT\): interrupted",
        0: r"exit code 0: it ended in order, though nobody had asked it to",
        1: r"exit code 1: a Python exception, which stands above",
        2: r"exit code 2: its arguments were refused, as said above",
        17: r"exit code 17",
        -60: r"exit code -60 \(SIGRTMAX-4\)|exit code -60",
        255: r"exit code 255",
    }.items(),
)
def test_exit_codes_are_explained(code: int, said: str) -> None:
    assert re.match(said, explained(code))


def test_what_is_known_of_an_end_comes_before_what_its_code_may_mean() -> None:
    assert explained(-9, memory_kills=1).endswith(
        ": the container's memory did not suffice, and the kernel ended a process"
    )
    assert explained(-9, "torch.OutOfMemoryError: CUDA out of memory. Tried").endswith(
        ": the GPU's memory did not suffice"
    )
    assert explained(-6, "NVRM: Xid (PCI:0000:3b:00): 79").endswith(": a GPU's fault")
    assert explained(1, "OSError: [Errno 98] Address already in use").endswith(": its port is taken")


def test_without_proc_the_group_ends(tmp_path: Path) -> None:
    """As on macOS: what has not left the group ends all the same."""
    code = f"""{START}
    import pathlib, glmdeploy.runtime.processes as processes
    processes.PROC = pathlib.Path("absent")
    child = start("import subprocess; subprocess.Popen(['sleep', '1000']); print('begun', flush=True)")
    child.wait()
    child.kill()
    say("ended")
    time.sleep(1e6)
    """
    with container(tmp_path, code) as one:
        one.said("ended")
        assert "begun" in one.output()
        assert list(one.members()) == [one.process.pid]


def test_a_signal_reaches_a_container_that_stops_its_child(tmp_path: Path) -> None:
    """Ctrl-C and the end of a container come as signals to the first process alone."""
    code = f"""{START}
    import threading
    complete = threading.Event()
    child = start({FAMILY + "time.sleep(1e6)"!r}, see=lambda line: complete.set())
    try:
        complete.wait()
        say("begun")
        child.wait()
    finally:
        child.kill()
    """
    with container(tmp_path, code) as one:
        one.said("begun")
        os.kill(one.process.pid, signal.SIGINT)
        one.wait()
        assert not one.members()


def test_the_module_needs_nothing_but_the_standard_library() -> None:
    code = "import sys; sys.modules['modal'] = None; import glmdeploy.runtime.engine, glmdeploy.runtime.kernels"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, check=False, timeout=PATIENCE)
    assert done.returncode == 0
