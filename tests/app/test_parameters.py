"""Every parameter of Modal's that a profile can set reaches Modal, for both kinds of server and from the script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from deployments import PROFILE, built, comparable, named, scripted
from modal_proto import api_pb2

from glmdeploy.app.script import render
from glmdeploy.plan.autoscaler import COUNTS
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.serving import KINDS, Server, of_one_kind
from glmdeploy.profile.stages import Compile, Download, options
from glmdeploy.profile.text.load import load
from glmdeploy.rules.rule import TWO_NODES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Function = api_pb2.Function
    Row = tuple[str, Callable[[Function], Any], Any]

AS = {
    "web_server": ("server.kind=web_server",),
    "server": ("server.kind=server", "server.timeout=null", "server.max_inputs=null"),
}
NAME = {"web_server": "Server.*", "server": "Server"}


def web(function: Function) -> api_pb2.WebhookConfig:
    return function.method_definitions["serve"].webhook_config


BOTH: list[Row] = [
    ("min_containers=1", lambda sent: sent.autoscaler_settings.min_containers, 1),
    ("max_containers=5", lambda sent: sent.autoscaler_settings.max_containers, 5),
    ("buffer_containers=2", lambda sent: sent.autoscaler_settings.buffer_containers, 2),
    ("scaledown_window=20m", lambda sent: sent.autoscaler_settings.scaledown_window, 1200),
    ("startup_timeout=30m", lambda sent: sent.startup_timeout_secs, 1800),
    ("region=[us-east, us-west]", lambda sent: list(sent.scheduler_placement.regions), ["us-east", "us-west"]),
    ("cloud=oci", lambda sent: sent.cloud_provider_str, "oci"),
    ("ephemeral_disk=1048576", lambda sent: sent.resources.ephemeral_disk_mb, 1048576),
    ("cpu=[8, 16.5]", lambda sent: (sent.resources.milli_cpu, sent.resources.milli_cpu_max), (8000, 16500)),
    ("memory=[65536, 131072]", lambda sent: (sent.resources.memory_mb, sent.resources.memory_mb_max), (65536, 131072)),
    ("experimental_options={fast: yes, n: 2}", lambda sent: dict(sent.experimental_options), {"fast": "yes", "n": "2"}),
]
OF_A_KIND: dict[str, list[Row]] = {
    "web_server": [
        ("port=8123", lambda sent: web(sent).web_server_port, 8123),
        ("requires_proxy_auth=true", lambda sent: web(sent).requires_proxy_auth, True),
        ("routing_region=eu-west", lambda sent: sent.routing_region, "eu-west"),
        ("timeout=1h", lambda sent: sent.timeout_secs, 3600),
        ("max_inputs=40", lambda sent: sent.max_concurrent_inputs, 40),
        ("target_inputs=15", lambda sent: sent.target_concurrent_inputs, 15),
        ("label=glm", lambda sent: web(sent).requested_suffix, "glm"),
        (
            "custom_domains=[llm.acme.com, glm.acme.com]",
            lambda sent: [each.name for each in web(sent).custom_domains],
            ["llm.acme.com", "glm.acme.com"],
        ),
    ],
    "server": [
        ("port=8123", lambda sent: sent.http_config.port, 8123),
        ("requires_proxy_auth=true", lambda sent: sent.http_config.unauthenticated, False),
        ("routing_region=eu-west", lambda sent: list(sent.http_config.proxy_regions), ["eu-west"]),
        ("target_concurrency=1.5", lambda sent: sent.autoscaler_settings.target_concurrency_float, 1.5),
        ("max_concurrency=40", lambda sent: sent.max_concurrent_inputs, 40),
        ("scaleup_window=45s", lambda sent: sent.autoscaler_settings.scaleup_window, 45),
        ("exit_grace_period=5m", lambda sent: sent.http_config.exit_grace_period, 300),
    ],
}
"""A field of the section ``server``, and where Modal gets it: a new field is one more row."""

CONTAINER: list[Row] = [
    ("timeout=90m", lambda sent: sent.timeout_secs, 5400),
    ("cpu=[4, 8]", lambda sent: (sent.resources.milli_cpu, sent.resources.milli_cpu_max), (4000, 8000)),
    ("memory=8192", lambda sent: (sent.resources.memory_mb, sent.resources.memory_mb_max), (8192, 0)),
    ("ephemeral_disk=600000", lambda sent: sent.resources.ephemeral_disk_mb, 600000),
    ("region=us-east", lambda sent: list(sent.scheduler_placement.regions), ["us-east"]),
    ("cloud=aws", lambda sent: sent.cloud_provider_str, "aws"),
]
STAGES: dict[str, tuple[type, str, list[Row]]] = {
    "download": (
        Download,
        "download_model",
        [
            *CONTAINER,
            ("nonpreemptible=true", lambda sent: sent.scheduler_placement.nonpreemptible, True),
            (
                "retries={max_retries: 3, backoff_coefficient: 1.5, initial_delay: 2, max_delay: 45.5}",
                lambda sent: (
                    *(sent.retry_policy.retries, sent.retry_policy.backoff_coefficient),
                    *(sent.retry_policy.initial_delay_ms, sent.retry_policy.max_delay_ms),
                ),
                (3, 1.5, 2000, 45500),
            ),
        ],
    ),
    "compile": (Compile, "compile_deepgemm", CONTAINER),
}

FURTHER = "volumes.further=[{name: adapters, mount: /adapters, read_only: true, sub_path: en}, {name: logs, mount: /l}]"


def rows(kind: str) -> list[Row]:
    return BOTH + OF_A_KIND[kind]


def names(found: list[Row]) -> set[str]:
    return {text.partition("=")[0] for text, _, _ in found}


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_of_a_kind_reaches_modal(kind: str) -> None:
    """And none of them does when it is left out."""
    kinds = of_one_kind()
    assert names(rows(kind)) == {name for name in options(Server) if kinds.get(name, kind) == kind}
    sent = built(*AS[kind], *(f"server.{text}" for text, _, _ in rows(kind))).functions()[NAME[kind]]
    plain = built(*AS[kind]).functions()[NAME[kind]]
    assert sent.is_server == plain.is_server == (kind == "server")
    for text, read, expected in rows(kind):
        assert read(sent) == expected, text
        assert read(plain) != expected, text


@pytest.mark.parametrize("section", STAGES)
def test_each_field_of_a_stage_reaches_modal(section: str) -> None:
    fields, name, found = STAGES[section]
    assert names(found) == set(options(fields))
    sent = built(*(f"{section}.{text}" for text, _, _ in found)).functions()[name]
    plain = built().functions()[name]
    for text, read, expected in found:
        assert read(sent) == expected, text
        assert read(plain) != expected, text


def test_what_a_server_gets_where_the_profile_says_nothing() -> None:
    """Modal's own defaults would be: no scaling, 30 seconds for a start, none for an end, and proxy tokens."""
    sent = built(*AS["server"]).functions()["Server"]
    assert sent.autoscaler_settings.target_concurrency_float == 20
    assert sent.http_config.startup_timeout == sent.startup_timeout_secs == 900
    assert sent.http_config.exit_grace_period == 60
    assert sent.http_config.unauthenticated


