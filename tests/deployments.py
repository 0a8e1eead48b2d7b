"""A deployment of an app that is built in memory, or of its script, and what the control plane receives of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal
from modal_proto import api_pb2
from support import PATIENCE, connect

from glmdeploy.app.build import build
from glmdeploy.local.cloud import environ
from glmdeploy.local.daemon import in_thread
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

    from glmdeploy.local.cloud import Cloud

PROFILE = "b200-eagle-bf16kv"
SECRETS = {
    "huggingface-secret": ("HF_TOKEN",),
    "glm51-api-key": ("API_KEY",),
    "registry": ("REGISTRY_USERNAME", "REGISTRY_PASSWORD"),
    "aws": ("AWS_ROLE_ARN", "AWS_REGION"),
    "google": ("SERVICE_ACCOUNT_JSON",),
    "bucket": ("BUCKET_ID", "BUCKET_NAME"),
    "modal-proxy": ("PROXY_KEY", "PROXY_SECRET"),
}
"""What the embedded cloud has, with the keys."""


class Received:
    """The requests of one deployment, with ids replaced by what they stand for."""

    def __init__(self) -> None:
        self.log: list[tuple[str, Message]] = []

    def __call__(self, rpc: str, request: Message) -> None:
        self.log.append((rpc, request))

    def all(self, rpc: str) -> list[Any]:
        return [request for name, request in self.log if name == rpc]

    def functions(self) -> dict[str, api_pb2.Function]:
        return {name: ranked[0] for name, ranked in self.ranked().items()}

    def ranked(self) -> dict[str, list[api_pb2.Function]]:
        """The functions, for each of their GPUs in order: of a list of GPUs the SDK sends one definition each."""
        found = {}
        for item in self.all("FunctionCreate"):
            ranked = [each.function for each in item.function_data.ranked_functions] or [item.function]
            found[ranked[0].function_name] = ranked
        return found

    def images(self) -> list[list[str]]:
        return [list(item.image.dockerfile_commands) for item in self.all("ImageGetOrCreate")]

    def env(self) -> dict[str, set[str]]:
        """``ENV`` lines of each image, as one set an image that has some."""
        found = [{line for line in lines if line.startswith("ENV ")} for lines in self.images()]
        return {"\n".join(sorted(lines)): lines for lines in found if lines}


@contextlib.contextmanager
def receiving() -> Iterator[tuple[Received, Cloud, modal.Client]]:
    """An embedded cloud in this process that has the profile's secrets, and what it receives from then on."""
    received = Received()
    with tempfile.TemporaryDirectory() as folder, in_thread(Path(folder) / "home", observer=received) as running:
        client = connect(running.cloud)
        for name, keys in SECRETS.items():
            modal.Secret.objects.create(name, dict.fromkeys(keys, "x"), client=client)
        received.log.clear()
        yield received, running.cloud, client
    # What the containers of `min_containers` ask for afterwards is not the deployment's.
    published = [rpc for rpc, _ in received.log].index("AppPublish")
    del received.log[published + 1 :]


def built(*sets: str) -> Received:
    """What comes of the app that is built in memory."""
    plan = plan_of(load(PROFILE, sets=sets))[0]
    with receiving() as (received, _, client), tempfile.TemporaryDirectory() as folder:
        build(plan, Path(folder)).deploy(client=client)
    return received


def scripted(script: Path) -> Received:
    """What comes of the script, deployed with the stock ``modal`` command."""
    with receiving() as (received, cloud, _):
        environment = {**environ(cloud), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
        command = [sys.executable, "-m", "modal", "deploy", str(script)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd=script.parent, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return received


OWN = ("module_name", "mount_ids", "image_id", "secret_ids", "object_dependencies")
"""What may differ between the app built in memory and the script: where the code lies, and ids."""


def comparable(function: api_pb2.Function) -> api_pb2.Function:
    copy = api_pb2.Function()
    copy.CopyFrom(function)
    for name in OWN:
        copy.ClearField(name)
    for mount in copy.volume_mounts:
        mount.volume_id = ""
    for method in copy.method_definitions.values():
        method.web_url = ""  # each embedded cloud has a port of its own
    return copy


def named(received: Received) -> dict[str, Any]:
    """The requests about everything but functions, as plain data."""
    [publish] = received.all("AppPublish")
    return {
        "app": (publish.name, dict(publish.tags)),
        "secrets": {one.deployment_name: list(one.required_keys) for one in received.all("SecretGetOrCreate")},
        "volumes": {
            one.deployment_name: (one.object_creation_type, one.version) for one in received.all("VolumeGetOrCreate")
        },
        "images": {tuple(lines) for lines in received.images()},
        "registries": {
            (tuple(item.image.dockerfile_commands), item.image.image_registry_config.registry_auth_type)
            for item in received.all("ImageGetOrCreate")
        },
    }
