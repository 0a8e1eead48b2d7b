"""A profile in the making: what is put together for one GPU, and how what the rules ask for is added to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import floor
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.launch.completed import COMPILE_TIMEOUT, KERNELS_MOUNT, NOT_COMPILED
from glmdeploy.findings import SetValue, Severity
from glmdeploy.gpus import BLACKWELL, HOPPER, TYPES
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sizing import timeline
from glmdeploy.sizing.memory import memory
from glmdeploy.sizing.pool import BF16, FP8

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.first.subject import Subject
    from glmdeploy.findings import Finding, KeyPath
    from glmdeploy.rules.check import Checked
    from glmdeploy.rules.facts import Facts

MOUNT = "/model-cache"

WATCHDOG: KeyPath = ("sglang", "args", "watchdog-timeout")

_LIMITS: tuple[KeyPath, ...] = (
    ("server", "startup_timeout"),
    ("server", "scaledown_window"),
    ("server", "timeout"),
    ("download", "timeout"),
    ("compile", "timeout"),
    WATCHDOG,
)
"""What follows from the time that a model takes, and may be set to what a rule asks for."""

_LITTLE_LEFT, _CUT = "GLM083", "GLM210"
"""The rules about memory for activations, and about experts that tensor parallelism cuts through."""

_CUDA_13 = "0.5.11"
"""The first release that pins a PyTorch for CUDA 13 (facts of 0.5.11: torch 2.11.0+cu130)."""

_FIVE_MINUTES, _TEN_MINUTES, _LONGEST_IDLE = 300, 600, 3600


@dataclass(frozen=True, kw_only=True)
class Draft:
    """``gpu`` is Modal's name of the type, ``context`` and ``running`` are the tokens and the number of requests.

    ``fraction`` is ``mem-fraction-static``, None where it is SGLang's. ``limits`` have what the rules asked for.
    """

    subject: Subject
    release: str
    gpu: str
    count: int
    kv: str
    context: int
    running: int
    name: str
    app: str
    fraction: float | None = None
    whole_experts: bool = False
    compiles: bool = False
    limits: Mapping[KeyPath, int] = field(default_factory=dict)

    @property
    def rented(self) -> str:
        return self.gpu if self.count == 1 else f"{self.gpu}:{self.count}"

    @property
    def image(self) -> str:
        """SGLang's own image; CUDA 13 is what Blackwell needs, and what newer releases are built with."""
        modern = version_key(self.release) >= version_key(_CUDA_13)
        cuda = "-cu130" if modern or TYPES[self.gpu].capability[0] >= BLACKWELL else ""
        return f"lmsysorg/sglang:v{self.release}{cuda}"

    def startup(self) -> int:
        """Seconds that a start may take: the most that was reported, and a quarter to spare."""
        most = sum(step.most for step in timeline.cold_start(self.subject.model, compiled=self._compiled()))
        return self.limits.get(_LIMITS[0]) or max(_TEN_MINUTES, -(-most * 5 // 4 // _FIVE_MINUTES) * _FIVE_MINUTES)

    def idle(self) -> int:
        """Seconds that an idle container stays: as long as the next one would take to start, five minutes at least."""
        start = sum(step.seconds for step in timeline.cold_start(self.subject.model, compiled=self._compiled()))
        return self.limits.get(_LIMITS[1]) or min(_LONGEST_IDLE, -(-start // _FIVE_MINUTES) * _FIVE_MINUTES)

    def arguments(self) -> dict[str, Any]:
        """SGLang's options, in the order in which they are written."""
        subject, family = self.subject, self.subject.family
        found: dict[str, Any] = {"tp": self.count}
        if self.whole_experts:
            found["ep"] = self.count
        if subject.embeds:
            found["is-embedding"] = True
        if subject.encodes:
            found |= {"attention-backend": "triton", "disable-radix-cache": True, "chunked-prefill-size": -1}
        if self.context != subject.model.context or subject.encodes:
            found["context-length"] = self.context
        found["max-running-requests"] = self.running
        if self.kv == FP8:
            found["kv-cache-dtype"] = FP8
        elif subject.sparse:
            found["kv-cache-dtype"] = BF16
        if self.fraction is not None:
            found["mem-fraction-static"] = self.fraction
        if WATCHDOG in self.limits:
            found["watchdog-timeout"] = self.limits[WATCHDOG]
        if family is not None and not subject.embeds:
            parsers = {"reasoning-parser": family.reasoning_parser, "tool-call-parser": family.tool_call_parser}
            found |= {name: value for name, value in parsers.items() if value}
        return found

    def data(self) -> dict[str, Any]:
        """The profile, as its file will say it."""
        subject = self.subject
        volumes = {"weights": {"name": f"{self.app[:55]}-weights", "mount": MOUNT}}
        secrets: dict[str, Any] = {}
        if subject.gated:
            secrets["huggingface"] = {"name": "huggingface-secret", "keys": ["HF_TOKEN"]}
        secrets["api_key"] = {"name": f"{self.app[:55]}-api-key", "keys": ["API_KEY"]}
        if self.compiles:
            volumes["kernels"] = {"name": f"{self.app[:55]}-kernels", "mount": KERNELS_MOUNT}
        stages: dict[str, Any] = {}
        if ("download", "timeout") in self.limits:
            stages["download"] = {"timeout": self.limits["download", "timeout"]}
        if self.compiles:
            stages["compile"] = {"timeout": self.limits.get(("compile", "timeout"), COMPILE_TIMEOUT)}
        server: dict[str, Any] = {
            "max_containers": 1,
            "scaledown_window": self.idle(),
            "startup_timeout": self.startup(),
            "max_inputs": self.running,
        }
        if ("server", "timeout") in self.limits:
            server["timeout"] = self.limits["server", "timeout"]
        return {
            "schema": 1,
            "name": self.name,
            "description": f"{subject.name} on {self.count}×{self.gpu}",
            "app": self.app,
            "model": {"repo": subject.repo, "revision": "main", "served_name": served_name(subject.repo)},
            "gpu": self.rented,
            "volumes": volumes,
            "secrets": secrets,
            **stages,
            "server": server,
            "sglang": {"version": self.release, "image": self.image, "args": self.arguments()},
        }

    def _compiled(self) -> bool:
        return self.compiles or not compiles_kernels(self.subject, self.gpu)


def served_name(repo: str) -> str:
    """What clients are to call the model: its name in small letters."""
    return repo.rpartition("/")[2].lower()


def compiles_kernels(subject: Subject, gpu: str) -> bool:
    """Whether SGLang compiles DeepGEMM's kernels for the model on that GPU."""
    return subject.blocks and TYPES[gpu].capability[0] in (HOPPER, BLACKWELL)


def mended(draft: Draft, checked: Checked) -> Draft | None:
    """The draft with what its findings ask for, as far as that is for a program to decide; None where nothing is."""
    facts = checked.facts
    if facts is None:
        return None
    told = {found.id for found in checked.findings if found.severity is not Severity.INFO}
    if draft.fraction is None and facts.memory is None and facts.value("mem_fraction_static") is None:
        fraction = _fraction(facts)
        return None if fraction is None else replace(draft, fraction=fraction)
    if _LITTLE_LEFT in told and (fraction := _fraction(facts)) is not None:
        least = fraction if draft.fraction is None else min(fraction, round(draft.fraction - 0.01, 2))
        return replace(draft, fraction=least)
    if _CUT in told and not draft.whole_experts and draft.subject.model.experts:
        return replace(draft, whole_experts=True)
    if NOT_COMPILED in told and not draft.compiles:
        return replace(draft, compiles=True)
    limits = dict(draft.limits)
    for found in checked.findings:
        limits |= _raised(found, limits)
    return replace(draft, limits=limits) if limits != draft.limits else None


def _raised(found: Finding, limits: Mapping[KeyPath, int]) -> dict[KeyPath, int]:
    """The limits that a warning or an error raises."""
    edits = [each for each in found.edits if isinstance(each, SetValue) and each.path in _LIMITS]
    if found.severity is Severity.INFO or len(edits) < len(found.edits):
        return {}
    found_limits: dict[KeyPath, int] = {}
    for each in edits:
        if isinstance(each.value, int) and not isinstance(each.value, bool) and each.value > limits.get(each.path, 0):
            found_limits[each.path] = each.value
    return found_limits


def _fraction(facts: Facts) -> float | None:
    """The share of a GPU that leaves SGLang's work the most that it may take, in hundredths; None where not known."""
    model = facts.model
    if model is None:
        return None

    def value(dest: str) -> object:
        return 0.5 if dest == "mem_fraction_static" else facts.value(dest)

    found = memory(model, facts.gpu, value, version=facts.catalog.version)
    if found is None:
        return None
    share = floor((1 - found.working / found.total) * 100) / 100
    return share if 0 < share < 1 else None
