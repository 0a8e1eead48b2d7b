"""What the control plane receives, against the tables of the page that the profile follows, and from the script."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal
import pytest
from modal_proto import api_pb2
from support import PATIENCE, connect

from glmdeploy.app.build import build
from glmdeploy.app.script import render
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
    "modal-proxy": ("PROXY_KEY", "PROXY_SECRET"),
}


class Received:
    """The requests of one deployment, with ids replaced by what they stand for."""

    def __init__(self) -> None:
        self.log: list[tuple[str, Message]] = []

    def __call__(self, rpc: str, request: Message) -> None:
        self.log.append((rpc, request))

    def all(self, rpc: str) -> list[Any]:
        return [request for name, request in self.log if name == rpc]

    def functions(self) -> dict[str, api_pb2.Function]:
        return {item.function.function_name: item.function for item in self.all("FunctionCreate")}

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


@pytest.fixture(scope="module")
def received() -> Received:
    return built()


def test_functions(received: Received) -> None:
    assert set(received.functions()) == {"download_model", "compile_deepgemm", "describe", "Server.*"}


def test_compute_and_scaling(received: Received) -> None:
    server = received.functions()["Server.*"]
    assert (server.resources.gpu_config.gpu_type, server.resources.gpu_config.count) == ("B200", 8)
    assert server.autoscaler_settings.min_containers == 0
    assert server.autoscaler_settings.max_containers == 3
    assert server.autoscaler_settings.scaledown_window == 900
    assert (server.warm_pool_size, server.concurrency_limit, server.task_idle_timeout_secs) == (0, 3, 900)
    assert server.max_concurrent_inputs == 20
    compiler = received.functions()["compile_deepgemm"]
    assert (compiler.resources.gpu_config.gpu_type, compiler.resources.gpu_config.count) == ("B200", 8)
    assert received.functions()["download_model"].resources.gpu_config.count == 0


def test_timeouts_and_port(received: Received) -> None:
    functions = received.functions()
    server = functions["Server.*"]
    assert (server.timeout_secs, server.startup_timeout_secs) == (86_400, 900)
    web = server.method_definitions["serve"].webhook_config
    assert web.type == api_pb2.WEBHOOK_TYPE_WEB_SERVER
    assert (web.web_server_port, web.web_server_startup_timeout) == (8000, 900)
    assert functions["download_model"].timeout_secs == 7200
    assert functions["compile_deepgemm"].timeout_secs == 3600


def test_volumes_and_mounts(received: Received) -> None:
    names = {item.deployment_name: item for item in received.all("VolumeGetOrCreate")}
    assert set(names) == {"glm51-model-weights", "glm51-deepgemm-cache"}
    mounts = {name: {item.mount_path for item in one.volume_mounts} for name, one in received.functions().items()}
    assert mounts == {
        "download_model": {"/model-cache"},
        "compile_deepgemm": {"/model-cache", "/dg-cache"},
        "Server.*": {"/model-cache", "/dg-cache"},
        "describe": set(),
    }


def test_secrets_and_their_keys(received: Received) -> None:
    asked = {item.deployment_name: list(item.required_keys) for item in received.all("SecretGetOrCreate")}
    assert asked == {"huggingface-secret": ["HF_TOKEN"], "glm51-api-key": ["API_KEY"]}
    count = {name: len(one.secret_ids) for name, one in received.functions().items()}
    assert count == {"download_model": 1, "Server.*": 1, "compile_deepgemm": 0, "describe": 0}


def test_image_environment(received: Received) -> None:
    download = {"ENV HF_XET_HIGH_PERFORMANCE=1"}
    server = download | {"ENV SGLANG_ENABLE_SPEC_V2=1", "ENV SGLANG_DG_CACHE_DIR=/dg-cache"}
    assert sorted(received.env().values(), key=len) == [download, server]
    lines = [line for image in received.images() for line in image]
    assert "FROM lmsysorg/sglang:v0.5.11-cu130" in lines
    assert any(line.startswith("RUN python -m pip install") and "huggingface_hub==" in line for line in lines)
    assert not any("HF_HUB_OFFLINE" in line for line in lines), "of SGLang's process alone"


def test_tags(received: Received) -> None:
    plan = plan_of(load(PROFILE))[0]
    [publish] = received.all("AppPublish")
    assert publish.name == "glm51-fp8"
    assert dict(publish.tags)["glmdeploy-digest"] == plan.digest[:40]
    assert dict(publish.tags)["glmdeploy-profile"] == PROFILE
    assert "glmdeploy-version" in publish.tags


def mounted_plan(received: Received) -> str:
    [content] = {item.data for item in received.all("MountPutFile") if item.data.startswith(b'{"api_key"')}
    return content.decode()


def test_sglang_command(received: Received) -> None:
    """Every flag of the page's second section, as the container will read it from the mounted plan."""
    plan = json.loads(mounted_plan(received))
    words = plan["server"]["command"]
    assert words[:3] == ["python3", "-m", "sglang.launch_server"]
    options = dict(zip([*words[3:], ""], [*words[4:], "", ""], strict=True))
    expected = {
        "--model-path": "/model-cache/GLM-5.1-FP8",
        "--served-model-name": "glm-5.1",
        "--tp-size": "8",
        "--ep-size": "1",
        "--watchdog-timeout": "1200",
        "--attention-backend": "nsa",
        "--nsa-decode-backend": "trtllm",
        "--nsa-prefill-backend": "trtllm",
        "--moe-runner-backend": "flashinfer_trtllm",
        "--speculative-algorithm": "EAGLE",
        "--speculative-num-steps": "3",
        "--speculative-eagle-topk": "1",
        "--speculative-num-draft-tokens": "4",
        "--reasoning-parser": "glm45",
        "--tool-call-parser": "glm47",
        "--mem-fraction-static": "0.88",
        "--max-running-requests": "48",
        "--max-prefill-tokens": "32768",
        "--max-total-tokens": "65536",
        "--kv-cache-dtype": "bfloat16",
        "--host": "0.0.0.0",
        "--port": "8000",
    }
    switches = {"--trust-remote-code", "--enable-flashinfer-allreduce-fusion", "--enable-metrics"}
    assert {name: options[name] for name in expected} == expected
    assert {word for word in words if word.startswith("--")} == expected.keys() | switches
    assert plan["server"]["env"] == {"HF_HUB_OFFLINE": "1"}
    assert "--api-key" not in words


