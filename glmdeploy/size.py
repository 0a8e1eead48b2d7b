"""How much memory, money and time a profile takes: everything that ``glmdeploy size`` shows, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy import cron
from glmdeploy.errors import GlmdeployError
from glmdeploy.sizing import cost, fetch, spending, timeline
from glmdeploy.sizing import memory as sizing_memory
from glmdeploy.sizing import model as sizing_model
from glmdeploy.source.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from glmdeploy.gpus import Gpu
    from glmdeploy.rules.facts import Facts
    from glmdeploy.sizing.cost import Price
    from glmdeploy.sizing.memory import Memory
    from glmdeploy.sizing.model import Model
    from glmdeploy.sizing.spending import Spending, Traffic
    from glmdeploy.sizing.timeline import Step

SHIPPED = "what ships with glmdeploy"
COUNTED = "counted from the dimensions"
"""Where the size of a checkpoint's files is known from, when no file tells it."""


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """A model's dimensions. ``told_by`` says where they come from, ``weights_told_by`` where the files' size does."""

    model: Model
    told_by: str
    weights_told_by: str


@dataclass(frozen=True, kw_only=True)
class Size:
    """A deployment's size. Bytes and tokens are those of one GPU, of one replica where there are several."""

    profile: str
    repo: str
    revision: str
    sglang: str
    gpu: Gpu
    facts: Dimensions
    memory: Memory
    fraction: float
    """``mem-fraction-static``."""
    draft_bytes: int
    """The part of the KV pool that belongs to the draft model's layers."""
    cap: int | None
    """``max-total-tokens``."""
    context: int
    """Tokens of the longest request: ``context-length``, else the model's own."""
    running: int | None
    """Requests that one replica runs at a time (``max-running-requests``), None where SGLang derives it."""
    max_inputs: int
    """Requests that Modal sends a container at a time."""
    replicas: int
    """Data-parallel replicas, each with a KV pool."""
    spending: Spending
    steps: Sequence[Step]
    """Of a cold start, in their order."""
    startup_timeout: int
    """Seconds that a cold start may take."""

    @property
    def fits(self) -> bool:
        """Whether the weights leave room for a KV pool."""
        return self.memory.pool.tokens > 0

    @property
    def free(self) -> int:
        """Bytes that nothing takes, below zero where the weights do not fit; activations are counted at their most."""
        return self.memory.left - self.memory.working

    @property
    def uncapped(self) -> int:
        """Tokens that the memory would hold without ``max-total-tokens``."""
        mine = self.memory.pool
        same = (pool.tokens for pool in self.memory.possible.values() if pool.bytes_per_token == mine.bytes_per_token)
        return next(same, mine.tokens)

    @property
    def whole_requests(self) -> int:
        """Requests of the full context that the KV pools of all replicas hold at a time."""
        return self.memory.pool.tokens // self.context * self.replicas

    @property
    def share(self) -> int | None:
        """Tokens for each request when a replica runs as many as it may; None where that number is not known."""
        return self.memory.pool.tokens // self.running if self.running else None

    @property
    def input_share(self) -> int:
        """Tokens for each request when the container has as many as Modal sends it."""
        return self.memory.pool.tokens * self.replicas // self.max_inputs

    @property
    def cold_start(self) -> int:
        """Seconds from a container's start to its first answer."""
        return sum(step.seconds for step in self.steps)


def facts(subject: Facts, config: Path | None = None) -> Dimensions:
    """The model's dimensions: from ``config``, else from what ships with glmdeploy, else from the Hugging Face Hub.

    :raises GlmdeployError: if they cannot be had, or not be understood.
    """
    wanted = subject.profile.model
    if config is not None:
        return _understood(fetch.from_folder(config), str(config))
    if subject.model is not None:
        return Dimensions(model=subject.model, told_by=SHIPPED, weights_told_by=COUNTED)
    return _understood(fetch.from_hub(wanted.repo, wanted.revision), f"{fetch.CONFIG} of {wanted.repo}")


