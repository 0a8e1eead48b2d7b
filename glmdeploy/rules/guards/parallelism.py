"""Rules about how a model is divided, among GPUs, heads and experts, and about numbers that SGLang cannot work with.

SGLang's ``tp`` ranks hold one copy of the model. Data parallelism multiplies the copies (``dp-size``), unless it is the
attention's, which divides the same ranks into groups (``enable-dp-attention``; ``attn-dp-size`` from 0.5.22 on).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from glmdeploy.findings import SetValue, Severity
from glmdeploy.gpus import RDMA, TYPES
from glmdeploy.profile.serving import SERVER
from glmdeploy.rules.facts import SPARSE
from glmdeploy.rules.rule import AIR, AT_0_5_23, TWO_NODES, Rule, Topic, Violation, example
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sizing.model import GroupedAttention

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.findings import Edit
    from glmdeploy.rules.facts import Facts

_TP, _PP, _DP, _EP = "tp_size", "pp_size", "dp_size", "ep_size"

_CHUNK, _PAGE, _REQUESTS, _POOL = "chunked_prefill_size", "page_size", "max_running_requests", "max_total_tokens"
_DENSE = "moe_dense_tp_size"
_OF_NODES = ("nnodes", "node_rank", "dist_init_addr")
_MOST_NODES = 32
"""Containers of a cluster (Modal's guide, multi-node-clusters)."""
_SPARSE_PAGE = 64
"""Tokens of a page with sparse attention, also where other options hide what SGLang decides (0.5.10 to 0.5.23)."""

_LEAST = {"schedule_conservativeness": 0, "tokenizer_worker_num": 1, "context_length": 2}
"""What ``check_server_args`` and, for the context, the engine's worker assert at least."""


def _replicas(facts: Facts) -> int | None:
    """The copies of the model beside each other."""
    if facts.value("enable_dp_attention") and facts.number("attn_dp_size") in (None, 1):
        return 1
    return facts.number(_DP)


def _named(facts: Facts, dest: str) -> str:
    """The option as the profile calls it."""
    return f"`{facts.path(dest)[-1]}`"


def _gpu_count(facts: Facts) -> Iterator[Violation]:
    nodes = facts.number("nnodes")
    if facts.nodes == 1 and nodes is not None and nodes != 1:
        yield _without_cluster(facts, nodes)
        return
    if facts.value("device") == "cpu":  # its ranks are parts of the processor
        return
    asked = {_TP: facts.number(_TP), _PP: facts.number(_PP), _DP: _replicas(facts)}
    sizes = {dest: size for dest, size in asked.items() if size is not None}
    wanted = math.prod(sizes.values())
    if _TP not in sizes or wanted == facts.gpu_count:
        return
    product = " times ".join(
        f"{_named(facts, dest)} {size}" for dest, size in sizes.items() if dest == _TP or size != 1
    )
    # The one without which the rest would match.
    alone = (dest for dest, size in sizes.items() if dest in facts.settings and wanted == size * facts.gpu_count)
    culprit = next(alone, _TP)
    there = (
        f"{facts.nodes} × {facts.gpu} have {facts.gpu_count}"
        if facts.nodes > 1
        else f"{facts.gpu} has {facts.gpu.count}"
    )
    yield Violation(
        path=facts.path(culprit),
        key=culprit not in facts.settings,
        message=f"{product} uses {wanted} GPUs, but {there}{_several_hosts(facts, wanted)}",
    )


def _several_hosts(facts: Facts, wanted: int) -> str:
    """The cluster that has so many GPUs, in words; nothing where none has, or copies of the model are counted too."""
    nodes, rest = divmod(wanted, TYPES[facts.gpu.type].most)
    if rest or not 2 <= nodes <= _MOST_NODES or facts.gpu.type not in RDMA or _replicas(facts) != 1:
        return ""
    kind = "" if facts.profile.server.kind == SERVER else ", with `server.kind: server`"
    return f"; `cluster: {{nodes: {nodes}}}` of whole hosts has {wanted}{kind}"


def _without_cluster(facts: Facts, nodes: int) -> Violation:
    """``nnodes`` in a profile whose containers serve each alone."""
    wanted = math.prod(size for size in (facts.number(_TP), facts.number(_PP), _replicas(facts)) if size)
    edits: tuple[Edit, ...] = ()
    advice = ""
    if wanted == facts.gpu.count:
        advice = ", which has all the GPUs that are asked for"
        edits = facts.drop(*_OF_NODES)
    elif 2 <= nodes <= _MOST_NODES:
        server = facts.profile.server.kind == SERVER
        also = "" if server else " and `server.kind: server`"
        advice = f"; write `cluster: {{nodes: {nodes}}}`{also} instead, which starts {nodes} together"
        if wanted == nodes * facts.gpu.count and server and not facts.profile.compile:
            edits = (*facts.drop(*_OF_NODES), SetValue(path=("cluster", "nodes"), value=nodes))
    return Violation(
        path=facts.path("nnodes"),
        message=f"`nnodes` {nodes} makes SGLang wait for other machines, and a Modal container is one{advice}",
        edits=edits,
    )


def _experts(facts: Facts) -> Iterator[Violation]:
    tp, ep = facts.number(_TP), facts.number(_EP)
    # With a backend for the exchange between experts, SGLang makes ep what tp is.
    if not tp or ep in (None, 1) or facts.value("moe_a2a_backend") not in (None, "none"):
        return
    if message := _expert_split(facts, tp, ep or 0):
        yield Violation(path=facts.path(_EP), message=message)


def _expert_split(facts: Facts, tp: int, ep: int) -> str | None:
    copies = facts.number("moe_dp_size") or 1
    if ep < 1 or tp % ep:
        return f"{_named(facts, _EP)} {ep} does not divide {_named(facts, _TP)} {tp}"
    if copies > 1 and ep * copies != tp:
        return f"{_named(facts, _EP)} {ep} times `moe-dp-size` {copies} is not {_named(facts, _TP)} {tp}"
    experts = facts.model.experts if facts.model else 0
    spare = facts.number("ep_num_redundant_experts") or 0
    if (experts + spare) % ep:
        beside = f" and {spare} redundant ones" if spare else ""
        return f"the model's {experts} experts{beside} cannot be divided among {_named(facts, _EP)} {ep}"
    return None


def _attention(facts: Facts) -> Iterator[Violation]:
    tp, groups, context = facts.number(_TP), facts.attention_groups, facts.number("attn_cp_size") or 1
    if not tp or tp < 1 or groups < 1:
        return
    if tp % (groups * context):
        dest = next((name for name in ("attn_dp_size", _DP) if facts.setting(name)), _TP)
        also = f" and `attn-cp-size` {context}" if context > 1 else ""
        yield Violation(
            path=facts.path(dest),
            message=f"{_named(facts, _TP)} {tp} cannot be divided into {groups} attention groups{also}",
        )
    elif message := _head_split(facts, tp // groups // context):
        yield Violation(path=facts.path(_TP), key=_TP not in facts.settings, message=message)


def _head_split(facts: Facts, ranks: int) -> str | None:
    """What ``ranks`` cannot divide: the query heads, or the heads of keys and values, which they may also share."""
    # On a processor, SGLang pads the heads (``adjust_config_with_unaligned_cpu_tp``, sglang/srt, 0.5.8 to 0.5.23).
    if facts.model is None or facts.value("device") == "cpu":
        return None
    heads, attention = facts.model.heads, facts.model.attention
    if heads % ranks:
        return f"the model's {heads} attention heads cannot be divided among {ranks} ranks"
    if isinstance(attention, GroupedAttention) and max(attention.kv_heads, ranks) % min(attention.kv_heads, ranks):
        return f"the model's {attention.kv_heads} key-value heads cannot be divided among {ranks} ranks"
    return None


def _numbers(facts: Facts) -> Iterator[Violation]:
    for dest, message in (
        *((dest, _too_low(facts, dest, least)) for dest, least in _LEAST.items()),
        (_CHUNK, _uneven_chunk(facts)),
        (_REQUESTS, _no_request(facts)),
        (_POOL, _no_page(facts)),
        ("swa_full_tokens_ratio", _no_ratio(facts)),
        (_DENSE, _dense(facts)),
    ):
        if message and facts.setting(dest):
            yield Violation(path=facts.path(dest), message=f"`{facts.path(dest)[-1]}` is {message}")


def _too_low(facts: Facts, dest: str, least: float) -> str | None:
    value = facts.value(dest)
    return f"{value:g}, and {least} is the least" if isinstance(value, int | float) and value < least else None


def _uneven_chunk(facts: Facts) -> str | None:
    chunk, page, groups = facts.number(_CHUNK), facts.number(_PAGE), facts.attention_groups
    if page is None and groups == 1 and facts.architecture in SPARSE:
        page = _SPARSE_PAGE
    if chunk is None or chunk < 1 or not page or chunk % page == 0:
        return None
    in_group = f" in each of {groups} attention groups" if groups > 1 else ""
    return f"{chunk:,}{in_group}, which is not made of pages of {page} tokens"


def _no_request(facts: Facts) -> str | None:
    requests, groups = facts.number(_REQUESTS), facts.attention_groups
    # From 0.5.23 on each group runs one request at least.
    if requests is None or requests >= groups or version_key(facts.catalog.version) >= version_key("0.5.23"):
        return None
    return f"{requests}, which leaves none to each of {groups} attention groups" if groups > 1 else f"{requests}"


def _no_page(facts: Facts) -> str | None:
    pool, page = facts.number(_POOL), facts.number(_PAGE) or 1
    return f"{pool}, less than two tokens or a page of {page}" if pool is not None and pool < max(page, 2) else None


def _no_ratio(facts: Facts) -> str | None:
    ratio = facts.value("swa_full_tokens_ratio")
    return f"{ratio:g}, and no share between 0 and 1" if isinstance(ratio, float) and not 0 < ratio <= 1 else None


def _dense(facts: Facts) -> str | None:
    size, tp = facts.number(_DENSE), facts.number("tp_size")
    allowed = {1, *((tp,) if version_key("0.5.13.post1") <= version_key(facts.catalog.version) else ())}
    return (
        f"{size}, and may only be {' or '.join(map(str, sorted(allowed - {None})))}"
        if size not in {None, *allowed}
        else None
    )


GPU_COUNT = Rule(
    id="GLM020",
    title="tp does not match the GPU count",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="SGLang starts one process a GPU: tensor parallel times pipeline parallel times data parallel. Data "
    "parallelism with `enable-dp-attention` (or `attn-dp-size`) takes place inside `tp` and needs no more GPUs. With "
    "more than there are it fails at start, with fewer the rest is rented and idle. A `cluster` has the GPUs of all "
    "its containers, which glmdeploy tells SGLang of; where a profile sets `nnodes` without one, the container waits "
    "for machines that nobody starts.",
    fix="make the product of `tp`, `pp` and `dp` under `sglang.args` and the count in `gpu` (times `cluster.nodes`) "
    "the same number",
    sources=(
        "sglang/srt/managers/data_parallel_controller.py (0.5.10, 0.5.23)",
        "sglang/srt/server_args.py, compute_world_size (0.5.23)",
    ),
    check=_gpu_count,
    fails=(
        example("sglang.args.tp=4"),
        example("sglang.args.dp=2"),
        example("sglang.args.dp=2", profile="b200-nospec-bf16kv"),
        example("sglang.args.nnodes=2"),
        example(*TWO_NODES, "cluster=null", "sglang.args.nnodes=2"),
        example("sglang.args.tp=4", "sglang.args.pp-size=4", profile="b200-nospec-bf16kv"),
        example(*TWO_NODES, "sglang.args.tp=8"),
    ),
    passes=(
        example(),
        example(*TWO_NODES),
        example(*TWO_NODES, "sglang.args.tp=8", "sglang.args.pp-size=2", profile="b200-nospec-bf16kv"),
        example("sglang.args.dp=8", "sglang.args.enable-dp-attention=true"),
        example("sglang.args.attn-dp-size=8", profile=AT_0_5_23),
        example("sglang.args.tp=2", "sglang.args.dp=2", profile=AIR),
        example("sglang.args.nnodes=1"),
        example("sglang.args.tp=4", profile="local-cpu"),
    ),
)

EXPERTS = Rule(
    id="GLM025",
    title="expert parallelism that does not come out even",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Each of the `ep` groups of experts takes tp / ep ranks and the same number of experts. SGLang accepts any "
    "number at first: the engine stops with a ValueError (FP8 weights in blocks), an assertion or a division by zero "
    "when it sets up the groups or the layers.",
    fix="write an `ep` that divides `tp`, 1 for none",
    sources=(
        "sglang/srt/model_executor/model_runner.py, check_quantized_moe_compatibility (0.5.10)",
        "sglang/srt/model_executor/model_runner_components/moe_ep_setup.py (0.5.16, 0.5.23)",
        "sglang/srt/layers/moe/fused_moe_triton/layer.py (0.5.10, 0.5.23)",
        "sglang/srt/managers/data_parallel_controller.py (0.5.10, 0.5.23)",
    ),
    check=_experts,
    fails=(
        example("sglang.args.ep=3"),
        example("sglang.args.ep=16"),
        example("sglang.args.ep=0"),
        example("sglang.args.ep=2", "sglang.args.moe-dp-size=2", profile=AT_0_5_23),
        example("sglang.args.ep=4", "sglang.args.ep-num-redundant-experts=2", "sglang.args.enable-eplb=true"),
        example(
            *("gpu=H100:6", "sglang.args.tp=6", "sglang.args.dp=3", "sglang.args.enable-dp-attention=true"),
            "sglang.args.ep=3",
            profile=AIR,
        ),
    ),
    passes=(
        example("sglang.args.ep=4"),
        example("sglang.args.ep=8"),
        example("sglang.args.ep=4", "sglang.args.moe-dp-size=2", profile=AT_0_5_23),
        example("sglang.args.ep=3", "sglang.args.moe-a2a-backend=deepep"),
        example("sglang.args.ep=4", "sglang.args.ep-num-redundant-experts=4", "sglang.args.enable-eplb=true"),
    ),
)

ATTENTION = Rule(
    id="GLM026",
    title="attention that does not come out even",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Data-parallel attention divides the `tp` ranks into groups of the same size, and the ranks of a group divide "
    "the attention heads. SGLang asserts both, the first when it reads the options, the second when it builds the "
    "model. Heads of keys and values may be fewer than the ranks, which then share them, but one must divide the "
    "other.",
    fix="write a `tp` that the groups and the heads can be divided by",
    sources=(
        "sglang/srt/server_args.py, _handle_data_parallelism (0.5.10)",
        "sglang/srt/arg_groups/parallel_hook.py (0.5.23)",
        "sglang/srt/models/deepseek_v2.py (0.5.10, 0.5.23)",
        "sglang/srt/models/glm4_moe.py (0.5.10, 0.5.23)",
    ),
    check=_attention,
    fails=(
        example("sglang.args.dp=3", "sglang.args.enable-dp-attention=true"),
        example("sglang.args.attn-dp-size=16", profile=AT_0_5_23),
        example("gpu=B200:7", "sglang.args.tp=7"),
        example("gpu=H100:6", "sglang.args.tp=6", profile=AIR),
    ),
    passes=(
        example("sglang.args.dp=4", "sglang.args.enable-dp-attention=true"),
        example("sglang.args.attn-dp-size=2", profile=AT_0_5_23),
        example("gpu=H100:8", "sglang.args.tp=8", profile=AIR),
        example(
            *("gpu=H100:6", "sglang.args.tp=6", "sglang.args.dp=3", "sglang.args.enable-dp-attention=true"),
            profile=AIR,
        ),
    ),
)

NUMBERS = Rule(
    id="GLM032",
    title="number that SGLang cannot work with",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="SGLang's parser checks that a number is one. What it may be is asserted later: a prefill chunk must be made "
    "of whole pages (64 tokens with sparse attention), also after data-parallel attention has divided it; at least one "
    "request must run in each attention group (until 0.5.22); the KV pool must hold a page. Some of this is found when "
    "the options are resolved (tried on SGLang's own), some only after the weights have been loaded.",
    fix="write a number within the bound that the message names, or leave the option out",
    sources=(
        "sglang/srt/server_args.py, check_server_args (0.5.10, 0.5.16)",
        "sglang/srt/arg_groups/validation_hook.py, check_server_args (0.5.23)",
        "sglang/srt/managers/tp_worker.py (0.5.10, 0.5.23)",
        "sglang/srt/mem_cache/kv_cache_configurator.py, resolve_max_num_reqs (0.5.22, 0.5.23)",
    ),
    check=_numbers,
    fails=(
        example("sglang.args.chunked-prefill-size=1000"),
        example("sglang.args.chunked-prefill-size=1000", "sglang.args.moe-a2a-backend=deepep"),
        example(
            *("sglang.args.dp=8", "sglang.args.enable-dp-attention=true", "sglang.args.chunked-prefill-size=4032"),
        ),
        example("sglang.args.chunked-prefill-size=1000", "sglang.args.page-size=16", profile=AIR),
        example("sglang.args.max-running-requests=0"),
        example("sglang.args.dp=8", "sglang.args.enable-dp-attention=true", "sglang.args.max-running-requests=4"),
        example("sglang.args.max-total-tokens=1", profile=AIR),
        example("sglang.args.context-length=0"),
        example("sglang.args.schedule-conservativeness=-1"),
        example("sglang.args.tokenizer-worker-num=0"),
        example("sglang.args.swa-full-tokens-ratio=1.5"),
        example("sglang.args.moe-dense-tp-size=8"),
        example("sglang.args.moe-dense-tp-size=4", profile=AT_0_5_23),
    ),
    passes=(
        example("sglang.args.chunked-prefill-size=-1"),
        example("sglang.args.chunked-prefill-size=1024"),
        example("sglang.args.chunked-prefill-size=1000", profile=AIR),
        example("sglang.args.max-running-requests=1"),
        example("sglang.args.max-total-tokens=64"),
        example("sglang.args.max-total-tokens=2", "model.repo=acme/other"),
        example("sglang.args.attn-dp-size=8", "sglang.args.max-running-requests=4", profile=AT_0_5_23),
        example("sglang.args.moe-dense-tp-size=1"),
        example("sglang.args.moe-dense-tp-size=8", profile=AT_0_5_23),
        example("sglang.args.schedule-conservativeness=0.3"),
    ),
)

RULES = (
    GPU_COUNT,
    EXPERTS,
    ATTENTION,
    NUMBERS,
)
