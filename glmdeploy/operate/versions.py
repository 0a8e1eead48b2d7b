"""The versions of a deployed app with what each changed, and how its start ended as far as the log still tells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from glmdeploy.errors import DeployError
from glmdeploy.operate.archive import archived
from glmdeploy.operate.history import History, find_app, history, taken_back
from glmdeploy.operate.logs import KEPT, Log, Wanted
from glmdeploy.plan.diff import diff
from glmdeploy.runtime.verdict import read_verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.operate.deployed import Deployed
    from glmdeploy.operate.history import Version
    from glmdeploy.operate.logs import Line
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.diff import Change
    from glmdeploy.plan.plan import Plan

VERIFIED, REFUSED, TAKEN_BACK = "verified", "refused", "taken back"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A version. ``profile`` is its plan's, None where the plan is not kept, or glmdeploy did not deploy it.

    ``changes`` are those against the version before, None for the first one and where one of the two is not known.
    ``proof`` is ``verified`` where a container of it has said that it is ready, ``refused`` where all that spoke
    refused; None where the log does not tell.
    """

    version: Version
    live: bool
    origin: Version | None
    profile: str | None = None
    first: bool = False
    changes: tuple[Change, ...] | None = None
    proof: str | None = None


@dataclass(frozen=True, kw_only=True)
class Versions:
    """The newest first; ``left_out`` are older ones."""

    app: str
    entries: tuple[Entry, ...]
    left_out: int = 0


def versions(app: str, target: Target, most: int | None = None) -> Versions | None:
    """The versions of an app, at most the ``most`` newest; None where no app of this name is deployed.

    :raises DeployError:
    """
    app_id = find_app(app, target)
    if app_id is None:
        return None
    past = history(app_id, target)
    shown = past.versions[:most]
    # One more than is shown: what the oldest of them changed is told too.
    plans = _plans(past, past.versions[: None if most is None else most + 1], target)
    ended = outcomes(app, past, shown, target)
    before = dict(pairwise(each.number for each in past.versions))
    entries = tuple(
        Entry(
            version=each,
            live=each.number == past.production,
            origin=past.origin(each.number),
            profile=plan.profile if (plan := plans.get(each.number)) else None,
            first=each.number not in before,
            changes=_changes(plans.get(before.get(each.number, 0)), plan),
            proof=ended.get(each.number) or (TAKEN_BACK if taken_back(past, each) else None),
        )
        for each in shown
    )
    return Versions(app=app, entries=entries, left_out=len(past.versions) - len(shown))


def previous(now: Deployed, target: Target) -> int | None:
    """The newest version before the one that runs whose plan is another one, and which is not known to have failed.

    A version failed where its own container refused, or its successor took it back before it was heard to serve.

    :raises DeployError:
    """
    past, digits = now.history, now.origin.digits if now.origin else None
    older = [each for each in past.versions if each.number < now.version.number and each.kind != "staged"]
    others = [each for each in older if (origin := past.origin(each.number)) is not None and origin.digits != digits]
    proofs_of = outcomes(now.app, past, older, target) if others else {}
    for each in others:
        proof = proofs_of.get(each.number)
        if proof == VERIFIED or (proof is None and not taken_back(past, each)):
            return each.number
    return None


def _changes(old: Plan | None, new: Plan | None) -> tuple[Change, ...] | None:
    return None if old is None or new is None else diff(old.data(), new.data())


def _plans(past: History, some: Sequence[Version], target: Target) -> dict[int, Plan]:
    """The plans that are kept, by the numbers of their versions; each is read once."""
    known: dict[str, Plan | None] = {}
    found = {}
    for each in some:
        origin = past.origin(each.number)
        if origin is None or origin.digits is None:
            continue
        if origin.digits not in known:
            known[origin.digits] = _kept(origin.digits, target)
        if (plan := known[origin.digits]) is not None:
            found[each.number] = plan
    return found


def _kept(digits: str, target: Target) -> Plan | None:
    """The plan; None also where this release cannot read it."""
    try:
        return archived(digits, target)
    except DeployError:
        return None


def outcomes(app: str, past: History, some: Sequence[Version], target: Target) -> dict[int, str]:
    """How the starts of the versions ended, by their numbers, from one look at the log."""
    if not some:
        return {}
    since = max(some[-1].at - timedelta(minutes=1), datetime.now(UTC) - KEPT + timedelta(minutes=1))
    log = Log(app=app, app_id=past.app_id, target=target, wanted=Wanted(search="glmdeploy re", ours=True))
    return proofs(log.between(since), past)


def proofs(lines: Sequence[Line], past: History) -> dict[int, str]:
    """``verified`` or ``refused`` by version: a verdict is of the newest version before it that runs its plan.

    What a container says after the next version was published counts for none.
    """
    found: dict[int, str] = {}
    for line in lines:
        verdict = read_verdict(line.text)
        if verdict is None:
            continue
        for version in past.versions:
            origin = past.origin(version.number)
            if version.at > line.at or not (origin and origin.digits and verdict.digest.startswith(origin.digits)):
                continue
            after = past.version(version.number + 1)
            if after is not None and after.at <= line.at:
                break  # it was not the production version any more: nobody waited for it
            if found.get(version.number) != VERIFIED:
                found[version.number] = REFUSED if verdict.reasons else VERIFIED
            break
    return found
