"""What a change costs: a class for every value that differs, and the minutes and dollars of what follows from it.

Works on plans alone, as :mod:`glmdeploy.plan.diff` does: a plan that another release deployed can be priced too. What
no entry here knows is classed as new containers, which is what any deployment means: the plan lies in every container
as a file of a mount, and a function with another mount is another function to Modal (modal 1.6.4, ``mount_ids`` of a
function's definition), the keep-alive's and a tag's change included. The autoscaler's fields alone need none.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.plan import autoscaler
from glmdeploy.plan.diff import options
from glmdeploy.plan.outage import outages
from glmdeploy.records import record
from glmdeploy.sizing import timeline
from glmdeploy.sizing.cost import hourly, region_multiplier
from glmdeploy.sizing.model import known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glmdeploy.gpus import Price
    from glmdeploy.plan.diff import Change
    from glmdeploy.plan.impact import Impact
    from glmdeploy.plan.plan import Plan
    from glmdeploy.sizing.timeline import Step


class Cost(StrEnum):
    """What a change of a value brings about, the cheapest first."""

    LIVE = "live"
    """The autoscaler takes it; no container restarts."""
    CONTAINERS = "new containers"
    """A deployment, and with it a cold start of each container."""
    IMAGE = "image build"
    DOWNLOAD = "download"
    """Of the weights; no GPU."""
    COMPILE = "kernel compile"
    """On the serving GPUs."""
    OUTAGE = "outage"
    """Clients get no answer for a while, or must change something."""


def costs(
    changes: Sequence[Change], old: Mapping[str, Any], new: Mapping[str, Any], again: Impact
) -> dict[tuple[str, str], tuple[Cost, ...]]:
    """What each of the changes from ``old`` to ``new`` (both :meth:`Plan.data`) brings about, by section and name.

    ``again`` are the changes that have a stage run again: an empty one where nothing has to.
    """
    breaking = {("server", each.field) for each in (outages(old, new) if old else ())}
    download = {place for each in again.download for place in _places(each)}
    compiling = {place for each in again.compile for place in _places(each)}
    # Of a Server that was a web function before, nothing can be changed live.
    live = autoscaler.fields(new) if not old or ("server", "kind") not in breaking else ()
    found: dict[tuple[str, str], tuple[Cost, ...]] = {}
    for change in changes:
        place = (change.section, change.name)
        if change.section == "server" and change.name in live:
            found[place] = (Cost.LIVE,)
            continue
        several = {
            Cost.CONTAINERS: True,
            Cost.IMAGE: change.section in ("server", "download") and change.name.startswith("image."),
            Cost.DOWNLOAD: place in download,
            Cost.COMPILE: place in compiling,
            Cost.OUTAGE: place in breaking,
        }
        found[place] = tuple(cost for cost, holds in several.items() if holds)
    return found


def _places(change: Change) -> list[tuple[str, str]]:
    """Section and name of the values that :mod:`glmdeploy.plan.diff` shows for a change that has a stage run again."""
    if change.section == "environment":
        return [("server", f"image.env.{change.name}"), ("server", f"env.{change.name}")]
    renamed = {("sglang", "image"): ("server", "image.registry"), ("sglang", "version"): ("app", "sglang")}
    place = (change.section, change.name)
    return [renamed.get(place, place)]


@record
class Estimate:
    """What a plan takes, as far as it is known; None where it is not. Seconds, bytes, dollars; of the first GPU."""

    gpu: str
    hourly: float | None
    """Dollars that one replica's GPUs cost an hour, with the multiplier of its region."""
    multiplier: float
    """Of the chosen region, 1 for none."""
    source: str
    """Of the price, with its date."""
    weights: int | None
    """Bytes of the checkpoint's files."""
    download: int | None
    compile: int | None
    """Of the kernels of one type of GPU; 0 for a plan without that stage."""
    cold_start: int | None
    unknown: tuple[str, ...] = ()
    """What is not known, and why, a sentence without its end each."""

    def dollars(self, seconds: float | None) -> float | None:
        """What one replica's GPUs cost for that long."""
        if seconds is None or self.hourly is None:
            return None
        return self.hourly * seconds / gpus.SECONDS_AN_HOUR


def estimate(plan: Plan, prices: Mapping[str, Price] = gpus.PRICES) -> Estimate:
    """What the plan takes: times are reported or measured ones (:mod:`glmdeploy.sizing.timeline`)."""
    gpu = gpus.parse(plan.gpus[0])
    model = known(plan.model.repo)
    unknown = []
    if model is None:
        unknown.append(f"no dimensions of {plan.model.repo} ship with glmdeploy: how long it takes is not known")
    price = prices.get(gpu.type)
    if price is None:
        unknown.append(f"the price of {gpu.type} is not known")
    multiplier = region_multiplier(_regions(plan))
    each = hourly(gpu, prices)
    once = {step.name: step.seconds for step in timeline.before_the_first(model, compiles=True)} if model else {}
    return Estimate(
        gpu=str(gpu),
        hourly=None if each is None else each * multiplier * plan.nodes,
        multiplier=multiplier,
        source=f"{price.source}, {price.date}" if price else "",
        weights=model.weights if model else None,
        download=once.get("download"),
        compile=once.get("compile") if plan.compile else 0,
        cold_start=sum(step.seconds for step in _cold_start(plan)) if model else None,
        unknown=tuple(unknown),
    )


def _cold_start(plan: Plan) -> tuple[Step, ...]:
    model = known(plan.model.repo)
    on = options(plan.server.command).get("--device", "cuda")
    variables = {**plan.server.image.env, **plan.server.defaults, **plan.server.env}
    compiles = plan.compile is None and not any(
        variables.get(name, default).lower() in words
        for name, default, words in (
            ("SGLANG_ENABLE_JIT_DEEPGEMM", "1", ("0", "false")),
            ("SGLANG_JIT_DEEPGEMM_PRECOMPILE", "1", ("0", "false")),
            ("SGLANG_JIT_DEEPGEMM_FAST_WARMUP", "0", ("1", "true")),
        )
    )
    return timeline.cold_start(model if on == "cuda" else None, compiled=not compiles)


def _regions(plan: Plan) -> str | tuple[str, ...]:
    keywords = plan.server.keywords("cls") | plan.server.keywords("server")
    return keywords.get("region") or keywords.get("compute_region") or ()
