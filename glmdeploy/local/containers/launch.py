"""Everything that one container start needs, worked out before anything is started.

A container here is a process with a directory that stands for the container's file system: what Modal would
mount at ``/root/app.py`` lies at ``<root>/root/app.py``. Code that opens absolute paths finds them under the
prefix ``GLMDEPLOY_LOCAL_ROOT``.
"""

from __future__ import annotations

import json
import secrets
import shlex
import socket
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.local.containers.bootstrap import (
    ADDRESS_VARIABLE,
    ARGUMENTS_VARIABLE,
    HEADERS_VARIABLE,
    READ_ONLY_VARIABLE,
)
from glmdeploy.local.containers.forks import STARTUP, Forks
from glmdeploy.local.home import inside
from glmdeploy.local.state.store import new_id
from glmdeploy.redaction import Redactor
from glmdeploy.runtime import hosting
from glmdeploy.sglang.real.environment import ENGINE_SHIMS, ENGINE_VERSION, existing_engine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from glmdeploy.local.home import Home
    from glmdeploy.local.state.files import FileStore
    from glmdeploy.local.state.registry import LiveFunction
    from glmdeploy.local.state.store import Store

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STANDIN = Path(__file__).parents[1] / "standin" / "path"


CLOUD_PROVIDER = "CLOUD_PROVIDER_UNSPECIFIED"
"""On Modal the name of AWS, GCP or OCI in its protocol; modal 1.6.4 reads it in containers of clusters
(``_cluster.py``), and takes its most cautious settings of NCCL for any other."""

CLUSTER_PORT_VARIABLE = "GLMDEPLOY_LOCAL_CLUSTER_PORT"
"""A port for what the containers of a cluster agree on that listens on all addresses, as PyTorch's store does."""


@dataclass(frozen=True, kw_only=True)
class Seat:
    """A container's IPv4 address in its cluster, and the port of :data:`CLUSTER_PORT_VARIABLE`."""

    address: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Where containers find the embedded cloud."""

    server_url: str
    hub_url: str


@dataclass(frozen=True, kw_only=True)
class PlacedFile:
    """A file of a mount, and where in the container's root it belongs."""

    sha256_hex: str
    path: PurePosixPath
    mode: int


@dataclass(frozen=True, kw_only=True)
class Launch:
    """``links`` are volumes: a path in the root, and the directory behind it. ``port`` may be 0: none.

    ``replaced`` are the variables of the image or its secrets that have a value of the embedded cloud's own.
    """

    task_id: str
    task_secret: str
    root: Path
    scratch: Path
    environment: Mapping[str, str]
    files: tuple[PlacedFile, ...]
    links: tuple[tuple[PurePosixPath, Path], ...]
    arguments: bytes
    redact: Redactor
    port: int
    replaced: tuple[str, ...]
    forks: Forks

    @property
    def arguments_path(self) -> Path:
        return self.root / "container-arguments"

    def prepare(self, files: FileStore) -> None:
        """Build the root.

        :raises OSError:
        """
        for directory in (self.root / "root", self.scratch):
            directory.mkdir(mode=0o700, parents=True)
        for placed in self.files:
            files.copy(placed.sha256_hex, self.root / placed.path, placed.mode)
        for path, target in self.links:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            link = self.root / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target, target_is_directory=True)
        self.arguments_path.write_bytes(self.arguments)


