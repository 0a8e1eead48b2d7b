"""A Server (`@app.server`), as a stock script for Modal; only the port is taken from where it runs."""

import json
import os
import subprocess
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import modal

CONFIGURED = int(os.environ.get("SERVER_PORT", "8000"))
PORT = int(os.environ.get("GLMDEPLOY_LOCAL_PORT", str(CONFIGURED)))
SETTINGS = json.loads(os.environ.get("SETTINGS", "{}"))
"""Keywords of the decorator."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if parts.path == "/stream":
            self.stream(query)
            return
        for folder in query.get("hold", []):
            (Path(folder) / f"{os.environ['MODAL_TASK_ID']}.{uuid.uuid4().hex}").touch()
            while not (Path(folder) / "go").exists():
                time.sleep(0.02)
        what = {
            "/version": os.environ.get("VERSION", ""),
            "/task": os.environ["MODAL_TASK_ID"],
            "/headers": ",".join(self.headers),
        }
        self.answer(what.get(parts.path, self.path).encode())

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def stream(self, query: dict[str, list[str]]) -> None:
        """A line every tenth of a second, until there is a file ``go`` in the folder ``hold``."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        while not (Path(query["hold"][0]) / "go").exists():
            self.wfile.write(b"more\n")
            self.wfile.flush()
            time.sleep(0.1)
        self.wfile.write(b"end\n")

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()

else:
    names = ("SERVER_PORT", "VERSION", "SETTINGS", "GATE")
    image = modal.Image.debian_slim().env({name: os.environ[name] for name in names if name in os.environ})
    app = modal.App("server", image=image)

    @app.server(port=PORT, **{"unauthenticated": True, "scaledown_window": 6, "startup_timeout": 300, **SETTINGS})
    class Server:
        @modal.enter()
        def start(self) -> None:
            if gate := os.environ.get("GATE"):
                self.process = subprocess.Popen([sys.executable, __file__])
                print("behind the gate")
                while not (Path(gate) / "open").exists():
                    time.sleep(0.02)
                if (Path(gate) / "fail").exists():
                    raise RuntimeError("it does not start today")
            else:
                self.process = subprocess.Popen([sys.executable, __file__])

        @modal.exit()
        def stop(self) -> None:
            print(f"{os.environ['MODAL_TASK_ID']} is leaving")
            self.process.terminate()
