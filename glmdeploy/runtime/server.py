"""Stage 3: the class whose containers serve."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import modal

from glmdeploy.runtime.caches import CACHES, DamagedCaches, caches_archive, make_caches, unpack_caches
from glmdeploy.runtime.cluster import NoPlace, network, place_of, watched, with_place
from glmdeploy.runtime.engine import Engine, EngineError, Proof, start_engine
from glmdeploy.runtime.exits import lost_a_peer
from glmdeploy.runtime.failures import digest_of, forget_later, remember, too_many, within
from glmdeploy.runtime.hosting import local_command, local_folder, local_port
from glmdeploy.runtime.kernels import kernels_there
from glmdeploy.runtime.keys import unusable
from glmdeploy.runtime.link import Link, NotMet
from glmdeploy.runtime.markers import FOLDER
from glmdeploy.runtime.masking import Mask
from glmdeploy.runtime.mounted import PLAN
from glmdeploy.runtime.output import say
from glmdeploy.runtime.stages import RELOAD_LIMIT, engine_env, further_secret_names, mounts, plan, secret_names
from glmdeploy.runtime.verdict import say_place, say_ready, say_refused, say_silent_end
from glmdeploy.runtime.weights import shortcoming, weights_mark

CACHE_VARIABLES = (
    *("SGLANG_CACHE_DIR", "SGLANG_JIT_CACHE_DIR", "SGLANG_DG_CACHE_DIR", "TRITON_CACHE_DIR"),
    *("TORCHINDUCTOR_CACHE_DIR", "FLASHINFER_WORKSPACE_BASE", "TVM_FFI_CACHE_DIR", "CUDA_CACHE_PATH"),
    "TILELANG_CACHE_DIR",
)
"""Where SGLang's compilers keep kernels, if the variable is set (0.5.10 to 0.5.23)."""

CACHE_FOLDERS = (
    *(".cache/sglang", ".cache/deep_gemm", ".cache/flashinfer", ".cache/tvm-ffi"),
    *(".triton/cache", ".nv/ComputeCache"),
)
"""Where they keep them otherwise, below the home folder."""


class ServingContainer:
    """What a container does that serves, of either kind: it starts SGLang before it takes traffic, and ends it."""

    engine: Engine | None = None

    @modal.enter()
    def start(self) -> None:
        self.engine = start(plan())

    @modal.exit()
    def stop(self) -> None:
        if self.engine is not None:
            self.engine.stop()


def define(kind: str, port: int = 0, **web_server: Any) -> type[Any]:
    """The class ``Server`` of a kind. A web function's has a port and the other keywords of ``@modal.web_server``.

    Modal reads them from the decorators of the methods, at import in the container and at build time here. All that
    a Server needs (``@app.server``) stands in its decorator.
    """
    made = _modal_server() if kind == "server" else _web_function(local_port(port), web_server)
    made.__qualname__ = "Server"  # Modal imports it by this name from this module
    return made


def _modal_server() -> type[Any]:
    class Server(ServingContainer):
        """Modal passes requests on to the port once ``start`` has returned."""

    return Server


def _web_function(port: int, keywords: Mapping[str, Any]) -> type[Any]:
    class Server(ServingContainer):
        @modal.web_server(port, **keywords)
        def serve(self) -> None:
            """SGLang already listens: Modal calls this after ``start``."""

    return Server


def start(deployed: dict[str, Any]) -> Engine:
    """Start SGLang as the plan says; return when it has proved itself, and say so in one line, or that it has not.

    Of a cluster rank 0 says it, and a rank that cannot tell rank 0 what it failed in.

    :raises EngineError:
    """
    digest, deadline = digest_of(deployed), time.monotonic() + deployed["server"]["gives_up_after"]
    link: Link | None = None
    try:
        if place := place_of(deployed):
            say_place(place.rank, place.nodes, place.cluster)
            link = Link(place)
            link.open(deadline)
        engine = proven(deployed, digest, deadline, link)
    except (EngineError, NoPlace, NotMet) as error:
        agreed = agreed_on(error, link)
        say_failed(digest, agreed.reasons, link)
        raise agreed from None
    except Exception as error:  # Modal shows it; without a verdict `apply` would wait for nothing
        reason = f"the container itself failed: {type(error).__name__}"
        say_failed(digest, agreed_on(EngineError(reason), link).reasons, link)
        raise
    if speaks(link):
        say_ready(digest)
    return engine


def speaks(link: Link | None) -> bool:
    """Whether this container says how the start ended: for all of its cluster, where it has one."""
    return link is None or link.place.leads or link.lost


def say_failed(digest: str, reasons: Sequence[str], link: Link | None) -> None:
    """Say how the start ended, or that rank 0 says it."""
    if link is None or speaks(link):
        say_refused(digest, reasons)
    else:
        say_silent_end(link.place.rank)
    if link:
        link.told()


def agreed_on(error: Exception, link: Link | None) -> EngineError:
    """Why the start ends, which all containers of a cluster end with: what failed first in any of them."""
    own = error if isinstance(error, EngineError) else EngineError(str(error))
    if link is None:
        return own
    end = link.end or link.fail(str(own), own.reasons, follows=lost_a_peer(str(own)))
    return EngineError(end.says, end.reasons)