def size(
    subject: Facts, facts: Dimensions, *, prices: Mapping[str, Price] = cost.PRICES, traffic: Traffic | None = None
) -> Size:
    """The size of the profile with this model. ``prices`` are by Modal's GPU name.

    :raises GlmdeployError: if something that the size depends on is not known.
    """
    model, profile = facts.model, subject.profile
    if subject.architecture != model.architecture:
        subject = subject.recognised(model.architecture, model.quantization)
    memory = _memory(subject, model)
    fraction = subject.value("mem_fraction_static")
    if memory is None or not isinstance(fraction, int | float):
        raise _unknown(subject, model)
    price = prices.get(subject.gpu.type)
    if price is None:
        raise GlmdeployError(
            f"the price of {subject.gpu.type} is not known here",
            advice="give the dollars of a GPU and hour with --price",
        )
    steps = timeline.cold_start(model, compiled=profile.compile is not None)
    replicas = subject.number("dp_size") or 1
    running, server = subject.number("max_running_requests"), profile.server
    return Size(
        profile=profile.name,
        repo=profile.model.repo,
        revision=profile.model.revision,
        sglang=profile.sglang.version,
        gpu=subject.gpu,
        facts=facts,
        memory=memory,
        fraction=fraction,
        draft_bytes=_draft_bytes(subject, model, memory),
        cap=subject.number("max_total_tokens"),
        context=subject.number("context_length") or model.context,
        max_inputs=server.max_inputs,
        running=max(running // replicas, 1) if running and subject.value("enable_dp_attention") else running,
        replicas=replicas,
        spending=spending.spend(
            price,
            gpus=subject.gpu.count,
            containers=(server.min_containers, server.max_containers),
            cold_start=sum(step.seconds for step in steps),
            scaledown_window=server.scaledown_window,
            traffic=traffic,
            schedule=_schedule(subject),
        ),
        steps=steps,
        startup_timeout=server.startup_timeout,
    )


def _understood(checkpoint: fetch.Checkpoint, told_by: str) -> Dimensions:
    try:
        model = sizing_model.from_config(checkpoint.config, weights=checkpoint.weights)
        if not model.architecture.isidentifier():
            raise sizing_model.UnknownModel("`architectures` does not name a class")
    except sizing_model.UnknownModel as error:
        raise GlmdeployError(
            f"{told_by} is not one that sizing understands: {shown(str(error), limit=200)}",
            advice="models with latent (MLA) or grouped-query attention in transformers' own format can be sized",
        ) from None
    return Dimensions(model=model, told_by=told_by, weights_told_by=checkpoint.told_by or COUNTED)


def _memory(subject: Facts, model: Model, **other: object) -> Memory | None:
    """The memory with ``other`` values of options than the effective ones."""
    return sizing_memory.memory(
        model,
        subject.gpu,
        lambda dest: other[dest] if dest in other else subject.value(dest),
        version=subject.profile.sglang.version,
    )


def _draft_bytes(subject: Facts, model: Model, memory: Memory) -> int:
    """What the pool takes more than one of as many tokens without speculation."""
    alone = _memory(subject, model, speculative_algorithm=None)
    mine = memory.pool.bytes_per_token
    return memory.pool.bytes * (mine - alone.pool.bytes_per_token) // mine if alone else 0


def _schedule(subject: Facts) -> cron.Cron | None:
    keepalive = subject.profile.keepalive
    if not keepalive.enabled:
        return None
    try:
        return cron.parse(keepalive.schedule)
    except cron.CronError as error:
        raise GlmdeployError(f"`keepalive.schedule`: {error}") from None


def _unknown(subject: Facts, model: Model) -> GlmdeployError:
    """Why there is no memory to show: the GPU's is not known, or the effect of an option is not."""
    if subject.gpu.memory_mib is None:
        return GlmdeployError(
            f"how much memory {subject.gpu.type} leaves to SGLang is not known here",
            advice="try another GPU with --gpu, such as H100:8, H200:8 or B200:8",
        )
    for dest, known in (("mem_fraction_static", 0.5), ("kv_cache_dtype", "bfloat16")):
        if subject.value(dest) is None and _memory(subject, model, **{dest: known}):
            option, why = dest.replace("_", "-"), subject.effective[dest].why
            return GlmdeployError(
                f"the value of `{option}` is not known: {why or 'nothing sets it'}",
                advice=f"write it under `sglang.args`, or try one with --set sglang.args.{option}={known}",
            )
    for dest, setting in subject.settings.items():
        if _memory(subject, model, **{dest: None}):
            return GlmdeployError(
                f"what {model.architecture} takes with this `{setting.key}` is not known here",
                advice=f"leave that option out of the calculation with --set sglang.args.{setting.key}=null",
            )
    return GlmdeployError(
        f"what {model.architecture} takes with these options is not known here",
        advice="parallel sizes must divide each other and the GPUs; memory that is not a GPU's is not counted",
    )
