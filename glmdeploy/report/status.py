"""What is known of deployed apps, as text in the width of a terminal and as data."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.operate.status import PENDING, READY, REFUSED, STARTED, STARTING
from glmdeploy.report.plan import drift_line
from glmdeploy.report.plan_data import drift_data
from glmdeploy.report.view import clean
from glmdeploy.report.words import about, counted, dollars, duration, iso, moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, tzinfo

    from glmdeploy.operate.drift import Drift
    from glmdeploy.operate.history import Version
    from glmdeploy.operate.listing import Listed
    from glmdeploy.operate.status import Container, Status

GAP = "     "
"""Between two facts on one line."""
_LABEL = 10
_WHOLE: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
_ORDER = (READY, STARTED, STARTING, PENDING, REFUSED)


def status_text(status: Status, width: int, *, zone: tzinfo | None = None, local: bool = False) -> list[str]:
    """The lines; times are of ``zone``. ``local``: of the embedded cloud, which bills nothing."""
    found = status.deployed
    if found is None:
        return [f"{click.style(status.app, bold=True)}   not deployed"]
    profile = found.plan.profile if found.plan else None
    head = head_parts(found.version, found.origin, status.at, zone=zone, foreign=found.foreign, profile=profile)
    lines = row(click.style(status.app, bold=True), head, width, column=len(status.app), indent=0, gap=" ", label_gap=3)
    rows = [
        ("endpoint", [*_endpoint(status)]),
        ("containers", [_containers(status)]),
        ("requests" if status.requests else "price", [*_busy(status, local=local)]),
        ("drift", [*_drift(status, zone)]),
    ]
    for label, parts in rows:
        if parts:
            lines += row(label, parts, width)
    return lines


def row(
    label: str,
    parts: Sequence[str],
    width: int,
    *,
    column: int = _LABEL,
    indent: int = 2,
    gap: str = GAP,
    label_gap: int = 2,
) -> list[str]:
    """A label and its facts: on one line as far as they fit, then below each other. No word is broken, and no URL."""
    start = indent + column + label_gap
    padding = " " * (column - len(click.unstyle(label)))
    lines, line = [], f"{' ' * indent}{label}{padding}{' ' * label_gap}"
    begun = whole = False
    for part in parts:
        pieces = textwrap.wrap(part, max(width - start, 20), **_WHOLE)
        for piece in pieces:
            room = width - len(click.unstyle(line)) - len(gap)
            if begun and (not whole or len(pieces) > 1 or len(piece) > room):
                lines.append(line)
                line, begun = " " * start, False
            line += f"{gap}{piece}" if begun else piece
            begun = True
        whole = len(pieces) == 1
    return [*lines, line.rstrip()]


def head_parts(
    version: Version,
    origin: Version | None,
    now: datetime,
    *,
    zone: tzinfo | None,
    foreign: bool,
    profile: str | None = None,
) -> list[str]:
    """What the first line says of an app: its version, since when, by whom, from what.

    ``profile`` is its plan's; where the plan was not read, the tag's note stands for it, which is its name by default.
    """
    back = {"rollback": f" (a rollback to {version.rollback_version})", "rollover": " (fresh containers)"}
    by = f" by {clean(version.by)}" if version.by else ""
    live = f"live, version {version.number}{back.get(version.kind, '')}, since {moment(version.at, now, zone=zone)}{by}"
    if foreign:
        return [live, "(not deployed by glmdeploy)"]
    source = origin or version
    named = [
        clean(profile or source.note),
        source.commit[:7] + (" and changes" if source.commit and source.dirty else ""),
    ]
    return [live, f"({', '.join(filter(None, named))})"] if any(named) else [live]


def _endpoint(status: Status) -> Iterator[str]:
    if status.url is None:
        return
    yield status.url
    needs = [
        "proxy token" if status.proxy_token_required else "",
        "key" if status.key_required else "",
    ]
    wanted = " and ".join(filter(None, needs))
    yield f"{wanted} required" if wanted else "open: no key required"


def _containers(status: Status) -> str:
    """Of clusters each is counted once: by rank 0, and where that is not there by the first that is."""
    replicas = _replicas(status)
    own = [each for each in replicas if not each.outdated]
    outdated = [each for each in replicas if each.outdated]
    words = []
    for state in _ORDER:
        group = [each for each in own if each.state == state]
        if group:
            told = _details(state, group, status)
            words.append(f"{len(group)} {state}{f' ({told})' if told else ''}")
    if outdated:
        ready = sum(each.state == READY for each in outdated)
        words.append(f"{len(outdated)} outdated" + (f" ({ready} ready)" if ready else ""))
    words = words or ["none"]
    if status.bounded:
        most = f"to {status.most}" if status.most is not None else "or more"
        words.append(f"{status.fewest or 0} {most} allowed")
        if status.nodes > 1:
            words.append(f"each of {status.nodes} containers: {len(status.containers)} now")
    return ", ".join(words)


def _replicas(status: Status) -> list[Container]:
    """Containers that stand for one replica each. Of a cluster that is not told yet several are one."""
    firsts: dict[str, Container] = {}
    silent: dict[tuple[str, bool], list[Container]] = {}
    alone = []
    for each in status.containers:
        if each.cluster is not None:
            first = firsts.setdefault(each.cluster, each)
            firsts[each.cluster] = min(first, each, key=lambda one: one.rank)
        elif each.state in (PENDING, STARTED):
            silent.setdefault((each.state, each.outdated), []).append(each)
        else:  # it serves alone: a version from before may have been no cluster
            alone.append(each)
    return [*firsts.values(), *(each for group in silent.values() for each in group[:: status.nodes]), *alone]


def _details(state: str, group: Sequence[Container], status: Status) -> str:
    """Of the one that has taken longest: how long, of how long, and what it does."""
    if state in (READY, STARTED):
        return ""
    oldest = min(group, key=lambda each: each.started or each.enqueued)
    if state == REFUSED:
        return clean(oldest.stage or "")
    waited = duration((status.at - (oldest.started or oldest.enqueued)).total_seconds())
    if state == PENDING:
        return f"waiting for a machine for {waited}"
    of = f" of about {about(status.start_seconds)}" if status.start_seconds else ""
    stage = f": {clean(oldest.stage)}" if oldest.stage else ""
    return f"{waited}{of}{stage}"


def _busy(status: Status, *, local: bool) -> Iterator[str]:
    found = status.requests
    if found is not None:
        waiting = "" if found.waiting is None else f", {found.waiting} waiting"
        yield f"{found.running} running{waiting}" + (" in one of them" if found.partial else "")
    if status.now is not None:
        yield f"would cost {dollars(status.now)} an hour on Modal" if local else f"{dollars(status.now)} an hour now"


def _drift(status: Status, zone: tzinfo | None) -> Iterator[str]:
    if status.drift is not None:
        yield from (clean(_drifted(each, zone)) for each in status.drift)
        if not status.drift:
            yield "none"
    if status.log_read:
        error = status.error
        yield (
            "last error: none in 24 h"
            if error is None
            else (f"last error: {moment(error.at, status.at, zone=zone)} {_said(error.text)}")
        )


def _drifted(each: Drift, zone: tzinfo | None) -> str:
    group = {"autoscaler": "", "rollback": "version ", "code": "version "}.get(each.kind, "")
    return group + drift_line(drift_data(each), zone)


def _said(text: str) -> str:
    """A line of ours without the ids that it begins with."""
    from glmdeploy.runtime.verdict import read_verdict

    verdict = read_verdict(text)
    return clean("refused to serve: " + "; ".join(verdict.reasons) if verdict else text)


def status_data(status: Status) -> dict[str, Any]:
    """The same as JSON data; what is not known is null."""
    found = status.deployed
    data: dict[str, Any] = {"app": status.app, "at": iso(status.at)}
    if found is None:
        return data | {"state": "not deployed"}
    now, requests = status.now, status.requests
    return data | {
        "state": "deployed",
        "healthy": status.healthy,
        **version_data(found.version, found.origin),
        "profile": found.plan.profile if found.plan else None,
        "app_id": found.app_id,
        "foreign": found.foreign,
        "digest": found.digest,
        "url": status.url,
        "key_required": status.key_required,
        "proxy_token_required": status.proxy_token_required if status.url else None,
        "containers": [_container_data(each) for each in status.containers],
        "nodes": status.nodes,
        "min_containers": status.fewest,
        "max_containers": status.most,
        "start_seconds": status.start_seconds,
        "requests": requests
        and {
            "running": requests.running,
            "waiting": requests.waiting,
            "told_by": requests.told_by,
            "of_one_container": requests.partial,
        },
        "dollars_an_hour": None if now is None else round(now, 4),
        "container_dollars_an_hour": None if status.hourly is None else round(status.hourly, 4),
        "drift": None if status.drift is None else [drift_data(each) for each in status.drift],
        "last_error": status.error
        and {"at": iso(status.error.at), "text": status.error.text, "task": status.error.task},
    }


def version_data(version: Version, origin: Version | None) -> dict[str, Any]:
    """A version of an app as JSON data."""
    source = origin or version
    return {
        "version": version.number,
        "since": iso(version.at),
        "by": version.by or None,
        "kind": version.kind,
        "rollback_version": version.rollback_version or None,
        "note": source.note or None,
        "commit": source.commit or None,
        "dirty": source.dirty if source.commit else None,
        "plan": source.digits,
    }


def _container_data(each: Container) -> dict[str, Any]:
    return {
        "id": each.id,
        "state": each.state,
        "outdated": each.outdated,
        "enqueued": iso(each.enqueued),
        "started": iso(each.started),
        "stage": each.stage,
        "cluster": each.cluster,
        "rank": each.rank if each.cluster else None,
    }


def listing_text(
    found: Sequence[Listed], width: int, now: datetime, *, everything: bool, zone: tzinfo | None = None
) -> list[str]:
    """A line for each app that glmdeploy deployed; with ``everything`` for the others too, else their number."""
    own = [each for each in found if not each.foreign]
    others = [each for each in found if each.foreign]
    listed = [*own, *(others if everything else ())]
    column = max((len(each.app) for each in listed), default=0)
    lines = []
    for each in listed:
        if (version := each.version) is None:
            parts = ["nothing was deployed into it"]
        else:
            live, *source = head_parts(version, each.origin, now, zone=zone, foreign=each.foreign)
            parts = [f"{live},", counted(each.containers, "container"), *source]
        name = click.style(each.app, bold=True)
        lines += row(name, parts, width, column=column, indent=0, gap=" ", label_gap=3)
    if not own:
        lines.append("glmdeploy has deployed nothing here.")
    if others and not everything:
        further = counted(len(others), "further app") if own else counted(len(others), "app")
        lines.append(f"{further} that glmdeploy did not deploy (--all)")
    return lines


def listing_data(found: Sequence[Listed]) -> list[dict[str, Any]]:
    """All of them, as JSON data."""
    return [
        {
            "app": each.app,
            "app_id": each.history.app_id,
            "foreign": each.foreign,
            **(version_data(each.version, each.origin) if each.version else {"version": None}),
            "containers": each.containers,
        }
        for each in found
    ]
