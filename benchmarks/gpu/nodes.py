"""Two nodes of one GPU each on one host: how the real SGLang starts as a cluster, and how it ends.

    python benchmarks/gpu/nodes.py --release 0.5.11 [--gpus N] [--out FOLDER] [--kernels FOLDER] [--only TEXT]

Each node is a process of its own with what a container runs (``glmdeploy.runtime``): its place, the link to the other,
the plan's command with the three options of its rank, and the watch. Addresses are on loopback, and ``NCCL_HOSTID``
differs, as Modal's SDK has it, so that NCCL takes the two for different hosts and goes over sockets: RDMA and speed
cannot be seen here. With one GPU both nodes share it, which NCCL allows to different hosts.

Writes ``nodes-RELEASE.json`` and each node's output into FOLDER. The two share the ports of their host, some of which
data-parallel attention takes by number: such a start may be refused here (0.5.11, ``PortArgs.init_new``).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import engine
from cases import WITHOUT_DRAFT, Case

from glmdeploy.runtime.cluster import Place, watched, with_place
from glmdeploy.runtime.engine import Proof, start_engine
from glmdeploy.runtime.link import Link
from glmdeploy.runtime.loopback import NoAnswer, ask_loopback
from glmdeploy.runtime.masking import Mask
from glmdeploy.runtime.vitals import ProcessTable

if TYPE_CHECKING:
    from collections.abc import Callable

READY_SECONDS = 420.0
LONG = {"max_new_tokens": 200, "ignore_eos": True, "temperature": 0.0}


class Node:
    """A process that stands for a container; ``lines`` is what it has said, ``words`` what it was asked to start."""

    def __init__(self, rank: int, start: dict[str, Any], log: Path) -> None:
        self.rank = rank
        self.began = time.monotonic()
        self.lines: list[tuple[float, str]] = []
        self.ended: float | None = None
        self._log = log.open("w")
        here = str(Path(__file__).parent)
        path = f"{here}:{os.environ.get('PYTHONPATH', '')}"
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--node", json.dumps(start)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._log.write(line)
            self._log.flush()
            self.lines.append((time.monotonic(), line.rstrip()))
        self.process.wait()
        self.ended = time.monotonic()

    def said(self, text: str) -> float | None:
        """When it first said a line with this text."""
        return next((at for at, line in self.lines if text in line), None)

    def wait(self, holds: Callable[[Node], Any], seconds: float) -> bool:
        """Whether it holds in time, and before it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if holds(self):
                return True
            time.sleep(0.05)
        return bool(holds(self))

    def stop(self) -> None:
        """What Modal asks of a container: its exit hooks run."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write("stop\n")
            self.process.stdin.flush()

    def scheduler(self) -> int:
        """The first scheduler of its engine."""
        found = ProcessTable().read(self.process.pid) or ()
        return next(one.pid for one in found if one.title.startswith("sglang::scheduler"))

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for one in ProcessTable().read(self.process.pid) or ():
            with contextlib.suppress(OSError):
                os.kill(one.pid, signal.SIGKILL)


def be_node(start: dict[str, Any]) -> None:
    """What a container does (``runtime/server.py``), without Modal: start, serve, end when told to."""
    place = Place("trial", start["rank"], tuple(start["addresses"]))
    key = start["key"]
    deadline = time.monotonic() + READY_SECONDS
    link = Link(place)
    link.open(deadline)
    words = with_place(start["command"], place)
    print("argv:", json.dumps(words), flush=True)
    begun = time.monotonic()
    found = start_engine(
        words,
        start["environment"],
        port=start["port"],
        api_key=key,
        mask=Mask((), keys=[key]),
        health=watched(start["health"], place),
        caches=[],
        proof=Proof(**start["proof"]),
        seconds=READY_SECONDS,
        link=link,
    )
    print(f"serves after {time.monotonic() - begun:.1f} s", flush=True)
    sys.stdin.readline()
    found.stop()
    print("stopped", flush=True)


SHAPES = {
    "tp": ("--tp-size", "2"),
    "pp": ("--tp-size", "1", "--pp-size", "2"),
    "dp": ("--tp-size", "2", "--dp-size", "2", "--enable-dp-attention"),
}
"""How the model is divided among the two."""


def prepare(case: Case, release: str, scratch: Path, kernels: Path, gpus: int, shape: str) -> list[dict[str, Any]]:
    """What each node is told."""
    prepared = engine.prepare(case, release, scratch)
    server, port = prepared.plan.server, engine.free_port()
    words = list(server.command)
    words[0] = sys.executable
    for option, value in (("--model-path", str(prepared.folder)), ("--host", "127.0.0.1")):
        words[words.index(option) + 1] = value
    place = words.index("--tp-size")
    words[place : place + 2] = SHAPES[shape]
    words += ["--load-format", "dummy", "--enforce-disable-flashinfer-allreduce-fusion", "--skip-server-warmup"]
    net = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
    environment = engine.environment(prepared, kernels)
    proof: dict[str, Any] = {
        "served_name": prepared.plan.model.served_name,
        "expected": {name: value for name, value in server.expected.items() if shape == "tp" or "size" not in name},
        "tolerate": server.tolerate,
        "warmup": server.warmup,
        "checks": [],  # a model of random weights may say anything
    }
    started = []
    for rank in (0, 1):
        own = list(words)
        own[own.index("--port") + 1] = str(port + rank)
        own_environment = {
            **environment,
            "CUDA_VISIBLE_DEVICES": str(rank % gpus),
            **({"SGLANG_ENABLE_TP_MEMORY_INBALANCE_CHECK": "0"} if gpus == 1 else {}),
            "NCCL_HOSTID": f"node{rank}",
            "NCCL_SOCKET_IFNAME": "lo",
            "GLOO_SOCKET_IFNAME": "lo",
            "HOME": str(kernels),
        }
        started.append(
            {
                "rank": rank,
                "addresses": [f"{net}.1", f"{net}.2"],
                "key": "trial-key-of-no-secret",
                "command": own,
                "environment": own_environment,
                "port": port + rank,
                "health": {**asdict(server.health), "limit": engine.LIMIT, "timeout": engine.LIMIT + 5},
                "proof": proof,
            }
        )
    return started


def generate(start: dict[str, Any], params: dict[str, Any], seconds: float = 120.0) -> str:
    """The end of a request to rank 0, in words."""
    body = {"input_ids": [random.randrange(256) for _ in range(64)], "sampling_params": params}
    began = time.monotonic()
    try:
        url = f"http://127.0.0.1:{start['port']}/generate"
        status, content = ask_loopback(url, body, key=start["key"], seconds=seconds)
        tokens = json.loads(content)["meta_info"]["completion_tokens"] if status == 200 else 0
    except (NoAnswer, ValueError, KeyError) as error:
        return f"no answer after {time.monotonic() - began:.1f} s: {error}"
    return f"{status} with {tokens} tokens after {time.monotonic() - began:.1f} s"


def ends(nodes: list[Node], did: Callable[[], Any], seconds: float = 150.0) -> dict[str, Any]:
    """Do it, and see how and when both nodes end."""
    began = time.monotonic()
    told = did()
    for node in nodes:
        node.wait(lambda each: each.ended is not None, began + seconds - time.monotonic())
    found: dict[str, Any] = {"did": told}
    for node in nodes:
        own = [line for at, line in node.lines if at >= began and line.startswith(("rank ", "a container", "stopped"))]
        found[f"rank {node.rank}"] = {
            "ended_after_s": None if node.ended is None else round(node.ended - began, 1),
            "exit": node.process.poll(),
            "says": own[:3],
        }
    return found


def orderly(nodes: list[Node], starts: list[dict[str, Any]], first: int) -> dict[str, Any]:
    """Both are asked to end while a long answer runs, ``first`` a second before the other."""
    answers: list[str] = []
    client = threading.Thread(target=lambda: answers.append(generate(starts[0], LONG)), daemon=True)

    def did() -> str:
        client.start()
        time.sleep(2)
        nodes[first].stop()
        time.sleep(1)
        nodes[1 - first].stop()
        return f"rank {first} was asked to end, rank {1 - first} a second later"

    found = ends(nodes, did)
    client.join(5)
    return found | {"the answer that ran": answers}


def hurt(
    nodes: list[Node], starts: list[dict[str, Any]], rank: int, number: int, whole: bool = False
) -> dict[str, Any]:
    """A process of a rank gets a signal while a long answer runs: its scheduler, or all of its container."""
    client = threading.Thread(target=generate, args=(starts[0], {**LONG, "max_new_tokens": 20_000}), daemon=True)

    def did() -> str:
        client.start()
        time.sleep(2)
        if whole:
            nodes[rank].kill()
            return f"all of rank {rank} was killed"
        os.kill(nodes[rank].scheduler(), number)
        return f"the scheduler of rank {rank} got {signal.Signals(number).name}"

    return ends(nodes, did)


TRIALS: dict[str, Callable[[list[Node], list[dict[str, Any]]], dict[str, Any]]] = {
    "orderly, rank 1 first": lambda nodes, starts: orderly(nodes, starts, 1),
    "rank 1 stopped": lambda nodes, starts: hurt(nodes, starts, 1, signal.SIGSTOP),
    "rank 1 crashed": lambda nodes, starts: hurt(nodes, starts, 1, signal.SIGKILL),
    "rank 0 stopped": lambda nodes, starts: hurt(nodes, starts, 0, signal.SIGSTOP),
    "rank 1 gone": lambda nodes, starts: hurt(nodes, starts, 1, 0, True),
}


def run(name: str, case: Case, given: argparse.Namespace) -> dict[str, Any]:
    scratch = Path(tempfile.mkdtemp(prefix="nodes"))
    starts = prepare(case, given.release, scratch, given.kernels.absolute() / given.release, given.gpus, given.shape)
    began = time.monotonic()
    slug = name.replace(", ", "-").replace(" ", "-")
    nodes = [Node(each["rank"], each, given.out / f"{given.release}-{slug}-{each['rank']}.log") for each in starts]
    found: dict[str, Any] = {}
    try:
        for node in nodes:
            node.wait(lambda each: each.said("serves after") or each.ended, READY_SECONDS)
        found["serve"] = {str(node.rank): node.said("serves after") is not None for node in nodes}
        found["ready_s"] = round(time.monotonic() - began, 1)
        for node in nodes:
            words: list[str] = next((json.loads(line[6:]) for _, line in node.lines if line.startswith("argv: ")), [])
            found.setdefault("argv", {})[str(node.rank)] = words[3:]
        if not all(found["serve"].values()):
            return found | {"failed": {str(node.rank): [line for _, line in node.lines][-12:] for node in nodes}}
        found["answer"] = generate(starts[0], {"max_new_tokens": 64, "ignore_eos": True, "temperature": 0.0})
        _, info = engine.ask(starts[0]["port"], starts[0]["key"], "/server_info")
        found["tells"] = {each: info.get(each) for each in ("nnodes", "node_rank", "dist_init_addr", "tp_size")}
        return found | TRIALS[name](nodes, starts)
    finally:
        for node in nodes:
            node.kill()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--node")
    parser.add_argument("--release", default="0.5.11")
    parser.add_argument("--only", default="")
    parser.add_argument("--gpus", type=int, choices=(1, 2), default=2)
    parser.add_argument("--shape", choices=SHAPES, default="tp")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--kernels", type=Path, default=Path("gpu-kernels"))
    given = parser.parse_args()
    if given.node:
        be_node(json.loads(given.node))
        return
    given.out.mkdir(parents=True, exist_ok=True)
    sets = (
        *("gpu=H200:2", "sglang.args.tp=2", "sglang.args.max-total-tokens=100000"),
        *("sglang.args.mem-fraction-static=0.9", "sglang.args.disable-piecewise-cuda-graph=true"),
    )
    case = Case(name="two nodes", profile="h100-glm45-air-fp8", layers=given.layers, sets=(*WITHOUT_DRAFT, *sets))
    found: dict[str, Any] = {"release": given.release, "date": time.strftime("%Y-%m-%d"), "trials": {}}
    for name in TRIALS:
        if given.only in name:
            found["trials"][name] = run(name, case, given)
            print(json.dumps({name: found["trials"][name]}), flush=True)
            (given.out / f"nodes-{given.release}.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
