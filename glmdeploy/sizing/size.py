"""How much memory, money and time a profile takes: everything that ``glmdeploy size`` shows, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from glmdeploy import cron
from glmdeploy.errors import GlmdeployError
from glmdeploy.gpus import PRICES, TYPES
from glmdeploy.profile.text.characters import shown
from glmdeploy.sglang import models
from glmdeploy.sizing import checkpoint, cost, timeline
from glmdeploy.sizing.blocks import uneven
from glmdeploy.sizing.memory import GIB, MIB, loaded, memory, obstacle
from glmdeploy.sizing.model import UnknownModel, from_config
from glmdeploy.sizing.network import network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from glmdeploy.gpus import Gpu, Price
    from glmdeploy.profile.models import Profile, ServedModel
    from glmdeploy.sglang.command import Setting
    from glmdeploy.sglang.effective import Effective
    from glmdeploy.sizing.blocks import Uneven
    from glmdeploy.sizing.cost import Spending, Traffic
    from glmdeploy.sizing.memory import Memory
    from glmdeploy.sizing.model import Model
    from glmdeploy.sizing.network import Network
    from glmdeploy.sizing.timeline import Step


class Answer(StrEnum):
    """What ``size`` says first."""

    FITS = "fits"
    TIGHT = "tight"
    """Weights and KV pool fit, and leave less than activations and CUDA graphs may take."""
    NOT = "does not fit"


SHIPPED = "what ships with glmdeploy"
COUNTED = "counted from the dimensions"
"""Where the size of a checkpoint's files is known from, when no file tells it."""


class Sizable(Protocol):
    """What is sized: a profile with everything worked out (``rules.facts.Facts``, which this room does not know)."""

    @property
    def profile(self) -> Profile: ...
    @property
    def gpu(self) -> Gpu: ...
    @property
    def nodes(self) -> int: ...
    @property
    def architecture(self) -> str | None: ...
    @property
    def settings(self) -> Mapping[str, Setting]: ...
    @property
    def effective(self) -> Mapping[str, Effective]: ...
    @property
    def model(self) -> Model | None: ...
    @property
    def compiles_at_start(self) -> bool: ...
    @property
    def at_once(self) -> tuple[str, float]: ...

    def value(self, dest: str, /) -> object:
        """The effective value of an option by destination, None where it is not known."""

    def number(self, dest: str, /) -> int | None:
        """The same where it is an integer."""

    def recognised(self, architecture: str, quantization: str, /) -> Sizable:
        """The same with what a checkpoint's ``config.json`` tells."""


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """A model's dimensions. ``told_by`` says where they come from, ``weights_told_by`` where the files' size does."""

    model: Model
    told_by: str
    weights_told_by: str


@dataclass(frozen=True, kw_only=True)
class Size:
    """The size of a deployment. Bytes and tokens are those of one GPU, of one replica where there are several."""

    profile: str
    repo: str
    revision: str
    sglang: str
    gpu: Gpu
    """Of one container."""
    nodes: int
    """Containers that serve together as one replica of the profile's; 1 where each serves alone."""
    network: Network | None
    """What crosses between their hosts; None of one container."""
    facts: Dimensions
    memory: Memory
    fraction: float
    """``mem-fraction-static``."""
    uneven: Uneven | None
    """A matrix that cannot be divided among the GPUs, with which SGLang does not start."""
    draft_bytes: int
    """The part of the KV pool that belongs to the draft model's layers."""
    cap: int | None
    """``max-total-tokens``."""
    context: int
    """Tokens of the longest request: ``context-length``, else the model's own."""
    running: int | None
    """Requests that one replica runs at a time (``max-running-requests``), None where SGLang derives it."""
    max_inputs: int
    """Requests that Modal sends a container at a time: all, or how many until it adds one."""
    inputs_field: str
    """The field of the profile that says so."""
    replicas: int
    """Data-parallel replicas, each with a KV pool."""
    spending: Spending
    steps: Sequence[Step]
    """Of a cold start, in their order."""
    once: Sequence[Step]
    """What comes before the first cold start, in its order."""
    startup_timeout: int
    """Seconds that a cold start may take."""

    @property
    def fits(self) -> bool:
        """Whether the weights leave room for a KV pool, both have it, and can be divided among the GPUs at all."""
        return self.memory.fits and self.uneven is None

    @property
    def answer(self) -> Answer:
        """Whether it fits: in full, or only if SGLang's work takes less than it may take."""
        if not self.fits:
            return Answer.NOT
        return Answer.FITS if self.free >= 0 else Answer.TIGHT

    @property
    def free(self) -> int:
        """Bytes that nothing takes, below zero where the weights do not fit; activations are counted at their most."""
        return self.memory.left - self.memory.working

    @property
    def uncapped(self) -> int:
        """Tokens that the memory would hold without ``max-total-tokens``."""
        return self.memory.uncapped

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

    @property
    def cold_start_range(self) -> tuple[int, int]:
        """The same if each step takes the least that was measured or reported, and if each takes the most."""
        return sum(step.least for step in self.steps), sum(step.most for step in self.steps)


