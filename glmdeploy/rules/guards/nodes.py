"""Rules about SGLang on several hosts (``--nnodes``): how it divides a model among them, and what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Remove, Severity
from glmdeploy.gpus import BLACKWELL, HOPPER
from glmdeploy.rules.rule import (
    AIR,
    AT_0_5_23,
    ISSUES,
    NOSPEC,
    PULLS,
    TWO_NODES,
    Look,
    Rule,
    Scope,
    Topic,
    Violation,
    example,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_MODALS_OWN = "modal_deployments/qwen38_max_fp8_2x8b300/serve.py of https://github.com/modal-projects/sglang (62ecc49)"
"""Modal's own two hosts of SGLang, of August 2026."""

_DP, _FUSION, _WAIT = "dp_size", "allreduce_fusion", "dist_timeout"

_PATIENCE = 600
"""Seconds that a rank waits in NCCL for the others, where nothing says it: PyTorch's (``ProcessGroupNCCL``)."""

_COMPILING = 1200
"""Seconds that DeepGEMM's kernels take at most, by SGLang's own log (0.5.11)."""

_PER_CONTAINER = {
    "SGLANG_HOST_IP": "SGLang's ranks send each other to the address that it names",
    "HOST_IP": "SGLang's ranks send each other to the address that it names",
    "NCCL_HOSTID": "Modal sets it, and NCCL takes ranks with the same one to be on one host",
}
"""Variables whose value must differ by container, and what they decide."""

_INTERFACES = ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME")

_A_STAGE_EACH = ("sglang.args.tp=8", "sglang.args.pp-size=2")
_AT_0_5_16 = (
    *("sglang.version=0.5.16", "sglang.image=lmsysorg/sglang:v0.5.16-cu130"),
    *("sglang.args.nsa-prefill-backend=null", "sglang.args.nsa-decode-backend=null"),
    "sglang.args.attention-backend=dsa",
)
_WITH_DRAFTS = (*_AT_0_5_16, "sglang.env.SGLANG_ENABLE_SPEC_V2=null")


def _across(facts: Facts) -> bool:
    """Whether the ranks that divide a layer are on more than one host."""
    return facts.nodes > 1 and (facts.number("tp_size") or 1) > facts.gpu.count


def _replicas(facts: Facts) -> Iterator[Violation]:
    if facts.nodes == 1:
        return
    copies = facts.number(_DP)
    inside = facts.value("enable_dp_attention") and facts.number("attn_dp_size") in (None, 1)
    if copies and copies > 1 and not inside:
        yield Violation(
            path=facts.path(_DP),
            message=f"SGLang has no {copies} copies of a model beside each other on {facts.nodes} hosts",
        )


def _stages(facts: Facts) -> Iterator[Violation]:
    if facts.nodes == 1:
        return
    stages = facts.number("pp_size") or 1
    few, many = sorted((facts.nodes, stages))
    if stages > 1 and many % few:
        yield Violation(
            path=facts.path("pp_size"),
            message=f"{stages} stages of a pipeline do not come out even on {facts.nodes} hosts",
        )


def _of_one_container(facts: Facts) -> Iterator[Violation]:
    if facts.nodes == 1:
        return
    for name, reason in _PER_CONTAINER.items():
        if facts.env.get(name):
            path = facts.env_path(name)
            yield Violation(
                path=path,
                message=f"{name} would be the same in all {facts.nodes} containers: {reason}",
                edits=(Remove(path=path),),
            )


def _network(facts: Facts) -> Iterator[Violation]:
    cluster = facts.profile.cluster
    if cluster is None:
        return
    for name in _INTERFACES:
        if facts.env.get(name):
            yield Violation(
                path=facts.env_path(name),
                message=f"which interface of a container leads to the others is not documented by Modal, and {name} is "
                f"`{facts.env[name]}` in all of them",
                edits=(Remove(path=facts.env_path(name)),),
            )
    off = facts.env.get("NCCL_IB_DISABLE", "0") not in ("", "0")
    for name, without in (("NCCL_IB_DISABLE", off), ("NCCL_NET", facts.env.get("NCCL_NET", "").lower() == "socket")):
        if cluster.rdma and without:
            yield Violation(
                path=facts.env_path(name),
                message=f"{name} switches off the RDMA that `cluster` asks for",
                edits=(Remove(path=facts.env_path(name)),),
            )


