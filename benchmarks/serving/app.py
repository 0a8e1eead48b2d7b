"""The paced engine as a web function: a container that starts it as a deployment starts SGLang, behind the pump."""

import os
import sys
from pathlib import Path

import modal

from glmdeploy.runtime.launcher import launch
from glmdeploy.runtime.masking import Mask

PORT = int(os.environ.get("GLMDEPLOY_LOCAL_PORT", "8000"))
ENGINE = Path(__file__).with_name("engine.py")

image = modal.Image.debian_slim().add_local_python_source("glmdeploy").add_local_file(ENGINE, "/root/engine.py")
app = modal.App("serving-benchmark", image=image)


def start() -> None:
    """Start the engine, with a secret that is looked for in all that it prints."""
    launch([sys.executable, str(ENGINE), str(PORT)], os.environ, None, Mask([], keys=["sk-of-the-benchmark"]), None)


@app.cls(max_containers=1, scaledown_window=1000, timeout=1000)
@modal.concurrent(max_inputs=1000)
class Wide:
    @modal.web_server(PORT, startup_timeout=60)
    def serve(self) -> None:
        start()


@app.cls(max_containers=1, scaledown_window=1000, timeout=1000)
@modal.concurrent(max_inputs=8)
class Narrow:
    """With as many inputs as profiles/local-cpu.yaml: further streams wait for their turn."""

    @modal.web_server(PORT, startup_timeout=60)
    def serve(self) -> None:
        start()