def dimensions(sizable: Sizable, config: Path | None = None) -> Dimensions:
    """The model's dimensions: from ``config``, else from what ships with glmdeploy, else from the Hugging Face Hub.

    :raises GlmdeployError: if they cannot be had, or not be understood.
    """
    wanted = sizable.profile.model
    if config is not None:
        return understood(checkpoint.from_folder(config), str(config))
    if sizable.model is not None:
        shipped = Dimensions(model=sizable.model, told_by=SHIPPED, weights_told_by=COUNTED)
        return shipped if sizable.model.uncounted is None else _with_index(wanted, shipped)
    if (known := models.known(wanted.repo)) is not None:
        # What ships cannot be counted; the checkpoint's own file would say the same.
        return understood(checkpoint.Checkpoint(config=known, weights=None), f"the configuration of {wanted.repo}")
    return understood(checkpoint.from_hub(wanted.repo, wanted.revision), f"{checkpoint.CONFIG} of {wanted.repo}")


def _with_index(wanted: ServedModel, shipped: Dimensions) -> Dimensions:
    """The dimensions with what the checkpoint's index tells of the parts that they leave out, where it can be had."""
    try:
        return understood(checkpoint.from_hub(wanted.repo, wanted.revision), f"{checkpoint.CONFIG} of {wanted.repo}")
    except GlmdeployError:
        return shipped


