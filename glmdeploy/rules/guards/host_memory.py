"""Rules about the memory of the machine that a container runs on, beside that of its GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import ISSUES, PULLS, Look, Rule, Topic, Violation, example
from glmdeploy.sizing import host
from glmdeploy.sizing.memory import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_LOOK = Look(date="2026-11-29", release="0.5.23")

_ON = "sglang.args.enable-hierarchical-cache=true"


def _hierarchical_cache(facts: Facts) -> Iterator[Violation]:
    if not facts.value("enable_hierarchical_cache"):
        return
    needed = host.taken(facts.model, facts.memory, facts.value, nodes=facts.nodes)
    if not needed:
        return
    asked = facts.profile.server.memory
    request, limit = asked if isinstance(asked, tuple) else (asked or 0, None)
    if request * MIB >= needed:
        return
    place = "hicache_size" if "hicache_size" in facts.settings else "enable_hierarchical_cache"
    has = f"`server.memory` requests {request / 1024:.0f} GiB" if request else "`server.memory` requests none"
    if limit is not None and limit * MIB < needed:
        has = f"`server.memory` ends the container above {limit / 1024:.0f} GiB"
    yield Violation(
        path=facts.path(place),
        message=f"the ranks' host caches take about {needed / GIB:.0f} GiB of the machine's memory together, and {has}",
    )


HIERARCHICAL_CACHE = Rule(
    id="GLM211",
    title="host memory of a hierarchical cache",
    severity=Severity.WARNING,
    topic=Topic.MEMORY,
    why="With `enable-hierarchical-cache` every rank pins memory of the machine: `hicache-size` billion bytes, else "
    "`hicache-ratio` (2 where nothing sets it) times its KV pool. The option reads as one size and is one for each "
    "rank: 150 with `tp` 8 is 1.2 TB, and with sparse attention the index keys come on top (PR #29263, #14282). A "
    "container that has requested less may be ended by Modal or find no machine; SGLang itself ends where the machine "
    "has less free.",
    fix="lower `hicache-size` or `hicache-ratio`, or request the memory with `server.memory`",
    sources=(
        f"{PULLS}29263",
        f"{ISSUES}14282",
        "sglang/srt/mem_cache/memory_pool_host.py (0.5.11)",
        "sglang/srt/mem_cache/pool_host/base.py (0.5.23)",
    ),
    check=_hierarchical_cache,
    fails=(
        example(_ON, "sglang.args.hicache-size=150", profile="b200-nospec-bf16kv"),
        example(_ON, "sglang.args.hicache-size=150", "server.memory=524288", profile="b200-nospec-bf16kv"),
        example(_ON, "sglang.args.hicache-size=20", "server.memory=[65536, 131072]", profile="b200-nospec-bf16kv"),
        example(_ON, profile="b200-nospec-bf16kv"),
    ),
    passes=(
        example(),
        example(_ON, "sglang.args.hicache-size=20", "server.memory=262144", profile="b200-nospec-bf16kv"),
    ),
    looked=_LOOK,
)

RULES = (HIERARCHICAL_CACHE,)
