"""Asks an account of Modal what only an account settles (docs/operating.md), on a small CPU app of its own.

    python benchmarks/on_modal.py [--only NAME]... [--seconds N] [-e NAME] [--json]

Costs cents: containers of a fraction of a core, for some minutes. What it makes, an app and a volume with a random name
each, it removes again, whatever happens. It runs against the embedded cloud too (`eval "$(glmdeploy local env)"`
first), where the answers are what that assumes. Exit code: 0 all were answered, 1 one was not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PORT = int(os.environ.get("GLMDEPLOY_LOCAL_PORT", "8000"))
HERE = "127.0.0.1" if "GLMDEPLOY_LOCAL_PORT" in os.environ else "0.0.0.0"
START_SECONDS = 180.0
"""The longest wait for a container: an image may have to be built first."""
FOLDER = "org/model/commit"


class Handler(BaseHTTPRequestHandler):
    """Says which deployment it is of, which container it is, and whether that has finished its start."""

    protocol_version = "HTTP/1.1"
    entered = False

    def do_GET(self) -> None:
        said = {"answer": os.environ["ANSWER"], "task": os.environ["MODAL_TASK_ID"], "entered": Handler.entered}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class Probe:
    """Its port answers before ``enter`` has returned: whoever hears that has not waited for it."""

    @modal.enter()
    def start(self) -> None:
        if os.environ["FAILS"]:
            raise RuntimeError("this version is not to become healthy")
        threading.Thread(target=ThreadingHTTPServer((HERE, PORT), Handler).serve_forever, daemon=True).start()
        time.sleep(float(os.environ["START_SECONDS"]))
        Handler.entered = True

    @modal.web_server(PORT, startup_timeout=START_SECONDS)
    def serve(self) -> None:
        """The port is open already."""


def answer() -> str:
    return os.environ["ANSWER"]


def inside(path: str) -> Path:
    """A path of the container; in the embedded cloud, whose containers are processes, on this machine."""
    return Path(os.environ.get("GLMDEPLOY_LOCAL_ROOT", "") + path)


def write_volume() -> str:
    """A folder that is made under another name and then renamed, with a file, a link to it, and one that leads up."""
    root = inside("/whole")
    work = root / "work" / "tree"
    work.mkdir(parents=True, exist_ok=True)
    (work / "file").write_text("content")
    links = []
    for name, target in (("link", "file"), ("up", "../../../outside")):
        try:
            (work / name).symlink_to(target)
            links.append(name)
        except OSError as fault:
            links.append(f"{name}: {fault.strerror}")
    (root / "outside").write_text("outside")
    (root / FOLDER).parent.mkdir(parents=True, exist_ok=True)
    work.rename(root / FOLDER)
    modal.Volume.from_name(os.environ["VOLUME"]).commit()
    return ", ".join(links)


def read_volume() -> dict[str, Any]:
    """What a container sees that mounts the folder alone, and may not write."""
    root = inside("/part")
    found: dict[str, Any] = {"there": sorted(path.name for path in root.iterdir())}
    for name in ("file", "link", "up"):
        try:
            found[name] = (root / name).read_text()
        except OSError as fault:
            found[name] = fault.strerror
    try:
        (root / "new").write_text("no")
        found["written"] = True
    except OSError as fault:
        found["written"] = fault.strerror
    return found


@dataclass
class Lab:
    """An app and a volume of its own, for as long as the questions last."""

    name: str
    environment: str | None
    seconds: float
    """For how long something is watched."""
    versions: list[str] = field(default_factory=list)
    app_id: str = ""

    def deploy(
        self, text: str, *, fails: bool = False, start: float = 0.0, strategy: str = "rolling", **options: Any
    ) -> None:
        """A new version, whose server and function answer with ``text``."""
        app = modal.App(self.name, tags={"answer": text})
        env = {"ANSWER": text, "FAILS": "yes" if fails else "", "START_SECONDS": str(start), "VOLUME": self.name}
        image = modal.Image.debian_slim()
        volume = modal.Volume.from_name(self.name, environment_name=self.environment, create_if_missing=True)
        small: dict[str, Any] = {"image": image, "cpu": 0.125, "memory": 256, "env": env}
        kept = {"min_containers": 1, "max_containers": 2, "scaledown_window": 60, **options}
        app.cls(**small, timeout=600, startup_timeout=int(START_SECONDS), **kept)(Probe)
        app.function(**small, name="answer")(answer)
        app.function(**small, name="write_volume", volumes={"/whole": volume})(write_volume)
        part = volume.with_mount_options(sub_path=FOLDER, read_only=True)
        app.function(**small, name="read_volume", volumes={"/part": part})(read_volume)
        with modal.enable_output() if os.environ.get("MODAL_LOGLEVEL") else contextlib.nullcontext():
            app.deploy(environment_name=self.environment, strategy=strategy, tag=text)
        self.app_id = app.app_id or ""
        self.versions.append(text)

    def url(self) -> str:
        cls = modal.Cls.from_name(self.name, "Probe", environment_name=self.environment)
        return str(cls().serve.get_web_url())

    def function(self, name: str, version: int | None = None) -> modal.Function[..., Any, Any]:
        return modal.Function.from_name(self.name, name, environment_name=self.environment, version=version)

    def ask(self, seconds: float = 10.0) -> dict[str, Any]:
        """What the server says now; ``error`` where it says nothing."""
        try:
            with urllib.request.urlopen(self.url(), timeout=seconds) as response:
                said: dict[str, Any] = json.load(response)
                return said
        except (OSError, ValueError) as fault:
            return {"error": str(getattr(fault, "code", None) or getattr(fault, "reason", None) or fault)}

    def wait_for(self, text: str) -> float | None:
        """Seconds until the server answers with ``text``; None where it does not in time."""
        began = time.monotonic()
        while time.monotonic() - began < START_SECONDS:
            if self.ask(START_SECONDS).get("answer") == text:
                return round(time.monotonic() - began, 1)
            time.sleep(0.2)
        return None

    def watch(self, until: str | None = None) -> dict[str, Any]:
        """Answers, failures and containers while time passes, at the longest until it answers with ``until``."""
        url, began = self.url(), time.monotonic()
        answers: dict[str, int] = {}
        tasks: set[str] = set()
        most = 0
        first = None
        while time.monotonic() - began < self.seconds:
            said = self.ask()
            text = said.get("answer") or f"failed: {said['error']}"
            answers[text] = answers.get(text, 0) + 1
            now = self.tasks()
            tasks |= now
            most = max(most, len(now))
            if text == until:
                first = round(time.monotonic() - began, 1)
                break
            time.sleep(0.2)
        watched = round(time.monotonic() - began, 1)
        return {
            "url": url,
            "answers": answers,
            "containers": len(tasks),
            "at_once": most,
            "seconds": watched,
            "first": first,
        }

    def tasks(self) -> set[str]:
        return {task.task_id for task in self.rpc("TaskList", app_id=self.app_id).tasks}

    def history(self) -> Any:
        return self.rpc("AppDeploymentHistory", app_id=self.app_id)

    def rpc(self, name: str, **request: Any) -> Any:
        """What the SDK offers to nobody."""
        from modal_proto import api_pb2

        from glmdeploy.operate.control_plane import rpc

        return asyncio.run(rpc(name, getattr(api_pb2, f"{name}Request")(**request)))


def ask_rolling(lab: Lab) -> tuple[str, dict[str, Any]]:
    """What becomes of a rolling deployment that never gets healthy?"""
    lab.deploy("good")
    lab.wait_for("good")
    lab.deploy("bad", fails=True)
    seen = lab.watch()
    lab.deploy("good-again")
    lab.wait_for("good-again")
    failures = sum(count for text, count in seen["answers"].items() if text.startswith("failed"))
    total = sum(seen["answers"].values())
    kept = "the old version goes on answering" if not failures else f"{failures} of {total} requests failed"
    return f"{kept}; {seen['containers'] - 1} containers of the new one in {seen['seconds']:.0f} s", seen


def ask_folders(lab: Lab) -> tuple[str, dict[str, Any]]:
    """Do links and mounts of sub-folders in volumes work?"""
    lab.deploy("folders", min_containers=0)
    wrote = lab.function("write_volume").remote()
    seen = {"wrote": wrote, **lab.function("read_volume").remote()}
    words = [
        "a renamed folder is mounted by itself" if seen["file"] == "content" else "the folder is not seen",
        "a link in it leads to its file" if seen["link"] == "content" else f"a link in it fails ({seen['link']})",
        f"a link out of it {'shows the rest' if seen['up'] == 'outside' else 'shows nothing'}",
        "it can be written" if seen["written"] is True else "it cannot be written",
    ]
    return "; ".join(words), seen


def ask_rollback(lab: Lab) -> tuple[str, dict[str, Any]]:
    """Do an app's tags, and its living containers, come back with a rollback?"""
    lab.deploy("first")
    lab.wait_for("first")
    number = lab.history().app_deployment_histories
    first = max(entry.version for entry in number)
    task = lab.ask().get("task")
    lab.deploy("second")
    lab.wait_for("second")
    [entry] = [each for each in lab.history().app_deployment_histories if each.version == first]
    seen: dict[str, Any] = {"allowed": entry.rollback_allowed}
    try:
        lab.rpc("AppRollback", app_id=lab.app_id, version=first)
    except modal.exception.Error as refused:
        return f"refused: {refused}", seen
    seen["after"] = lab.wait_for("first")
    seen["tag"] = lab.rpc("AppGetTags", app_id=lab.app_id).tags.get("answer")
    seen["same_container"] = lab.ask().get("task") == task
    tags = "the tags come back" if seen["tag"] == "first" else f"the tags stay ({seen['tag']})"
    container = "the old container is taken up again" if seen["same_container"] else "a new container is started"
    return f"{tags}; {container}; it answers after {seen['after']} s", seen