def size(
    sizable: Sizable, facts: Dimensions, *, prices: Mapping[str, Price] = PRICES, traffic: Traffic | None = None
) -> Size:
    """The size of the profile with this model. ``prices`` are by Modal's GPU name.

    :raises GlmdeployError: if something that the size depends on is not known.
    """
    model, profile = facts.model, sizable.profile
    if sizable.architecture != model.architecture:
        sizable = sizable.recognised(model.architecture, model.quantization)
    held = _memory(sizable, model)
    fraction = sizable.value("mem_fraction_static")
    if held is None or not isinstance(fraction, int | float):
        raise _unknown(sizable, model)
    price = prices.get(sizable.gpu.type)
    if price is None:
        raise GlmdeployError(
            f"the price of {sizable.gpu.type} is not known here",
            advice="give the dollars of a GPU and hour with `--price`",
        )
    steps = timeline.cold_start(model, compiled=not sizable.compiles_at_start, nodes=sizable.nodes)
    cluster = profile.cluster
    replicas = sizable.number("dp_size") or 1
    running, server, (field, inputs) = sizable.number("max_running_requests"), profile.server, sizable.at_once
    return Size(
        profile=profile.name,
        repo=profile.model.repo,
        revision=profile.model.revision,
        sglang=profile.sglang.version,
        gpu=sizable.gpu,
        nodes=sizable.nodes,
        network=network(model, sizable.gpu, sizable.value, nodes=cluster.nodes, rdma=cluster.rdma) if cluster else None,
        facts=facts,
        memory=held,
        fraction=fraction,
        uneven=uneven(model, sizable.value),
        draft_bytes=_draft_bytes(sizable, model, held),
        cap=sizable.number("max_total_tokens"),
        context=sizable.number("context_length") or model.context,
        max_inputs=max(int(inputs), 1),
        inputs_field=field,
        running=max(running // replicas, 1) if running and sizable.value("enable_dp_attention") else running,
        replicas=replicas,
        spending=cost.spend(
            price,
            gpus=sizable.gpu.count,
            containers=(server.min_containers, server.max_containers),
            cold_start=sum(step.seconds for step in steps),
            scaledown_window=server.scaledown_window,
            traffic=traffic,
            schedule=_schedule(sizable),
            multiplier=cost.region_multiplier(server.region),
            nodes=sizable.nodes,
        ),
        steps=steps,
        once=timeline.before_the_first(model, compiles=profile.compile is not None),
        startup_timeout=server.startup_timeout,
    )


def understood(stored: checkpoint.Checkpoint, told_by: str) -> Dimensions:
    """The dimensions in a checkpoint's configuration; ``told_by`` says where that comes from.

    :raises GlmdeployError: if they cannot be understood.
    """
    try:
        model = from_config(stored.config, weights=stored.weights)
        if not model.architecture.isidentifier():
            raise UnknownModel("`architectures` does not name a class")
    except UnknownModel as error:
        raise GlmdeployError(
            f"{told_by} is not one that sizing understands: {shown(str(error), limit=200)}",
            advice="models with latent (MLA), grouped-query, windowed or Gated DeltaNet attention in transformers' own "
            "format can be sized",
        ) from None
    return Dimensions(model=model, told_by=told_by, weights_told_by=stored.told_by or COUNTED)


def _memory(sizable: Sizable, model: Model, **other: object) -> Memory | None:
    """The memory with ``other`` values of options than the effective ones."""
    return memory(
        model,
        sizable.gpu,
        lambda dest: other[dest] if dest in other else sizable.value(dest),
        version=sizable.profile.sglang.version,
    )


def _draft_bytes(sizable: Sizable, model: Model, memory: Memory) -> int:
    """What the pool takes more than one of as many tokens without speculation."""
    alone = _memory(sizable, model, speculative_algorithm=None)
    mine = memory.pool.bytes_per_token
    return memory.pool.bytes * (mine - alone.pool.bytes_per_token) // mine if alone else 0


def _schedule(sizable: Sizable) -> cron.Cron | None:
    keepalive = sizable.profile.keepalive
    if not keepalive.enabled:
        return None
    try:
        return cron.parse(keepalive.schedule)
    except cron.CronError as error:
        raise GlmdeployError(f"`keepalive.schedule`: {error}") from None


def _unknown(sizable: Sizable, model: Model) -> GlmdeployError:
    """Why there is no memory to show: the GPU's is not known, or the effect of an option is not."""
    if sizable.gpu.memory_mib is None:
        return GlmdeployError(
            f"how much memory {sizable.gpu.type} leaves to SGLang is not known here",
            advice="try another GPU with `--gpu`, such as H100:8, H200:8 or B200:8",
        )
    taken, there = loaded(model, sizable.value), sizable.gpu.memory_mib * MIB
    if taken >= there and obstacle(model, sizable.value) is None:
        return GlmdeployError(
            f"it does not fit: the weights take about {taken / GIB:.1f} GiB of each {sizable.gpu.type}, which has "
            f"{there / GIB:.1f}",
            advice="take more or larger GPUs, with `tp` to match; above eight, `cluster: {nodes: 2}` has those of two "
            "hosts"
            if sizable.gpu.count == TYPES[sizable.gpu.type].most and sizable.nodes == 1
            else "take more or larger GPUs, with `tp` to match",
        )
    for dest, known in (("mem_fraction_static", 0.5), ("kv_cache_dtype", "bfloat16")):
        if sizable.value(dest) is None and _memory(sizable, model, **{dest: known}):
            option, why = dest.replace("_", "-"), sizable.effective[dest].why
            return GlmdeployError(
                f"the value of `{option}` is not known: {why or 'nothing sets it'}",
                advice=f"write it under `sglang.args`, or try one with `--set sglang.args.{option}={known}`",
            )
    for dest, setting in sizable.settings.items():
        if _memory(sizable, model, **{dest: None}):
            what = obstacle(model, sizable.value)
            return GlmdeployError(
                f"what {model.architecture} takes with this `{setting.key}` is not known here"
                + (f": {what} is not counted" if what else ""),
                advice=f"leave that option out of the calculation with `--set sglang.args.{setting.key}=null`",
            )
    if (what := obstacle(model, sizable.value)) is not None:
        advice = "give the checkpoint's config.json with the index beside it to `--model-config`"
        return GlmdeployError(
            f"the size of {model.architecture} is not known here: sizing does not count {what}",
            advice=advice
            if model.uncounted
            else "leave the options that ask for it out of the calculation with `--set`",
        )
    return GlmdeployError(
        f"what {model.architecture} takes with these parallel sizes is not known here",
        advice="`tp`, `pp` and `dp` must divide each other and the GPUs",
    )
