"""What `apply`, `rollback` and `rollover` share: their steps are told as they come, and hear an interrupt."""

from __future__ import annotations

import contextlib
import functools
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import common
from glmdeploy.cli.live import StepsRegion, columns
from glmdeploy.errors import GlmdeployError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from glmdeploy.operate.events import Event
    from glmdeploy.operate.rollout import Guard
    from glmdeploy.operate.transcript import Transcript
    from glmdeploy.report.told import Told

LAST_LINES = 12
"""Of what others printed, below a step that failed."""


def guard_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How the new version is watched, passed on as ``wait``, ``take_back`` and ``timeout``."""

    @click.option(
        "--wait/--no-wait",
        default=True,
        show_default=True,
        help="Follow the new version until it serves; without it nobody looks, and nothing is taken back.",
    )
    @click.option(
        "--no-rollback",
        is_flag=True,
        help="Leave a new version that does not serve, to look at it: nothing comes back.",
    )
    @click.option(
        "--timeout",
        type=click.FloatRange(min=1),
        metavar="SECONDS",
        help="What the new version gets to be ready; default: the profile's start-up limit and two minutes.",
    )
    @functools.wraps(function)
    def wrapped(**arguments: Any) -> Any:
        return function(**arguments)

    return wrapped


TAG = re.compile(r"[a-zA-Z0-9._-]{1,29}")
"""Of the 50 characters of Modal's tags (1.6.4) 21 are the plan's."""


def tag(context: click.Context, parameter: click.Parameter, text: str) -> str:
    """The callback of ``--tag``."""
    if text and not TAG.fullmatch(text):
        raise click.BadParameter("up to 29 letters, digits, dots, dashes, underscores", context, parameter)
    return text


def guard(options: Mapping[str, Any]) -> Guard:
    """What the options ask for."""
    from glmdeploy.operate.rollout import Guard

    return Guard(
        wait=options["wait"],
        take_back=not options["no_rollback"],
        seconds=options["timeout"],
        strategy=options.get("strategy", "rolling"),
    )


def kept(app: str, command: str) -> None:
    """Have what others print kept from now on, in a file of the app's under the state directory."""
    from glmdeploy.local.cloud import home
    from glmdeploy.operate.transcript import keep

    keep(home() / "output" / (re.sub(r"[^\w.-]", "_", app) or "app"), command)


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """A SIGTERM is heard as Ctrl-C is."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


DEPLOYING = ("deploy", "start", "verify")
"""The steps of every change that publishes a version."""


def followed(
    events: Generator[Event],
    *,
    changing: bool = True,
    stages: bool = False,
    names: Sequence[str] = (),
    expected: Mapping[str, float] | None = None,
    as_json: bool = False,
) -> dict[str, Any]:
    """Tell the steps, and return what came of them as JSON data.

    ``names`` are the steps to come and ``expected`` the seconds that they take by estimate. What others print is shown
    with ``-v``; with ``-q`` nothing is told but what has failed.

    :raises GlmdeployError: what the steps raise, after it was told what runs now. Without ``as_json``, what others said
        last is told with the step, and not again by the error.
    """
    from glmdeploy.operate.steps import tell_all
    from glmdeploy.operate.transcript import current
    from glmdeploy.report.steps import framed

    heard = current()
    with _terminated(), _Told(names, expected, heard) as told:
        try:
            tell_all(events, told.hear)
        except (GlmdeployError, KeyboardInterrupt) as fault:
            told.failed(fault, changing=changing, stages=stages)
            if isinstance(fault, GlmdeployError):
                place = f"all of its output: {heard.path}" if heard.path else ""
                advice = (fault.advice or "") if as_json else framed(fault.advice or "")[1]
                named = as_json or "all of its output" in advice
                fault.advice = "\n".join(filter(None, [advice, "" if named else place])) or None
            raise
    if heard.path:
        told.result["output"] = str(heard.path)
    return told.result


class _Told:
    """The steps of one change, told as they come."""

    def __init__(self, names: Sequence[str], expected: Mapping[str, float] | None, heard: Transcript) -> None:
        from glmdeploy.report.steps import Steps

        self.result: dict[str, Any] = {}
        self._steps = Steps(names, expected=expected)
        self._heard = heard
        self._verbose, self._quiet = common.verbose(), common.is_quiet()
        self._region = None if self._quiet else StepsRegion(self._steps)
        self._published = self._explained = False

    def __enter__(self) -> _Told:
        self._heard.listeners.append(self._overhear)
        self._lines([""])
        return self

    def __exit__(self, *_: object) -> None:
        self._heard.listeners.remove(self._overhear)
        if self._region:
            self._region.end()

    def hear(self, event: Event) -> None:
        from glmdeploy.operate.events import Published, Resumed, StageStarted, TakenBack
        from glmdeploy.operate.proof import Starting
        from glmdeploy.report.progress import event_data

        if isinstance(event, StageStarted):
            self._heard.forget_tail()
        before = self._steps.running
        self._say(self._steps.hear(event))
        if self._verbose:
            now = self._steps.running
            if now is not None and (before is None or now.name != before.name):
                self._lines([f"    {now.name} ..."])
            if isinstance(event, Starting):
                self._lines([f"  | {event.text}"])
        self._published |= isinstance(event, Published | Resumed)
        data = event_data(event)
        if "preflight" in data:
            self.result.setdefault("preflight", []).append(data.pop("preflight"))
        self.result.update(data)
        self._explained |= isinstance(event, TakenBack) or "left" in data

    def failed(self, fault: BaseException, *, changing: bool, stages: bool) -> None:
        """What runs now, where no event has told it."""
        from glmdeploy.report.told import Note

        self._quiet = False
        self._say(self._steps.fail(fault, () if self._published else self._heard.tail(LAST_LINES)))
        also = "; finished stages are kept" if stages else ""
        if not self._published and changing:
            self._say([Note(text=f"nothing was deployed: what ran before still runs{also}")])
        elif self._published and not self._explained and "url" in self.result:
            self._say([Note(text=f"the app is deployed ({self.result['url']}), but has not answered yet")])
        elif self._published and not self._explained:
            self._say([Note(text="the app is deployed; its address is not known")])

    def _overhear(self, line: str) -> None:
        self._steps.overhear(line)
        if self._verbose and line:
            self._lines([f"  | {line}"])

    def _say(self, told: Sequence[Told]) -> None:
        from glmdeploy.report.rows import told_lines
        from glmdeploy.report.told import Note

        live = self._region is not None and self._region.live
        width = columns(sys.stderr if self._region is None else self._region.stream)
        shown = [each for each in told if not (live and isinstance(each, Note) and each.passing)]
        self._lines([line for each in shown for line in told_lines(each, width)])

    def _lines(self, lines: Sequence[str]) -> None:
        if self._region is not None:
            self._region.say(lines)
        elif not self._quiet:
            for line in lines:
                click.echo(line, err=True)
