"""Launches on several nodes, made at random: whatever tells their nodes apart, one profile with a cluster comes out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.authoring.launch.imported import import_script
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.findings import Severity
from glmdeploy.profile.text.load import read_text

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.imported import Imported

SERVER = "python3 -m sglang.launch_server --model-path zai-org/GLM-5"
OTHERS = ("--trust-remote-code", "--mem-fraction-static 0.85", "--max-running-requests 64", "--log-requests-level=2")


def imported(text: str, gpu: str | None = None, file: str = "serve.sh") -> Imported:
    return import_script(Script(file=file, text=text), ImportOptions(gpu=gpu, sglang_version="0.5.11"))


@dataclass(frozen=True)
class Nodes:
    """``count`` nodes with ``each`` GPUs; ``order`` is that of the options, ``rank`` how each node's is written."""

    count: int
    each: int
    pipelines: int
    order: tuple[int, ...]
    others: tuple[str, ...]
    joined: bool
    old: bool

    def options(self, rank: str) -> str:
        sign = "=" if self.joined else " "
        own = [
            f"--nnodes{sign}{self.count}",
            f"--node-rank{sign}{rank}",
            f"--{'nccl' if self.old else 'dist'}-init-addr{sign}10.1.2.3:20000",
            f"--tp{sign}{self.count * self.each // self.pipelines}",
            *([f"--pp-size{sign}{self.pipelines}"] if self.pipelines > 1 else []),
            *self.others,
        ]
        return " ".join(own[index] for index in self.order if index < len(own))


NODES = st.builds(
    Nodes,
    count=st.integers(2, 32),
    each=st.sampled_from([8, 8, 8, 4, 2]),
    pipelines=st.sampled_from([1, 1, 2]),
    order=st.permutations(range(9)).map(tuple),
    others=st.lists(st.sampled_from(OTHERS), unique=True, max_size=3).map(tuple),
    joined=st.booleans(),
    old=st.booleans(),
)
WRAPPED = st.sampled_from(
    [
        "{}",
        "ssh host '{}'",
        "srun -w host {}",
        "docker run --gpus all --network host lmsysorg/sglang:v0.5.11 {}",
        "nohup {} > log 2>&1 &",
        "bash -c '{}'",
    ]
)


def without_notes(result: Imported) -> dict[str, Any]:
    assert result.data is not None
    return result.data


@given(NODES, WRAPPED, st.randoms())
@settings(max_examples=examples(30), deadline=None)
def test_all_nodes_of_a_launch_are_one_profile(nodes: Nodes, wrapped: str, random: Any) -> None:
    ranks = [str(rank) for rank in range(min(nodes.count, 4))]
    random.shuffle(ranks)
    text = "\n".join(f"# node {rank}\n{wrapped.format(f'{SERVER} {nodes.options(rank)}')}" for rank in ranks) + "\n"
    result = imported(text)
    data = without_notes(result)
    errors = [note.message for note in result.notes if note.severity is Severity.ERROR]
    assert not errors
    assert data["cluster"] == {"nodes": nodes.count, "rdma": True}
    assert data["gpu"] == f"B200:{nodes.each}"
    assert data["server"]["kind"] == "server"
    arguments = data["sglang"]["args"]
    assert arguments["tp-size"] * arguments.get("pp-size", 1) == nodes.count * nodes.each
    assert not arguments.keys() & {"nnodes", "node-rank", "dist-init-addr"}
    assert result.text is not None
    assert read_text(result.text, "again").data == data
    told = "\n".join(note.message for note in result.notes)
    assert told.count("of the same launch") == len(ranks) - 1
    assert "another launch" not in told
    assert "10.1.2.3:20000" in told


@given(
    NODES,
    st.sampled_from(["$RANK", "${RANK}", "$SLURM_NODEID", "$((RANK + 1))", "<RANK>", "%n", "$(hostname | cut -c5)"]),
)
@settings(max_examples=examples(20), deadline=None)
def test_a_rank_that_only_the_old_machines_know_is_needed_by_nobody(nodes: Nodes, rank: str) -> None:
    one = without_notes(imported(f"{SERVER} {nodes.options('0')}\n"))
    assert without_notes(imported(f"{SERVER} {nodes.options(rank)}\n")) == one


@given(NODES)
@settings(max_examples=examples(20), deadline=None)
def test_larger_machines_are_fewer(nodes: Nodes) -> None:
    data = without_notes(imported(f"{SERVER} {replace(nodes, pipelines=1).options('0')}\n", gpu="H200:8"))
    whole = nodes.count * nodes.each
    if whole <= 8:
        assert "cluster" not in data
        assert "kind" not in data["server"]
    elif whole % 8 == 0:
        assert data["cluster"]["nodes"] == whole // 8
    else:
        assert data["cluster"]["nodes"] == nodes.count


def told(text: str, **more: Any) -> list[str]:
    return [f"{note.severity.value} {note.message}" for note in imported(text, **more).notes]