def _left_alone(facts: Facts) -> Iterator[Violation]:
    name = "SGLANG_BLOCK_NONZERO_RANK_CHILDREN"
    if facts.nodes > 1 and facts.env.get(name) == "0":
        path = facts.env_path(name)
        yield Violation(
            path=path,
            message=f"with {name}=0 SGLang returns above rank 0 as soon as its ranks are ready: the container takes "
            "that for its end",
            edits=(Remove(path=path),),
        )


def _one_host_fusion(facts: Facts) -> Iterator[Violation]:
    if facts.nodes == 1 or facts.setting(_FUSION) is None or (fusion := facts.value(_FUSION)) in (None, "off"):
        return
    if facts.gpu.major == BLACKWELL and fusion != "trtllm" and facts.between("0.5.14", None):
        return
    if fusion == "on" and not _across(facts):
        return
    yield Violation(
        path=facts.path(_FUSION),
        message=f"fused all-reduce ({fusion}) works within one host on {facts.gpu.type}, and there are {facts.nodes}",
        edits=facts.drop(_FUSION),
    )


def _fusion_between(facts: Facts) -> Iterator[Violation]:
    if _across(facts) and facts.value(_FUSION) in ("auto", "mnnvl"):
        given = facts.setting(_FUSION) is not None
        yield Violation(
            path=facts.path(_FUSION),
            key=not given,
            message="SGLang fuses the all-reduce as if NVLink joined all GPUs, and hosts of Modal's are joined by "
            "RDMA: ranks can wait for each other for ever",
            edits=facts.put("enforce_disable_flashinfer_allreduce_fusion", True),
        )


def _impatient(facts: Facts) -> Iterator[Violation]:
    patience = facts.number(_WAIT) or _PATIENCE
    if _across(facts) and facts.compiles_at_start and patience < _COMPILING:
        yield Violation(
            path=facts.path(_WAIT),
            key=facts.setting(_WAIT) is None,
            message=f"a rank waits {patience} s for the others, and hosts that compile DeepGEMM's kernels may be up to "
            f"{_COMPILING} s apart",
            edits=facts.put(_WAIT, 3600),
        )


REPLICAS = Rule(
    id="GLM234",
    title="copies of a model across hosts",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="SGLang puts copies of a model beside each other (`dp`) on one host only; on several it ends with an "
    "AssertionError when it reads its options. Data-parallel attention may reach over hosts. Copies are what Modal's "
    "containers are for: `max_containers` counts clusters.",
    fix="remove `dp`, or write `enable-dp-attention: true` beside it (`attn-dp-size` from 0.5.22 on)",
    sources=(
        "sglang/srt/server_args.py, check_server_args (0.5.8 to 0.5.18)",
        "sglang/srt/arg_groups/validation_hook.py, check_server_args (0.5.19 to 0.5.23)",
    ),
    check=_replicas,
    fails=(example(*TWO_NODES, "sglang.args.tp=8", "sglang.args.dp=2"),),
    passes=(
        example(*TWO_NODES),
        example(*TWO_NODES, "sglang.args.dp=16", "sglang.args.enable-dp-attention=true"),
        example("sglang.args.tp=2", "sglang.args.dp=2", profile=AIR),
    ),
)

STAGES = Rule(
    id="GLM235",
    title="pipeline that does not come out even on hosts",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="SGLang gives each host whole stages of a pipeline, or each stage whole hosts: it divides the one number by "
    "the other and drops what is left over, so that ranks get stages that do not exist, or none.",
    fix="write a `pp-size` that divides `cluster.nodes`, or that it divides",
    sources=(
        "sglang/srt/entrypoints/engine.py, _launch_scheduler_processes (0.5.8)",
        "sglang/srt/entrypoints/engine.py, _calculate_rank_ranges (0.5.11, 0.5.23)",
    ),
    check=_stages,
    fails=(
        example(
            *("server.kind=server", "server.max_inputs=null", "cluster.nodes=3", "gpu=H100:8", "model.repo=acme/other"),
            *("sglang.args.tp=12", "sglang.args.pp-size=2", "sglang.args.speculative-algorithm=null"),
            profile=AIR,
        ),
    ),
    passes=(
        example(*TWO_NODES, *_A_STAGE_EACH, profile=NOSPEC),
        example(*TWO_NODES, "sglang.args.tp=4", "sglang.args.pp-size=4", profile=NOSPEC),
    ),
)

