"""The Modal app of a Plan, built in memory with the real SDK: no generated file, no import of a user's script.

The functions and the class live in ``glmdeploy.runtime``; a container imports them from there by name, from files
that are mounted when it starts and so never rebuild an image (modal 1.6.4, ``modal/_runtime/user_code_imports.py``).
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal

from glmdeploy.plan import source
from glmdeploy.plan.plan import (
    COMPILE_SCALEDOWN,
    DESCRIBE_TIMEOUT,
    LOCKED_INSTALL,
    PING_TIMEOUT,
    SMALL_STARTUP_TIMEOUT,
    STEPS,
    Image,
    Made,
    Secret,
    Volume,
    app_tags,
    compiler_name,
)
from glmdeploy.runtime.mounted import PLAN_FILE
from glmdeploy.runtime.preflight import JUDGE_SECONDS, preflight, rehearse, resolve_revision
from glmdeploy.runtime.server import define
from glmdeploy.runtime.stages import ask_endpoint, compile_deepgemm, describe, download_model, keep_warm

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePosixPath

    from glmdeploy.plan.plan import Plan

    Mounts = dict[str | PurePosixPath, modal.Volume | modal.CloudBucketMount]

PACKAGE = Path(__file__).parents[1]
HUB_TIMEOUT = 120
"""Seconds for one question to the hub."""
PREFLIGHT: Mapping[str, Any] = {
    "cpu": 2.0,
    "memory": 4096,
    "timeout": JUDGE_SECONDS + HUB_TIMEOUT,
    "startup_timeout": SMALL_STARTUP_TIMEOUT,
}
"""Cores, MiB and seconds of a container that imports SGLang. Seen of 0.5.11 with PyTorch for CUDA, without a driver:
870 MiB and 14 s of processor time for the parser, 1,060 MiB and 18 s with the resolution (0.5.17: 1,180 MiB, 21 s)."""
VERIFY: Mapping[str, Any] = {
    "cpu": 2.0,
    "memory": 1024,
    "timeout": 4 * 3600,
    "startup_timeout": SMALL_STARTUP_TIMEOUT,
}
"""The same of a container that verifies: it may wait for a cold start, and then measures for as long as it is told."""
REMOTE = "/root/glmdeploy"
"""Where the container finds this package: Modal puts /root on the path of imports."""


Stage = modal.Function[..., dict[str, Any], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Stages:
    """An app with the preparing stages alone: what runs before anything is deployed. None: not wanted."""

    app: modal.App
    resolve_revision: Stage | None = None
    preflight: Stage | None = None
    download: Stage | None = None
    rehearse: Stage | None = None
    verify: Stage | None = None
    bench: Stage | None = None
    compile: dict[str, Stage] = field(default_factory=dict)
    """By GPU."""


def build(plan: Plan, folder: Path, runtime: Mapping[str, bytes] | None = None) -> modal.App:
    """The whole app. ``folder``, empty at first, receives its files and must exist until the app is deployed.

    ``runtime`` is the container side's source that the plan names, where it is not this release's.

    :raises ValueError: for a plan of another release without its source.
    """
    _stage_files(plan, folder, runtime)
    app = stages(plan, folder, download=True, compiler=True).app
    files = _stage_files(plan, folder)
    slim = _image(plan.download.image, files)
    app.function(image=slim, timeout=DESCRIBE_TIMEOUT, startup_timeout=SMALL_STARTUP_TIMEOUT)(describe)
    if plan.keepalive:
        app.function(
            image=slim,
            schedule=modal.Cron(plan.keepalive.schedule, timezone=plan.keepalive.timezone),
            secrets=_secrets(plan.proxy_token),
            timeout=PING_TIMEOUT,
            startup_timeout=SMALL_STARTUP_TIMEOUT,
        )(keep_warm)
    if plan.proxy_token:
        app.function(
            image=slim,
            secrets=_secrets(plan.proxy_token),
            timeout=PING_TIMEOUT,
            startup_timeout=SMALL_STARTUP_TIMEOUT,
        )(ask_endpoint)
    _serve(app, plan, files)
    return app


def _serve(app: modal.App, plan: Plan, files: Path) -> None:
    """Stage 3, as the kind of server that is wanted."""
    serve = plan.server
    container: dict[str, Any] = {
        "image": _image(serve.image, files, plan.registry),
        "gpu": _gpu(plan),
        "volumes": _mounts(*plan.serving_volumes),
        "secrets": _secrets(plan.api_key, *plan.secrets),
    }
    cls = define(serve.kind, **_arguments(serve.keywords("web_server")))
    if plan.cluster:
        cls = modal.clustered(size=plan.cluster.nodes, rdma=plan.cluster.rdma)(cls)
    if serve.kind == "server":
        app.server(**container, **_arguments(serve.keywords("server")))(cls)
    else:
        app.cls(**container, **_arguments(serve.keywords("cls")))(
            modal.concurrent(**_arguments(serve.keywords("concurrent")))(cls)
        )


def stages(
    plan: Plan,
    folder: Path,
    *,
    revision: bool = False,
    checks: bool = False,
    download: bool = False,
    compiler: bool = False,
    rehearsal: bool = False,
    verifier: bool = False,
    bench: bool = False,
) -> Stages:
    """The stages that are wanted; ``folder`` as for :func:`build`. ``checks`` is for the preflight.

    Each stage is a function of a container of its own: what a preflight cannot see on a CPU no later stage misses.
    """
    files = _stage_files(plan, folder)
    if checks or rehearsal:
        _add_probes(files)
    app = modal.App(plan.app, tags=app_tags(plan), include_source=False)
    asker = checker = downloader = rehearser = asking = bencher = None
    secrets = _secrets(*plan.looked_at)
    if revision:
        asker = app.function(
            image=_image(plan.download.image, files),
            secrets=secrets,
            timeout=HUB_TIMEOUT,
            startup_timeout=SMALL_STARTUP_TIMEOUT,
        )(resolve_revision)
    if checks:
        checker = app.function(
            image=_image(plan.server.image, files, plan.registry),
            volumes=_mounts(replace(plan.weights, sub_path=None)),
            secrets=secrets,
            **PREFLIGHT,
        )(preflight)
    if download:
        downloader = app.function(
            image=_image(plan.download.image, files),
            volumes=_mounts(replace(plan.weights.writable(), sub_path=None)),
            secrets=_secrets(plan.huggingface),
            max_containers=1,
            **_arguments(plan.download.keywords("function")),
        )(download_model)
    compilers = _compilers(app, plan, files) if compiler and plan.compile else {}
    if rehearsal:
        rehearser = app.function(
            image=_image(plan.server.image, files, plan.registry),
            volumes=_mounts(*plan.serving_volumes),
            **PREFLIGHT,
        )(rehearse)
    if verifier:
        from glmdeploy.runtime.verify_endpoint import verify_endpoint

        asking = app.function(
            image=_image(plan.download.image, files), secrets=_secrets(plan.api_key, plan.proxy_token), **VERIFY
        )(verify_endpoint)
    if bench:
        from glmdeploy.runtime.verify_bench import bench_serving

        bencher = app.function(
            image=_image(plan.server.image, files, plan.registry),
            volumes=_mounts(plan.weights),
            secrets=_secrets(plan.api_key, plan.proxy_token),
            **{**PREFLIGHT, "timeout": VERIFY["timeout"]},
        )(bench_serving)
    return Stages(
        app=app,
        resolve_revision=asker,
        preflight=checker,
        download=downloader,
        compile=compilers,
        rehearse=rehearser,
        verify=asking,
        bench=bencher,
    )


def _compilers(app: modal.App, plan: Plan, files: Path) -> dict[str, Stage]:
    """Stage 2 by GPU: a function has GPUs of one type."""
    assert plan.compile is not None
    image = _image(plan.server.image, files, plan.registry)
    return {
        gpu: app.function(
            name=compiler_name(place),
            image=image,
            gpu=gpu,
            volumes=_mounts(plan.weights.writable(), plan.kernels),
            max_containers=1,
            scaledown_window=COMPILE_SCALEDOWN,
            **_arguments(plan.compile.keywords("function")),
        )(compile_deepgemm)
        for place, gpu in enumerate(plan.gpus)
    }


def _stage_files(plan: Plan, folder: Path, runtime: Mapping[str, bytes] | None = None) -> Path:
    """The container side as it will lie in the containers: the package's ``runtime`` and the plan beside it."""
    package = folder / "glmdeploy"
    if not package.exists():
        files = source.files() if runtime is None else runtime
        if source.digest(files) != plan.runtime:
            raise ValueError(f"not the container side of this plan: {plan.runtime}")
        (package / "runtime").mkdir(parents=True)
        for path, content in files.items():
            (package / path).write_bytes(content)
        (package / "runtime" / PLAN_FILE).write_text(plan.canonical(), encoding="utf-8")
    return package


