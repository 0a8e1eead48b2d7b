"""What ``apply`` would change, as text: what runs, drift first, the values that differ, and one line that sums it up.

It is made of the JSON data and the plan alone, so that a saved plan reads as it did when it was made.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from glmdeploy import gpus, redaction
from glmdeploy.plan.diff import flat, options
from glmdeploy.report import words
from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.plan_rows import GROUPS, Row, grouped, known, on_modal, place, said, said_once
from glmdeploy.report.view import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import tzinfo

    from glmdeploy.plan.plan import Plan

LEAD = 15
"""Columns before what a line says: its symbol and its group."""
NAME = 36
"""Columns of names at most, so that values stand below each other."""
_COLORS = {"+": "green", "-": "red", "~": "yellow", "!": "red", " ": ""}


def preview_text(
    data: Mapping[str, Any], plan: Plan, width: int = UNLIMITED, *, everything: bool = False, zone: tzinfo | None = None
) -> Iterator[str]:
    """The plan against what runs, a line or a block each; with ``everything`` all values, unchanged ones too."""
    yield from _wrapped(header(data, zone), width, 2)
    rows = [*grouped(data, plan, everything=everything)]
    blocks = [*drift_text(data["drift"], width, zone), *_missing(data, width), *_table(rows, width)]
    if everything and data["now"]:
        blocks += _unchanged_values(data, plan)
    if blocks:
        yield ""
        yield from blocks
    yield from _because(data, plan, width)
    if unchanged := _unchanged(data, plan):
        yield from _wrapped(f"  unchanged: {unchanged}", width, 4)
    yield ""
    yield from _wrapped(summary(data), width, 2, bold=True)
    for outage in data["outages"]:
        label = click.style("Outage", fg="red", bold=True)
        yield from _wrapped(f"{label} ({outage['field']}): {clean(outage['text'])}.", width, 2)
    yield from _further(data, plan, width)


def header(data: Mapping[str, Any], zone: tzinfo | None = None) -> str:
    """``glm51-fp8 on Modal (main): version 7, since 26 Nov 14:02, as planned``."""
    now = data["now"]
    where = f"{clean(data['app'])} on {clean(data['place'])}"
    if now is None:
        stopped = next((each for each in data["drift"] if each["kind"] == "stopped"), None)
        return f"{where}: {'stopped' + _by(stopped, zone) if stopped else 'not deployed yet'}"
    since = f"version {now['version']}, since {words.moment(_time(now['since']), zone=zone)}"
    if now["foreign"]:
        return f"{where}: {since}, which glmdeploy did not deploy: it is replaced"
    return f"{where}: {since}{'' if data['drift'] else ', as planned'}"


def drift_text(
    drift: Sequence[Mapping[str, Any]], width: int, zone: tzinfo | None = None, *, style: bool = True
) -> Iterator[str]:
    """A line for each thing that is not as it was deployed: what is, who did it and when, and what should be."""
    for each in drift:
        if each["kind"] == "stopped":
            continue  # what runs is told first, and nothing does
        group = {"autoscaler": "server", "rollback": "version", "code": "version"}.get(each["kind"], each["kind"])
        yield from _wrapped(f"  ! {group:<9}  {drift_line(each, zone)}", width, 15, **({"fg": "red"} if style else {}))


def drift_line(each: Mapping[str, Any], zone: tzinfo | None) -> str:
    """What is not as it was deployed, of :func:`glmdeploy.report.plan_data.drift_data`."""
    name, found, expected = clean(each["name"]), each["found"], each["expected"]
    who = f",{by}" if (by := _by(each, zone)) else ""
    match each["kind"]:
        case "autoscaler":
            says = (
                "the profile leaves it to Modal"
                if each["repair"] == "nothing"
                else f"the profile says {said(name, expected)}"
            )
            how = f"set{by}" if by else "by an override"
            return f"{name} is {said(name, found)}, {how}; {says}"
        case "rollback":
            return f"{found}{who}, brought an earlier plan back; {expected} was deployed last"
        case "code":
            last = f", which deployed {expected} last" if expected else ""
            return f"{found}{who}, is no deployment of glmdeploy{last}"
        case "image":
            return f"{clean(found)} runs, and glmdeploy deployed {clean(expected)}"
        case kind:
            gone = "deleted" if found is None else "made again"
            return f"{name} was {gone}: what runs still has the {kind} of then"


def _by(each: Mapping[str, Any], zone: tzinfo | None) -> str:
    by = f" by {clean(each['by'])}" if each["by"] else ""
    return by + (f" on {words.moment(_time(each['at']), zone=zone)}" if each["at"] else "")


def _missing(data: Mapping[str, Any], width: int) -> Iterator[str]:
    for each in data["missing_secrets"]:
        named = f"{clean(each['name'])} with {' and '.join(map(clean, each['keys']))}"
        if each["made"]:
            yield from _wrapped(f"  + secret     {named}: made up, with a random value", width, 15, fg="green")
            continue
        what = "is not there" if each["absent"] else "lacks a key"
        yield from _wrapped(f"  ! secret     {named} {what}: create it first", width, 15, fg="red")


def _table(rows: Sequence[Row], width: int) -> Iterator[str]:
    """A line each, as far as the width allows: what has no value gives its room to its name."""
    lead = max([LEAD, *(len(row.group) + 6 for row in rows)])
    named = min(max((len(row.name) for row in rows if row.value), default=0), NAME)
    left = [f"{row.name:<{named}}  {row.value}" if row.value else row.name for row in rows]
    dearest = max((len(row.costs) for row in rows), default=0)
    # Where the costs stand: a line that is too long for that has its own further right, or below.
    room = width - dearest - lead - 2
    column = lead + 2 + max((len(text) for text in left if len(text) <= room), default=0)
    for row, text in zip(rows, left, strict=True):
        sign = click.style(f"  {row.symbol} {row.group:<{lead - 6}}", fg=_COLORS[row.symbol] or None)
        lines = textwrap.wrap(text, width - lead, break_on_hyphens=False) or [""]
        at = max(column, lead + len(lines[-1]) + 2)
        if row.costs and at + len(row.costs) <= width:
            lines[-1] += " " * (at - lead - len(lines[-1])) + row.costs
        elif row.costs:
            lines.append(" " * (min(column, width - len(row.costs)) - lead) + row.costs)
        yield f"{sign}  {lines[0]}"
        yield from (" " * lead + line for line in lines[1:])


def _unchanged_values(data: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    changed = {(each["section"], each["name"]) for each in data["changes"]}
    rows = []
    for (section, name), value in flat(plan.data()).items():
        if (section, name) not in changed:
            group, within = place(section, name)
            rows.append(Row(symbol=" ", group=group, name=within, value=said(within, value, None), costs=""))
    rows.sort(key=lambda row: (GROUPS.index(row.group) if row.group in GROUPS else len(GROUPS), row.group))
    yield from _table(rows, UNLIMITED)


def _because(data: Mapping[str, Any], plan: Plan, width: int) -> Iterator[str]:
    """Why each of the stages runs again, where something ran before: values that changed, or what the volume lacks."""
    if not known(data):
        return
    volumes = {"download": ("weights", plan.weights), "compile": ("kernels", plan.kernels)}
    for stage, (what, volume) in volumes.items():
        if not data["stages"][stage] or volume is None:
            continue
        changes = data["stages_because"][stage]
        names = [
            f"{each['section']} {each['name']}: {said('', each['old'])} → {said('', each['new'])}" for each in changes
        ]
        more = f", and {len(names) - 3} more" if len(names) > 3 else ""
        why = ", ".join(names[:3]) + more if names else f"they are not in the volume {volume.name}, or not whole"
        yield from _wrapped(f"  {what} because: {why}", width, 4)


def _unchanged(data: Mapping[str, Any], plan: Plan) -> str:
    """What a change leaves as it is: ``weights, kernels, image, 22 arguments``."""
    changes = said_once(data)
    if not known(data) or not changes:
        return ""
    changed = Counter(place(each["section"], each["name"])[0] for each in changes)
    lost = {each["name"] for each in data["drift"] if each["kind"] == "volume"}
    changed["server"] += any(each["kind"] == "autoscaler" for each in data["drift"])
    changed["weights"] += data["stages"]["download"] or plan.weights.name in lost
    changed["kernels"] += data["stages"]["compile"] or (plan.kernels is not None and plan.kernels.name in lost)
    arguments = len(options(plan.server.command)) - 1 - changed["sglang"]
    names = [name for name in GROUPS if name != "sglang" and not changed[name]]
    if not plan.compile:
        names = [name for name in names if name != "kernels"]
    return ", ".join([*names, words.counted(max(arguments, 0), "argument")])


def summary(data: Mapping[str, Any]) -> str:
    """The one line that sums the plan up."""
    if not data["acts"]:
        return "No changes."
    found, stages = data.get("estimate") or {}, data["stages"]
    on = on_modal(data)
    seconds, dollars = found.get("first_answer_seconds"), found.get("first_answer_dollars")
    if not data["changed"]:
        return _without_deployment(data, seconds)
    if data["now"] is None:
        answer = (
            "how long it takes is not known"
            if seconds is None
            else f"{on}{_about(seconds, dollars)} to the first answer"
        )
        return f"Plan: 1 to create; {answer}."
    what = "1 to update" if data["changes"] or data["drift"] else "1 to deploy again"
    each = _about(found.get("cold_start_seconds"), found.get("cold_start_dollars"))
    run = "runs" if data["running"] == 1 else "run"
    if (nodes := data.get("nodes", 1)) == 1:  # a saved plan may be an earlier release's
        running = f"{data['running']} {run} now" if data["running"] else "none runs now"
        parts = [f"Plan: {what}; new containers: {on}{each} each ({running})."]
    else:
        running = f"{words.counted(data['running'], 'container')} {run} now" if data["running"] else "none runs now"
        parts = [f"Plan: {what}; a new cluster of {nodes}: {on}{each} ({running})."]
    took = {"download": found.get("download_seconds"), "compile": found.get("compile_seconds")}
    none = [f"no {name}" for name, runs in stages.items() if not runs]
    for name, runs in stages.items():
        if runs:
            paid = found.get("compile_dollars") if name == "compile" else None
            parts.append(f"{name.capitalize()}: {_about(took[name], paid)}.")
    return " ".join([*parts, f"{', '.join(none).capitalize()}." if none else ""]).rstrip()


def _without_deployment(data: Mapping[str, Any], seconds: float | None) -> str:
    dollars = data["estimate"]["first_answer_dollars"] if data.get("estimate") and data["compile_for"] else None
    parts = []
    if data["live"]:
        parts.append("1 to update, live: no container restarts")
    if lost := [name for name, run in data["stages"].items() if run]:
        names = {"download": "weights", "compile": "kernels"}
        brought = " and ".join(names[name] for name in lost)
        parts.append(f"the {brought} that the volume lost are brought back, {_about(seconds, dollars)}")
    if data["verify_weights"]:
        parts.append("the weights in the volume are verified")
    return f"Plan: {'; '.join(parts)}."


def _about(seconds: float | None, dollars: float | None) -> str:
    if seconds is None:
        return "time and price not known"
    return f"about {words.about(seconds)}" + (f" and {words.about_dollars(dollars)}" if dollars is not None else "")


def _further(data: Mapping[str, Any], plan: Plan, width: int) -> Iterator[str]:
    """What is to be known beside the line that sums up."""
    found = data.get("estimate") or {}
    if data["outages"]:
        yield from _wrapped(
            f"Without one: deploy it as a second app (--set app={plan.app}-2), move the clients, then "
            f"`glmdeploy destroy {plan.app}`. Weights and kernels are shared; both are billed meanwhile.",
            width,
            2,
        )
    if data["changed"] and data["running"] and not data["outages"]:
        gpu = gpus.parse(plan.gpus[0])
        at_once = gpu.count * (data["running"] + plan.nodes)
        yield from _wrapped(f"While both versions run, it needs {at_once} {gpu.type} at once.", width, 2)
    if data.get("shortage"):
        yield from _wrapped(f"! No room: {clean(data['shortage'])}.", width, 2, fg="red")
    if found.get("region_multiplier", 1) != 1:
        yield from _wrapped(
            f"Prices are those of the chosen region: {found['region_multiplier']:g} times the base.", width, 2
        )
    if data["acts"]:
        for text in found.get("unknown", ()):
            yield from _wrapped(f"Not known: {clean(text)}.", width, 2)
    if data.get("engine"):
        yield from _wrapped(f"Engine: {clean(data['engine']['text'])}.", width, 2)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _wrapped(text: str, width: int, indent: int, **style: Any) -> Iterator[str]:
    """In lines of ``width`` columns, the second and later ones indented."""
    text = redaction.mask(text)
    lead = text[: len(text) - len(text.lstrip())]
    lines = textwrap.wrap(
        text.strip(),
        width - len(lead),
        break_long_words=False,
        break_on_hyphens=False,
        subsequent_indent=" " * (indent - len(lead)),
    )
    for line in lines:
        yield click.style(lead + line, **style) if style else lead + line
