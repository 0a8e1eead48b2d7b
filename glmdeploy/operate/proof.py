"""Follows the start of a version that was just published, until one of its containers says how that ended.

``/health`` of the public URL proves nothing: while a version is replaced, a container of the old one answers it. What
proves is the line of a container that is younger than the deployment (:mod:`glmdeploy.runtime.verdict`).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import modal

from glmdeploy.errors import DeployError
from glmdeploy.operate.asking import attended, plainly, within
from glmdeploy.operate.endpoint import wait_until_healthy
from glmdeploy.operate.tasks import enqueued_at, tasks_of
from glmdeploy.plan.plan import short_digest
from glmdeploy.runtime.public import ask_public
from glmdeploy.runtime.verdict import SPEAKER, read_stage, read_verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from glmdeploy.operate.endpoint import Ask
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan
    from glmdeploy.runtime.verdict import Verdict

LOOK_SECONDS = 1.0
"""Pause between two looks into the log."""
OLD_SECONDS = 15.0
"""For so long after an answer a new container is waited for where there is none, not even one that waits for a GPU."""
OLD = (
    "a container from before answers, and none of this version has started; where `max_containers` leaves no room, it "
    "starts when the old one ends, or with `--strategy recreate`, without anybody served meanwhile"
)
"""Modal does not replace a container where there are as many as there may be (its guide, of Servers)."""
LATE_LOOKS = 5
"""How often the log is looked at again once the endpoint has said that it cannot start."""
MOST_FAULTS = 3
"""So many looks in a row that fail, and the log is not read any more."""
CLOCK = timedelta(seconds=60)
"""How much earlier than the deployment the log is read from: its clock may be another one."""


@dataclass(frozen=True, kw_only=True)
class Starting:
    """What a new container says of its start."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Healthy:
    """The endpoint answers, ``seconds`` after the first question.

    ``task`` is the container of this version that has proved itself; None where none has, and ``doubt`` says why.
    """

    seconds: float
    task: str | None = None
    doubt: str | None = None


Told: TypeAlias = "Starting | Healthy"


@dataclass(frozen=True)
class _Line:
    """A line of a log that begins as a container's own; ``ids`` are of what it stands in, such as a container."""

    at: datetime
    text: str
    ids: tuple[str, ...]


class _Log:
    """What the containers of an app have said since a version was published."""

    def __init__(self, plan: Plan, target: Target, published: datetime) -> None:
        self.plan = plan
        self.target = target
        self.published = published
        self.taken: set[_Line] = set()
        self._began: dict[str, float | None] = {}
        self._app: modal.App | None = None

    @property
    def app_id(self) -> str | None:
        """Of the app, once its log was read."""
        return str(self._app.app_id) if self._app is not None else None

    def read(self) -> list[_Line]:
        """The lines that have not been taken. :raises DeployError:"""

        async def fetch() -> list[_Line]:
            if self._app is None:
                self._app = await modal.App.lookup.aio(self.plan.app, environment_name=self.target.environment)
            entries = self._app.logs.fetch.aio(since=self.published - CLOCK, search_text=SPEAKER)
            return [
                _Line(entry.timestamp, text, tuple(entry.context_ids))
                async for entry in entries
                for text in entry.message.split("\n")
                if text.startswith(SPEAKER)
            ]

        found = within(self.target, f"read the log of {self.plan.app}", fetch)
        return [line for line in found if line not in self.taken]

    def is_new(self, task: str) -> bool:
        """Whether the container is younger than the deployment. :raises DeployError:"""
        if task not in self._began:
            self._began[task] = enqueued_at(self.target, task)
        began = self._began[task]
        return began is not None and began >= self.published.timestamp()


class _Asker(threading.Thread):
    """Asks the endpoint until it answers, which starts a container where none runs."""

    def __init__(self, url: str, target: Target, seconds: float, ask: Ask) -> None:
        super().__init__(name="asker", daemon=True)
        self._url, self._target, self._seconds, self._ask = url, target, seconds, ask
        self.answered: float | None = None
        self.answered_at: float | None = None
        self.fault: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answered = wait_until_healthy(self._url, self._target, self._seconds, ask=self._ask)
        except Exception as fault:
            self.fault = fault
        else:
            self.answered_at = time.monotonic()


def published_at(plan: Plan, target: Target) -> datetime:
    """When the version that is live was published, by the target's clock.

    :raises DeployError:
    """

    async def look() -> datetime:
        app = await modal.App.lookup.aio(plan.app, environment_name=target.environment)
        info = await app.info.aio(refresh=True)
        return info.lifecycle.deployed_at or datetime.now(UTC)

    return within(target, f"look up when {plan.app} was deployed", look)


