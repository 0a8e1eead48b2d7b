"""A web function, a Server and a function of one app, whose versions start slowly or never."""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import modal

PORT = int(os.environ.get("GLMDEPLOY_LOCAL_PORT", "8000"))
SETTINGS = json.loads(os.environ.get("SETTINGS", "{}"))
"""``version``, ``gate`` (a file whose appearance lets it start), ``fails``, and keywords of the decorators."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The version, six times in 0.3 s where the path is ``/stream``."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        for _ in range(6 if self.path == "/stream" else 1):
            self.wfile.write(f"{SETTINGS['version']} {os.environ['MODAL_TASK_ID']}\n".encode())
            self.wfile.flush()
            if self.path == "/stream":
                time.sleep(0.05)

    def log_message(self, *arguments: object) -> None:
        pass


def serve() -> None:
    if gate := SETTINGS.get("gate"):
        print(f"version {SETTINGS['version']} waits", flush=True)
        while not Path(gate).exists():
            time.sleep(0.02)
    if SETTINGS.get("fails"):
        raise RuntimeError(f"version {SETTINGS['version']} does not start")
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


image = modal.Image.debian_slim().env({"SETTINGS": json.dumps(SETTINGS)})
app = modal.App("rolling", image=image)
scaling = {"scaledown_window": 3600, **SETTINGS.get("scaling", {})}

if SETTINGS.get("kind") == "server":

    @app.server(port=PORT, unauthenticated=True, startup_timeout=300, exit_grace_period=60, **scaling)
    class Server:
        @modal.enter()
        def start(self) -> None:
            serve()

else:

    @app.cls(**scaling)
    @modal.concurrent(max_inputs=50)
    class Server:
        @modal.enter()
        def start(self) -> None:
            serve()

        @modal.web_server(PORT, startup_timeout=300)
        def serve(self) -> None:
            pass
