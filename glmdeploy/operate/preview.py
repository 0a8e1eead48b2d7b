"""What ``apply`` would do: the plan against what really runs. Reads, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.operate.deployed import deployed
from glmdeploy.operate.live import Needed, needed
from glmdeploy.operate.secrets import creatable, missing_secrets
from glmdeploy.plan.autoscaler import deployment_digest
from glmdeploy.plan.diff import Change, diff
from glmdeploy.plan.impact import Impact, impact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.local.engine import Engine
    from glmdeploy.operate.deployed import Deployed
    from glmdeploy.operate.secrets import MissingSecret
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What ``apply`` would do. ``now`` is what runs under the app's name, None where nothing does."""

    plan: Plan
    target: Target
    now: Deployed | None
    changes: tuple[Change, ...]
    changed: bool
    """Whether something is to be deployed: another plan runs, or one of another glmdeploy, or it is forced."""
    need: Needed
    """Stages to run first; where nothing is to deploy, those that mend what the volumes have lost."""
    because: Impact
    """The values whose change has stages run again; empty where nothing runs, or what does run is not known."""
    missing: tuple[MissingSecret, ...]
    judged: bool = True
    """Whether SGLang judges the arguments: something of what it is started with is not what runs already."""
    engine: Engine | None
    """Which engine answers in the embedded cloud, and why; None on Modal."""
    make_secrets: bool = False
    """Whether secrets that the embedded cloud lacks get random values."""
    verify_weights: bool = False
    """Whether the weights in the volume are read and compared, also where they are marked as complete."""

    @property
    def acts(self) -> bool:
        """Whether there is anything to do."""
        return self.changed or self.verify_weights or self.need.download or bool(self.need.compile)

    def check_secrets(self) -> None:
        """:raises DeployError: with the commands that create them, for secrets that :func:`carry_out` cannot create."""
        creatable(self.missing, self.target, make=self.make_secrets)


def preview(
    plan: Plan,
    target: Target,
    *,
    force: bool = False,
    make_secrets: bool = False,
    verify_weights: bool = False,
    judge: bool = True,
) -> Preview:
    """What is to be done so that the plan runs; with ``force``, even where it runs already. Changes nothing.

    Without ``judge`` SGLang is not asked about its arguments before it is deployed.

    :raises DeployError: if the target cannot be asked.
    :raises LocalCloudError: where the plan asks for an engine that the embedded cloud cannot run.
    """
    engine = target.engine(plan)
    now = deployed(plan.app, target)
    before = now.data if now and now.data else {}
    changes = diff(before, plan.data())
    changed = force or not before or deployment_digest(before) != deployment_digest(plan.data())
    need = needed(plan, target)
    return Preview(
        plan=plan,
        target=target,
        now=now,
        changes=changes,
        changed=changed,
        need=need,
        engine=engine,
        because=impact(before, plan.data()) if before else Impact(),
        missing=missing_secrets(plan, target) if changed or verify_weights or need.download or need.compile else (),
        judged=judge and changed and (force or _started_with(before) != _started_with(plan.data())),
        make_secrets=make_secrets,
        verify_weights=verify_weights,
    )


def _started_with(data: Mapping[str, Any]) -> list[Any]:
    """What of a plan's data decides whether SGLang takes its arguments."""
    server, stage = data.get("server", {}), data.get("compile", {})
    return [
        *(data.get(name) for name in ("sglang", "model", "gpu", "weights", "kernels")),
        *(server.get(name) for name in ("image", "command", "env", "defaults")),
        stage.get("command"),
    ]
