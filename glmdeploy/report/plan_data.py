"""What ``apply`` would change, as JSON data: the text is made of it, and a saved plan keeps it to be shown again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.plan.impact import Impact
from glmdeploy.plan.price import costs
from glmdeploy.report.outage import outage_data
from glmdeploy.report.values import change_data
from glmdeploy.report.words import iso

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glmdeploy.operate.drift import Drift
    from glmdeploy.operate.preview import Preview
    from glmdeploy.plan.diff import Change
    from glmdeploy.plan.price import Estimate


def preview_data(preview: Preview, estimate: Estimate | None = None) -> dict[str, Any]:
    """The plan against what runs; times in ISO 8601, seconds, dollars and bytes."""
    plan, now, need = preview.plan, preview.now, preview.need
    # The stages that really run: what lies in the volumes already costs nothing again.
    again = Impact(
        download=preview.because.download if need.download else (),
        compile=preview.because.compile if need.compile else (),
    )
    # Of what the running plan asks for, and not of what the autoscaler was told meanwhile.
    classes = costs(preview.changes, preview.before or {}, plan.data(), again)
    data: dict[str, Any] = {
        "app": plan.app,
        "target": preview.target.name,
        "environment": preview.target.environment,
        "place": str(preview.target),
        "digest": plan.digest,
        "now": _now(preview) if now else None,
        "changed": preview.changed,
        "acts": preview.acts,
        "forced": preview.forced,
        "drift": [drift_data(each) for each in preview.drift],
        "live": [
            {"field": each.field, "now": each.now, "wanted": each.wanted, "by": each.by, "at": iso(each.at)}
            for each in preview.live
        ],
        "changes": [
            change_data(change) | {"costs": [str(cost) for cost in classes[change.section, change.name]]}
            for change in preview.changes
        ],
        "outages": outage_data(preview.before, plan.data()) if preview.before else [],
        "stages": {"download": need.download, "compile": bool(need.compile)},
        "stages_because": {"download": _changes(again.download), "compile": _changes(again.compile)},
        "compile_for": list(need.compile),
        "verify_weights": preview.verify_weights,
        "running": preview.running,
        "nodes": plan.nodes,
        "shortage": preview.shortage.text if preview.shortage else None,
        "missing_secrets": [
            {
                "name": each.secret.name,
                "keys": list(each.secret.keys),
                "absent": each.absent,
                "made": preview.makes(each),
            }
            for each in preview.missing
        ],
    }
    if preview.engine:
        data["engine"] = {"name": preview.engine.name, "why": preview.engine.why, "text": str(preview.engine)}
    if estimate:
        data["estimate"] = estimate_data(estimate, preview)
    return data


def drift_data(drift: Drift) -> dict[str, Any]:
    """One drift as JSON data."""
    return {
        "kind": drift.kind,
        "name": drift.name,
        "found": drift.found,
        "expected": drift.expected,
        "by": drift.by,
        "at": iso(drift.at),
        "repair": drift.repair,
    }


def estimate_data(estimate: Estimate, preview: Preview) -> dict[str, Any]:
    """What it takes until the first answer of a new container: None where something of it is not known."""
    need = preview.need
    compiling = None if estimate.compile is None else estimate.compile * len(need.compile)
    download = estimate.download if need.download else 0
    cold = estimate.cold_start if preview.changed else 0
    parts = (download, compiling if need.compile else 0, cold)
    first = None if None in parts else sum(filter(None, parts))
    on_gpus = None if None in parts[1:] else sum(filter(None, parts[1:]))
    return {
        "gpu": estimate.gpu,
        "replica_hour_dollars": _cents(estimate.hourly),
        "container_hour_dollars": _cents(None if estimate.hourly is None else estimate.hourly / preview.plan.nodes),
        "region_multiplier": estimate.multiplier,
        "price_source": estimate.source,
        "weights_bytes": estimate.weights,
        "download_seconds": estimate.download,
        "compile_seconds": compiling if need.compile else estimate.compile,
        "compile_dollars": _cents(estimate.dollars(compiling if need.compile else estimate.compile)),
        "cold_start_seconds": estimate.cold_start,
        "cold_start_dollars": _cents(estimate.dollars(estimate.cold_start)),
        "first_answer_seconds": first,
        "first_answer_dollars": _cents(estimate.dollars(on_gpus)),
        "unknown": list(estimate.unknown),
    }


def _now(preview: Preview) -> dict[str, Any]:
    now = preview.now
    assert now is not None
    return {
        "version": now.version.number,
        "since": iso(now.version.at),
        "by": now.version.by or None,
        "foreign": now.foreign,
        "digest": now.digest,
    }


def _changes(changes: Sequence[Change]) -> list[Mapping[str, Any]]:
    return [change_data(change) for change in changes]


def _cents(dollars: float | None) -> float | None:
    return None if dollars is None else round(dollars, 4)
