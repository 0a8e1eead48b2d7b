"""A profile's SGLang on this GPU: what glmdeploy says of it beforehand, and what the engine then says of itself.

The command is the plan's. Added are the folder of the model, random weights (``--load-format dummy``), and that no
kernels are compiled for all shapes beforehand (``SGLANG_JIT_DEEPGEMM_PRECOMPILE=0``), which takes many minutes.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import secrets
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import model
from cases import ONE_GPU

from glmdeploy.plan.make import made
from glmdeploy.profile.text.load import load
from glmdeploy.rules.check import check
from glmdeploy.runtime.comparison import READ_AS, differences
from glmdeploy.runtime.engine import Engine, Proof
from glmdeploy.runtime.loopback import ask_loopback
from glmdeploy.runtime.masking import Mask
from glmdeploy.sizing import size
from glmdeploy.sizing.checkpoint import from_folder

if TYPE_CHECKING:
    from pathlib import Path

    from cases import Case

    from glmdeploy.plan.plan import Plan
    from glmdeploy.rules.facts import Facts
    from glmdeploy.runtime.watch import Watch
    from glmdeploy.sizing.size import Size

READY_SECONDS = 330.0
LIMIT = 20
"""Seconds of silence that the watch allows in the trials; 60 is deployed unless a profile says otherwise."""
LOADED = re.compile(rb"Load weight end\..*mem usage=([0-9.]+) GB")
POOL = re.compile(rb"KV Cache is allocated\..*#tokens: ([0-9]+), (?:K|KV) size: ([0-9.]+) GB(?:, V size: ([0-9.]+) GB)?")
FREE = re.compile(rb"max_total_num_tokens=([0-9]+).*available_gpu_mem=([0-9.]+) GB")


@dataclass(kw_only=True)
class Seen:
    """What the engine's output told, sizes in GiB (SGLang writes GB, and means GiB)."""

    weights: list[float] = field(default_factory=list)
    pools: list[tuple[int, float]] = field(default_factory=list)
    """Tokens and size of each; with a draft model its pool is the last."""
    free: float | None = None
    tokens: int | None = None

    def line(self, line: bytes) -> None:
        if found := LOADED.search(line):
            self.weights.append(float(found[1]))
        if found := POOL.search(line):
            self.pools.append((int(found[1]), round(float(found[2]) + float(found[3] or 0), 2)))
        if found := FREE.search(line):
            self.tokens, self.free = self.tokens or int(found[1]), float(found[2])


class Observed(Engine):
    """An engine whose output is kept, and read by one watch after another; it never ends this process."""

    def __init__(self, *arguments: Any, log: Path, **named: Any) -> None:
        self.seen = Seen()
        self.watch: Watch | None = None
        self._log = log.open("wb")
        super().__init__(*arguments, **named)

    def _see(self, line: bytes) -> None:
        self._log.write(line.rstrip(b"\n") + b"\n")
        self._log.flush()
        self.seen.line(line)
        super()._see(line)
        if self.watch is not None:
            self.watch.see(line)

    @property
    def pid(self) -> int:
        return self._process.pid


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A case, all that glmdeploy says of it, and the folder of its model."""

    case: Case
    facts: Facts
    plan: Plan
    size: Size
    folder: Path
    findings: tuple[str, ...]


def prepare(case: Case, release: str, scratch: Path) -> Prepared:
    """Work the case out, without SGLang. :raises GlmdeployError: if its size is not known. :raises ValueError:"""
    sets = (*ONE_GPU, f"sglang.version={release}", f"sglang.image=lmsysorg/sglang:v{release}-cu130", *case.sets)
    document = load(case.profile, sets=sets)
    folder = scratch / "model"
    model.write(folder, document.data["model"]["repo"], case.layers)
    checked = check(document, checkpoint=from_folder(folder))
    plan = made(checked)
    if plan is None or checked.facts is None:
        raise ValueError(f"{case.name}: {[found.message for found in checked.findings if found.severity == 'error']}")
    sized = size.size(checked.facts, size.dimensions(checked.facts, folder))
    told = tuple(f"{found.severity} {found.id}" for found in checked.findings if found.severity != "remark")
    return Prepared(case=case, facts=checked.facts, plan=plan, size=sized, folder=folder, findings=told)


def environment(prepared: Prepared, home: Path) -> dict[str, str]:
    """The process's own, what the profile sets, and ``home`` for all that is kept, compiled kernels among it."""
    server = prepared.plan.server
    planned = {**server.image.env, **server.defaults, **server.env}
    own = {"HOME": str(home), "SGLANG_JIT_DEEPGEMM_PRECOMPILE": "0", "SGLANG_HEALTH_CHECK_TIMEOUT": str(LIMIT)}
    for name in ("SGLANG_DG_CACHE_DIR", "SGLANG_CACHE_DIR", "TRITON_CACHE_DIR", "FLASHINFER_WORKSPACE_BASE"):
        own[name] = str(home / name.lower())
    home.mkdir(parents=True, exist_ok=True)
    return {**os.environ, **{name: str(value) for name, value in planned.items()}, **own}


