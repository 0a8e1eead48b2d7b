"""What the containers of an app have said: read once, or followed. Modal keeps 35 days of it (its guide, of logs).

A line belongs to the version that was in production when its container was asked for, which the history and the
container's own time tell; Modal's log does not.
"""

from __future__ import annotations

import contextlib
import queue
import re
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import modal

from glmdeploy.errors import DeployError
from glmdeploy.operate.asking import Question, within
from glmdeploy.operate.history import find_app, history
from glmdeploy.operate.tasks import enqueued_at
from glmdeploy.runtime.verdict import SPEAKER, read_place, read_verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from glmdeploy.operate.target import Target

KEPT = timedelta(days=35)
"""What can be asked for in one call, and how long Modal keeps it (modal 1.6.4, ``_logs.py``)."""
MOST = 20_000
"""Entries that the last of them can be asked for at once (modal 1.6.4, ``_logs.py``)."""
READ_SECONDS = 300.0
"""What a long stretch of log gets: it is read in many calls."""
_REMEMBERED = 5000
"""Entries of a followed log that are known again after the connection was lost."""
_PAUSES = (1.0, 2.0, 5.0, 10.0)
"""Seconds between two tries to connect again; the last one goes on."""
_ENDS = ("; ending the container", "hung (")
"""What a container says last, at the end or at the beginning of a line (:mod:`glmdeploy.runtime.engine`)."""
_HUNG = re.compile(rf"(?:rank \d+: )?{re.escape(_ENDS[1])}")