OPTIONS = [
    ("region=us-east", lambda server: list(server.scheduler_placement.regions), ["us-east"]),
    ("region=[us-east, us-west]", lambda server: list(server.scheduler_placement.regions), ["us-east", "us-west"]),
    ("cloud=oci", lambda server: server.cloud_provider_str, "oci"),
    ("buffer_containers=2", lambda server: server.autoscaler_settings.buffer_containers, 2),
    ("target_inputs=15", lambda server: server.target_concurrent_inputs, 15),
    ("ephemeral_disk=1048576", lambda server: server.resources.ephemeral_disk_mb, 1048576),
    ("label=glm", lambda server: server.method_definitions["serve"].webhook_config.requested_suffix, "glm"),
]
"""A field of the section ``server``, and where Modal gets it: a new field is one more row."""


def test_options_of_the_decorators() -> None:
    """Each field reaches Modal, and none of them when it is left out; one deployment has all of them."""
    last = {text.partition("=")[0]: (text, read, expected) for text, read, expected in OPTIONS}
    for rows in (OPTIONS[:1] + OPTIONS[2:], [last["region"]]):
        sent = built(*(f"server.{text}" for text, _, _ in rows))
        for text, read, expected in rows:
            assert read(sent.functions()["Server.*"]) == expected, text
    plain = built().functions()["Server.*"]
    for text, read, expected in OPTIONS:
        assert read(plain) != expected, text


def test_keepalive() -> None:
    received = built("keepalive.enabled=true")
    assert received.functions()["keep_warm"].schedule.cron.cron_string == "*/10 9-18 * * 1-5"


OWN = ("module_name", "mount_ids", "image_id", "secret_ids", "object_dependencies")
"""What may differ between the app built in memory and the script: where the code lies, and ids."""


def comparable(function: api_pb2.Function) -> api_pb2.Function:
    copy = api_pb2.Function()
    copy.CopyFrom(function)
    for name in OWN:
        copy.ClearField(name)
    for mount in copy.volume_mounts:
        mount.volume_id = ""
    return copy


def named(received: Received) -> dict[str, Any]:
    """The requests about everything but functions, as plain data."""
    [publish] = received.all("AppPublish")
    return {
        "app": (publish.name, dict(publish.tags)),
        "secrets": {one.deployment_name: list(one.required_keys) for one in received.all("SecretGetOrCreate")},
        "volumes": {one.deployment_name: one.object_creation_type for one in received.all("VolumeGetOrCreate")},
        "images": {tuple(lines) for lines in received.images()},
    }


@pytest.mark.parametrize(
    "sets",
    [
        (),
        (
            "keepalive.enabled=true",
            "compile=null",
            "volumes.kernels=null",
            "secrets.huggingface=null",
            "server.cpu=8.5",
            "server.memory=65536",
            "download.cpu=4",
            "server.min_containers=1",
            "tags.team=ml",
            *(f"server.{text}" for text, _, _ in OPTIONS),
        ),
        (
            "server.requires_proxy_auth=true",
            "secrets.proxy_token={name: modal-proxy, keys: [PROXY_KEY, PROXY_SECRET]}",
            "keepalive.enabled=true",
        ),
    ],
)
def test_the_script_sends_the_same(sets: tuple[str, ...], tmp_path: Path) -> None:
    script = tmp_path / "deploy.py"
    plan = plan_of(load(PROFILE, sets=sets))[0]
    script.write_text(render(plan), encoding="utf-8")
    ours = built(*sets)
    script_sent = scripted(script)

    assert {name: comparable(one) for name, one in script_sent.functions().items()} == {
        name: comparable(one) for name, one in ours.functions().items()
    }
    assert named(script_sent) == named(ours)
