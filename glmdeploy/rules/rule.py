"""What a guard rule is. Rules do no IO."""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING

from glmdeploy.gpus import GENERATIONS
from glmdeploy.records import record
from glmdeploy.rules.gaps import Gap, miss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from glmdeploy.findings import Edit, KeyPath, Severity
    from glmdeploy.rules.facts import Facts
    from glmdeploy.sglang.architectures import Attention

ISSUES = "https://github.com/sgl-project/sglang/issues/"
PULLS = "https://github.com/sgl-project/sglang/pull/"
"""Where SGLang's issues and pull requests are, for sources."""


class Topic(StrEnum):
    """What a rule is about."""

    KNOWN_ISSUE = "known issues"
    CONSISTENCY = "consistency"
    TIME = "timeouts"
    SECURITY = "operations and security"
    MEMORY = "memory"


@record
class Violation:
    """One place where a rule is broken.

    ``key`` points at the key instead of its value. ``edits`` mend it, where that needs no decision of the user's: a
    ``SetValue`` may name a place that does not exist yet. ``secret`` says that the place holds a secret, which is
    then masked in all output. ``severity`` is that of the rule unless the case is a lesser one.
    """

    path: KeyPath
    message: str
    key: bool = False
    edits: tuple[Edit, ...] = ()
    secret: bool = False
    severity: Severity | None = None


@record
class Scope:
    """What a rule holds for; an empty tuple, or None, holds for all."""

    gpu_majors: tuple[int, ...] = ()
    architectures: tuple[str, ...] = ()
    attentions: tuple[Attention, ...] = ()
    """Kinds of attention, of all architectures that are known to have them."""
    since: str | None = None
    """First SGLang release concerned."""
    until: str | None = None
    """Last SGLang release concerned."""

    def covers(self, facts: Facts) -> bool:
        if (self.gpu_majors and facts.gpu.major not in self.gpu_majors) or not facts.between(self.since, self.until):
            return False
        if (self.architectures and facts.architecture is None) or (self.attentions and facts.kind is None):
            miss(Gap.MODEL)
        return (not self.architectures or facts.architecture in self.architectures) and (
            not self.attentions or (facts.kind is not None and facts.kind.attention in self.attentions)
        )

    def __str__(self) -> str:
        """``SGLang until 0.5.10.post1; Blackwell; GlmMoeDsaForCausalLM``."""
        releases = {
            (False, False): "",
            (True, False): f"SGLang from {self.since} on",
            (False, True): f"SGLang until {self.until}",
            (True, True): f"SGLang {self.since}" + (f" to {self.until}" if self.until != self.since else ""),
        }[self.since is not None, self.until is not None]
        kinds = f"{' or '.join(self.attentions)} attention" if self.attentions else ""
        gpus = " and ".join(GENERATIONS[major] for major in self.gpu_majors)
        parts = (releases, gpus, " ".join(self.architectures), kinds)
        return "; ".join(filter(None, parts)) or "everything"


@record
class Example:
    """``glmdeploy validate PROFILE --set ...``: one of the profiles that ship, with some values set."""

    sets: tuple[str, ...] = ()
    profile: str = "b200-eagle-bf16kv"


AIR, LONG, NOSPEC = "h100-glm45-air-fp8", "b200-longcontext-bf16kv", "b200-nospec-bf16kv"
AT_0_5_23 = "b200-eagle-bf16kv-0.5.23"
"""Profiles that examples start from, beside the usual one."""

AT_0_5_10 = ("sglang.version=0.5.10", "sglang.image=lmsysorg/sglang:v0.5.10-cu130")
"""What moves an example to the oldest release that runs GLM-5."""


AS_SERVER = ("server.kind=server", "server.timeout=null", "server.max_inputs=null")
"""What makes an example a Server of Modal's: what only a web function has is left out."""

TWO_NODES = (
    *(*AS_SERVER, "cluster.nodes=2", "compile=null", "sglang.args.tp=16"),
    "sglang.args.enable-flashinfer-allreduce-fusion=null",
)
"""What makes an example of eight GPUs one of two containers that serve together, without what only one can do."""


def as_written(value: object) -> str:
    """The value of an option as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def example(*sets: str, profile: str = Example.profile) -> Example:
    """The example that sets ``sets`` (``sglang.args.tp=4``) in ``profile``."""
    return Example(sets=sets, profile=profile)


@record
class Look:
    """When somebody last held a rule against its sources: ``date`` (YYYY-MM-DD), ``release`` the newest looked at."""

    date: str
    release: str


FIRST_LOOK = Look(date="2026-11-23", release="0.5.23")
"""When the facts behind the first rules were read and measured."""


@record
class Rule:
    """A guard rule.

    ``why`` is one paragraph for people, ``fix`` says what to write instead, ``sources`` are URLs, upstream files, or
    documents. ``fails`` and ``passes`` are examples: the former break this rule and no other of its severity or above,
    the latter do not break it. ``waivable`` is False where a profile that breaks the rule could not be deployed at all.
    """

    id: str
    title: str
    severity: Severity
    topic: Topic
    why: str
    fix: str
    sources: tuple[str, ...]
    check: Callable[[Facts], Iterable[Violation]]
    fails: tuple[Example, ...]
    passes: tuple[Example, ...]
    scope: Scope = field(default_factory=Scope)
    waivable: bool = True
    looked: Look = FIRST_LOOK

    @property
    def open_ended(self) -> bool:
        """Whether the rule is about an issue of SGLang's that some release may end, and no release is named yet."""
        issue = self.topic is Topic.KNOWN_ISSUE or any(source.startswith((ISSUES, PULLS)) for source in self.sources)
        return issue and self.scope.until is None
