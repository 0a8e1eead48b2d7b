"""The stand-in's command lines: ``sglang.launch_server`` and ``sglang.compile_deep_gemm``."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from glmdeploy.local.standin.nodes import PEER_VARIABLE, Node, Nodes, NodesError, gpus_of_node, node
from glmdeploy.local.standin.settings import (
    FAIL_VARIABLE,
    GPU_VARIABLE,
    NAME,
    VERSION_VARIABLE,
    CheckpointError,
    Settings,
    read_checkpoint,
    settings,
)
from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import UnknownVersion
from glmdeploy.sglang.parser import build_parser

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence


_LOG = logging.getLogger("sglang")
_DRAIN_SECONDS = 10
_CRASH_CHECK_SECONDS = 0.1

_KERNEL = f"{NAME}: this file stands for a compiled kernel\n"


def launch_server(argv: Sequence[str], why: str) -> int:
    """Serve until SIGTERM, then finish the running requests; returns the exit code. ``why`` no real engine does it.

    Wrong arguments exit with 2, as argparse does; a model that cannot be loaded and a port in use return 1.
    """
    version = _announce()
    try:
        arguments = _parser(version, "launch_server.py").parse_args(argv)
        own = node(arguments, version)
        loaded = _load(arguments, version, why)
        _check_gpus(arguments)
        if loaded.fails:
            raise StartError(_FAILURE)
        asyncio.run(_follow(loaded, own) if own is not None and own.rank else _serve(loaded, own))
    except _START_ERRORS as error:
        _LOG.error("%s", error)
        return 1
    return 0


def compile_deep_gemm(argv: Sequence[str]) -> int:
    """Write what stands for compiled kernels; returns the exit code, which means what a server's does."""
    version = _announce()
    try:
        parser = _parser(version, "compile_deep_gemm.py")
        parser.add_argument("--timeout", type=int, default=3600)
        arguments = parser.parse_args(argv)
        if arguments.api_key is not None:
            raise StartError(
                "TimeoutError: DeepGEMM Kernels compilation timeout. compile_deep_gemm polls its server "
                "without a key: with --api-key it is answered 401 until --timeout is over. The stand-in does "
                "not wait for that."
            )
        _write_kernels(_load(arguments, version, "kernels are compiled for a GPU"), os.environ)
    except _START_ERRORS as error:
        _LOG.error("%s", error)
        return 1
    return 0


_FAILURE = (
    f"Scheduler hit an exception: {FAIL_VARIABLE} is set, so the stand-in fails its start\n"
    "Received sigquit from a child process. It usually means the child failed."
)


class StartError(Exception):
    """A start that fails; the message is logged."""


_START_ERRORS = (StartError, UnknownVersion, CheckpointError, NodesError)


