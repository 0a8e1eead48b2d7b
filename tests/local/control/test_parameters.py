"""Every parameter of Modal's that a profile can set is taken by the control plane, as the real SDK sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import modal
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from google.protobuf.message import Message


Requests = list[tuple[str, "Message"]]


def created(requests: Requests) -> Any:
    return next(request for rpc, request in requests if rpc == "FunctionCreate")


def test_of_a_stage(client: modal.Client, requests: Requests, load_app: Callable[[str], ModuleType]) -> None:
    app = modal.App("stage")
    app.function(
        cpu=(4.0, 8.0),
        memory=(1024, 4096),
        ephemeral_disk=600_000,
        retries=modal.Retries(max_retries=3, backoff_coefficient=2.0, initial_delay=1.0, max_delay=60.0),
        region=["us-east", "us-west"],
        cloud="oci",
        nonpreemptible=True,
        schedule=modal.Cron("0 9 * * *", timezone="Europe/Berlin"),
    )(load_app("functions").surroundings)
    requests.clear()
    app.deploy(client=client)
    function = created(requests).function
    assert function.retry_policy.retries == 3
    assert function.resources.ephemeral_disk_mb == 600_000
    assert function.schedule.cron.timezone == "Europe/Berlin"
    assert modal.Function.from_name("stage", "surroundings", client=client).remote()


def test_of_a_class(client: modal.Client, requests: Requests, load_app: Callable[[str], ModuleType]) -> None:
    website = load_app("website")
    app = modal.App("class")

    class Served:
        @modal.enter()
        def start(self) -> None:
            """Never called: there is no request."""

        @modal.web_server(8000, label="served", custom_domains=["llm.acme.com"], requires_proxy_auth=True)
        def serve(self) -> None:
            """Never called."""

    app.cls(
        image=website.image,
        gpu=["B200:8", "H200:8"],
        buffer_containers=1,
        max_containers=2,
        region="us-east",
        cloud="aws",
        routing_region="us-east",
        ephemeral_disk=600_000,
        experimental_options={"flag": "1"},
        serialized=True,
    )(Served)
    requests.clear()
    app.deploy(client=client)
    data = created(requests).function_data
    assert [each.function.resources.gpu_config.gpu_type for each in data.ranked_functions] == ["B200", "H200"]
    assert data.autoscaler_settings.buffer_containers == 1
    assert dict(data.experimental_options) == {"flag": "1"}
    found = modal.Cls.from_name("class", "Served", client=client)
    assert found().serve.get_web_url().endswith("/served")


def test_an_image_of_a_private_registry_is_recorded_with_its_steps(
    client: modal.Client, requests: Requests, load_app: Callable[[str], ModuleType]
) -> None:
    modal.Secret.objects.create(
        "registry", {"REGISTRY_USERNAME": "me", "REGISTRY_PASSWORD": "it"}, client=client, allow_existing=True
    )
    image = modal.Image.from_registry(
        "registry.acme.com/sglang:1", secret=modal.Secret.from_name("registry"), add_python="3.12"
    )
    image = image.apt_install("git").pip_install("nvtx==0.2.13").run_commands("mkdir -p /opt/templates")
    app = modal.App("built")
    app.function(image=image)(load_app("functions").double)
    requests.clear()
    app.deploy(client=client)
    built = [request.image for rpc, request in requests if rpc == "ImageGetOrCreate"]  # type: ignore[attr-defined]
    commands = "\n".join(line for each in built for line in each.dockerfile_commands)
    for words in ("FROM registry.acme.com/sglang:1", "apt-get install -y git", "nvtx==0.2.13", "mkdir -p /opt"):
        assert words in commands
    assert any(each.image_registry_config.secret_id for each in built)
    assert modal.Function.from_name("built", "double", client=client).remote(1) == 2


@pytest.mark.parametrize(("there", "asked"), [(1, 2), (2, 1)])
def test_a_volume_keeps_its_version(client: modal.Client, there: int, asked: int) -> None:
    name = f"volume-{there}"
    modal.Volume.from_name(name, create_if_missing=True, version=there, client=client).hydrate()
    modal.Volume.from_name(name, create_if_missing=True, client=client).hydrate()
    with pytest.raises(modal.exception.InvalidError, match=f"has version v{there}, not v{asked} as requested"):
        modal.Volume.from_name(name, create_if_missing=True, version=asked, client=client).hydrate()
