"""A container with an engine that does as SGLang does, or does not: what the tests of starts and ends share."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from container_process import container

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from container_process import Container

KEY = 'sk-it\'s a "very" $ecret \\ key/+%&<>=0123456789'
"""Usable, and different in every language."""

ENGINE = '''
"""Does as SGLang does, but for what the variable DOES says."""
import json, os, subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DOES = os.environ["DOES"]
KEY = next((word.removeprefix("--api-key=") for word in sys.argv if word.startswith("--api-key=")), None)
ASKED = {"/health": 0}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            ASKED["/health"] += 1
            if DOES == "nonsense" or (DOES == "nonsense first" and ASKED["/health"] < 4):
                self.wfile.write(b"\\x16\\x03\\x01 what?\\r\\n")
            elif DOES == "never healthy":
                self.answer(503)
            else:
                self.answer(200)
        elif DOES == "open" or self.key() == (KEY or "") or (DOES == "any key" and self.key()):
            self.answer(200, '{"data": [{"id": "m"}]}')
        else:
            self.answer(500 if DOES == "broken" else 401)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if DOES == "crash in the first request":
            print("CUDA out of memory. Tried to allocate", flush=True)
            os._exit(1)
        if DOES == "cut answer":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
        elif DOES == "no answer":
            time.sleep(1e6)
        elif KEY is not None and self.key() != KEY or DOES == "refuse":
            self.answer(400, f"no, {self.key()}")
        else:
            self.answer(200, '{"choices": [{"message": {"content": "Hello"}}]}')

    def key(self):
        return (self.headers["Authorization"] or "").removeprefix("Bearer ")

    def answer(self, code, text="{}"):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass

if __name__ == "__main__":
    print("arguments:", sys.argv, flush=True)
    subprocess.Popen(["sleep", "1000"])
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    if DOES == "end at once":
        print("ValueError: no such model", flush=True)
        sys.exit(1)
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler)
    threading.Thread(target=server.serve_forever).start()
    while DOES != "crash later" or not os.path.exists("crash"):
        time.sleep(0.05)
    for number in range(2000):
        print("line", number)
    print("the last words", flush=True)
    os.kill(os.getpid(), 9)
'''

PROGRAM = """
    import os, signal, sys, threading, time
    import glmdeploy.runtime.engine as engines
    from glmdeploy.runtime.engine import Engine, EngineError, Proof, start_engine
    from glmdeploy.runtime.keys import without_secrets
    from glmdeploy.runtime.masking import Mask
    from glmdeploy.runtime.output import say
    key = os.environ.get("API_KEY")
    def begin(seconds=600):
        return start_engine(
            [sys.executable, "-m", "sglang.launch_server", "--model-path", "a model", "--port", os.environ["PORT"]],
            without_secrets(os.environ, ["API_KEY"]), port=int(os.environ["PORT"]), api_key=key,
            mask=Mask([], keys=[key] if key else []), health=health, caches=[], seconds=seconds,
            proof=Proof("m", {}, [], None, ["chat"]),
        )
    health = {}
"""


def put_engine(folder: Path) -> Path:
    """Put the engine where :func:`running` finds it; returns what is to be in ``PYTHONPATH``."""
    package = folder / "path" / "sglang"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "launch_server.py").write_text(ENGINE)
    return package.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def running(
    folder: Path, code: str, does: str, key: str | None = KEY, **more: str
) -> AbstractContextManager[Container]:
    path = f"{folder / 'path'}:{Path(__file__).parents[1]}"
    variables = {"DOES": does, "PORT": str(free_port()), "PYTHONPATH": path, **more}
    return container(folder, code, **variables, **({} if key is None else {"API_KEY": key}))
