"""Rules about SGLang on several hosts, beyond their examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from judged import checked

from glmdeploy.findings import Remove, Severity
from glmdeploy.rules.rule import TWO_NODES

if TYPE_CHECKING:
    from glmdeploy.findings import Finding

NOSPEC = "b200-nospec-bf16kv"
STAGES = ("sglang.args.tp=8", "sglang.args.pp-size=2")


def found(rule: str, *sets: str, profile: str = NOSPEC) -> list[Finding]:
    return [each for each in checked(*TWO_NODES, *sets, profile=profile).findings if each.id == rule]


def release(version: str) -> tuple[str, ...]:
    dsa = (
        "sglang.args.attention-backend=dsa",
        *(f"sglang.args.nsa-{part}-backend=null" for part in ("prefill", "decode")),
    )
    return (f"sglang.version={version}", f"sglang.image=lmsysorg/sglang:v{version}", *dsa)


@pytest.mark.parametrize(
    ("version", "gpu", "warned"),
    [
        ("0.5.13.post1", "B200:8", False),
        ("0.5.14", "B200:8", True),
        ("0.5.16", "B300:8", True),
        ("0.5.22", "B200:8", True),
        ("0.5.23", "B200:8", False),
        ("0.5.16", "H200:8", False),
    ],
)
def test_fusion_between_hosts(version: str, gpu: str, *, warned: bool) -> None:
    assert bool(found("GLM242", *release(version), f"gpu={gpu}")) is warned


def test_fusion_within_a_stage_that_is_one_host() -> None:
    assert not found("GLM242", *release("0.5.16"), *STAGES)


@pytest.mark.parametrize(
    ("version", "gpu", "option", "refused"),
    [
        ("0.5.11", "B200:8", "enable-flashinfer-allreduce-fusion=true", True),
        ("0.5.11", "H200:8", "enable-flashinfer-allreduce-fusion=true", True),
        ("0.5.16", "B200:8", "flashinfer-allreduce-fusion-backend=auto", False),
        ("0.5.16", "B200:8", "flashinfer-allreduce-fusion-backend=mnnvl", False),
        ("0.5.16", "B200:8", "flashinfer-allreduce-fusion-backend=trtllm", True),
        ("0.5.16", "H200:8", "flashinfer-allreduce-fusion-backend=auto", True),
        ("0.5.23", "H200:8", "flashinfer-allreduce-fusion-backend=mnnvl", True),
    ],
)
def test_fusion_that_is_asked_for(version: str, gpu: str, option: str, *, refused: bool) -> None:
    sets = (*(release(version) if version != "0.5.11" else ()), f"gpu={gpu}", f"sglang.args.{option}")
    assert bool(found("GLM241", *sets)) is refused


@pytest.mark.parametrize("name", ["SGLANG_HOST_IP", "HOST_IP", "NCCL_HOSTID"])
def test_a_containers_own_variables(name: str) -> None:
    [one] = found("GLM237", f"server.env.{name}=10.1.1.1")
    assert one.edits == (Remove(path=("server", "env", name)),)
    assert not found("GLM237", f'server.env.{name}=""')
    alone = checked(f"server.env.{name}=10.1.1.1", profile=NOSPEC).findings
    assert "GLM237" not in {each.id for each in alone}


@pytest.mark.parametrize(
    ("setting", "warned"),
    [
        ("NCCL_SOCKET_IFNAME=eth0", True),
        ("GLOO_SOCKET_IFNAME=eth0", True),
        ("TP_SOCKET_IFNAME=eth0", True),
        ('NCCL_IB_DISABLE="1"', True),
        ('NCCL_IB_DISABLE="0"', False),
        ("NCCL_NET=Socket", True),
        ("NCCL_NET=IB", False),
    ],
)
def test_the_network_is_modals(setting: str, *, warned: bool) -> None:
    assert bool(found("GLM238", f"sglang.env.{setting}")) is warned


def test_without_rdma_nothing_of_it_is_lost() -> None:
    assert not found("GLM238", "cluster.rdma=false", "sglang.env.NCCL_NET=Socket")


@pytest.mark.parametrize(("patience", "warned"), [(None, True), (1199, True), (1200, False)])
def test_how_long_a_rank_waits(patience: int | None, *, warned: bool) -> None:
    sets = () if patience is None else (f"sglang.args.dist-timeout={patience}",)
    assert bool(found("GLM240", *sets)) is warned
    assert not found("GLM240", *sets, *STAGES), "a stage's ranks are on one host"


def test_copies_beside_each_other() -> None:
    assert found("GLM234", "sglang.args.tp=8", "sglang.args.dp=2")
    assert not found("GLM234", "sglang.args.dp=2", "sglang.args.enable-dp-attention=true")
    assert found("GLM234", *release("0.5.23"), "sglang.args.tp=8", "sglang.args.dp=2")


def test_a_leftover_of_several_nodes_is_removed() -> None:
    judged = checked("sglang.args.nnodes=2", "sglang.args.node-rank=0", profile=NOSPEC)
    [one] = [each for each in judged.findings if each.id == "GLM020"]
    assert {edit.path[-1] for edit in one.edits} == {"nnodes", "node-rank"}
    assert "has all the GPUs" in one.message


def test_kernels_cost_all_gpus() -> None:
    [one] = found("GLM233")
    assert one.severity is Severity.INFO
    assert "16 GPUs" in one.message
    assert not [each for each in checked(*TWO_NODES, profile=NOSPEC).findings if each.id == "GLM017"]