CLUSTER = (*TWO_NODES, "server.min_containers=1", "server.max_containers=3", "server.buffer_containers=2")


def test_a_cluster() -> None:
    server = built(*CLUSTER).functions()["Server"]
    scaling = server.autoscaler_settings
    assert (server._experimental_group_size, server.resources.rdma, server.is_server) == (2, True, True)
    counted = (scaling.min_containers, scaling.max_containers, scaling.buffer_containers)
    assert counted == (2, 6, 4), "the profile counts clusters, Modal containers"
    assert not built(*CLUSTER, "cluster.rdma=false").functions()["Server"].resources.rdma


def test_what_counts_clusters() -> None:
    counting = [name for name, taken in options(Server).items() if any(each.replicas for each in taken.values())]
    assert tuple(counting) == COUNTS


def test_in_the_script_clusters_are_counted_too() -> None:
    script = render(plan_of(load(PROFILE, sets=TWO_NODES))[0])
    for name in COUNTS[:2]:  # 0 is one of them: what somebody writes there later is multiplied
        assert f'{name}=PLAN["server"]["{name}"] * PLAN["cluster"]["nodes"],' in script


@pytest.mark.parametrize("kind", KINDS)
def test_gpus_in_order_of_preference(kind: str) -> None:
    ranked = built(*AS[kind], "gpu=[B200:8, B300:8]").ranked()
    gpus = {
        name: [(each.resources.gpu_config.gpu_type, each.resources.gpu_config.count) for each in sent]
        for name, sent in ranked.items()
    }
    assert gpus[NAME[kind]] == [("B200", 8), ("B300", 8)]
    assert gpus["compile_deepgemm"] == [("B200", 8)], "kernels are compiled on each"
    assert gpus["compile_deepgemm_2"] == [("B300", 8)]
    assert ranked["compile_deepgemm_2"][0].implementation_name == "compile_deepgemm"
    assert gpus["download_model"] == [("", 0)]