def _announce() -> str:
    """Set up the log, say in it what this is, and return the SGLang release to imitate."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="[%(asctime)s] %(message)s", datefmt="%Y-%m-%d %H:%M:%S"
    )
    version = os.environ.get(VERSION_VARIABLE) or catalog.versions()[-1]
    _LOG.info("glmdeploy's stand-in for SGLang %s: no model runs here, every answer is canned", version)
    return version


def _parser(version: str, prog: str) -> argparse.ArgumentParser:
    return build_parser(catalog.load(version), prog=prog)


def _load(arguments: argparse.Namespace, version: str, why: str) -> Settings:
    model = read_checkpoint(Path(arguments.model_path))
    loaded = settings(arguments, model, version, os.environ, why)
    defaults = vars(_parser(version, "").parse_args(["--model-path", ""]))
    _LOG.setLevel(getattr(logging, str(arguments.log_level).upper(), logging.INFO))
    given = ", ".join(f"{key}={value!r}" for key, value in loaded.arguments.items() if value != defaults.get(key))
    # With the keys, as SGLang prints it (srt/entrypoints/engine.py, 0.5.23): whoever passes this on must mask them.
    _LOG.info("server_args=ServerArgs(%s) and defaults", given)
    architectures = ", ".join(model.config.get("architectures") or ["unknown"])
    _LOG.info("Load weight end. type=%s, %d tensors checked", architectures, model.tensors)
    return loaded


def _check_gpus(arguments: argparse.Namespace) -> None:
    """:raises StartError: where a rank would have no GPU: each takes its own before anything else."""
    asked = os.environ.get(GPU_VARIABLE, "").rpartition(":")[2]
    if asked.isdecimal() and arguments.device != "cpu" and (wanted := gpus_of_node(arguments)) > int(asked):
        raise StartError(
            f"RuntimeError: CUDA error: invalid device ordinal (the stand-in counts {wanted} ranks for {asked} GPUs)\n"
            "Received sigquit from a child process. It usually means the child failed."
        )


async def _serve(loaded: Settings, own: Node | None) -> None:
    """The one that answers: the only node, or that of rank 0."""
    # Only here: what compiles kernels serves nothing.
    from aiohttp import web

    from glmdeploy.local.standin.server import AccessLogger, Server

    nodes = Nodes(own, lambda: loaded.hangs) if own is not None else None
    server = Server(loaded, lambda: loaded.hangs or (nodes is not None and nodes.missing))
    runner = web.AppRunner(
        server.application(),
        access_log=_LOG,
        access_log_class=AccessLogger,
        shutdown_timeout=_DRAIN_SECONDS,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, loaded.host, loaded.port).start()
    except OSError as error:
        await runner.cleanup()
        raise StartError(str(error)) from error
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    _watch(loaded, nodes)
    _LOG.info("Listening on http://%s:%d, ready in %g s", loaded.host, loaded.port, loaded.start_seconds)
    stopped, started = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(_start(loaded, nodes))
    await asyncio.wait({stopped, started}, return_when=asyncio.FIRST_COMPLETED)
    if started.done():
        if started.exception() is not None:
            await runner.cleanup()
            raise StartError(str(started.exception()))
        server.status = "up"
        _LOG.info("The server is fired up and ready to roll! (glmdeploy's stand-in engine)")
        await stopped
    started.cancel()
    server.status = "stopping"
    _LOG.warning("SIGTERM received. Draining requests and shutting down...")
    await runner.cleanup()
    if nodes is not None:
        nodes.bye()
        await nodes.close()


async def _follow(loaded: Settings, own: Node) -> None:
    """A node of a rank above 0: it computes with the others, and answers nobody but who asks whether it is there."""
    from aiohttp import web

    from glmdeploy.local.standin.server import follower

    nodes = Nodes(own, lambda: loaded.hangs)
    _watch(loaded, nodes)
    await _start(loaded, nodes)
    runner = web.AppRunner(follower(loaded), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, loaded.host, loaded.port).start()
    except OSError as error:
        # SGLang's is a thread that dies alone, with a line in the log (``launch_dummy_health_check_server``).
        _LOG.error("Dummy health check server failed to start: %s", error)
    else:
        _LOG.info("Dummy health check server started in background thread at %s:%d", loaded.host, loaded.port)
    if own.deaf:
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGTERM,
            _LOG.warning,
            "SIGTERM received on node_rank %d; waiting for the rank-0 ShutdownReq broadcast to stop the schedulers.",
            own.rank,
        )
    await nodes.ended.wait()
    _LOG.error("Scheduler or DataParallelController %d terminated with 0", os.getpid())
    await runner.cleanup()
    await nodes.close()


async def _start(loaded: Settings, nodes: Nodes | None) -> None:
    """Wait until the other nodes are there and the model is loaded; without one of them it never is."""
    if nodes is not None:
        await nodes.join()
    await asyncio.sleep(loaded.start_seconds)
    if nodes is not None:
        await nodes.all_there()


def _watch(loaded: Settings, nodes: Nodes | None) -> None:
    """Have this process end where that is rehearsed."""
    if loaded.crash_file is not None:
        threading.Thread(target=_crash, args=(loaded.crash_file,), daemon=True).start()
    if nodes is not None and os.environ.get(PEER_VARIABLE) == "end":
        nodes.attend(_end_with(nodes))


async def _end_with(nodes: Nodes) -> None:
    """As SGLang where Gloo notices that a peer has gone (0.5.23, measured): at once, but for diagnostics of 5 s."""
    await nodes.gone.wait()
    _LOG.error("SIGQUIT received. It usually means one child failed.")
    os.kill(os.getpid(), signal.SIGKILL)


def _crash(file: Path) -> None:
    """Wait for ``file``, then end as SGLang's parent process does when one of its children has died."""
    while not file.exists():
        time.sleep(_CRASH_CHECK_SECONDS)
    _LOG.error("%s exists: the stand-in kills itself", file)
    os.kill(os.getpid(), signal.SIGKILL)


def _write_kernels(settings: Settings, environment: Mapping[str, str]) -> None:
    """Write one kernel for each shape of matrix, to ``$SGLANG_DG_CACHE_DIR``, and print progress.

    The files are laid out as DeepGEMM's cache and have no kernels in them. The default directory is SGLang's up to
    0.5.17, ``~/.cache/deep_gemm``.

    :raises OSError:
    """
    print(
        "Begin DeepGEMM Kernels compilation...\n(glmdeploy's stand-in engine: what it writes are not kernels)\n",
        flush=True,
    )
    directory = environment.get("SGLANG_DG_CACHE_DIR")
    root = Path(directory) if directory else Path.home() / ".cache" / "deep_gemm"
    shapes = _shapes(settings)
    for number, (columns, rows) in enumerate(shapes, 1):
        name = "sm100_fp8_gemm_1d1d"
        digest = hashlib.md5(f"{name} {settings.version} {rows}x{columns}".encode(), usedforsecurity=False).hexdigest()
        kernel = root / "cache" / f"kernel.{name}.{digest}"
        kernel.mkdir(parents=True, exist_ok=True)
        (kernel / "kernel.cu").write_text(f"// {_KERNEL}", encoding="utf-8")
        (kernel / "kernel.cubin").write_text(_KERNEL, encoding="utf-8")
        print(f"DeepGEMM JIT ({number}/{len(shapes)}) N={rows} K={columns}", flush=True)
    print("\nDeepGEMM Kernels compilation finished successfully.", flush=True)


def _shapes(settings: Settings) -> list[tuple[int, int]]:
    """Columns and rows of the model's larger matrices."""
    config = settings.config
    hidden = config.get("hidden_size", 0)
    widths = (config.get(name, 0) for name in ("intermediate_size", "moe_intermediate_size", "q_lora_rank"))
    return sorted({(hidden, width) for width in widths if width} | {(hidden, hidden)})
