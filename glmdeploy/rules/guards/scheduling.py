"""Rules about how many tokens and requests at a time: the KV pool, the context, prefill chunks, Modal's inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import AIR, AS_SERVER, LONG, NOSPEC, Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_CAP, _CONTEXT, _REQUESTS = "max_total_tokens", "context_length", "max_running_requests"
_PREFILL, _CHUNK = "max_prefill_tokens", "chunked_prefill_size"
_GRAPH = ("cuda_graph_max_bs", "cuda_graph_max_bs_decode")
LONGER_CONTEXT = "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN"

_SCHEDULER = "sglang/srt/managers/schedule_policy.py (0.5.10, 0.5.23)"
_WORKER = "sglang/srt/managers/tp_worker.py (0.5.10, 0.5.23)"
_MODAL = "https://modal.com/docs/guide/concurrent-inputs"


def _context(facts: Facts) -> int | None:
    return facts.number(_CONTEXT) or (facts.model.context if facts.model else None)


def _requests(facts: Facts) -> int | None:
    """How many requests share one KV pool: with data-parallel attention, each group has a pool of its own."""
    requests, groups = facts.number(_REQUESTS), facts.attention_groups
    return (requests // groups or None) if requests is not None and requests > 0 and groups > 0 else None


def _small_pool(facts: Facts) -> Iterator[Violation]:
    pool, context, requests = facts.number(_CAP), _context(facts), _requests(facts)
    if pool is None or pool < 1 or context is None or context < 1 or _CAP not in facts.settings:
        return
    sized = facts.memory
    possible = sized.possible[sized.kv_dtype].tokens if sized and sized.kv_dtype in sized.possible else None
    if possible is not None and pool >= possible:
        return  # the memory is the limit, not the option
    idle = possible is not None and 2 * pool < possible
    starved = requests is not None and pool // requests < _portion(facts, context) and (pool < 2 * context or idle)
    if not starved and pool >= context:
        return
    share = f"{requests} running requests get {pool // requests:,} tokens each, " if requests else ""
    longest = f"one request can have {min(pool, context) - 1:,} of the {context:,} of the context at most"
    room = f", and the memory would hold about {possible:,}" if possible is not None else ""
    yield Violation(
        path=facts.path(_CAP),
        message=f"`max-total-tokens` {pool:,} is the whole KV pool: {share}{longest}{room}",
    )


def _portion(facts: Facts, context: int) -> int:
    """What a request may well need, in tokens: a prefill chunk, or the context where that is smaller."""
    chunk = facts.number(_CHUNK)
    return min(chunk, context) if chunk is not None and chunk > 0 else context


def _longer_context(facts: Facts) -> Iterator[Violation]:
    asked, model = facts.number(_CONTEXT), facts.model
    if asked is None or model is None or facts.env_flag(LONGER_CONTEXT) or facts.setting("json_model_override_args"):
        return
    if asked > model.context:
        yield Violation(
            path=facts.path(_CONTEXT),
            message=f"`context-length` {asked:,} is above the {model.context:,} that the model was made for",
            edits=facts.put(_CONTEXT, model.context),
        )


def _inputs(facts: Facts) -> Iterator[Violation]:
    (field, inputs), requests = facts.at_once, facts.number(_REQUESTS)
    written = field in facts.profile.server.given
    if requests is None or requests < 1 or inputs in (0, requests) or not (written or _REQUESTS in facts.settings):
        return
    then = {
        "max_inputs": f"Modal gives a container {inputs:g}",
        "max_concurrency": f"Modal answers 429 above {inputs:g}",
        "target_concurrency": f"Modal adds a {facts.replica} above {inputs:g}",
    }[field]
    if inputs < requests:
        message = f"SGLang would run {requests} requests at a time, and {then}"
    else:
        message = f"{then} requests, of which {inputs - requests:g} wait inside SGLang"
    yield Violation(path=("server", field) if written else facts.path(_REQUESTS), message=message)


def _prefill(facts: Facts) -> Iterator[Violation]:
    limit, chunk, groups = facts.number(_PREFILL), facts.number(_CHUNK), facts.attention_groups
    if chunk is None or chunk < 1 or facts.value("enable_dynamic_chunking"):
        return
    asked = facts.setting(_CHUNK)
    if asked and groups > 1 and asked.value != chunk:
        yield Violation(
            path=facts.path(_CHUNK),
            message=f"each of the {groups} groups of data-parallel attention gets {chunk:,} of the {asked.value:,} "
            f"tokens of `{asked.key}`",
        )
    if _PREFILL in facts.settings and limit is not None and limit > chunk:
        yield Violation(
            path=facts.path(_PREFILL),
            message=f"a prefill ends at the chunk of {chunk:,} tokens, before `max-prefill-tokens` {limit:,}",
        )


def _graphs(facts: Facts) -> Iterator[Violation]:
    dest = next((name for name in _GRAPH if facts.setting(name)), None)
    largest, requests = facts.number(dest) if dest else None, _requests(facts)
    if dest and largest is not None and requests is not None and 0 < largest < requests:
        yield Violation(
            path=facts.path(dest),
            message=f"batches of {largest + 1} to {requests} requests decode without a CUDA graph, beyond "
            f"`{facts.path(dest)[-1]}` {largest}",
        )


SMALL_POOL = Rule(
    id="GLM030",
    title="max-total-tokens that starves the requests",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="`max-total-tokens` is the size of the whole KV pool, which all running requests share, and not a limit for "
    "each: with 65,536 and 48 requests there are 1,365 tokens for one (a pool of that size was measured: 6.12 GiB for "
    "GLM-5.1 in BF16, about a tenth of what a B200 has left). One request can have a token less than the pool, its "
    "prompt five less than that; a longer one is refused or cut, although clients are told the whole context. When the "
    "pool is full, SGLang takes running requests back and computes them again. The rule speaks when the pool is "
    "smaller than the context, or when the share of a running request is less than a prefill chunk and the pool either "
    "holds less than two whole contexts or leaves more than half of the memory idle. A small pool is honest with a "
    "small `context-length`.",
    fix="remove `max-total-tokens`, so that the pool takes what the memory holds, or write the `context-length` and "
    "`max-running-requests` that it is meant for",
    sources=(_WORKER, "sglang/srt/model_executor/model_runner_kv_cache_mixin.py, _resolve_token_capacity (0.5.10)"),
    check=_small_pool,
    fails=(
        example(),
        example(profile=NOSPEC),
        example("sglang.args.max-total-tokens=202752"),
        example("sglang.args.max-running-requests=1"),
        example("sglang.args.context-length=8192"),
        example("sglang.args.max-total-tokens=64Ki", profile=AIR),
    ),
    passes=(
        example("sglang.args.max-total-tokens=null"),
        example("sglang.args.max-total-tokens=500000"),
        example("sglang.args.context-length=8192", "sglang.args.max-running-requests=8", "server.max_inputs=8"),
        example(profile=LONG),
        example(profile="local-cpu"),
    ),
)

LONGER = Rule(
    id="GLM033",
    title="context-length above the model's",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="SGLang refuses a context longer than the checkpoint's own (a ValueError at start, tried on its argument "
    f"resolution from 0.5.10 to 0.5.23) unless {LONGER_CONTEXT} is on, because positions that a model was not "
    "trained on give wrong answers or CUDA errors.",
    fix=f"write a `context-length` that the model has, leave it out, or set `{LONGER_CONTEXT}`",
    sources=("sglang/srt/configs/model_config.py, _derive_context_length (0.5.10, 0.5.16, 0.5.23)",),
    check=_longer_context,
    fails=(
        example("sglang.args.context-length=202753", profile=LONG),
        example("sglang.args.context-length=256Ki", profile="b200-eagle-bf16kv-0.5.23"),
        example("sglang.args.context-length=200000", profile=AIR),
    ),
    passes=(
        example(profile=LONG),
        example("sglang.args.context-length=202753", f"sglang.env.{LONGER_CONTEXT}=1", profile=LONG),
        example("sglang.args.context-length=256Ki", "model.repo=acme/other", "sglang.args.kv-cache-dtype=null"),
    ),
)

INPUTS = Rule(
    id="GLM034",
    title="number of requests that Modal and SGLang do not share",
    severity=Severity.INFO,
    topic=Topic.CONSISTENCY,
    why="`max_inputs` is how many requests Modal gives one container of a web function at a time, "
    "`max-running-requests` how many SGLang runs (48 with EAGLE unless told otherwise). With fewer inputs the rest of "
    "SGLang's places stay empty, and Modal starts another container although this one could do more. With more inputs "
    "the rest waits inside SGLang while Modal, which sees them all served, starts no other container. Either can be "
    "meant: few requests are fast ones. Of a Server it is `max_concurrency`, above which clients get 429, else "
    "`target_concurrency`.",
    fix="make the field of `server` and `max-running-requests` the same, or leave them apart on purpose",
    sources=(_MODAL, "sglang/srt/arg_groups/speculative_hook.py (0.5.23)"),
    check=_inputs,
    fails=(
        example(),
        example("server.max_inputs=64"),
        example(*AS_SERVER),
        example(*AS_SERVER, "server.target_concurrency=64"),
        example(*AS_SERVER, "server.max_concurrency=24"),
    ),
    passes=(
        example("server.max_inputs=48"),
        example(profile=LONG),
        example(profile="local-cpu"),
        example(*AS_SERVER, "server.target_concurrency=48"),
        example(*AS_SERVER, "server.max_concurrency=48"),
    ),
)

PREFILL = Rule(
    id="GLM122",
    title="prefill limit that the chunk overrules",
    severity=Severity.INFO,
    topic=Topic.CONSISTENCY,
    why="SGLang prefills in chunks: a batch of prompts ends where `chunked-prefill-size` ends, so that a higher "
    "`max-prefill-tokens` changes nothing. The chunk is 16,384 tokens on a B200 and 8,192 on an H200 unless it is "
    "written, and data-parallel attention divides it among its groups, a written one too.",
    fix="remove `max-prefill-tokens`, or write the same number as `chunked-prefill-size`",
    sources=(_SCHEDULER, "sglang/srt/arg_groups/parallel_hook.py, handle_data_parallelism (0.5.23)"),
    check=_prefill,
    fails=(
        example(),
        example("sglang.args.chunked-prefill-size=32704"),
        example(
            *("sglang.args.dp=8", "sglang.args.enable-dp-attention=true", "sglang.args.chunked-prefill-size=16384"),
            "sglang.args.max-prefill-tokens=null",
        ),
    ),
    passes=(
        example("sglang.args.max-prefill-tokens=16384"),
        example("sglang.args.chunked-prefill-size=32768"),
        example("sglang.args.chunked-prefill-size=-1"),
        example(*("sglang.args.dp=8", "sglang.args.enable-dp-attention=true"), "sglang.args.max-prefill-tokens=null"),
    ),
)

GRAPHS = Rule(
    id="GLM123",
    title="running requests beyond the largest CUDA graph",
    severity=Severity.INFO,
    topic=Topic.CONSISTENCY,
    why="SGLang captures the decoding of batches up to a largest size as CUDA graphs; larger batches decode without, "
    "which costs the launch of every kernel each time. Left to itself, it captures up to 512 requests on large GPUs, "
    "or as many as may run. A smaller number saves memory and time at start.",
    fix="raise it to `max-running-requests`, or leave it out",
    sources=(
        "sglang/srt/model_executor/cuda_graph_runner.py, can_run (0.5.10)",
        "sglang/srt/arg_groups/memory_hook.py (0.5.23)",
    ),
    check=_graphs,
    fails=(
        example("sglang.args.cuda-graph-max-bs=32"),
        example("sglang.args.cuda-graph-max-bs-decode=32", profile="b200-eagle-bf16kv-0.5.23"),
    ),
    passes=(example("sglang.args.cuda-graph-max-bs=48"), example("sglang.args.cuda-graph-max-bs=64")),
)

RULES = (SMALL_POOL, LONGER, INPUTS, PREFILL, GRAPHS)
