"""A web server in a class, as a stock script for Modal; only the port is taken from where it runs."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import modal

CONFIGURED = int(os.environ.get("WEBSITE_PORT", "8000"))
PORT = int(os.environ.get("GLMDEPLOY_LOCAL_PORT", str(CONFIGURED)))


def hold(query: dict[str, list[str]]) -> None:
    """Say in the folder ``hold``, if there is one, that a request has come, and wait for a file ``go`` there."""
    for folder in query.get("hold", []):
        (Path(folder) / f"{os.environ['MODAL_TASK_ID']}.{uuid.uuid4().hex}").touch()
        while not (Path(folder) / "go").exists():
            time.sleep(0.02)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hang_ups = 0
    busy = 0
    most_busy = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        with self.lock:
            Handler.busy += 1
            Handler.most_busy = max(Handler.most_busy, Handler.busy)
        try:
            getattr(self, f"get_{parts.path.strip('/') or 'root'}")(parse_qs(parts.query))
        finally:
            with self.lock:
                Handler.busy -= 1

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def get_root(self, query: dict[str, list[str]]) -> None:
        self.answer(f"{self.path} for {self.headers['X-Forwarded-Prefix']}".encode())

    def get_task(self, query: dict[str, list[str]]) -> None:
        hold(query)
        self.answer(os.environ["MODAL_TASK_ID"].encode())

    def get_version(self, query: dict[str, list[str]]) -> None:
        hold(query)
        self.answer(os.environ.get("VERSION", "").encode())

    def get_busy(self, query: dict[str, list[str]]) -> None:
        self.answer(str(Handler.most_busy).encode())

    def get_hangups(self, query: dict[str, list[str]]) -> None:
        self.answer(str(Handler.hang_ups).encode())

    def get_redirect(self, query: dict[str, list[str]]) -> None:
        self.answer(b"", status=302, Location="/task")

    def get_die(self, query: dict[str, list[str]]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def get_stream(self, query: dict[str, list[str]]) -> None:
        """Server-sent events, until the client hangs up or ``count`` were sent."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for number in range(int(query["count"][0])):
                self.wfile.write(f"data: {number}\n\n".encode())
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            Handler.hang_ups += 1

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


SETTINGS = {name: os.environ.get(name, default) for name, default in (("VERSION", ""), ("WEB_SERVER", "{}"))}
image = modal.Image.debian_slim().env({"WEBSITE_PORT": str(CONFIGURED), **SETTINGS})
app = modal.App("website", image=image)


@app.cls(max_containers=2, scaledown_window=5, secrets=[modal.Secret.from_dict({"KEY": "sk-of-the-website"})])
@modal.concurrent(max_inputs=2)
class Website:
    @modal.web_server(PORT, startup_timeout=600, **json.loads(os.environ.get("WEB_SERVER", "{}")))
    def serve(self) -> None:
        self.process = subprocess.Popen([sys.executable, __file__])

    @modal.exit()
    def leave(self) -> None:
        print(f"{os.environ['MODAL_TASK_ID']} is leaving")
        self.process.terminate()


@app.cls(secrets=[modal.Secret.from_dict({"KEY": "sk-of-the-website"})])
class Broken:
    @modal.web_server(PORT, startup_timeout=600)
    def serve(self) -> None:
        raise RuntimeError(f"cannot start with {os.environ['KEY']}")


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
