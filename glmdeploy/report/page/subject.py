"""What a report tells of: a profile with all that follows from it, and what it is compared with. Asks nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy import gpus
from glmdeploy.errors import GlmdeployError
from glmdeploy.findings import Severity
from glmdeploy.plan.make import made
from glmdeploy.sglang import explain
from glmdeploy.sizing import size
from glmdeploy.sizing.cost import region_multiplier

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from typing import Any

    from glmdeploy.findings import Finding
    from glmdeploy.gpus import Gpu, Price
    from glmdeploy.plan.plan import Plan
    from glmdeploy.rules.check import Checked
    from glmdeploy.rules.facts import Facts
    from glmdeploy.sglang.explain import Row
    from glmdeploy.sizing.size import Size

UNREAD = ("schema", "sglang")
"""Findings with which values are not worked out: what SGLang would make of a refused option is not known."""

MISFIT = "GLM020"
"""The rule about options that use other GPUs than the profile rents: with it there is no memory to tell of."""

_ASK = "`--model-config FILE` or `--ask-hub` would tell them"


@dataclass(frozen=True, kw_only=True)
class Sized:
    """The size on one of the GPUs that a container may have, or why there is none."""

    gpu: Gpu
    size: Size | None
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One profile. ``facts`` is None for what is no profile, ``plan`` where an error stands in its way."""

    name: str
    """As the user named it."""
    findings: tuple[Finding, ...]
    facts: Facts | None = None
    plan: Plan | None = None
    sizes: tuple[Sized, ...] = ()
    """Of each GPU that a container may have, in the order in which Modal tries them."""
    rows: tuple[Row, ...] = ()
    """Every effective value; none where an option cannot be read."""
    multiplier: float = 1.0
    """Of the price, for a chosen region."""

    @property
    def errors(self) -> int:
        return self._count(Severity.ERROR)

    @property
    def warnings(self) -> int:
        return self._count(Severity.WARNING)

    @property
    def first(self) -> Sized | None:
        """The size on the first GPU."""
        return self.sizes[0] if self.sizes else None

    def price(self, gpu: Gpu) -> Price | None:
        """Of one such GPU and hour, with the multiplier of the region; None where it is not known."""
        listed = gpus.PRICES.get(gpu.type)
        if listed is None:
            return None
        return gpus.Price(dollars=listed.dollars * self.multiplier, date=listed.date, source=listed.source)

    def _count(self, severity: Severity) -> int:
        return sum(found.severity is severity and found.waived is None for found in self.findings)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What the subject is held against: the older side.

    ``subject`` is a profile's, None of what runs, which nobody judges again; ``data`` is its plan's
    (:meth:`glmdeploy.plan.plan.Plan.data`), None where an error stands in the way of one.
    """

    name: str
    subject: Subject | None = None
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """A subject, what it is compared with, and the day on which that is told."""

    subject: Subject
    day: date
    compared: Compared | None = None


def subject(name: str, checked: Checked) -> Subject:
    """All that follows from a profile that was checked. Nothing is fetched for it."""
    facts = checked.facts
    if facts is None:
        return Subject(name=name, findings=checked.findings)
    standing = {found.id for found in checked.findings if found.waived is None and found.severity is Severity.ERROR}
    unread = standing.intersection(UNREAD)
    plan = made(checked)
    return Subject(
        name=name,
        findings=checked.findings,
        facts=facts,
        plan=plan,
        sizes=tuple(_sized(each, standing) for each in facts.each_gpu()),
        rows=() if unread else tuple(explain.rows(facts.effective, everything=True)),
        multiplier=region_multiplier(facts.profile.server.region),
    )


def _sized(facts: Facts, standing: set[str]) -> Sized:
    if standing.intersection(UNREAD):
        return Sized(gpu=facts.gpu, size=None, why="an option that SGLang does not take stands in the way")
    if MISFIT in standing:
        return Sized(gpu=facts.gpu, size=None, why="the options use other GPUs than the profile rents")
    if (device := facts.value("device")) not in (None, "cuda"):
        return Sized(gpu=facts.gpu, size=None, why=f"SGLang runs on `{device}`, whose memory is not counted")
    if facts.model is None:
        what = f"the dimensions of {facts.profile.model.repo} do not ship with glmdeploy"
        return Sized(gpu=facts.gpu, size=None, why=f"{what}: {_ASK}")
    told = size.SHIPPED
    weights = size.COUNTED
    if facts.checkpoint is not None:
        told, weights = "the checkpoint's config.json", facts.checkpoint.told_by or size.COUNTED
    known = size.Dimensions(model=facts.model, told_by=told, weights_told_by=weights)
    try:
        return Sized(gpu=facts.gpu, size=size.size(facts, known))
    except GlmdeployError as error:
        return Sized(gpu=facts.gpu, size=None, why=error.message)
