"""Plans of one profile with some of many values set, also of those that a guard objects to."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from glmdeploy.plan.make import make
from glmdeploy.profile.text.load import load
from glmdeploy.rules.check import check

if TYPE_CHECKING:
    from glmdeploy.plan.plan import Plan

COMMIT = "0123456789abcdef0123456789abcdef01234567"

SETS = (
    "app=other",
    "environment=prod",
    "tags.team=a",
    "gpu=H200:8",
    "gpu=[B200:8, H200:8]",
    "model.repo=zai-org/GLM-5-FP8",
    "model.served_name=other",
    "compile=null",
    "compile.timeout=2h",
    "download.timeout=3h",
    "download.retries={max_retries: 3}",
    "download.env.A=b",
    "server.min_containers=1",
    "server.max_containers=5",
    "server.buffer_containers=1",
    "server.scaledown_window=30m",
    "server.max_inputs=8",
    "server.target_inputs=4",
    "server.label=other",
    "server.requires_proxy_auth=true",
    "server.region=[us-west, eu]",
    "server.cpu=[1, 2]",
    "server.memory=4096",
    "server.ephemeral_disk=1000000",
    "server.env.A=b",
    "server.warmup=off",
    "server.warmup={batch: 2}",
    "server.tolerate=[chat]",
    "server.health.limit=120s",
    "sglang.args.tp=4",
    "sglang.args.max-running-requests=40",
    "sglang.args.enable-metrics=null",
    "sglang.env.A=b",
    "sglang.image=a/b:c",
    "sglang.image_steps=[{apt: [git]}, {run: [make]}]",
    "secrets.huggingface=null",
    "secrets.registry={name: r, keys: [REGISTRY_USERNAME, REGISTRY_PASSWORD]}",
    "secrets.further=[{name: s, keys: [A, B]}]",
    "volumes.kernels.name=other",
    "volumes.weights.version=2",
    "volumes.further=[{name: v, mount: /v, read_only: true}]",
    "keepalive={enabled: true, schedule: '5 * * * *', timezone: Europe/Berlin}",
)


@cache
def variation(*sets: str) -> Plan:
    """The plan with these values, and the commit of its model."""
    facts = check(load("b200-eagle-bf16kv", sets=sets)).facts
    assert facts is not None, sets
    return make(facts).at(COMMIT)
