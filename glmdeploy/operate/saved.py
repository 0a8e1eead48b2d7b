"""A saved plan against the world: done exactly, or refused because the world moved since it was made.

Whether it moved is told by digests and values, never by numbers of versions: a deployment that changed nothing, or a
way back to the same plan, moves nothing. Nor does less to do: stages that have run since, or the very plan that runs
already, as after an ``apply`` that was interrupted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from glmdeploy import __version__
from glmdeploy.errors import DeployError
from glmdeploy.operate import drift
from glmdeploy.operate.preview import preview
from glmdeploy.plan.autoscaler import deployment_digest
from glmdeploy.plan.saved import Saved

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.operate.preview import Preview
    from glmdeploy.operate.target import Target


class WorldMoved(DeployError):
    """A saved plan was made against something else than what is there now."""


def saved(found: Preview, shown: Mapping[str, Any]) -> Saved:
    """What is to be saved of a preview, and of what was shown of it."""
    return Saved(
        plan=found.plan,
        target=found.target.name,
        environment=found.target.environment,
        options={
            "force": found.forced,
            "adopt": found.adopt,
            "make_secrets": found.make_secrets,
            "verify_weights": found.verify_weights,
        },
        world=world(found),
        shown=shown,
        made_at=datetime.now(UTC),
    )


def world(found: Preview) -> dict[str, Any]:
    """What a preview was made against, as far as it decides what is done."""
    now = found.now
    return {
        "app_id": now.app_id if now else None,
        "deployment": deployment_digest(now.data) if now and now.data else None,
        # Of an app that is not glmdeploy's there is no digest to compare.
        "version": now.version.number if now and now.foreign else None,
        "live": {each.field: each.now for each in found.live},
        "drift": [
            [each.kind, each.name, None if each.kind in (drift.CODE, drift.ROLLBACK) else each.found]
            for each in found.drift
        ],
        "stages": {"download": found.need.download, "compile": sorted(found.need.compile)},
    }


def saved_preview(kept: Saved, target: Target) -> Preview:
    """What is to be done so that exactly this plan runs, where the world is still the one that it was made against.

    :raises DeployError: where it is not; where another glmdeploy made it; if the target cannot be asked.
    """
    if not kept.current:
        raise DeployError(
            f"the plan was saved by glmdeploy {kept.release}, whose container side is not this one's ({__version__})",
            advice="plan again with this glmdeploy, or apply it with that one",
        )
    found = preview(kept.plan, target, **kept.options)
    still_holds(kept, found)
    return found


def still_holds(kept: Saved, found: Preview) -> None:
    """See that the world is the one that the plan was made against; ``found`` is a preview of it that was made now.

    :raises WorldMoved: with what of it.
    """
    now = world(found)
    if found.now and found.now.digest == kept.plan.digest and now["deployment"] != kept.world.get("deployment"):
        return  # it was deployed meanwhile: what is left of it is done
    if moved := [*_moved(kept.world, now)]:
        raise WorldMoved(
            f"the world moved since the plan was saved: {'; '.join(moved)}", advice="plan again, and look at it again"
        )


def _moved(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What is otherwise; what is to be done no more is none of it."""
    if then.get("app_id") != now["app_id"]:
        was, runs = (f"the app {each}" if each else "nothing" for each in (then.get("app_id"), now["app_id"]))
        yield f"{was} ran, and {runs} runs now"
        return
    if (then.get("deployment"), then.get("version")) != (now["deployment"], now["version"]):
        yield "another plan was deployed"
    before = _mapping(then, "live")
    for field, value in sorted(now["live"].items()):
        if field not in before or before[field] != value:
            yield f"{field} was {before.get(field, 'as planned')}, and is {value} now"
    # What the autoscaler has was compared above, value by value.
    drifted = {tuple(map(str, each)) for each in then.get("drift") or () if isinstance(each, list)}
    for kind, name, found in now["drift"]:
        if kind != drift.AUTOSCALER and (kind, name, str(found)) not in drifted:
            yield f"the {kind} {name} drifted"
    stages = _mapping(then, "stages")
    if now["stages"]["download"] and not stages.get("download"):
        yield "the weights are not in their volume any more"
    if lost := set(now["stages"]["compile"]) - set(stages.get("compile") or ()):
        yield f"the kernels for {', '.join(sorted(lost))} are not in their volume any more"


def _mapping(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    return value if isinstance(value, dict) else {}
