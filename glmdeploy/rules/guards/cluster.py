"""Rules about containers that serve together: what Modal takes for a cluster, which its SDK (1.6.4) does not check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Remove, SetValue, Severity, listed
from glmdeploy.gpus import RDMA, TYPES
from glmdeploy.profile.serving import SERVER, of_one_kind
from glmdeploy.rules.rule import AIR, TWO_NODES, Rule, Topic, Violation, example
from glmdeploy.runtime.hosting import DIST_PORT, LINK_PORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.findings import Edit
    from glmdeploy.rules.facts import Facts

_SECTION, _RDMA = ("cluster",), ("cluster", "rdma")
_GUIDE = "https://modal.com/docs/guide/multi-node-clusters"
_SDK = "modal/_partial_function.py, clustered (modal 1.6.4)"

_OWN = ("nnodes", "node_rank", "dist_init_addr")
"""The options that each container is started with, beside those of the profile."""

_EITHER = {"B200+"}
"""Names for which Modal gives a GPU of one generation or of the next, a B200 or a B300 (its guide)."""

_SMALL = ("server.kind=server", "server.max_inputs=null", "cluster.nodes=2")
"""A cluster of a profile that limits no request."""


def _web_function(facts: Facts) -> Iterator[Violation]:
    server = facts.profile.server
    if facts.profile.cluster is None or server.kind == SERVER:
        return
    kinds = of_one_kind()
    foreign = [name for name in server.given if name in kinds and kinds[name] != SERVER]
    kind: Edit = SetValue(path=("server", "kind"), value=SERVER)
    yield Violation(
        path=_SECTION,
        key=True,
        message=f"`server.kind` is {server.kind}, and Modal has no clusters of web functions",
        edits=(kind, *(Remove(path=("server", name)) for name in foreign)),
    )


def _part_of_a_host(facts: Facts) -> Iterator[Violation]:
    if facts.profile.cluster is None:
        return
    whole = TYPES[facts.gpu.type].most
    if facts.value("device") == "cpu":
        yield Violation(
            path=_SECTION,
            key=True,
            severity=Severity.WARNING,
            message="SGLang runs on processors here, of which Modal makes no cluster: it can be rehearsed in the "
            "embedded cloud alone",
        )
    elif facts.gpu.count != whole:
        yield Violation(
            path=("gpu",),
            message=f"Modal makes clusters of whole hosts only: `{facts.gpu.type}:{whole}`, not `{facts.gpu}`",
        )


def _no_rdma(facts: Facts) -> Iterator[Violation]:
    cluster = facts.profile.cluster
    if cluster and cluster.rdma and facts.gpu.type not in RDMA and facts.value("device") != "cpu":
        yield Violation(
            path=_RDMA if "rdma" in cluster.given else _SECTION,
            key="rdma" not in cluster.given,
            message=f"there is no RDMA between hosts of {facts.gpu.type}: Modal has it for "
            f"{listed([name for name in RDMA if name.isalnum()])}",
            edits=(SetValue(path=_RDMA, value=False),),
        )


def _slow_network(facts: Facts) -> Iterator[Violation]:
    cluster = facts.profile.cluster
    if cluster is None or cluster.rdma or facts.gpu.type not in RDMA or facts.value("device") == "cpu":
        return
    tensor = facts.number("tp_size") or 1
    within = tensor <= facts.gpu.count
    what = "each token once between the stages" if within else "two sums of each layer for each token"
    yield Violation(
        path=_RDMA,
        message=f"without RDMA {what} must pass a network that Modal made for orchestration",
        severity=Severity.INFO if within else None,
        edits=(Remove(path=_RDMA),),
    )


def _several_types(facts: Facts) -> Iterator[Violation]:
    types = {gpu.type for gpu in facts.gpus}
    if facts.profile.cluster and (len(types) > 1 or types & _EITHER):
        which = "GPU of this list" if len(types) > 1 else "of the types that this name stands for"
        yield Violation(
            path=("gpu",),
            message=f"whether all containers of a cluster get the same {which} is not documented, and SGLang's ranks "
            "must decide alike",
        )


def _compile_stage(facts: Facts) -> Iterator[Violation]:
    if facts.profile.cluster and facts.profile.compile:
        yield Violation(
            path=("compile",),
            key=True,
            message="the stage `compile` is one container, and SGLang's compiler would wait there for the ranks of all "
            f"{facts.nodes}",
            edits=(Remove(path=("compile",)),),
        )


def _own_options(facts: Facts) -> Iterator[Violation]:
    written = [dest for dest in _OWN if facts.setting(dest)] if facts.profile.cluster else []
    if written:
        names = listed([f"`{facts.path(dest)[-1]}`" for dest in written])
        yield Violation(
            path=facts.path(written[0]),
            key=True,
            message=f"{names} {'differ' if len(written) > 1 else 'differs'} by container or follows from `cluster`, "
            "and each container adds its own",
            edits=facts.drop(*written),
        )


def _taken_port(facts: Facts) -> Iterator[Violation]:
    port = facts.profile.server.port
    if facts.profile.cluster and port in _taken(facts):
        of = "the link between the containers" if port == LINK_PORT else "SGLang's ranks, which meet there"
        yield Violation(path=("server", "port"), message=f"port {port} of rank 0 is taken by {of}")


def _taken(facts: Facts) -> set[int]:
    """The ports of rank 0 that are fixed: its own, and with data-parallel attention those that follow from it.

    Of ``PortArgs.init_new`` and ``DP_ATTENTION_HANDSHAKE_PORT_DELTA`` (``server_args.py``, 0.5.8 to 0.5.23): five ports
    above the one where the ranks meet, a sixth in later releases, and the thirteenth.
    """
    more = (*range(1, 7), 13) if facts.attention_groups > 1 else ()
    return {LINK_PORT, DIST_PORT, *(DIST_PORT + step for step in more)}


WEB_FUNCTION = Rule(
    id="GLM226",
    title="cluster behind a web function",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Modal starts the containers of a Server as a cluster, and sends the requests to the first of them. For a web "
    "function it does not, and its SDK only finds that out when the request to deploy is refused.",
    fix="write `server.kind: server`; what the other kind of server calls differently is told then",
    sources=(_SDK, _GUIDE),
    check=_web_function,
    fails=(example("cluster.nodes=2", *TWO_NODES[4:], "cluster.rdma=true"),),
    passes=(example(*TWO_NODES), example()),
    waivable=False,
)

PART_OF_A_HOST = Rule(
    id="GLM227",
    title="cluster of parts of hosts",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Each container of a cluster must ask for all GPUs of its host, eight of most types, and for GPUs at all: "
    "Modal makes no clusters of processors. The SDK does not look. The embedded cloud starts such a cluster "
    "nevertheless, so that one can be tried without a GPU: where SGLang runs on processors it is a warning.",
    fix="write the whole host in `gpu`, such as `H200:8`, or serve from single containers, without `cluster`",
    sources=(_SDK, _GUIDE, "https://modal.com/docs/guide/gpu"),
    check=_part_of_a_host,
    fails=(
        example(*TWO_NODES, "gpu=B200:4", "sglang.args.tp=8"),
        example(*_SMALL, "sglang.args.tp=2", profile="local-cpu"),
    ),
    passes=(example(*TWO_NODES), example(profile=AIR), example(profile="local-cpu")),
)

NO_RDMA = Rule(
    id="GLM228",
    title="RDMA where there is none",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="`cluster.rdma` asks for hosts that are joined by RDMA, and is on unless the profile says otherwise. Modal has "
    "it for H100, H200, B200, B300 and GB200. A cluster of other GPUs that asks for it can never be placed.",
    fix="write `cluster.rdma: false`, or take one of those GPUs",
    sources=(_GUIDE,),
    check=_no_rdma,
    fails=(example(*_SMALL, "gpu=L40S:8", "sglang.args.tp=16", profile=AIR),),
    passes=(example(*TWO_NODES), example(*TWO_NODES, "cluster.rdma=false")),
)

SLOW_NETWORK = Rule(
    id="GLM229",
    title="cluster without its fast network",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="Where tensor parallelism reaches over several hosts, what every layer works out is summed over the network "
    "twice for every token. Modal's RDMA network has 3,200 Gb/s and more; the private network that is left without it "
    "is made for orchestration (an earlier edition of the guide gave it 50 Gb/s). GPUs that are rented wait for it. A "
    "pipeline whose stages are whole hosts sends each token once: there it is an info.",
    fix="leave `cluster.rdma` out",
    sources=(_GUIDE, "https://modal.com/docs/guide/multi-node-training"),
    check=_slow_network,
    fails=(
        example(*TWO_NODES, "cluster.rdma=false"),
        example(
            *TWO_NODES,
            *("cluster.rdma=false", "sglang.args.tp=8", "sglang.args.pp-size=2"),
            profile="b200-nospec-bf16kv",
        ),
    ),
    passes=(example(*TWO_NODES), example(*TWO_NODES, "cluster.rdma=true")),
)

SEVERAL_TYPES = Rule(
    id="GLM230",
    title="cluster of GPUs that may differ",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="From a list of GPUs Modal gives a container the first that is free, and a B200 or a B300 for `B200+`. "
    "SGLang decides by the GPU how it multiplies, stores and sums, in every rank by itself: ranks on different GPUs "
    "wait for what the others never send. Modal's guide says that containers of a cluster are placed together, and "
    "not that their GPUs are alike.",
    fix="write one GPU",
    sources=(_GUIDE, "https://modal.com/docs/guide/gpu"),
    check=_several_types,
    fails=(example(*TWO_NODES, 'gpu=["B200:8","B300:8"]'), example(*TWO_NODES, "gpu=B200+:8")),
    passes=(example(*TWO_NODES),),
)

COMPILE_STAGE = Rule(
    id="GLM231",
    title="stage `compile` for a cluster",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="The stage rents one container with the GPUs of one host. SGLang's compiler starts an engine there with the "
    "server's sizes, and of a cluster those take all of its containers: it would wait for the others until the stage's "
    "time is up. Without the stage DeepGEMM's kernels are compiled by the first cold start, in all containers at once.",
    fix="remove `compile`; SGLANG_JIT_DEEPGEMM_FAST_WARMUP=1 under `sglang.env` shortens what a start then compiles",
    sources=("sglang/compile_deep_gemm.py (0.5.8, 0.5.11)",),
    check=_compile_stage,
    fails=(example(*TWO_NODES, "compile.timeout=1h"),),
    passes=(example(*TWO_NODES), example()),
)

OWN_OPTIONS = Rule(
    id="GLM232",
    title="option that each container of a cluster adds",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="How many containers serve together is in `cluster.nodes`. Which of them it is, and where the first can be "
    "reached, a container only learns from Modal when it runs. Its start therefore adds `--nnodes`, `--node-rank` and "
    "`--dist-init-addr` to SGLang's command; a value in a profile would be the same in all of them.",
    fix="remove those options",
    sources=("glmdeploy/runtime/cluster.py", "modal/_cluster.py (modal 1.6.4)"),
    check=_own_options,
    fails=(
        example(*TWO_NODES, "sglang.args.nnodes=2"),
        example(*TWO_NODES, "sglang.args.node-rank=0", "sglang.args.dist-init-addr=10.0.0.1:5000"),
    ),
    passes=(example(*TWO_NODES),),
)

TAKEN_PORT = Rule(
    id="GLM236",
    title="port that the ranks of a cluster meet at",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why=f"In the first container glmdeploy's link listens on port {LINK_PORT:,} and SGLang's ranks meet at "
    f"{DIST_PORT:,}; with data-parallel attention SGLang takes the six ports above and the thirteenth as well. A "
    "server on one of them cannot start.",
    fix="write another `server.port`, such as 8000",
    sources=("sglang/srt/server_args.py, PortArgs (0.5.8 to 0.5.23)", "glmdeploy/runtime/cluster.py"),
    check=_taken_port,
    fails=(
        example(*TWO_NODES, f"server.port={LINK_PORT}"),
        example(*TWO_NODES, f"server.port={DIST_PORT}"),
        example(
            *(*TWO_NODES, f"server.port={DIST_PORT + 13}", "sglang.args.dp=2", "sglang.args.enable-dp-attention=true"),
        ),
    ),
    passes=(example(*TWO_NODES, f"server.port={DIST_PORT + 1}"), example(f"server.port={DIST_PORT}")),
)

RULES = (
    WEB_FUNCTION,
    PART_OF_A_HOST,
    NO_RDMA,
    SLOW_NETWORK,
    SEVERAL_TYPES,
    COMPILE_STAGE,
    OWN_OPTIONS,
    TAKEN_PORT,
)
