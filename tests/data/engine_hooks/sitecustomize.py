"""Lets a test hang the main thread of any process of the engine, and let it go on: a deadlock, as others see it.

SIGUSR2 does it, which SGLang does not use: the handler opens the FIFO that ``ENGINE_HOLD`` names, and waits there until
somebody opens it to write. Other threads go on, and the kernel shows a sleeping process, not a stopped one.

Python imports one module of this name, the first on its path; the next one is the shims'.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path


def hold(_number, _frame):
    with open(os.environ["ENGINE_HOLD"]) as fifo:  # noqa: PTH123
        fifo.read()


others = [Path(folder, Path(__file__).name) for folder in sys.path if Path(folder) != Path(__file__).parent]
for file in [file for file in others if file.exists()][:1]:
    spec = importlib.util.spec_from_file_location("sitecustomize_of_the_shims", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

signal.signal(signal.SIGUSR2, hold)
