"""The lines of a plan: the parts of a new deployment, or the values that differ and the stages that run, by subject."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.plan.diff import options
from glmdeploy.report import words
from glmdeploy.report.view import clean, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.plan.plan import Plan

ROWS = 24
"""Changes that are shown without ``--all``: the screen of a terminal holds them."""
LONGEST = 44
"""Characters of one value that are shown without ``--all``."""

GROUPS = ("weights", "kernels", "image", "server", "sglang", "endpoint")
"""What a plan is about, in the order of the lines; everything else goes by the name of its section."""
_SECTIONS = {
    **dict.fromkeys(("model", "weights", "download"), "weights"),
    **dict.fromkeys(("kernels", "compile", "compile command"), "kernels"),
    **dict.fromkeys(("api_key", "proxy_token"), "endpoint"),
}
_OF_THE_ENDPOINT = ("public", "label", "custom_domains", "requires_proxy_auth", "unauthenticated")
_SECONDS = ("timeout", "window", "interval", "limit", "grace_period", "gives_up_after")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table: ``costs`` are the classes of a change, or what a part of a new deployment takes."""

    symbol: str
    group: str
    name: str
    value: str
    costs: str


def grouped(data: Mapping[str, Any], plan: Plan, *, everything: bool = False) -> Iterator[Row]:
    """The lines of the table: the parts of a new deployment, or the values that differ and the stages that run."""
    if data["changed"] and not known(data):
        yield from _parts(data, plan)
        if everything:
            yield from _values(data, limit=None)
        return
    yield from _stages(data, plan)
    yield from _values({**data, "changes": said_once(data)}, limit=None if everything else ROWS)


