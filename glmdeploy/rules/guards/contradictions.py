"""Rules about what the deployment is made of: volumes, containers, the keep-alive's schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy import cron
from glmdeploy.findings import Severity
from glmdeploy.rules.rule import Rule, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts


def _kernels_volume(facts: Facts) -> Iterator[Violation]:
    if facts.profile.compile is not None and facts.profile.volumes.kernels is None:
        yield Violation(
            path=("compile",),
            key=True,
            message="the stage `compile` has no volume to keep its kernels in",
        )


def _mounts(facts: Facts) -> Iterator[Violation]:
    volumes = facts.profile.volumes
    if volumes.kernels is None:
        return
    weights, kernels = f"{volumes.weights.mount}/", f"{volumes.kernels.mount}/"
    if weights.startswith(kernels) or kernels.startswith(weights):
        yield Violation(
            path=("volumes", "kernels", "mount"),
            message=f"the mounts {volumes.weights.mount} and {volumes.kernels.mount} overlap",
        )
    if volumes.weights.name == volumes.kernels.name:
        yield Violation(
            path=("volumes", "kernels", "name"),
            message=f"both volumes are `{volumes.weights.name}`; Modal mounts a volume once in a container",
        )


def _scaling(facts: Facts) -> Iterator[Violation]:
    server = facts.profile.server
    if server.min_containers > server.max_containers:
        yield Violation(
            path=("server", "min_containers"),
            message=f"`min_containers` {server.min_containers} is above `max_containers` {server.max_containers}",
        )


def _schedule(facts: Facts) -> Iterator[Violation]:
    try:
        cron.parse(facts.profile.keepalive.schedule)
    except cron.CronError as error:
        yield Violation(path=("keepalive", "schedule"), message=f"the schedule is no cron expression: {error}")


KERNELS_VOLUME = Rule(
    id="GLM021",
    title="compile stage without a kernels volume",
    severity=Severity.ERROR,
    why="Kernels that are compiled into the container's own disk are lost when it ends, and every cold start compiles "
    "them again for 10 to 15 minutes.",
    fix="add `volumes.kernels` with a name and a mount, or remove `compile`",
    sources=("https://modal.com/docs/guide/volumes",),
    check=_kernels_volume,
    fails=(example("volumes.kernels=null", "sglang.env.SGLANG_DG_CACHE_DIR=null"),),
    passes=(example(),),
    waivable=False,
)

MOUNTS = Rule(
    id="GLM022",
    title="volumes that collide",
    severity=Severity.ERROR,
    why="Modal mounts each volume once in a container, and one mount cannot lie inside another.",
    fix="give each volume a name and a mount of its own",
    sources=("https://modal.com/docs/guide/volumes",),
    check=_mounts,
    fails=(
        example("volumes.kernels.mount=/model-cache/kernels", "sglang.env.SGLANG_DG_CACHE_DIR=/model-cache/kernels"),
        example("volumes.kernels.name=glm51-model-weights"),
    ),
    passes=(example(),),
    waivable=False,
)

SCALING = Rule(
    id="GLM023",
    title="min_containers above max_containers",
    severity=Severity.ERROR,
    why="Modal refuses an autoscaler whose lower bound is above its upper bound.",
    fix="lower `min_containers` or raise `max_containers`",
    sources=("https://modal.com/docs/guide/scale",),
    check=_scaling,
    fails=(example("server.min_containers=4"),),
    passes=(example("server.min_containers=1"),),
    waivable=False,
)

SCHEDULE = Rule(
    id="GLM024",
    title="keep-alive schedule that is no cron expression",
    severity=Severity.ERROR,
    why="Modal takes five cron fields in UTC and refuses anything else at deployment.",
    fix='write five fields, for instance "*/10 9-18 * * 1-5": every ten minutes in business hours',
    sources=("https://modal.com/docs/guide/cron",),
    check=_schedule,
    fails=(example("keepalive.schedule=every ten minutes"),),
    passes=(example(),),
    waivable=False,
)

RULES = (KERNELS_VOLUME, MOUNTS, SCALING, SCHEDULE)
