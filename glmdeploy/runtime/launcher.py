"""How SGLang gets the API key: through a pipe, so that no argument and no environment shows it.

SGLang reads a key from its arguments alone, or from a file that it puts before them (``--config``, which is ignored
without a word when written as one word, 0.5.10 to 0.5.23, ``server_args.py``). Arguments can be read by every process
in ``/proc/PID/cmdline``, but ``sys.argv`` is Python's own: a program of two lines reads the key, adds it there and runs
SGLang's module as ``python -m`` would. ``multiprocessing`` hands ``sys.argv`` to spawned children through a pipe.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence

from glmdeploy.runtime.masking import Mask
from glmdeploy.runtime.processes import Process

LAUNCHER = (
    "import os, runpy, sys\n"
    "with open(int(sys.argv[1]), 'rb') as pipe: key = pipe.read().decode()\n"
    "module, sys.argv[1:] = sys.argv[2], [*sys.argv[3:], '--api-key=' + key]\n"
    "del key, pipe\n"
    "runpy.run_module(module, run_name='__main__', alter_sys=True)\n"
)
"""The arguments: the number of the pipe's reading end, the module, the module's arguments. The pipe is closed before
the module runs; a key that begins with `-` would be taken too."""


def launch(
    command: Sequence[str],
    environment: Mapping[str, str],
    key: str | None,
    mask: Mask,
    see: Callable[[bytes], None] | None,
) -> Process:
    """Start SGLang's ``command``, ``python3 -m sglang.launch_server ...``, with the key where there is one.

    :raises OSError: when it cannot be started.
    :raises ValueError: when the command is another one.
    """
    if key is None:
        return Process(command, environment, mask, see=see)
    python, option, module, *arguments = command
    if option != "-m":
        raise ValueError(f"not `python3 -m MODULE ...`: {python} {option} ...")
    pipe, key_end = os.pipe()
    try:
        words = [python, "-c", LAUNCHER, str(pipe), module, *arguments]
        process = Process(words, environment, mask, see=see, pass_fds=(pipe,))
    except BaseException:
        os.close(key_end)
        raise
    finally:
        os.close(pipe)
    with contextlib.suppress(BrokenPipeError), os.fdopen(key_end, "wb") as file:  # it may have ended already
        file.write(key.encode())
    return process