def test_volumes() -> None:
    received = built(
        "volumes.weights.version=2",
        "volumes.kernels.version=1",
        FURTHER,
    )
    versions = {item.deployment_name: item.version for item in received.all("VolumeGetOrCreate")}
    assert versions == {
        "glm51-model-weights": api_pb2.VOLUME_FS_VERSION_V2,
        "glm51-deepgemm-cache": api_pb2.VOLUME_FS_VERSION_V1,
        "adapters": api_pb2.VOLUME_FS_VERSION_UNSPECIFIED,
        "logs": api_pb2.VOLUME_FS_VERSION_UNSPECIFIED,
    }
    mounts = {
        name: [(each.mount_path, each.read_only, each.sub_path) for each in sent.volume_mounts]
        for name, sent in received.functions().items()
    }
    weights = "zai-org/GLM-5.1-FP8/main"
    assert mounts["Server.*"] == [
        ("/model-cache", True, weights),
        ("/dg-cache", False, ""),
        ("/adapters", True, "en"),
        ("/l", False, ""),
    ]
    assert mounts["compile_deepgemm"] == [("/model-cache", False, weights), ("/dg-cache", False, "")]
    assert mounts["download_model"] == [("/model-cache", False, "")]


def test_the_weights_are_writable_where_that_is_asked_for_or_needed() -> None:
    sharded = ("sglang.args.load-format=presharded",)
    for profile, sets in ((PROFILE, ("volumes.weights.read_only=false",)), (f"{PROFILE}-0.5.23", sharded)):
        assert not plan_of(load(profile, sets=sets))[0].weights.read_only
    assert plan_of(load(f"{PROFILE}-0.5.23"))[0].weights.read_only


def test_further_secrets() -> None:
    received = built("secrets.further=[{name: bucket, keys: [BUCKET_ID, BUCKET_NAME]}]")
    asked = {item.deployment_name: list(item.required_keys) for item in received.all("SecretGetOrCreate")}
    assert asked["bucket"] == ["BUCKET_ID", "BUCKET_NAME"]
    assert {name: len(sent.secret_ids) for name, sent in received.functions().items()} == {
        "Server.*": 2,
        "download_model": 1,
        "compile_deepgemm": 0,
        "describe": 0,
    }


@pytest.mark.parametrize(
    ("name", "keys", "kind"),
    [
        ("registry", "REGISTRY_USERNAME, REGISTRY_PASSWORD", api_pb2.REGISTRY_AUTH_TYPE_STATIC_CREDS),
        ("aws", "AWS_ROLE_ARN, AWS_REGION", api_pb2.REGISTRY_AUTH_TYPE_AWS),
        ("google", "SERVICE_ACCOUNT_JSON", api_pb2.REGISTRY_AUTH_TYPE_GCP),
    ],
)
def test_private_registries(name: str, keys: str, kind: int) -> None:
    received = built(f"secrets.registry={{name: {name}, keys: [{keys}]}}")
    types = {
        line: item.image.image_registry_config.registry_auth_type
        for item in received.all("ImageGetOrCreate")
        for line in item.image.dockerfile_commands
        if line.startswith("FROM ")
    }
    assert types["FROM lmsysorg/sglang:v0.5.11-cu130"] == kind
    assert len(received.functions()["Server.*"].secret_ids) == 1, "no container gets it"


