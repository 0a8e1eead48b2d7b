"""What the embedded gateway and the container's pump add to a stream, beside the engine asked directly, in one run.

    python benchmarks/serving [--streams 1,8,64,256] [--rounds 5] [--seconds 3] [--profile local-cpu]

An embedded cloud of its own runs ``engine.py``, whose tokens come at a known pace, in a container as SGLang would run.
The same streams go to the engine itself, through a bare proxy in Python (``floor.py``), which is what this machine
takes for any second process on the way, and through the gateway. The three alternate, round by round, so that a busy
machine treats them alike. ``steady``: so many clients ask again and again, each at moments of its own; ``burst``: all
at the same moment, over new connections; ``queue``: a burst at a container of 8 inputs, where most of the time is
waiting for a turn. With ``--profile`` it is the engine of a profile instead, with its own pace and its own queue.

First token: ms from asking to its arrival. On the way: ms that the request, the first and the later tokens spent
between client and engine, by the clock that both share (of the paced engine alone). A stream that is not whole is lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from glmdeploy.local import cloud

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.local.cloud import Cloud

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile", help="ask what this profile serves, as it is deployed by apply --target local")
    parser.add_argument("--streams", default="1,8,64,256")
    parser.add_argument("--modes", default="steady,burst,queue")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--first", type=float, default=20, help="ms from request to first token")
    parser.add_argument("--interval", type=float, default=20, help="ms between two tokens of a stream")
    parser.add_argument("--tokens", type=int, default=25, help="of each stream")
    given = parser.parse_args()
    with embedded_cloud() as running:
        if given.profile:
            wide = narrow = served(running, given.profile, given.tokens)
        else:
            wide, narrow = paced(running, {"first": given.first, "interval": given.interval, "tokens": given.tokens})
        with floor(wide.engine.port) as proxy:
            print(HEADER)
            for mode in given.modes.split(","):
                for streams in map(int, given.streams.split(",")):
                    if mode == "queue" and (given.profile or streams != 64):
                        continue
                    subject = narrow if mode == "queue" else wide
                    targets = {"engine": subject.engine, "bare proxy": proxy, "gateway": subject.gateway}
                    if mode == "queue":
                        del targets["bare proxy"]
                    asked = {"streams": streams, "seconds": given.seconds, "burst": mode != "steady"}
                    measure(mode, asked | {"headers": subject.headers, "body": subject.body}, targets, given.rounds)


HEADER = (
    f"{'':7}{'streams':>8} {'':10}{'first token ms':>22}{'added':>8}{'there':>8}{'back':>13}{'later':>14}{'gap':>14}"
    f"{'tokens':>9}{'lost':>6}{'of':>6}{'late':>7}{'CPU ms':>8}{'':>6}\n"
    f"{'':7}{'':>8} {'':10}{'p50':>8}{'p95':>7}{'p99':>7}{'p50':>8}{'p50':>8}{'p50':>7}{'p99':>6}{'p50':>8}{'p99':>6}"
    f"{'p50':>8}{'p99':>6}{'a second':>9}{'':>6}{'':>6}{'p99':>7}{'a stream':>8}{'MiB':>6}"
)


@dataclass(frozen=True)
class Target:
    """``pid`` is of the process on the way to the engine; 0 where there is none."""

    port: int
    path: str = ""
    pid: int = 0


@dataclass(frozen=True)
class Subject:
    """What is measured: an engine, directly and through the gateway, and what it is asked."""

    engine: Target
    gateway: Target
    headers: dict[str, str]
    body: dict[str, Any]


def measure(mode: str, asked: dict[str, Any], targets: dict[str, Target], rounds: int) -> None:
    """Ask each target in each round; a row for each."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in targets}
    costs = dict.fromkeys(targets, 0.0)
    for number in range(rounds):
        names = list(targets)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            target = targets[name]
            before = cpu_seconds(target.pid)
            spec = asked | {"port": target.port, "path": f"{target.path}/v1/chat/completions", "seed": number}
            found[name].append(client(spec))
            costs[name] += cpu_seconds(target.pid) - before
    direct = 0.0
    for name, samples in found.items():
        total = {key: [value for each in samples for value in each[key]] for key in TIMES}
        seconds = sum(each["seconds"] for each in samples)
        first, pid = quantile(total["first"], 50), targets[name].pid
        direct = direct or first
        added = f"{first - direct:8.2f}" if name != "engine" else " " * 8
        print(
            f"{mode:7}{asked['streams']:8} {name:10}{first:8.2f}{quantile(total['first'], 95):7.1f}"
            f"{quantile(total['first'], 99):7.1f}{added}{quantile(total['there'], 50):8.2f}"
            f"{quantile(total['back'], 50):7.2f}{quantile(total['back'], 99):6.1f}"
            f"{quantile(total['later'], 50):8.2f}{quantile(total['later'], 99):6.1f}"
            f"{quantile(total['gaps'], 50):8.2f}{quantile(total['gaps'], 99):6.1f}"
            f"{sum(each['tokens'] for each in samples) / seconds:9.0f}{sum(each['lost'] for each in samples):6}"
            f"{sum(each['streams'] for each in samples):6}{quantile(total['behind'], 99):7.2f}"
            + (f"{costs[name] / len(total['first']) * 1000:8.2f}{resident(pid):6.0f}" if pid else ""),
            flush=True,
        )
    print(f"{'':15} load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)


TIMES = ("first", "there", "back", "later", "gaps", "behind")


def quantile(values: list[int], percent: int) -> float:
    """Milliseconds, of microseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)] / 1000 if ordered else float("nan")


def client(asked: dict[str, Any]) -> dict[str, Any]:
    """The samples of a client process."""
    command = [sys.executable, str(HERE / "client.py")]
    ended = subprocess.run(command, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True)
    samples: dict[str, Any] = json.loads(ended.stdout)
    return samples


@contextlib.contextmanager
def embedded_cloud() -> Iterator[Cloud]:
    with tempfile.TemporaryDirectory(prefix="serving-") as folder:
        os.environ["GLMDEPLOY_HOME"] = folder
        try:
            yield cloud.start()
        finally:
            cloud.stop()


def paced(running: Cloud, body: dict[str, Any]) -> list[Subject]:
    """The paced engine with room for all, and with room for 8."""
    sys.path.insert(0, str(HERE))
    import app
    import modal

    os.environ.update(cloud.environ(running))
    client = modal.Client.from_credentials(running.token_id, running.token_secret)
    app.app.deploy(client=client)
    found = []
    for name in ("Wide", "Narrow"):
        url = str(modal.Cls.from_name("serving-benchmark", name, client=client)().serve.get_web_url())
        port = int(urllib.request.urlopen(url, timeout=60).read())
        found.append(Subject(Target(port), through(running, url), {}, body))
    return found


def served(running: Cloud, profile: str, tokens: int) -> Subject:
    """What a profile serves: the engine says itself where it listens."""
    glmdeploy = [sys.executable, "-m", "glmdeploy"]
    command = [*glmdeploy, "apply", profile, "--target", "local", "--yes", "--make-secrets"]
    told = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
    url = re.findall(r"^Endpoint: (\S+)", told, re.MULTILINE)[0]
    key = re.findall(r"local secret (\S+) (\S+?)\)", told)[0]
    secret = subprocess.run([*glmdeploy, "local", "secret", *key], capture_output=True, text=True, check=True).stdout
    headers = {"Authorization": f"Bearer {secret.strip()}"}
    request = urllib.request.Request(f"{url}/server_info", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        info = json.load(answer)
    print(f"{profile}, answered by {info.get('engine', 'SGLang')} {info.get('version', '')}")
    messages = [{"role": "user", "content": "Count: " + " ".join(map(str, range(100)))}]
    body = {"model": info["served_model_name"], "messages": messages, "max_tokens": tokens, "stream": True}
    return Subject(Target(int(info["port"])), through(running, url), headers, body | {"ignore_eos": True})


def through(running: Cloud, url: str) -> Target:
    """The gateway, at the path of ``url``."""
    return Target(urlsplit(url).port or 80, urlsplit(url).path, running.pid)


@contextlib.contextmanager
def floor(engine: int) -> Iterator[Target]:
    """A bare proxy."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    process = subprocess.Popen([sys.executable, str(HERE / "floor.py"), str(port), str(engine)])
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield Target(port, "", process.pid)
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(pid: int) -> float:
    """Of a process; 0 of none."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> float:
    """MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


main()
