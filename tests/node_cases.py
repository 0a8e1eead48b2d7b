"""Launches on several nodes in ``authoring/field/nodes``, of each kind in which people write them.

Written after SGLang's pages on several nodes, on LeaderWorkerSet and on SLURM, issues 958, 3398 and 3794 of its
repository, SkyPilot's and dstack's examples of DeepSeek-R1, OME's and RBG's manifests, and public scripts; shortened.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from field_cases import ARGS, Case
from field_cases import foreign as _foreign
from field_cases import refused as _refused

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = "field/nodes"
refused = partial(_refused, folder=FOLDER)
foreign = partial(_foreign, folder=FOLDER)


def cluster(count: int = 2, gpu: str = "H200:8", *, rdma: bool = True, **data: Any) -> Mapping[str, Any]:
    """What a profile of several nodes has; ``data`` are SGLang's options, with underscores."""
    options = {f"{ARGS}.{name.replace('_', '-')}": value for name, value in data.items()}
    return {"cluster": {"nodes": count, "rdma": rdma}, "gpu": gpu, "server.kind": "server", **options}


def nodes(file: str, *says: str, data: Mapping[str, Any] | None = None, **more: Any) -> Case:
    """A launch that becomes a profile with a cluster; what tells nodes apart is in none."""
    left = ("nnodes", "node-rank", "dist-init-addr")
    return Case(
        file=file,
        folder=FOLDER,
        says=("became `cluster.nodes`", *says),
        data=data or cluster(tp_size=16),
        without=(*(f"{ARGS}.{name}" for name in left), *more.pop("without", ())),
        **{"errors": False, **more},
    )


ALONE = "a cluster starts all of them alike"
NETWORK = tuple(f"sglang.env.{name}" for name in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "NCCL_IB_HCA"))

CASES = (
    nodes(
        "arguments.sh", "`--node-rank $RANK` and `--dist-init-addr $MASTER:20000`", data=cluster(tp_size=8, pp_size=2)
    ),
    nodes("case-by-rank.sh", "without --api-key", silent=("another launch",)),
    nodes("compose-two-services.yaml", ALONE, "NCCL_IB_HCA was left out", without=NETWORK),
    nodes("computed.sh", "this loop", data=cluster(tp_size=16, max_running_requests=128)),
    nodes("config.yaml"),
    refused("count-not-set.sh", "such as WORLD_NODES=2", "--nnodes needs $WORLD_NODES", lines=(2,)),
    nodes("defaults.sh"),
    nodes(
        "docker-two-machines.sh",
        *("without --tool-call-parser, --reasoning-parser", "NCCL_IB_GID_INDEX was left out", "the network cards"),
        silent=("another launch",),
        data={**cluster(tp_size=16, tool_call_parser="glm47"), "sglang.env": {"NCCL_DEBUG": "WARN"}},
    ),
    nodes("driver.py", "NCCL_SOCKET_IFNAME was left out"),
    nodes(
        "dstack-task.dstack.yml",
        gpu=None,
        data={**cluster(tp_size=16), "sglang.env": {"NCCL_DEBUG": "INFO"}},
    ),
    nodes(
        "exports-two-machines.sh",
        ALONE,
        "NCCL_IB_DISABLE was left out",
        data={**cluster(tp_size=16), "server.port": 6178},
    ),
    refused("forty.sh", "`cluster.nodes` cannot be `40`", "32", lines=(1,)),
    nodes("four-of-four.sh", "is 2 nodes of --gpu B200:8", gpu="B200:8", data=cluster(gpu="B200:8", tp_size=16)),
    nodes("glm.service", "node.env"),
    nodes(
        "hosts-array.sh", "this loop starts four nodes", data=cluster(4, tp_size=32), silent=("servers are launched",)
    ),
    nodes("kserve-workers.yaml", ALONE),
    nodes(
        "lws-docs.yaml",
        "differs in --mem-fraction-static, SGLANG_SET_CPU_AFFINITY",
        "the network cards",
        data=cluster(mem_fraction_static=0.93),
    ),
    nodes("lws-workers-alone.yaml", gpu=None, silent=("not in this text",)),
    nodes("Makefile", ALONE),
    nodes("modal-clustered.py", gpu=None, data={**cluster(tp_size=16), "server.scaledown_window": 600}),
    nodes(
        "mpirun.sh",
        "NCCL_SOCKET_IFNAME was left out",
        data={**cluster(tp_size=16), "sglang.env": {"NCCL_DEBUG": "INFO"}},
    ),
    nodes("ome-runtime.yaml", ALONE, "NVSHMEM_HCA_LIST was left out"),
    Case(
        file="one-node.sh",
        folder=FOLDER,
        data={f"{ARGS}.nnodes": 1, f"{ARGS}.node-rank": 0},
        without=("cluster", "server.kind"),
        errors=False,
    ),
    nodes("pdsh.sh", "pdsh with its options only starts"),
    nodes("prefill-decode-nodes.sh", ALONE, "another launch", finds=("GLM066",), errors=True),
    nodes("readme.md", ALONE, silent=("lacks its value",)),
    nodes("role-group.yaml", gpu=None),
    nodes("role-group-old.yaml"),
    foreign("role-group-roles.yaml", "2 roles of this group launch SGLang", lines=(10,)),
    nodes("sky-if-rank.yaml", ALONE, gpu=None, data=cluster(gpu="H100:8", tp_size=16)),
    nodes("slurm-docs.sh", silent=("not set in this text",)),
    nodes("slurm-heredoc.sh", gpu=None, data={**cluster(gpu="H100:8", tp_size=16), "sglang.version": "0.5.11"}),
    Case(
        file="slurm-no-nnodes.sh",
        folder=FOLDER,
        gpu=None,
        says=("2 nodes start this launch, each for itself", "add --nnodes 2"),
        data={"gpu": "H200:8", f"{ARGS}.tp-size": 8},
        without=("cluster",),
        errors=False,
    ),
    nodes("slurm-total-gpus.sh", gpu=None, data=cluster(gpu="H100:8", tp_size=16)),
    nodes("slurm-two-sruns.sh", ALONE, gpu=None, data=cluster(gpu="H100:8", tp_size=16), silent=("without srun",)),
    nodes("slurm-variables.sbatch", gpu=None, silent=("not exported", "not in this text")),
    nodes("ssh-loop.sh", "this loop starts two nodes", silent=("servers are launched",)),
    nodes("statefulset-pod-index.yaml", "NODE_RANK was left out", without=("sglang.env",)),
    refused("tp-without-nnodes.sh", "if it runs on 2 nodes, add --nnodes 2", lines=(1,)),
    nodes("two-deployments.yaml", "without --served-model-name", data={**cluster(), "model.served_name": "ds"}),
    Case(
        file="two-of-four.sh",
        folder=FOLDER,
        says=("is 1 node of --gpu H200:8",),
        data={"gpu": "H200:8", f"{ARGS}.tp-size": 8},
        without=("cluster", "server.kind", f"{ARGS}.nnodes"),
        errors=False,
    ),
    nodes("uneven.sh", gpu=None, finds=("GLM020", "GLM227"), errors=True, data=cluster(8, "B200:2", tp_size=12)),
    nodes("worker-alone.sh", "this is node 1 of the launch", "import the launch of node 0"),
    nodes(
        "workers-differ.sh",
        "differs in --mem-fraction-static, --disable-cuda-graph",
        data=cluster(mem_fraction_static=0.85),
    ),
)
