"""A clustered Server: each rank says what it sees of its cluster, and the one of rank 0 answers with it."""

import json
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import modal

PORT = int(os.environ.get("GLMDEPLOY_LOCAL_PORT", "8000"))
SETTINGS = json.loads(os.environ.get("SETTINGS", "{}"))
"""``version``, ``size``, keywords of the decorator in ``server``, what the rank does of its number in ``ranks``:
``fail``, ``hang``, ``deaf``; ``crash`` and a file that makes it, ``linger`` and one that lets it end. ``gate`` is a
file without which the second container is not imported."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    said = ""

    def do_GET(self) -> None:
        """What rank 0 has said; where the path is a folder, not before it has a file ``go``."""
        while self.path != "/" and not (Path(self.path) / "go").exists():
            (Path(self.path) / "asked").touch()
            time.sleep(0.02)
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(Handler.said.encode())

    def log_message(self, *arguments: object) -> None:
        pass


def seen() -> dict[str, object]:
    cluster = modal.Cluster.from_context()
    return {
        "version": SETTINGS.get("version", 1),
        "rank": cluster.container_rank(),
        "cluster": cluster.object_id,
        "tasks": cluster.container_ids(),
        "me": os.environ["MODAL_TASK_ID"],
        "ips": cluster.container_ips(),
        "ipv4": cluster.container_ips("ipv4"),
        "own": socket.getaddrinfo("i6pn.modal.local", None, socket.AF_INET6)[0][4][0],
        "cloud": os.environ["MODAL_CLOUD_PROVIDER"],
        "port": os.environ["GLMDEPLOY_LOCAL_CLUSTER_PORT"],
        "peers": modal.experimental.get_fabric_peers(),
    }


def crash_at(file: str) -> None:
    while not Path(file).exists():
        time.sleep(0.02)
    os._exit(7)


if "gate" in SETTINGS and os.environ.get("GLMDEPLOY_LOCAL_ADDRESS", "").endswith(".2"):
    print("behind the gate", flush=True)
    while not Path(SETTINGS["gate"]).exists():
        time.sleep(0.02)

names = ("SETTINGS", *os.environ.get("MORE_NAMES", "").split())
image = modal.Image.debian_slim().env({name: os.environ[name] for name in names if name in os.environ})
app = modal.App("cluster", image=image)


@app.server(
    port=PORT,
    **{"unauthenticated": True, "scaledown_window": 600, "startup_timeout": 300, **SETTINGS.get("server", {})},
)
@modal.clustered(size=SETTINGS.get("size", 2), rdma=SETTINGS.get("rdma", False))
class Server:
    @modal.enter()
    def start(self) -> None:
        what = seen()
        Handler.said = json.dumps(what)
        self.rank = what["rank"]
        print(f"saw {Handler.said}", flush=True)
        asked, _, file = str(SETTINGS.get("ranks", {}).get(str(what["rank"]), "")).partition(" ")
        if asked == "fail":
            raise RuntimeError(f"rank {what['rank']} does not start")
        if asked == "hang":
            time.sleep(600)
        if asked == "crash":
            threading.Thread(target=crash_at, args=(file,), daemon=True).start()
        if what["rank"] == 0 and asked != "deaf":
            listening = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
            threading.Thread(target=listening.serve_forever, daemon=True).start()

    @modal.exit()
    def stop(self) -> None:
        print(f"{os.environ['MODAL_TASK_ID']} is leaving", flush=True)
        asked, _, file = str(SETTINGS.get("ranks", {}).get(str(self.rank), "")).partition(" ")
        while asked == "linger" and not Path(file).exists():
            time.sleep(0.02)