def free_port() -> int:
    """One that nobody has; SGLang 0.5.11 to 0.5.15 refuses those above 55,535 (``grpc_port``, ``server_args.py``)."""
    while True:
        port = random.randrange(20_000, 30_000)
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


def start(prepared: Prepared, home: Path, log: Path, *, more: tuple[str, ...] = ()) -> tuple[Observed, str, int]:
    """Start the engine; with it come its key and port."""
    port = free_port()
    key = secrets.token_urlsafe(24)
    words = list(prepared.plan.server.command)
    words[0] = sys.executable
    for option, value in (("--model-path", str(prepared.folder)), ("--port", str(port)), ("--host", "127.0.0.1")):
        words[words.index(option) + 1] = value
    words += ["--load-format", "dummy", *more]
    engine = Observed(
        words,
        environment(prepared, home),
        port=port,
        api_key=key,
        mask=Mask((), keys=[key]),
        health={},
        caches=(),
        log=log,
    )
    return engine, key, port


def ask(port: int, key: str, path: str, body: Any = None, *, seconds: float = 120.0) -> tuple[int, Any]:
    """Status and JSON of an answer. :raises NoAnswer:"""
    status, content = ask_loopback(f"http://127.0.0.1:{port}{path}", body, key=key, seconds=seconds)
    try:
        return status, json.loads(content)
    except ValueError:
        return status, content[:300].decode(errors="replace")


def judged(prepared: Prepared, info: Any, cards: Any) -> dict[str, Any]:
    """What the container would say of the start, and each effective value beside the engine's own."""
    server = prepared.plan.server
    state = (info.get("internal_states") or [{}])[0]
    rows = {}
    for name, effective in sorted(prepared.facts.effective.items()):
        keys = [key for key in READ_AS.get(name, (name,)) if key in state or key in info]
        if keys:
            told = next((place[key] for place in (state, info) for key in keys if place.get(key) is not None), None)
            rows[name] = {"said": effective.value, "engine": told, "origin": str(effective.origin)}
    return {
        "refused_for": differences(server.expected, (), info, cards),
        "expected": dict(server.expected),
        "values": rows,
        "memory_usage": state.get("memory_usage"),
    }


def prove(prepared: Prepared, engine: Observed) -> str:
    """``proven`` with the seconds of warm-up and checks, or why the container would not take traffic."""
    server, began = prepared.plan.server, time.monotonic()
    proof = Proof(
        served_name=prepared.plan.model.served_name,
        expected=server.expected,
        tolerate=server.tolerate,
        warmup=server.warmup,
        checks=server.checks,
    )
    try:
        engine.require_key(began + READY_SECONDS)
        engine.prove(proof, began + READY_SECONDS)
    except RuntimeError as error:
        return "; ".join(getattr(error, "reasons", ())) or str(error)[:300]
    return f"proven in {time.monotonic() - began:.0f} s"
