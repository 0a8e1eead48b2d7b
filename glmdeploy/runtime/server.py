"""Stage 3: the class whose containers serve."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import modal

from glmdeploy.runtime import stages
from glmdeploy.runtime.engine import SETTLE_SECONDS, Engine, start_engine
from glmdeploy.runtime.hosting import local_command, local_folder, local_port


def define(port: int, startup_timeout: int) -> type[Any]:
    """The class ``Server`` for a port and a start-up limit in seconds.

    Modal reads both from the decorators of the methods, at import in the container and at build time here.
    """

    class Server:
        @modal.enter()
        def start(self) -> None:
            self.engine = start(stages.plan())

        @modal.web_server(port, startup_timeout=startup_timeout)
        def serve(self) -> None:
            """SGLang already listens: Modal calls this after ``start``."""

        @modal.exit()
        def stop(self) -> None:
            self.engine.stop()

    Server.__qualname__ = "Server"  # Modal imports it by this name from this module
    return Server


def start(plan: dict[str, Any]) -> Engine:
    """Reload the volumes and start SGLang as the plan says. Raises EngineError."""
    started = time.monotonic()
    for role in ("weights", "kernels"):
        if role in plan:
            modal.Volume.from_name(plan[role]["name"]).reload()
    secret = plan.get("api_key")
    return start_engine(
        local_command(plan["server"]["command"], stages.mounts()),
        env=stages.engine_env(),
        port=local_port(plan["server"]["port"]),
        api_key=os.environ[secret["keys"][0]] if secret else None,
        model_path=local_folder(plan["model"]["path"]),
        served_name=plan["model"]["served_name"],
        seconds=plan["server"]["startup_timeout"] - SETTLE_SECONDS - (time.monotonic() - started),
    )


if Path(__file__).with_name(stages.PLAN_FILE).exists():  # in a container
    Server = define(local_port(stages.plan()["server"]["port"]), stages.plan()["server"]["startup_timeout"])