def _gpu(plan: Plan) -> str | list[str]:
    return plan.gpu if isinstance(plan.gpu, str) else list(plan.gpu)


def _arguments(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """A decorator's arguments: the plan's keywords, with instances of Modal's classes where it takes such."""
    return {
        name: getattr(modal, value.name)(**value.keywords) if isinstance(value, Made) else value
        for name, value in keywords.items()
    }


def _add_probes(package: Path) -> None:
    """What asks the image's SGLang, beside the container side. The deployed app does not carry it."""
    from glmdeploy.runtime.preflight_image import IMAGE_PROBE
    from glmdeploy.sglang.real import catalog_probe, oracle

    place = package / IMAGE_PROBE.parent.relative_to(PACKAGE)
    place.mkdir(parents=True, exist_ok=True)
    for program in (IMAGE_PROBE, oracle.PROBE, Path(str(catalog_probe.__file__))):
        shutil.copy(program, place)


def _image(image: Image, files: Path, registry: Secret | None = None) -> modal.Image:
    if image.registry:
        secret = _secrets(registry)[0] if registry else None
        built = modal.Image.from_registry(image.registry, secret=secret, add_python=image.python)
        # SGLang's image has NVIDIA's entrypoint, which only prints a banner into every container's log.
        built = built.entrypoint([])
    else:
        built = modal.Image.debian_slim(python_version=image.python)
    if any("--hash=" in line for line in image.pip):
        built = built.run_commands(LOCKED_INSTALL.format(shlex.join(image.pip)))
    elif image.pip:  # an archived plan of before the lock, deployed again
        built = built.pip_install(*image.pip)
    for step in image.steps:
        for name, words in step.items():
            built = getattr(built, STEPS[name])(*words)
    if image.env:
        built = built.env(image.env)
    return built.add_local_dir(files, REMOTE)


def _mounts(*volumes: Volume | None) -> Mounts:
    found: Mounts = {}
    for volume in filter(None, volumes):
        handle = modal.Volume.from_name(volume.name, create_if_missing=True, version=volume.version)
        if volume.sub_path or volume.read_only:
            handle = handle.with_mount_options(read_only=volume.read_only, sub_path=volume.sub_path)
        found[volume.mount] = handle
    return found


def _secrets(*secrets: Secret | None) -> list[modal.Secret]:
    return [modal.Secret.from_name(each.name, required_keys=list(each.keys)) for each in secrets if each]