TWO = "--tp 16 --nnodes 2 --dist-init-addr"


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (f"{SERVER} {TWO} a:1 --node-rank 1", "info this is node 1 of the same launch: a cluster"),
        (f"{SERVER} {TWO} $HEAD:1 --node-rank $R", "info this is another node of the same launch: a cluster"),
        (f"{SERVER} {TWO} 127.0.0.1:1 --node-rank 1 --port 9", "info this is node 1 of the same launch: a cluster"),
        (
            f"{SERVER} {TWO} a:1 --node-rank 1 --enable-metrics",
            "warning this is node 1 of the same launch, which differs",
        ),
        (f"A=1 {SERVER} {TWO} a:1 --node-rank 1", "warning this is node 1 of the same launch, which differs in A"),
        (f"NCCL_IB_HCA=x {SERVER} {TWO} a:1 --node-rank 1", "info this is node 1 of the same launch: a cluster"),
        (f"{SERVER} {TWO} a:2 --node-rank 1", "warning this is another launch"),
        (f"{SERVER} {TWO} b:1 --node-rank 1", "warning this is another launch"),
        (f"{SERVER} {TWO} a:1 --node-rank 0", "warning this is another launch"),
        (f"{SERVER}.1 {TWO} a:1 --node-rank 1", "warning this is another launch"),
        (f"{SERVER} --tp 8", "warning this is another launch"),
        (f"{SERVER} {TWO} a:1 --node-rank 1 --disaggregation-mode decode", "warning this is another launch"),
        ("vllm serve x --nnodes 2", "warning this starts vLLM"),
    ],
)
def test_what_is_a_node_of_the_same_launch(second: str, said: str) -> None:
    assert any(each.startswith(said) for each in told(f"{SERVER} {TWO} a:1 --node-rank 0\n{second}\n"))


@pytest.mark.parametrize(
    "name", ["NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "NCCL_IB_HCA", "UCX_NET_DEVICES", "MASTER_ADDR"]
)
def test_what_names_the_old_machines_is_left_out_of_every_profile(name: str) -> None:
    for launch in (f"{SERVER} --tp 8", f"{SERVER} {TWO} a:1"):
        result = imported(f"{name}=x {launch}\n")
        assert name not in without_notes(result)["sglang"].get("env", {})
        assert any(note.message.startswith(f"{name} was left out") for note in result.notes)


@pytest.mark.parametrize(
    "name", ["NCCL_IB_DISABLE", "NCCL_IB_TIMEOUT", "NVSHMEM_IB_GID_INDEX", "UCX_TLS", "FI_PROVIDER", "MC_TE_METRIC"]
)
def test_what_tunes_the_network_between_nodes_is_left_out_where_there_are_several(name: str) -> None:
    assert without_notes(imported(f"{name}=1 {SERVER} --tp 8\n"))["sglang"]["env"] == {name: "1"}
    assert "env" not in without_notes(imported(f"{name}=1 {SERVER} {TWO} a:1\n"))["sglang"]


@pytest.mark.parametrize("name", ["NCCL_DEBUG", "NCCL_CUMEM_ENABLE", "NCCL_NVLS_ENABLE", "NCCL_MNNVL_ENABLE"])
def test_what_is_of_no_network_stays(name: str) -> None:
    assert without_notes(imported(f"{name}=1 {SERVER} {TWO} a:1\n"))["sglang"]["env"] == {name: "1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"#SBATCH -N 4\nsrun {SERVER} {TWO} a:1 --node-rank $R",
            "warning the file starts 4 nodes, but --nnodes says 2",
        ),
        (f"#SBATCH -N 2\nsrun {SERVER} --tp 16", "warning the launch has no --nnodes, but needs 16 GPUs"),
        (f"#SBATCH -N 2\nsrun {SERVER} --tp 8", "warning 2 nodes start this launch, each for itself"),
        (
            f"#SBATCH -N 2\nsrun {SERVER} --tp 16 --nnodes $N",
            "warning --nnodes needs $N, which is not set in this text: 2",
        ),
        (f"{SERVER} --tp 32 --nnodes $N", "error how many nodes the launch has is not known: --nnodes needs $N"),
        (f"{SERVER} --tp 32 --nnodes two", "error how many nodes the launch has is not known: --nnodes is `two`"),
        (f"{SERVER} --tp 16 --nnodes 33", "error `cluster.nodes` cannot be `33`"),
        (f"{SERVER} --tp 64 --nnodes 4", "error the launch is for 64 GPUs on 4 nodes, but a container on Modal has 8"),
        (f"{SERVER} --tp 16 --nnodes 2 --node-rank 1", "warning this is node 1 of the launch"),
    ],
)
def test_what_is_told_of_the_count(text: str, said: str) -> None:
    assert any(each.startswith(said) for each in told(text)), told(text)


def test_a_count_that_is_not_known_says_which_would_do() -> None:
    [note] = [note for note in imported(f"{SERVER} --tp 32 --nnodes $N\n").notes if note.severity is Severity.ERROR]
    assert note.fix == "set it in a line above the launch, such as N=4"


def test_kernels_of_several_nodes_are_compiled_by_no_stage() -> None:
    text = "SGLANG_DG_CACHE_DIR=/kernels python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8"
    assert "compile" in without_notes(imported(f"{text} --tp 8\n"))
    several = without_notes(imported(f"{text} --tp 16 --nnodes 2\n"))
    assert "compile" not in several
    assert several["volumes"]["kernels"]["mount"] == "/kernels"
