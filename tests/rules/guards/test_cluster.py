"""Rules about containers that serve together, beyond their examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged import checked, few

from glmdeploy.findings import Severity, at
from glmdeploy.gpus import RDMA, TYPES
from glmdeploy.profile.text.load import load
from glmdeploy.rules.rule import TWO_NODES

if TYPE_CHECKING:
    from glmdeploy.findings import Finding

NOSPEC = "b200-nospec-bf16kv"


def found(rule: str, *sets: str, profile: str = "b200-eagle-bf16kv") -> list[Finding]:
    return [each for each in checked(*TWO_NODES, *sets, profile=profile).findings if each.id == rule]


@pytest.mark.parametrize(
    ("port", "taken"),
    [(19998, False), (19999, True), (20000, True), (20001, False), (20006, False), (20013, False)],
)
def test_ports_without_attention_groups(port: int, *, taken: bool) -> None:
    assert bool(found("GLM236", f"server.port={port}")) is taken


@pytest.mark.parametrize(
    ("port", "taken"), [(20001, True), (20006, True), (20007, False), (20012, False), (20013, True), (20014, False)]
)
def test_ports_with_attention_groups(port: int, *, taken: bool) -> None:
    groups = ("sglang.args.dp=2", "sglang.args.enable-dp-attention=true")
    assert bool(found("GLM236", f"server.port={port}", *groups)) is taken


@pytest.mark.parametrize("gpu", sorted(TYPES))
def test_rdma_is_asked_for_where_there_is_some(gpu: str) -> None:
    whole = TYPES[gpu].most
    asked = found("GLM228", f"gpu={gpu}:{whole}", f"sglang.args.tp={2 * whole}")
    left = found("GLM229", f"gpu={gpu}:{whole}", f"sglang.args.tp={2 * whole}", "cluster.rdma=false")
    assert (bool(asked), bool(left)) == (gpu not in RDMA, gpu in RDMA)
    assert not found("GLM227", f"gpu={gpu}:{whole}")
    assert found("GLM227", f"gpu={gpu}:{whole - 1}")


def test_a_place_that_is_there_is_pointed_at() -> None:
    written = found("GLM228", "gpu=L40S:8", "cluster.rdma=true")
    unwritten = found("GLM228", "gpu=L40S:8")
    assert [each.path for each in (*written, *unwritten)] == [("cluster", "rdma"), ("cluster",)]


def test_a_pipeline_of_whole_hosts_needs_little_of_the_network() -> None:
    [piped] = found("GLM229", "cluster.rdma=false", "sglang.args.tp=8", "sglang.args.pp-size=2", profile=NOSPEC)
    [divided] = found("GLM229", "cluster.rdma=false", profile=NOSPEC)
    assert (piped.severity, divided.severity) == (Severity.INFO, Severity.WARNING)


def test_processors_are_for_a_rehearsal() -> None:
    sets = ("server.kind=server", "server.max_inputs=null", "cluster.nodes=2", "sglang.args.tp=2")
    errors = [each for each in checked(*sets, profile="local-cpu").findings if each.severity is Severity.ERROR]
    assert errors == [], "a cluster can be rehearsed without a GPU"


def test_one_type_under_several_counts_is_one_type() -> None:
    assert not found("GLM230", 'gpu=["B200:8", "B200:4"]')
    assert found("GLM230", 'gpu=["B200:8", "H200:8"]')


def test_a_web_function_becomes_a_server() -> None:
    sets = ("cluster.nodes=2", *TWO_NODES[4:])
    [one] = [each for each in checked(*sets, profile="b200-eagle-bf16kv").findings if each.id == "GLM226"]
    data = load("b200-eagle-bf16kv", sets=sets).data
    for edit in one.edits:
        data = edit.applied_to(dict(data))
    assert at(data, ("server", "kind")) == "server"
    assert not {"timeout", "max_inputs"} & set(data["server"])


@few
@given(nodes=st.integers(2, 32), stages=st.sampled_from([1, 2, 3, 4, 6, 8, 12, 16]))
def test_what_passes_gives_each_host_its_own_ranks(nodes: int, stages: int) -> None:
    """As SGLang gives them out (``_calculate_rank_ranges``, 0.5.11), where no rule objects."""
    tensor = 8 * nodes // stages
    sets = (
        f"cluster.nodes={nodes}",
        f"sglang.args.tp={tensor}",
        f"sglang.args.pp-size={stages}",
        "model.repo=acme/one",
    )
    ids = {each.id for each in checked(*TWO_NODES, *sets, profile=NOSPEC).findings if each.severity is Severity.ERROR}
    if ids & {"GLM020", "GLM235"}:
        return
    stages_a_host, hosts_a_stage = max(stages // nodes, 1), max(nodes // stages, 1)
    ranks = tensor // hosts_a_stage
    given_out = [
        (stage, rank)
        for host in range(nodes)
        for stage in range(stages_a_host * (host // hosts_a_stage), stages_a_host * (host // hosts_a_stage + 1))
        for rank in range(ranks * (host % hosts_a_stage), ranks * (host % hosts_a_stage + 1))
    ]
    assert sorted(given_out) == [(stage, rank) for stage in range(stages) for rank in range(tensor)]
    assert len(given_out) == 8 * nodes


TWO_HOSTS = "h200-two-hosts-bf16"


def said(rule: str, *sets: str) -> str:
    """The one message of a rule about the shipped profile of two hosts."""
    [one] = [each.message for each in checked(*sets, profile=TWO_HOSTS).findings if each.id == rule]
    return one


@pytest.mark.parametrize(
    ("rule", "sets", "part"),
    [
        ("GLM034", (), "Modal adds a cluster above 20"),
        ("GLM047", ("server.scaledown_window=2s",), "an idle cluster ends after 2 s"),
        (
            "GLM048",
            ("keepalive.enabled=true", 'keepalive.schedule="0 9 * * *"', "server.scaledown_window=15m"),
            "an idle cluster ends after 15m: each one starts a cluster anew",
        ),
        ("GLM134", ("server.target_concurrency=0",), "Modal never adds a cluster"),
        ("GLM135", ("server.exit_grace_period=0",), "a cluster that ends has 0 s"),
        ("GLM076", ("server.spend_ceiling=50",), "1 cluster of 2 × H200:8 costs 72.63 dollars an hour"),
        ("GLM156", (), "with one cluster at most"),
        ("GLM231", ("compile.timeout=1h",), "would wait there for the ranks of all 2"),
    ],
)
def test_what_is_a_cluster_is_called_so(rule: str, sets: tuple[str, ...], part: str) -> None:
    assert part in said(rule, *sets)


def test_a_stage_that_is_refused_lacks_nothing_else() -> None:
    found = [each.id for each in checked("compile.timeout=1h", profile=TWO_HOSTS).findings if each.edits]
    assert found == ["GLM231"]


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (
            ("cluster=null",),
            "`tp` 16 uses 16 GPUs, but H200:8 has 8; `cluster: {nodes: 2}` of whole hosts has 16",
        ),
        (
            ("cluster=null", "server.kind=web_server"),
            "`tp` 16 uses 16 GPUs, but H200:8 has 8; `cluster: {nodes: 2}` of whole hosts has 16, with "
            "`server.kind: server`",
        ),
        (
            ("sglang.args.tp=32",),
            "`tp` 32 uses 32 GPUs, but 2 × H200:8 have 16; `cluster: {nodes: 4}` of whole hosts has 32",
        ),
        (("sglang.args.tp=8",), "`tp` 8 uses 8 GPUs, but 2 × H200:8 have 16"),
        (("sglang.args.dp=2",), "`tp` 16 times `dp` 2 uses 32 GPUs, but 2 × H200:8 have 16"),
        (("gpu=L40S:8", "cluster=null"), "`tp` 16 uses 16 GPUs, but L40S:8 has 8"),
    ],
)
def test_the_cluster_that_has_so_many_gpus_is_named(sets: tuple[str, ...], message: str) -> None:
    assert said("GLM020", *sets) == message


@pytest.mark.parametrize(
    ("repo", "compiles"),
    [
        ("deepseek-ai/DeepSeek-V3", True),  # that of #3932
        ("moonshotai/Kimi-K2-Instruct-0905", True),
        ("zai-org/GLM-5.1-FP8", True),
        ("zai-org/GLM-4.6-FP8", False),  # by compressed-tensors
        ("zai-org/GLM-5.1", False),
    ],
)
def test_whoever_has_blocks_in_fp8_compiles_kernels(repo: str, *, compiles: bool) -> None:
    rules = {each.id for each in checked(f"model.repo={repo}", profile=TWO_HOSTS).findings}
    assert ("GLM240" in rules, "GLM233" in rules) == (compiles, compiles)
