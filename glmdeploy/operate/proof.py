"""Follows the start of a version that was just published, until one of its containers says how that ended.

``/health`` of the public URL proves nothing: while a version is replaced, a container of the old one answers it. What
proves is the line of a container that is younger than the deployment (:mod:`glmdeploy.runtime.verdict`).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import modal

from glmdeploy.errors import DeployError
from glmdeploy.operate.asking import attended, plainly, within
from glmdeploy.operate.endpoint import wait_until_healthy
from glmdeploy.operate.tasks import enqueued_at, tasks_of
from glmdeploy.plan.plan import short_digest
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
"""For so long after an answer it is not told that no new container is there, not even one that waits for a GPU."""
WATCH_SECONDS = 2.0
"""Pause between two questions whether the endpoint still answers."""
ANSWER_SECONDS = 30.0
LONGEST_ANSWER = 5.0
"""What an answer of ``/health`` may take without being called a lapse."""
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


@dataclass(frozen=True, kw_only=True)
class Held:
    """A container from before answers, and none of this version has started, nor waits for a machine.

    Modal replaces nothing where there are as many containers as there may be (its guide, of Servers).
    """


Told: TypeAlias = "Starting | Held | Healthy"


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

    @property
    def app_id(self) -> str:
        """Known once the log was read."""
        assert self._app is not None
        return str(self._app.app_id)

    def is_new(self, task: str) -> bool:
        """Whether the container is younger than the deployment. :raises DeployError:"""
        if task not in self._began:
            self._began[task] = enqueued_at(self.target, task)
        began = self._began[task]
        return began is not None and began >= self.published.timestamp()


class Asker(threading.Thread):
    """Asks the endpoint until it answers, which starts a container where none runs; then sees whether it goes on.

    ``lapse`` are the seconds in which it did not answer after it once had.
    """

    def __init__(self, url: str, target: Target, seconds: float, ask: Ask) -> None:
        super().__init__(name="asker", daemon=True)
        self._url, self._target, self._seconds, self._ask = url, target, seconds, ask
        self._enough = threading.Event()
        self.answered: float | None = None
        self.answered_at: float | None = None
        self.fault: Exception | None = None
        self.lapse = 0.0
        self.start()

    def run(self) -> None:
        try:
            self.answered = wait_until_healthy(self._url, self._target, self._seconds, ask=self._ask)
        except Exception as fault:
            self.fault = fault
            return
        self.answered_at = time.monotonic()
        while not self._enough.wait(WATCH_SECONDS):
            began = time.monotonic()
            while self._ask(f"{self._url}/health", ANSWER_SECONDS).status != 200:
                if self._enough.wait(LOOK_SECONDS):
                    break
            waited = time.monotonic() - began
            self.lapse += waited if waited > LONGEST_ANSWER else 0.0

    def leave(self) -> None:
        """Ask no more."""
        self._enough.set()

    def wait(self) -> float:
        """Seconds after which the endpoint answered. :raises DeployError: when it has not within its limit"""
        while self.answered is None and self.fault is None:
            self.join(LOOK_SECONDS)
        if self.fault is not None:
            raise self.fault
        assert self.answered is not None
        return self.answered


def follow(plan: Plan, target: Target, since: datetime, seconds: float, asker: Asker | None) -> Iterator[Told]:
    """Tell how a container of a version starts; the last that is told is :class:`Healthy`.

    ``since`` is when the version was published, by the target's clock. The ``asker`` has a container start where none
    does by itself; without one, somebody else must.

    :raises DeployError: when it refuses to serve, with its reasons; or no container is ready within ``seconds``.
    """
    started = time.monotonic()
    log = _Log(plan, target, since)
    faults = late = 0
    held = False
    while True:
        try:
            for event in _news(log):
                if isinstance(event, Starting):
                    yield event
                    continue
                if event.reasons:
                    raise _refused(plan, event, asker)
                answered = _answer(asker, target) if asker else time.monotonic() - started
                yield Healthy(seconds=answered, task=event.task)
                return
            faults = 0
            new = _new_tasks(log) if not held and asker and asker.answered_at else [""]
        except _Unread as fault:
            faults += 1
            if faults >= MOST_FAULTS:
                if asker is None:
                    raise DeployError(f"whether the new version of {plan.app} is ready is not known: {fault}") from None
                yield Healthy(seconds=_answer(asker, target), doubt=str(fault))
                return
            new = [""]
        if asker and asker.fault is not None:
            late += 1  # the last lines of a container may reach the log after its end reached us
            if late > LATE_LOOKS:
                raise asker.fault
        elif asker and asker.answered_at and not new and time.monotonic() - asker.answered_at > OLD_SECONDS:
            held = True
            yield Held()
        if time.monotonic() - started > seconds:
            raise DeployError(
                f"no container of the new version of {plan.app} was ready within {seconds:.0f} s",
                advice=f"its output: {target.command(f'app logs {plan.app}')}",
            )
        time.sleep(LOOK_SECONDS)


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
        tasks = tasks_of(log.app_id, log.target)
    except DeployError as fault:
        raise _Unread(fault.message) from None
    return [task.id for task in tasks if task.enqueued >= log.published.timestamp()]


def _answer(asker: Asker, target: Target) -> float:
    """Seconds after which the endpoint answered. :raises DeployError: when it has not"""
    return attended(target, "see the endpoint answer", lambda: plainly(asker.wait))


def _refused(plan: Plan, verdict: Verdict, asker: Asker | None) -> DeployError:
    """The reasons; and where the engine itself has failed its last lines, if the endpoint tells them."""
    first, *more = verdict.reasons
    lines = [*(f"  and {reason}" for reason in more), "it never answered a request"]
    if asker and first.startswith("SGLang "):
        if asker.answered_at is None:
            asker.join(LATE_LOOKS * LOOK_SECONDS)
        if isinstance(asker.fault, DeployError) and asker.fault.advice:
            lines += asker.fault.advice.splitlines()
    return DeployError(
        f"the new version of {plan.app} refuses to serve: {first}",
        advice="\n".join(lines),
    )