class Planner:
    """Makes launches from what is deployed.

    ``scratch`` is a directory with a short name, for TMPDIR; ``engines`` is where the real engine is, if it is.
    """

    def __init__(self, *, store: Store, home: Home, scratch: Path, endpoints: Endpoints, engines: Path) -> None:
        self._store = store
        self._home = home
        self._scratch = scratch
        self._endpoints = endpoints
        self._engines = engines
        self._forks = Forks(home.containers)

    def plan(self, live: LiveFunction, layout: api_pb2.AppLayout, seat: Seat | None = None) -> Launch:
        """``seat`` is the container's place in its cluster."""
        task_id = new_id("ta")
        task_secret = secrets.token_hex(24)
        root = self._home.containers / task_id
        images = list(self._image_chain(live.proto.image_id))
        contents = self._secrets(live.proto)
        port = _free_port() if has_web_server(live.proto) else 0
        given = _given(images, contents)
        own = {
            **self._surroundings(root, task_id),
            **_real_engine(self._engines),
            "MODAL_IS_REMOTE": "1",
            "MODAL_TASK_ID": task_id,
            "MODAL_IMAGE_ID": live.proto.image_id,
            "MODAL_ENVIRONMENT": live.app.environment,
            "MODAL_CLOUD_PROVIDER": CLOUD_PROVIDER,
            ARGUMENTS_VARIABLE: str(root / "container-arguments"),
            HEADERS_VARIABLE: f"x-glmdeploy-task:{task_id},x-glmdeploy-task-secret:{task_secret}",
        }
        if port:
            own["GLMDEPLOY_LOCAL_PORT"] = str(port)
        if seat is not None:
            own |= {ADDRESS_VARIABLE: seat.address, CLUSTER_PORT_VARIABLE: str(seat.port)}
        if gpu := _gpu(live):
            own["GLMDEPLOY_LOCAL_GPU"] = gpu
        if read_only := [str(self._folder(mount)) for mount in live.proto.volume_mounts if mount.read_only]:
            own[READ_ONLY_VARIABLE] = json.dumps(read_only)
        environment = {**given, **self._paths(given, root), **own}
        self._add_dependencies(layout, live.proto)
        arguments = api_pb2.ContainerArguments(
            task_id=task_id,
            function_id=live.id,
            app_id=live.app.id,
            function_def=live.proto,
            environment_name=live.app.environment,
            app_layout=layout,
        )
        return Launch(
            task_id=task_id,
            task_secret=task_secret,
            root=root,
            scratch=self._scratch / task_id[-8:],
            environment=environment,
            files=tuple(self._files(images, live.proto)),
            links=tuple(self._links(live.proto)),
            arguments=arguments.SerializeToString(),
            redact=Redactor([*contents.values(), task_secret]),
            port=port,
            replaced=tuple(sorted(name for name, value in own.items() if given.get(name, value) != value)),
            forks=self._forks,
        )

    def _add_dependencies(self, layout: api_pb2.AppLayout, function: api_pb2.Function) -> None:
        """Modal's runtime looks up every object that the function's decorator names."""
        for dependency in function.object_dependencies:
            volume = self._store.volumes.get(id=dependency.object_id)
            known = layout.objects.add(object_id=dependency.object_id)
            if volume is not None:
                known.volume_metadata.CopyFrom(
                    api_pb2.VolumeMetadata(name=volume.name, version=volume.version)  # type: ignore[arg-type]
                )

    def _paths(self, given: Mapping[str, str], root: Path) -> dict[str, str]:
        """What the image's own search paths become: they are searched as well."""
        own = f"{Path(sys.executable).parent}:{_SYSTEM_PATH}"
        words = [str(self._home.bin), *given.get("PATH", "").split(":"), *own.split(":")]
        python_path = [str(root / "root"), str(_STANDIN), given.get("PYTHONPATH", "")]
        return {"PATH": ":".join(dict.fromkeys(filter(None, words))), "PYTHONPATH": ":".join(filter(None, python_path))}

    def _surroundings(self, root: Path, task_id: str) -> dict[str, str]:
        return {
            "HOME": str(root / "root"),
            "TMPDIR": str(self._scratch / task_id[-8:]),
            "HF_ENDPOINT": self._endpoints.hub_url,
            "GLMDEPLOY_LOCAL_ROOT": str(root),
            "MODAL_SERVER_URL": self._endpoints.server_url,
            "MODAL_DISABLE_API_PROXY": "1",
        }

    def _image_chain(self, image_id: str) -> Iterator[api_pb2.Image]:
        """The image's layers, the base first."""
        record = self._store.images.get(id=image_id)
        if record is None:
            return
        image = api_pb2.Image.FromString(record.proto)
        for base in image.base_images:
            yield from self._image_chain(base.image_id)
        yield image

    def _secrets(self, function: api_pb2.Function) -> dict[str, str]:
        """Of several secrets with the same key the last one counts."""
        contents: dict[str, str] = {}
        for secret_id in function.secret_ids:
            record = self._store.secrets.get(id=secret_id)
            contents |= record.contents if record else {}
        return contents

    def _files(self, images: list[api_pb2.Image], function: api_pb2.Function) -> Iterator[PlacedFile]:
        for image in images:
            yield from copied_files(image.dockerfile_commands, self._mount(image.context_mount_id))
        for mount_id in function.mount_ids:
            yield from (_placed(file, PurePosixPath(file.filename)) for file in self._mount(mount_id))

    def _mount(self, mount_id: str) -> list[api_pb2.MountFile]:
        record = self._store.mounts.get(id=mount_id) if mount_id else None
        return list(api_pb2.MountGetOrCreateRequest.FromString(record.files).files) if record else []

    def _links(self, function: api_pb2.Function) -> Iterator[tuple[PurePosixPath, Path]]:
        for mount in function.volume_mounts:
            yield inside(PurePosixPath(mount.mount_path)), self._folder(mount)

    def _folder(self, mount: api_pb2.VolumeMount) -> Path:
        """What of a volume is mounted."""
        return self._home.volumes / mount.volume_id / inside(PurePosixPath(mount.sub_path))