OF_ONE_CONTAINER = Rule(
    id="GLM237",
    title="variable that must differ by container",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="A profile's variables are the same in all containers of a cluster. SGLang's ranks exchange requests through a "
    "queue at the address of SGLANG_HOST_IP, and two hosts with the wrong one wait for ever once NCCL is ready, "
    "without a word. NCCL tells hosts apart by NCCL_HOSTID, which Modal sets for each.",
    fix="remove the variable",
    sources=(
        "sglang/srt/utils/network.py, get_local_ip_auto (0.5.11, 0.5.23)",
        "sglang/srt/distributed/device_communicators/shm_broadcast.py (0.5.8 to 0.5.23)",
        "https://github.com/MiaAI-Lab/Qwen3.8-Flash-Next-Dual-DGX-Sparks/issues/3",
        "modal/_cluster.py (modal 1.6.4)",
    ),
    check=_of_one_container,
    fails=(
        example(*TWO_NODES, "sglang.env.SGLANG_HOST_IP=10.100.0.1"),
        example(*TWO_NODES, "server.env.NCCL_HOSTID=host"),
    ),
    passes=(example(*TWO_NODES), example("sglang.env.SGLANG_HOST_IP=127.0.0.1")),
    looked=Look(date="2026-11-29", release="0.5.23"),
)

NETWORK = Rule(
    id="GLM238",
    title="network of a cluster chosen by hand",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="Recipes for other clusters name the interface that NCCL and Gloo shall use, or switch InfiniBand off where "
    "there is none. Modal sets NCCL's variables for its RDMA network by itself, and does not tell what an interface is "
    "called; its own SGLang deployment looks for the one that has the container's address in the cluster, because NCCL "
    "else took one that leads nowhere. With NCCL_IB_DISABLE=1, or NCCL_NET=Socket, RDMA is rented and not used.",
    fix="remove the variable",
    sources=("https://modal.com/docs/guide/multi-node-clusters", _MODALS_OWN, f"{ISSUES}3514"),
    check=_network,
    fails=(
        example(*TWO_NODES, "sglang.env.GLOO_SOCKET_IFNAME=eth0"),
        example(*TWO_NODES, 'sglang.env.NCCL_IB_DISABLE="1"'),
        example(*TWO_NODES, "sglang.env.NCCL_NET=Socket"),
    ),
    passes=(
        example(*TWO_NODES),
        example(*TWO_NODES, 'sglang.env.NCCL_IB_DISABLE="0"'),
        example(*TWO_NODES, "cluster.rdma=false", 'sglang.env.NCCL_IB_DISABLE="1"'),
        example("sglang.env.GLOO_SOCKET_IFNAME=lo"),
    ),
    looked=Look(date="2026-11-29", release="0.5.23"),
)

LEFT_ALONE = Rule(
    id="GLM239",
    title="rank that returns at once",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Above rank 0 SGLang waits for its ranks to end. SGLANG_BLOCK_NONZERO_RANK_CHILDREN=0 is for programs that use "
    "it as a library: the server goes on without a tokenizer then, or ends, and with it the whole cluster.",
    fix="remove the variable",
    sources=("sglang/srt/entrypoints/engine.py (0.5.8 to 0.5.23)",),
    check=_left_alone,
    fails=(example(*TWO_NODES, 'sglang.env.SGLANG_BLOCK_NONZERO_RANK_CHILDREN="0"'),),
    passes=(
        example(*TWO_NODES, 'sglang.env.SGLANG_BLOCK_NONZERO_RANK_CHILDREN="1"'),
        example('sglang.env.SGLANG_BLOCK_NONZERO_RANK_CHILDREN="0"'),
    ),
)

IMPATIENT = Rule(
    id="GLM240",
    title="ranks that do not wait for another host's kernels",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="A rank that is done with its kernels waits for the others in NCCL, by PyTorch's default 600 s, and then ends "
    "all. DeepGEMM's kernels take 10 to 20 minutes, each host compiles its own, and a cluster has no stage `compile` "
    "that would do it before. Two hosts of H200 ended so, and `dist-timeout` was the answer (#3932); a long warm-up of "
    "DeepGEMM did the same (#9867). Modal's own cluster of SGLang sets 3,600.",
    fix="write `dist-timeout: 3600` under `sglang.args`",
    sources=(f"{ISSUES}3932", f"{ISSUES}9867", _MODALS_OWN),
    check=_impatient,
    fails=(example(*TWO_NODES), example(*TWO_NODES, "sglang.args.dist-timeout=900")),
    passes=(
        example(*TWO_NODES, "sglang.args.dist-timeout=3600"),
        example(*TWO_NODES, 'sglang.env.SGLANG_JIT_DEEPGEMM_FAST_WARMUP="1"'),
        example(*TWO_NODES, *_A_STAGE_EACH, profile=NOSPEC),
    ),
    looked=Look(date="2026-11-29", release="0.5.23"),
)

