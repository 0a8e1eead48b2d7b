"""Stage 3: the class whose containers serve."""

from __future__ import annotations

import os
import time
from typing import Any

import modal

from glmdeploy.runtime.engine import Engine, start_engine
from glmdeploy.runtime.hosting import local_command, local_folder, local_port
from glmdeploy.runtime.mounted import PLAN
from glmdeploy.runtime.stages import engine_env, mounts, plan


def define(port: int, **web_server: Any) -> type[Any]:
    """The class ``Server`` for a port and the other keywords of ``@modal.web_server``.

    Modal reads them from the decorators of the methods, at import in the container and at build time here.
    """

    class Server:
        @modal.enter()
        def start(self) -> None:
            self.engine = start(plan())

        @modal.web_server(local_port(port), **web_server)
        def serve(self) -> None:
            """SGLang already listens: Modal calls this after ``start``."""

        @modal.exit()
        def stop(self) -> None:
            self.engine.stop()

    Server.__qualname__ = "Server"  # Modal imports it by this name from this module
    return Server


def start(deployed: dict[str, Any]) -> Engine:
    """Reload the volumes and start SGLang as the plan says.

    :raises EngineError:
    """
    started = time.monotonic()
    for role in ("weights", "kernels"):
        if role in deployed:
            modal.Volume.from_name(deployed[role]["name"]).reload()
    secret, server = deployed.get("api_key"), deployed["server"]
    return start_engine(
        local_command(server["command"], mounts()),
        env=engine_env("server"),
        port=local_port(server["port"]),
        api_key=os.environ[secret["keys"][0]] if secret else None,
        model_path=local_folder(deployed["model"]["path"]),
        served_name=deployed["model"]["served_name"],
        seconds=server["gives_up_after"] - (time.monotonic() - started),
    )


if PLAN is not None:  # in a container, which needs no more of the decorator than this; the script has its own line
    Server = define(plan()["server"]["port"], startup_timeout=plan()["server"]["startup_timeout"])