def _gpu(live: LiveFunction) -> str:
    """The GPU that the function asks for first, in Modal's syntax; empty for none."""
    asked = [ranked.function.resources.gpu_config for ranked in live.data.ranked_functions]
    return next((f"{gpu.gpu_type}:{gpu.count}" for gpu in asked if gpu.count), "")


def _real_engine(engines: Path) -> dict[str, str]:
    """Where the real engine is, and which release it is; nothing where it is not installed."""
    python = existing_engine(engines)
    if python is None:
        return {}
    return {
        hosting.ENGINE_PYTHON: str(python),
        hosting.ENGINE_PYTHONPATH: str(ENGINE_SHIMS),
        hosting.ENGINE_RELEASE: ENGINE_VERSION,
    }


def _given(images: Iterable[api_pb2.Image], contents: Mapping[str, str]) -> dict[str, str]:
    """The variables of a container as it is defined. Of the user's own environment nothing gets in."""
    environment = dict(STARTUP)
    for image in images:
        environment |= variables(image.dockerfile_commands)
    return environment | dict(contents)


def has_web_server(function: api_pb2.Function) -> bool:
    """Whether it is a Server, or a function, or a method of a class, is a web function."""
    webhooks = [
        function.webhook_config,
        *(each.webhook_config for each in function.method_definitions.values()),
    ]
    return function.is_server or any(webhook.type != api_pb2.WEBHOOK_TYPE_UNSPECIFIED for webhook in webhooks)


def variables(commands: Iterable[str]) -> dict[str, str]:
    """What the ENV instructions among ``commands`` set, in the form that Modal's SDK writes: ``ENV NAME='a value'``.

    A ``$NAME`` in a value is not expanded.

    :raises ValueError: for an instruction of another form.
    """
    result: dict[str, str] = {}
    for command in commands:
        instruction, _, rest = command.strip().partition(" ")
        if instruction.upper() == "ENV":
            for word in shlex.split(rest):
                name, equals, value = word.partition("=")
                if not equals:
                    raise ValueError(f"not understood in the embedded cloud: {command}")
                result[name] = value
    return result


def copied_files(commands: Iterable[str], mount: list[api_pb2.MountFile]) -> Iterator[PlacedFile]:
    """What the COPY instructions among ``commands`` take from the layer's context mount.

    Sources that the mount does not have are skipped: they are files of Modal's own image builder, for steps that are
    not run here.

    :raises ValueError: for an instruction that is malformed or leaves the context.
    """
    for command in commands:
        instruction, _, rest = command.strip().partition(" ")
        if instruction.upper() != "COPY" or not mount:
            continue
        words = json.loads(rest) if rest.lstrip().startswith("[") else shlex.split(rest)
        *sources, destination = [word for word in words if not word.startswith("--")]
        for source in (inside(PurePosixPath(source)) for source in sources):
            for file in mount:
                name = inside(PurePosixPath(file.filename))
                if name == source and not destination.endswith("/"):
                    yield _placed(file, PurePosixPath(destination))
                elif name == source:
                    yield _placed(file, PurePosixPath(destination) / name.name)
                elif name.is_relative_to(source):
                    yield _placed(file, PurePosixPath(destination) / name.relative_to(source))


def _placed(file: api_pb2.MountFile, path: PurePosixPath) -> PlacedFile:
    return PlacedFile(sha256_hex=file.sha256_hex, path=inside(path), mode=file.mode or 0o644)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