def said_once(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The changes without those that another line tells: drift, or an argument of SGLang that the compiler gets too."""
    drifted = {each["name"] for each in data["drift"] if each["kind"] == "autoscaler"}
    arguments = {
        (each["name"], str(each["old"]), str(each["new"])) for each in data["changes"] if each["section"] == "sglang"
    }
    return [
        each
        for each in data["changes"]
        if not (_is_live(each) and each["name"] in drifted)
        and not (
            each["section"] == "compile command" and (each["name"], str(each["old"]), str(each["new"])) in arguments
        )
    ]


def known(data: Mapping[str, Any]) -> bool:
    """Whether there is a plan to compare with."""
    return data["now"] is not None and not data["now"]["foreign"]


def _parts(data: Mapping[str, Any], plan: Plan) -> Iterator[Row]:
    """What a new deployment consists of, a line each."""
    found, server = data.get("estimate") or {}, plan.server
    yield from _stages(data, plan, also_there=True)
    built = plan.server.image.registry or "Debian"
    steps = f", {words.counted(len(server.image.steps), 'step')}" if server.image.steps else ""
    yield Row(symbol="+", group="image", name=built + steps, value="", costs="built once")
    fewest, most = (server.options[name].value if name in server.options else None for name in _BOUNDS)
    hourly = found.get("replica_hour_dollars", found.get("container_hour_dollars"))
    each = gpus.replica(plan.nodes)
    bounds = f"{fewest or 0} to {'any number of' if most is None else most} {each}s"
    if fewest == most:
        bounds = words.counted(most or 0, each)
    dollars = f"{words.dollars(hourly)} an hour each, {_idle(hourly, fewest or 0)} idle" if hourly is not None else ""
    yield Row(symbol="+", group="server", name=f"{words.replica(plan)}, {bounds}", value="", costs=dollars)
    count = words.counted(len(options(server.command)) - 1, "argument")
    yield Row(symbol="+", group="sglang", name=f"{count} for SGLang {plan.sglang}", value="", costs="")
    key = (
        f"key required: {plan.api_key.name} / {' and '.join(plan.api_key.keys)}" if plan.api_key else "no key required"
    )
    proxy = "; proxy token required" if plan.proxy_auth else ""
    yield Row(symbol="+", group="endpoint", name=key + proxy, value="", costs="")
    if plan.keepalive:
        yield Row(symbol="+", group="keepalive", name=plan.keepalive.schedule, value="", costs=plan.keepalive.timezone)
    for volume in plan.volumes:
        yield Row(symbol="+", group="volume", name=f"{volume.name} at {volume.mount}", value="", costs="")


_BOUNDS = ("min_containers", "max_containers")


def _idle(hourly: float, fewest: int) -> str:
    return words.dollars(hourly * fewest) if fewest else "$0"


def _stages(data: Mapping[str, Any], plan: Plan, *, also_there: bool = False) -> Iterator[Row]:
    """Weights and kernels that are to be made, and with ``also_there`` those that lie in their volumes."""
    found, commit = data.get("estimate") or {}, plan.model.commit
    what = f"{plan.model.repo} at {commit[:7] if commit else plan.model.revision}"
    size = words.count_bytes(found["weights_bytes"]) if found.get("weights_bytes") else ""
    if data["stages"]["download"]:
        took = found.get("download_seconds")
        costs = f"{on_modal(data)}about {words.about(took)}, no GPU" if took is not None else "no GPU"
        yield Row(symbol="+", group="weights", name=what, value=size, costs=costs)
    elif data["verify_weights"]:
        yield Row(symbol="~", group="weights", name=what, value=size, costs="read and compared")
    elif also_there:
        yield Row(symbol=" ", group="weights", name=what, value=size, costs="there already")
    if plan.compile and (data["compile_for"] or also_there):
        names = data["compile_for"] or plan.gpus
        several = ", ".join(f"{gpus.parse(name).count} {gpus.parse(name).type}" for name in names)
        took, dollars = found.get("compile_seconds"), found.get("compile_dollars")
        costs = f"{on_modal(data)}about {words.about(took)}" if took is not None else ""
        costs += f", {words.about_dollars(dollars)}" if costs and dollars is not None else ""
        there = not data["compile_for"]
        yield Row(
            symbol=" " if there else "+",
            group="kernels",
            name=f"DeepGEMM, SGLang {plan.sglang}",
            value=several,
            costs="there already" if there else costs,
        )


def on_modal(data: Mapping[str, Any]) -> str:
    """Before an estimate that is made for another target: the embedded cloud has no GPUs, and takes no money."""
    return "on Modal " if data["target"] == "local" else ""


def _values(data: Mapping[str, Any], limit: int | None) -> Iterator[Row]:
    order = {name: place for place, name in enumerate(GROUPS)}
    rows = [(each, *place(each["section"], each["name"])) for each in data["changes"]]
    rows.sort(key=lambda each: (order.get(each[1], len(order)), each[1]))
    for change, group, name in rows[:limit]:
        old, new = (said(name, value, limit) for value in (change["old"], change["new"]))
        symbol = "+" if change["old"] is None else "-" if change["new"] is None else "~"
        value = f"{old} → {new}" if symbol == "~" else new if symbol == "+" else old
        yield Row(symbol=symbol, group=group, name=name, value=value, costs=", ".join(_told(change["costs"])))
    if limit is not None and (more := len(rows) - limit) > 0:
        yield Row(symbol=" ", group="", name=f"and {more} more: `--all`", value="", costs="")


def _told(costs: Sequence[str]) -> Sequence[str]:
    """The dearest of the classes: an image that is built comes in new containers anyway."""
    return costs if len(costs) == 1 else [cost for cost in costs if cost != "new containers"]


def place(section: str, name: str) -> tuple[str, str]:
    """The group of a value, and its name there."""
    if section in ("server", "download") and name.startswith("image."):
        return "image", name.removeprefix("image.") if section == "server" else f"download.{name[6:]}"
    if section == "server" and name in _OF_THE_ENDPOINT:
        return "endpoint", name
    if section == "app" and name == "gpu":
        return "server", "gpu"
    if section == "app" and name == "sglang":
        return "sglang", "version"
    group = _SECTIONS.get(section, section)
    return group, name if group == section or section == "compile command" else f"{section}.{name}"


def said(name: str, value: Any, limit: int | None = ROWS) -> str:
    if value is None:
        return "none"
    if isinstance(value, int) and not isinstance(value, bool) and name.rpartition(".")[2].endswith(_SECONDS):
        return words.duration(value)
    text = clean(shown(value))
    return text if limit is None or len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _is_live(change: Mapping[str, Any]) -> bool:
    return bool(change["costs"] == ["live"])