def test_steps_of_the_image() -> None:
    received = built(
        'sglang.image_steps=[{run: ["echo one", "echo two"]}, {apt: [git]}, {pip: ["nvtx==0.2.13"], run: [sync]}]',
        'sglang.add_python="3.12"',
    )
    lines = [line for image in received.images() for line in image]
    wanted = ["echo one", "echo two", "apt-get install -y git", "nvtx==0.2.13", "RUN sync"]
    places = [next(place for place, line in enumerate(lines) if text in line) for text in wanted]
    assert places == sorted(places)
    assert any("COPY /python/. /usr/local" in line for line in lines)


def test_the_keep_alive_and_the_checks_have_the_proxy_token() -> None:
    token = "secrets.proxy_token={name: modal-proxy, keys: [PROXY_KEY, PROXY_SECRET]}"
    received = built("keepalive.enabled=true", "server.requires_proxy_auth=true", token)
    functions = received.functions()
    holders = {name for name, function in functions.items() if function.secret_ids == functions["keep_warm"].secret_ids}
    assert holders == {"keep_warm", "ask_endpoint"}
    assert len(functions["keep_warm"].secret_ids) == 1
    plain = built("keepalive.enabled=true").functions()
    assert "ask_endpoint" not in plain
    assert not plain["keep_warm"].secret_ids


def test_keepalive() -> None:
    received = built("keepalive.enabled=true", "keepalive.timezone=Europe/Berlin")
    cron = received.functions()["keep_warm"].schedule.cron
    assert (cron.cron_string, cron.timezone) == ("*/10 9-18 * * 1-5", "Europe/Berlin")


EVERYTHING = (
    "keepalive.enabled=true",
    "keepalive.timezone=Europe/Berlin",
    "gpu=[B200:8, B300:8]",
    "tags.team=ml",
    "volumes.weights.version=1",
    FURTHER,
    "secrets.registry={name: registry, keys: [REGISTRY_USERNAME, REGISTRY_PASSWORD]}",
    "secrets.further=[{name: bucket, keys: [BUCKET_ID, BUCKET_NAME]}]",
    "secrets.proxy_token={name: modal-proxy, keys: [PROXY_KEY, PROXY_SECRET]}",
    'sglang.image_steps=[{run: ["echo one"]}, {apt: [git], pip: ["nvtx==0.2.13"]}]',
    'sglang.add_python="3.12"',
    *(f"{section}.{text}" for section, (_, _, found) in STAGES.items() for text, _, _ in found),
)


@pytest.mark.parametrize(
    "sets",
    [
        (),
        pytest.param(AS["server"], marks=pytest.mark.thorough),
        CLUSTER,
        *((*AS[kind], *EVERYTHING, *(f"server.{text}" for text, _, _ in rows(kind))) for kind in KINDS),
        ("compile=null", "volumes.kernels=null", "secrets.huggingface=null", "server.cpu=8.5", "download.cpu=4"),
        pytest.param(
            ("gpu=[B200:8]", "secrets.api_key=null", "server.public=true", "volumes.weights.read_only=false"),
            marks=pytest.mark.thorough,
        ),
    ],
    ids=["as it ships", "server", "cluster", "all of a web function", "all of a server", "little", "open"],
)
def test_the_script_sends_the_same(sets: tuple[str, ...], tmp_path: Path) -> None:
    script = tmp_path / "deploy.py"
    plan = plan_of(load(PROFILE, sets=sets))[0]
    script.write_text(render(plan), encoding="utf-8")
    ours = built(*sets)
    script_sent = scripted(script)

    def functions(received: Any) -> dict[str, list[Function]]:
        return {name: [comparable(each) for each in ranked] for name, ranked in received.ranked().items()}

    assert functions(script_sent) == functions(ours)
    assert named(script_sent) == named(ours)