def ask_cap(lab: Lab) -> tuple[str, dict[str, Any]]:
    """Is a class replaced at `max_containers`, and how many containers are there meanwhile?"""
    lab.deploy("one", max_containers=1)
    lab.wait_for("one")
    lab.deploy("two", max_containers=1)
    seen = lab.watch(until="two")
    if seen["first"] is None:
        return f"not within {seen['seconds']:.0f} s; {seen['at_once']} at once at the most", seen
    failures = sum(count for text, count in seen["answers"].items() if text.startswith("failed"))
    return f"replaced after {seen['first']} s; {seen['at_once']} at once at the most; {failures} requests failed", seen


def ask_ready(lab: Lab) -> tuple[str, dict[str, Any]]:
    """Is a web function sent requests before `enter` has returned?"""
    lab.deploy("ready", start=5.0, strategy="recreate", min_containers=0)
    began = time.monotonic()
    said = lab.ask(START_SECONDS)
    while said.get("answer") != "ready" and time.monotonic() - began < START_SECONDS:
        time.sleep(0.2)
        said = lab.ask(START_SECONDS)
    seen = {**said, "seconds": round(time.monotonic() - began, 1)}
    if "entered" not in said:
        return f"no answer: {said.get('error')}", seen
    return "no, it waits for `enter`" if said["entered"] else "yes: an open port is enough", seen