ONE_HOST_FUSION = Rule(
    id="GLM241",
    title="fused all-reduce of one host on several",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="FlashInfer's fused all-reduce maps the memory of the other GPUs, which those of one host can. Until 0.5.13 "
    "SGLang tries that across hosts too where it is told to, and ends with `invalid resource handle`; from 0.5.14 on "
    "it refuses the backend `trtllm` on several hosts, and every backend there on Hopper, with a ValueError when the "
    "first layer is built. Left open, it is off by itself.",
    fix="remove the option",
    sources=(
        "https://github.com/flashinfer-ai/flashinfer/issues/2006",
        f"{PULLS}12724",
        "sglang/srt/layers/flashinfer_comm_fusion.py, _resolve_backend (0.5.14 to 0.5.23)",
    ),
    check=_one_host_fusion,
    fails=(
        example(*TWO_NODES, "sglang.args.enable-flashinfer-allreduce-fusion=true"),
        example(
            *TWO_NODES[:4],
            *("cluster.rdma=true", "compile=null", "sglang.args.tp=16", "gpu=H200:8"),
            *("sglang.args.flashinfer-allreduce-fusion-backend=auto", "sglang.args.moe-runner-backend=null"),
            *("sglang.args.dsa-prefill-backend=null", "sglang.args.dsa-decode-backend=null"),
            profile=AT_0_5_23,
        ),
    ),
    passes=(
        example(*TWO_NODES),
        example("sglang.args.enable-flashinfer-allreduce-fusion=true"),
        example(
            *(*TWO_NODES, *_A_STAGE_EACH, "sglang.args.enable-flashinfer-allreduce-fusion=true"),
            profile=NOSPEC,
        ),
    ),
    scope=Scope(gpu_majors=(HOPPER, BLACKWELL)),
    looked=Look(date="2026-11-29", release="0.5.23"),
)

FUSION_BETWEEN = Rule(
    id="GLM242",
    title="allreduce fusion between hosts that NVLink does not join",
    severity=Severity.WARNING,
    topic=Topic.KNOWN_ISSUE,
    why="From 0.5.14 on SGLang switches the fusion on by itself on Blackwell with several hosts too, and takes "
    "`mnnvl`, which needs one NVLink domain (GB200 racks). Whether it can work each rank finds out alone: Modal's own "
    "deployment of 2 × 8 B300 met ranks that fell back and ranks that did not, which then waited for each other, and "
    "disables it. vLLM hung for 30 s and lost memory in the same way. 0.5.23 asks all ranks first, and leaves it.",
    fix="write `enforce-disable-flashinfer-allreduce-fusion: true`",
    sources=(
        _MODALS_OWN,
        f"{PULLS}23402",
        "https://github.com/vllm-project/vllm/issues/51986",
        "sglang/srt/layers/flashinfer_comm_fusion.py, initialize (0.5.14, 0.5.22, 0.5.23)",
    ),
    check=_fusion_between,
    fails=(example(*TWO_NODES, *_WITH_DRAFTS),),
    passes=(
        example(*TWO_NODES, *_WITH_DRAFTS, "sglang.args.enforce-disable-flashinfer-allreduce-fusion=true"),
        example(*_WITH_DRAFTS),
        example(*TWO_NODES, *_AT_0_5_16, *_A_STAGE_EACH, profile=NOSPEC),
    ),
    scope=Scope(gpu_majors=(BLACKWELL,), since="0.5.14", until="0.5.22"),
    looked=Look(date="2026-11-29", release="0.5.23"),
)

RULES = (
    REPLICAS,
    STAGES,
    OF_ONE_CONTAINER,
    NETWORK,
    LEFT_ALONE,
    IMPATIENT,
    ONE_HOST_FUSION,
    FUSION_BETWEEN,
)