@dataclass(frozen=True, kw_only=True)
class Line:
    """``task`` is the container that said it, None for what Modal says; ``source`` is stdout, stderr or system."""

    at: datetime
    text: str
    task: str | None
    source: str

    @property
    def ours(self) -> bool:
        """Whether glmdeploy says it: no other program's line can begin so (:mod:`glmdeploy.runtime.masking`)."""
        return self.text.startswith(SPEAKER)

    @property
    def is_error(self) -> bool:
        """Whether it says why a container serves no more, or never did."""
        verdict = read_verdict(self.text) if self.ours else None
        return bool(verdict and verdict.reasons) or self.text.endswith(_ENDS[0]) or _HUNG.match(self.text) is not None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which lines: all of these must hold."""

    search: str = ""
    ours: bool = False
    errors: bool = False
    task: str | None = None
    rank: int | None = None
    """Of a container in its cluster."""
    version: int | None = None


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The connection was lost; what is said meanwhile is read afterwards."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """It is there again."""


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """The app was stopped, and another one has its name now."""


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """The app was stopped: nothing more comes."""


if TYPE_CHECKING:
    Told: TypeAlias = Line | Lost | Found | Replaced | Stopped


@dataclass
class Log:
    """The log of a deployed app. ``wanted`` says which of its lines are given out."""

    app: str
    app_id: str
    target: Target
    wanted: Wanted = field(default_factory=Wanted)
    _versions: dict[str, int | None] = field(default_factory=dict)
    _ranks: dict[str, int | None] = field(default_factory=dict)

    def between(self, since: datetime, until: datetime | None = None, *, seconds: float = READ_SECONDS) -> list[Line]:
        """The wanted lines of a time, the oldest first; the target gets ``seconds`` to tell them.

        :raises DeployError:
        """

        async def fetch() -> list[Line]:
            app = await self._handle()
            found = []
            for text in self._searched:
                entries = app.logs.fetch.aio(since=since, until=until, search_text=text)
                found += [line async for entry in entries for line in _lines(entry)]
            return found if len(self._searched) == 1 else sorted(dict.fromkeys(found), key=lambda line: line.at)

        what = f"read the log of {self.app}"
        return [*filter(self._is_wanted, within(self.target, what, fetch, seconds=seconds))]

    def last(self, count: int) -> list[Line]:
        """The last lines, at most ``count``, of as long ago as it takes.

        :raises DeployError:
        """
        if self.wanted != Wanted():
            return self.between(self.began())[-count:]

        async def tail() -> list[Line]:
            app = await self._handle()
            return [line async for entry in app.logs.tail.aio(min(count, MOST)) for line in _lines(entry)]

        return within(self.target, f"read the log of {self.app}", tail, seconds=READ_SECONDS)[-count:]

    def began(self) -> datetime:
        """From when on there can be wanted lines: what Modal still keeps, of the wanted container or version.

        :raises DeployError: also for a version that the app does not have.
        """
        kept = datetime.now(UTC) - KEPT + timedelta(minutes=1)
        if self.wanted.task is not None and (asked := enqueued_at(self.target, self.wanted.task)):
            return max(kept, datetime.fromtimestamp(asked, UTC) - timedelta(seconds=1))
        if self.wanted.version is None:
            return kept
        past = history(self.app_id, self.target)
        version = past.version(self.wanted.version)
        if version is None:
            raise DeployError(
                f"{self.app} has no version {self.wanted.version}",
                advice=f"it has {', '.join(str(each.number) for each in past.versions)}",
            )
        return max(kept, version.at - timedelta(seconds=1))

    def follow(self, since: datetime, known: Sequence[Line] = ()) -> Iterator[Told]:
        """The wanted lines from ``since`` on but those that are ``known``, and what is said until the app is stopped.

        :raises DeployError: where Modal refuses; a lost connection is told, and found again.
        """
        after, lost, tries = since, False, 0
        seen = deque(known, maxlen=_REMEMBERED)
        while True:
            try:
                for line in self._stream(after):
                    if lost:
                        yield Found()
                    lost, tries = False, 0
                    if line is None:
                        continue
                    if line.at < after or line in seen:
                        continue
                    wanted = self._is_wanted(line)  # which may ask the target: where that fails it is read again
                    seen.append(line)
                    after = max(after, line.at)
                    if wanted:
                        yield line
                app_id = find_app(self.app, self.target)
                if app_id is None:
                    yield Stopped()
                    return
                if app_id != self.app_id:
                    self.app_id = app_id
                    yield Replaced()
            except (modal.exception.AuthError, modal.exception.PermissionDeniedError) as fault:
                raise DeployError(f"could not follow the log of {self.app}: {fault}") from None
            except Exception as fault:
                if not lost:
                    yield Lost(reason=str(fault).strip() or type(fault).__name__)
                lost = True
            if lost:
                time.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
                tries += 1

    def _stream(self, after: datetime) -> Iterator[Line | None]:
        """What was said since, and then what is said; None when what was said before has been read."""
        said: queue.SimpleQueue[Line | None] = queue.SimpleQueue()

        async def pump() -> None:
            app = await self._handle()
            async for entry in app.logs.fetch.aio(since=after):
                for line in _lines(entry):
                    said.put(line)
            said.put(None)
            async for entry in app.logs.stream.aio():
                for line in _lines(entry):
                    said.put(line)

        question = Question(pump)
        try:
            while True:
                with contextlib.suppress(queue.Empty):
                    yield said.get(timeout=0.2)
                    continue
                if question.answered(0) and said.empty():
                    question.answer()
                    return
        finally:
            if not question.answered(0):
                question.give_up()

    async def _handle(self) -> modal.App:
        return await modal.App.lookup.aio(self.app_id, environment_name=self.target.environment)

    @property
    def _searched(self) -> tuple[str, ...]:
        """What Modal is asked to look for, one after the other; all of it is looked for again here."""
        wanted = self.wanted
        if wanted.search or not (wanted.errors or wanted.ours):
            return (wanted.search,)
        return (f"{SPEAKER}refused ", *_ENDS) if wanted.errors else (SPEAKER,)

    def _is_wanted(self, line: Line) -> bool:
        wanted = self.wanted
        return (
            wanted.search in line.text
            and (not wanted.ours or line.ours)
            and (not wanted.errors or line.is_error)
            and (wanted.task is None or line.task == wanted.task)
            and (wanted.rank is None or self.rank(line) == wanted.rank)
            and (wanted.version is None or self._version(line) == wanted.version)
        )

    def rank(self, line: Line) -> int | None:
        """The rank of the container that said a line, which it tells at its start; None where it has not."""
        if line.task is None:
            return None
        if (place := read_place(line.text)) is not None:
            self._ranks[line.task] = place[1]
        elif line.task not in self._ranks:
            self._ranks[line.task] = self._told_rank(line)
        return self._ranks[line.task]

    def _told_rank(self, line: Line) -> int | None:
        """What a container said of its rank before it said a line."""
        asked = enqueued_at(self.target, line.task or "")
        since = datetime.fromtimestamp(asked, UTC) if asked else line.at - timedelta(days=1)
        whole = Log(app=self.app, app_id=self.app_id, target=self.target, wanted=Wanted(ours=True))
        told = whole.between(since - timedelta(seconds=1), line.at + timedelta(seconds=1))
        return next((place[1] for each in told if each.task == line.task and (place := read_place(each.text))), None)

    def _version(self, line: Line) -> int | None:
        """The version of the container that said a line: by its own time, else by that of its first line."""
        if line.task is None:
            return None
        if line.task not in self._versions:
            asked = enqueued_at(self.target, line.task)
            at = datetime.fromtimestamp(asked, UTC) if asked else line.at
            older = [each for each in history(self.app_id, self.target).versions if each.at <= at]
            self._versions[line.task] = older[0].number if older else None
        return self._versions[line.task]


def _lines(entry: Any) -> list[Line]:
    """The lines of an entry; of one that was written again and again, as bars are, the last text."""
    task = next((each for each in entry.context_ids if each.startswith("ta-")), None)
    return [
        Line(at=entry.timestamp, text=text.rstrip("\r").rpartition("\r")[2], task=task, source=entry.source)
        for text in entry.message.removesuffix("\n").split("\n")
    ]