def ask_pinned(lab: Lab) -> tuple[str, dict[str, Any]]:
    """Can a function of an earlier version be called (`from_name(version=)`)?"""
    lab.deploy("earlier", min_containers=0)
    number = max(entry.version for entry in lab.history().app_deployment_histories)
    lab.deploy("later", min_containers=0)
    try:
        said = lab.function("answer", version=number).remote()
    except modal.exception.Error as refused:
        return f"refused: {type(refused).__name__}: {refused}", {"version": number}
    right = "yes" if said == "earlier" else "it answers as another version"
    return f"{right}: version {number} says {said!r}", {"version": number, "said": said}


QUESTIONS: dict[str, Callable[[Lab], tuple[str, dict[str, Any]]]] = {
    "rolling": ask_rolling,
    "folders": ask_folders,
    "rollback": ask_rollback,
    "cap": ask_cap,
    "ready": ask_ready,
    "pinned": ask_pinned,
}


@contextlib.contextmanager
def lab(environment: str | None, seconds: float) -> Iterator[Lab]:
    """What the questions need; gone afterwards."""
    one = Lab(name=f"glmdeploy-questions-{secrets.token_hex(4)}", environment=environment, seconds=seconds)
    try:
        yield one
    finally:
        if one.app_id:
            one.rpc("AppStop", app_id=one.app_id)
        with contextlib.suppress(modal.exception.NotFoundError):
            modal.Volume.objects.delete(one.name, environment_name=environment)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(QUESTIONS), help="this question; may be repeated")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long something is watched (60)")
    parser.add_argument("-e", "--env", help="Modal Environment")
    parser.add_argument("--json", action="store_true", help="JSON on standard output, progress on standard error")
    options = parser.parse_args()
    found = []
    for name in options.only or QUESTIONS:
        question = (QUESTIONS[name].__doc__ or "").strip()
        print(f"{name}: {question}", file=sys.stderr if options.json else sys.stdout, flush=True)
        with lab(options.env, options.seconds) as one:
            try:
                said, seen = QUESTIONS[name](one)
                error = None
            except Exception as fault:
                said, seen, error = None, {}, f"{type(fault).__name__}: {fault}"
        found.append({"name": name, "question": question, "answer": said, "seen": seen, "error": error})
        if not options.json:
            print(f"    {said or f'not answered: {error}'}", flush=True)
    if options.json:
        print(json.dumps({"modal": modal.__version__, "questions": found}, indent=2))
    return int(any(each["error"] for each in found))


if __name__ == "__main__":
    sys.exit(main())