def follow(
    plan: Plan, target: Target, url: str, seconds: float, ask: Ask | None = ask_public, *, guarded: bool = False
) -> Iterator[Told]:
    """Have a container of the new version start, and tell how that goes; the last that is told is :class:`Healthy`.

    With ``guarded`` the answer of a container from before is not enough: one of this version must say that it is ready.
    Without ``ask`` nobody can ask the endpoint, and another one must have a container start.

    :raises DeployError: when it refuses to serve, with its reasons; or nothing answers within ``seconds``.
    """
    started = time.monotonic()
    asker = _Asker(url, target, seconds, ask) if ask else None
    try:
        log = _Log(plan, target, published_at(plan, target))
    except DeployError as fault:
        if guarded:
            raise
        yield _unproven(plan, asker, target, f"when it was deployed is not known: {fault.message}")
        return
    faults = late = 0
    unread = ""
    while True:
        try:
            for event in _news(log):
                if isinstance(event, Starting):
                    yield event
                    continue
                if event.reasons:
                    raise _refused(plan, event, asker)
                answered = _answer(asker, target) if asker else time.monotonic() - started
                # While one from before answers, its answer says nothing of this version.
                yield Healthy(seconds=time.monotonic() - started if guarded else answered, task=event.task)
                return
            faults, unread = 0, ""
            new = _new_tasks(log) if asker is None or asker.answered_at else []
        except _Unread as fault:
            faults, unread = faults + 1, str(fault)
            # What nobody hears of a new version takes the place of no old one.
            if faults >= MOST_FAULTS and not guarded:
                yield _unproven(plan, asker, target, str(fault))
                return
            new = [""]
        if asker is None:
            if time.monotonic() - started > seconds:
                raise _late(plan, seconds, unread, started_one=bool(new))
        elif asker.fault is not None:
            late += 1  # the last lines of a container may reach the log after its end reached us
            if late > LATE_LOOKS:
                raise asker.fault
        elif asker.answered is not None and asker.answered_at is not None:
            waited = time.monotonic() - asker.answered_at
            if not new and waited > OLD_SECONDS and not guarded:
                yield Healthy(seconds=asker.answered, doubt=OLD)
                return
            if time.monotonic() - started > seconds:
                if guarded:
                    raise _late(plan, seconds, unread, started_one=bool(new))
                yield Healthy(seconds=asker.answered, doubt=f"no container of it has said so within {seconds:.0f} s")
                return
        time.sleep(LOOK_SECONDS)


def _late(plan: Plan, seconds: float, unread: str, *, started_one: bool) -> DeployError:
    """What is said of a version that nothing was heard of in time, while one from before answered."""
    advice = f"`--timeout` gives it longer; its output: `glmdeploy logs {plan.app}`"
    if not started_one:
        advice = "no container of it was started: is there a GPU for one more? " + advice
    if unread:
        advice = f"what it says could not be read: {unread}\n{advice}"
    return DeployError(
        f"the new version of {plan.app} was not ready within {seconds:.0f} s: no container of it has said so",
        advice=advice,
    )


class _Unread(Exception):
    """The log, or the list of containers, could not be read."""


def _news(log: _Log) -> Iterator[Starting | Verdict]:
    """What containers of this version, and of none before, have said since the last look. :raises _Unread:"""
    try:
        for line in log.read():
            told = _understood(log, line)
            log.taken.add(line)
            if told is not None:
                yield told
    except DeployError as fault:
        raise _Unread(fault.message) from None


def _understood(log: _Log, line: _Line) -> Starting | Verdict | None:
    """What a line says of a start of this version; None where it says nothing of one. :raises DeployError:"""
    tasks = [each for each in line.ids if each[:3] == "ta-"]
    if (verdict := read_verdict(line.text)) is not None:
        # A container's line names the container that it came from, as far as the log tells that.
        ours = verdict.digest == short_digest(log.plan) and (not tasks or verdict.task in tasks)
        return verdict if ours and log.is_new(verdict.task) else None
    text = read_stage(line.text)
    return Starting(text=text) if text is not None and any(map(log.is_new, tasks)) else None


def _new_tasks(log: _Log) -> list[str]:
    """The containers of the app that are younger than the deployment. :raises _Unread:"""
    try:
        tasks = tasks_of(log.app_id, log.target) if log.app_id else ()
    except DeployError as fault:
        raise _Unread(fault.message) from None
    return [task.id for task in tasks if task.enqueued >= log.published.timestamp()]


def _answer(asker: _Asker, target: Target) -> float:
    """Seconds after which the endpoint answered, which has a limit of its own. :raises DeployError: when it has not"""
    attended(target, "see the endpoint answer", lambda: plainly(asker.join))
    if asker.fault is not None:
        raise asker.fault
    assert asker.answered is not None
    return asker.answered


def _unproven(plan: Plan, asker: _Asker | None, target: Target, doubt: str) -> Healthy:
    """The endpoint's answer is all that is known. :raises DeployError: when there is none"""
    if asker is None:
        raise DeployError(f"whether the new version of {plan.app} is ready is not known: {doubt}")
    return Healthy(seconds=_answer(asker, target), doubt=doubt)


def _refused(plan: Plan, verdict: Verdict, asker: _Asker | None) -> DeployError:
    """The reasons; and where the engine itself has failed its last lines, if the endpoint tells them."""
    first, *more = verdict.reasons
    lines = [*(f"  and {reason}" for reason in more), "it never answered a request"]
    if asker and first.startswith("SGLang "):
        asker.join(LATE_LOOKS * LOOK_SECONDS)
        if isinstance(asker.fault, DeployError) and asker.fault.advice:
            lines += asker.fault.advice.splitlines()
    return DeployError(
        f"the new version of {plan.app} refuses to serve: {first}",
        advice="\n".join(lines),
    )