def proven(deployed: dict[str, Any], digest: str, deadline: float, link: Link | None) -> Engine:
    """An engine that serves as the plan says, and nobody without the key.

    What costs nothing to find out is found out before SGLang starts, and is not counted as a failed start.

    :raises EngineError:
    """
    api_key = key_of(deployed, os.environ)
    for role in ("weights", "kernels"):
        if role in deployed:
            _reload(deployed[role]["name"])
    if lacking := missing_weights(deployed):
        raise EngineError(f"the weights are not complete, `apply` brings what is missing: {lacking}")
    if "compile" in deployed and "kernels" in deployed:
        _bring_kernels(deployed)
    volume = modal.Volume.from_name(deployed["weights"]["name"])
    if speaks(link) and (refusal := too_many(volume, digest)):
        raise EngineError(refusal)
    server, environment, place = deployed["server"], engine_env("server"), link.place if link else None
    environment |= network(place, environment)
    if place and "NCCL_SOCKET_IFNAME" not in environment:
        say(f"no interface has {place.address}: which one NCCL and Gloo take is theirs to choose")
    others = [os.environ.get(name, "") for name in [*secret_names(), *further_secret_names()]]
    files = weights_mark(local_folder(deployed["weights"]["mount"])).get("files", {})
    with contextlib.suppress(OSError):  # SGLang's compilers say what they cannot write
        make_caches(environment, local_folder(CACHES))
    try:
        engine = start_engine(
            with_place(local_command(server["command"], mounts()), place),
            environment,
            port=local_port(server["port"]),
            api_key=api_key,
            mask=Mask(others, keys=[api_key] if api_key else []),
            health=watched(server["health"], place),
            caches=kernel_caches(environment, [deployed["kernels"]["mount"]] if "kernels" in deployed else []),
            proof=proof_of(deployed),
            seconds=deadline - time.monotonic(),
            weight_bytes=sum(entry["size"] for name, entry in files.items() if name.endswith(".safetensors")),
            link=link,
        )
    except EngineError as error:
        agreed = agreed_on(error, link)
        if speaks(link):
            remember(volume, digest, str(agreed))
        raise agreed from None
    if speaks(link):
        forget_later(volume, digest)
    return engine


def proof_of(deployed: Mapping[str, Any]) -> Proof:
    """What the engine must show."""
    server = deployed["server"]
    return Proof(
        served_name=deployed["model"]["served_name"],
        expected=server["expected"],
        tolerate=server["tolerate"],
        warmup=server.get("warmup"),
        checks=server["checks"],
    )


def key_of(deployed: Mapping[str, Any], environment: Mapping[str, str]) -> str | None:
    """The API key; None where the plan wants a server that is open to all.

    :raises EngineError: when there must be one and is none that can be used. Does not show the value.
    """
    secret = deployed.get("api_key")
    if secret is None:
        if deployed["server"].get("public") is True:
            return None
        raise EngineError("the server is not started: it has no API key, and the profile does not say `server.public`")
    key = environment.get(secret["keys"][0])
    if reason := unusable(key):
        raise EngineError(
            f"the server is not started: {secret['keys'][0]} of the secret {secret['name']} {reason}. "
            "A key is printable ASCII without blanks at its ends, and does not begin with `-`"
        )
    return key


def missing_weights(deployed: Mapping[str, Any]) -> str | None:
    """Why the model cannot be loaded as it lies in the volume; None where it is whole."""
    model, folder = deployed["model"], local_folder(deployed["weights"]["mount"])
    return shortcoming(folder, model["repo"], model.get("commit"), Path(model["path"]).name)


def _bring_kernels(deployed: Mapping[str, Any]) -> None:
    """Unpack what the compile stage left; say where SGLang has to compile it: minutes that nobody expects.

    Which of several GPUs this container has does not matter: each of them should have its kernels.
    """
    folder, keys = local_folder(deployed["kernels"]["mount"]), deployed["compile"]["keys"]
    for gpu, (mark, gone) in kernels_there(folder, keys).items():
        where = "for this deployment" if len(keys) == 1 else f"for {gpu}"
        if packed := mark.get("caches"):
            _unpack(folder / FOLDER / caches_archive(keys[gpu]), packed)
        if not mark:
            say(f"no kernels were compiled {where}: SGLang compiles them at a start, which can take 10 to 20 minutes")
        elif gone:
            which = "compiled kernels" if len(keys) == 1 else f"compiled kernels for {gpu}"
            say(f"{gone} of {len(mark['files'])} {which} are gone: SGLang compiles them now, `apply` beforehand")


def _unpack(archive: Path, packed: Mapping[str, Any]) -> None:
    """Put the kernel caches where SGLang looks for them; a start without them is slow, and still a start."""
    started = time.monotonic()
    try:
        count = unpack_caches(archive, packed, local_folder(CACHES))
    except (DamagedCaches, OSError) as fault:
        say(f"the kernel caches cannot be unpacked, SGLang compiles what it needs: {fault}")
        return
    say(f"{count:,} files of the kernel caches unpacked in {time.monotonic() - started:.1f} s")


def kernel_caches(environment: Mapping[str, str], volumes: list[str]) -> list[Path]:
    """The folders in which a file appears while SGLang compiles kernels."""
    named = [environment[name] for name in CACHE_VARIABLES if environment.get(name)]
    home = Path(environment.get("HOME", "/root"))
    folders = [*map(local_folder, volumes), *map(Path, named), *(home / folder for folder in CACHE_FOLDERS)]
    return list(dict.fromkeys(folders))


def _reload(name: str) -> None:
    """Have a mounted volume show its newest files. :raises EngineError:"""
    try:
        within(RELOAD_LIMIT, modal.Volume.from_name(name).reload)
    except Exception as error:
        raise EngineError(f"the volume {name} could not be reloaded: {str(error) or type(error).__name__}") from None


if PLAN is not None:  # in a container, which needs no more of the decorators than this; the script has its own line
    _server = plan()["server"]
    Server = define(_server["kind"], _server["port"], startup_timeout=_server["startup_timeout"])
