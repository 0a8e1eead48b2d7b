"""Rules about dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import Rule, Violation, example
from glmdeploy.sizing import cost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

CEILING = 200.0
"""Dollars an hour that a profile may cost without saying so: four containers of eight B200, at the prices that ship."""


def _ceiling(facts: Facts) -> Iterator[Violation]:
    server = facts.profile.server
    rate = cost.hourly(facts.gpu)
    if rate is None:
        return
    most, ceiling = rate * server.max_containers, server.spend_ceiling or CEILING
    if most > ceiling:
        whose = "`spend_ceiling`" if server.spend_ceiling else "glmdeploy's own ceiling"
        yield Violation(
            path=("server", "max_containers"),
            message=f"{_containers(server.max_containers)} of {facts.gpu} cost {_money(most)} dollars an hour and "
            f"{_money(most * 24)} a day (prices of {cost.PRICES[facts.gpu.type].date}), above {whose} of "
            f"{_money(ceiling)} an hour",
        )


def _idle(facts: Facts) -> Iterator[Violation]:
    least, rate = facts.profile.server.min_containers, cost.hourly(facts.gpu)
    if least and rate is not None:
        yield Violation(
            path=("server", "min_containers"),
            message=f"{_containers(least)} of {facts.gpu} always {'runs' if least == 1 else 'run'}: "
            f"{_money(rate * least * 24)} dollars a day without a request (prices of "
            f"{cost.PRICES[facts.gpu.type].date})",
        )


def _containers(count: int) -> str:
    return "1 container" if count == 1 else f"{count} containers"


def _money(dollars: float) -> str:
    return f"{dollars:,.0f}" if dollars >= 100 else f"{dollars:.2f}"


SPEND_CEILING = Rule(
    id="GLM076",
    title="spending rate above the ceiling",
    severity=Severity.WARNING,
    why="`max_containers` is all that bounds the bill: any request to the URL starts a container, also one that "
    "SGLang will refuse for lack of a key. `server.spend_ceiling` says what a deployment may cost an hour; without it "
    "the ceiling is 200 dollars, which three containers of eight B200 keep to (about 150). Counted are the GPUs at "
    "Modal's base rates; CPU, memory and storage come on top.",
    fix="lower `max_containers`, or write what is meant as `server.spend_ceiling`, in dollars an hour",
    sources=("https://modal.com/pricing", "https://modal.com/docs/guide/scale"),
    check=_ceiling,
    fails=(
        example("server.max_containers=5"),
        example("server.spend_ceiling=100"),
        example("server.spend_ceiling=149.9"),
    ),
    passes=(
        example(),
        example("server.max_containers=4"),
        example("server.max_containers=5", "server.spend_ceiling=250"),
        example("server.spend_ceiling=150"),
    ),
)

IDLE_CONTAINERS = Rule(
    id="GLM077",
    title="containers that run without requests",
    severity=Severity.INFO,
    why="`min_containers` keeps that many containers up day and night, at their full price. That spares clients the "
    "cold start, and may be just what is wanted. Counted are the GPUs at Modal's base rates.",
    fix="nothing, if that is meant; `min_containers: 0` pays for cold starts instead",
    sources=("https://modal.com/pricing", "https://modal.com/docs/guide/cold-start"),
    check=_idle,
    fails=(example("server.min_containers=1"), example("server.min_containers=3")),
    passes=(example(),),
)

RULES = (SPEND_CEILING, IDLE_CONTAINERS)
