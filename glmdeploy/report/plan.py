"""What ``apply`` would change: as text and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.plan.plan import short_digest
from glmdeploy.report.outage import outage_data, outage_text
from glmdeploy.report.values import change_data, changes_line, changes_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.operate.preview import Preview


def preview_text(preview: Preview) -> Iterator[str]:
    """The plan against what runs, a line or a block each."""
    plan, now, need = preview.plan, preview.now, preview.need
    engine = [f"Engine: {preview.engine}."] if preview.engine else []
    if not preview.changed:
        yield f"No changes: {plan.app} runs this plan ({short_digest(plan)[:12]})."
        yield from engine
        if lost := [name for name, run in (("weights", need.download), ("kernels", need.compile)) if run]:
            yield f"In the volume, {' and '.join(lost)} are not whole: what is missing is brought back."
        if preview.verify_weights:
            yield "The weights in the volume are verified."
        return
    if now and now.data is None:
        yield f"An app {plan.app} that glmdeploy did not deploy runs already; it will be replaced."
    yield changes_text(preview.changes) if preview.changes else "The same plan is deployed again."
    what, gpus = "1 to update" if now else "1 to create", " or ".join(plan.gpus)
    yield f"\nPlan: {what}: {plan.app} on {preview.target}, {gpus}."
    if now and now.data:
        yield from outage_text(now.data, plan.data())
    yield from engine
    download = need.download or preview.verify_weights
    stages = [name for name, run in (("download", download), ("compile", need.compile)) if run]
    yield f"Stages to run first: {', '.join(stages) or 'none, weights and kernels are there'}."
    yield from _reasons(preview, stages)


def _reasons(preview: Preview, stages: Sequence[str]) -> Iterator[str]:
    """Why each of the stages runs: the values that changed, or what the volume lacks."""
    plan = preview.plan
    volumes = {"download": ("the weights", plan.weights), "compile": ("the kernels", plan.kernels)}
    for name in stages:
        changes = getattr(preview.because, name)
        what, volume = volumes[name]
        lacking = f"{what} are not in the volume {volume.name}, or not whole" if volume else ""
        asked = name == "download" and not preview.need.download
        why = "the weights are to be verified" if asked else changes_line(changes) if changes else lacking
        yield f"  {name}: {why}"


def preview_data(preview: Preview) -> dict[str, Any]:
    """The same as JSON data."""
    plan, need = preview.plan, preview.need
    data: dict[str, Any] = {
        "app": plan.app,
        "target": preview.target.name,
        "environment": preview.target.environment,
        "digest": plan.digest,
        "changed": preview.changed,
        "changes": [change_data(change) for change in preview.changes],
        "outages": outage_data(preview.now.data, plan.data()) if preview.now and preview.now.data else [],
    }
    if preview.engine:
        data["engine"] = {"name": preview.engine.name, "why": preview.engine.why}
    if not preview.changed:
        return data
    because = {"download": preview.because.download, "compile": preview.because.compile}
    return data | {
        "stages": {"download": need.download, "compile": bool(need.compile)},
        "stages_because": {
            name: [change_data(change) for change in changes] if getattr(need, name) else []
            for name, changes in because.items()
        },
    }
