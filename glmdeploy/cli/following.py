"""What `apply`, `rollback` and `rollover` share: their steps are told as they come, and hear an interrupt."""

from __future__ import annotations

import contextlib
import functools
import re
import signal
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.errors import GlmdeployError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from glmdeploy.operate.events import Event
    from glmdeploy.operate.rollout import Guard


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


def say(text: str) -> None:
    """On standard error, where the containers' logs go too: standard output has the plan and the result."""
    click.echo(text, err=True)


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


def followed(steps: Generator[Event], *, changing: bool = True, stages: bool = False) -> dict[str, Any]:
    """Tell the steps, and return what came of them as JSON data.

    :raises GlmdeployError: what the steps raise, after it was told what runs now.
    """
    from glmdeploy.operate.events import Published, Resumed, TakenBack
    from glmdeploy.operate.steps import tell_all
    from glmdeploy.report.progress import event_data, event_text

    result: dict[str, Any] = {}
    published = explained = False
    kept = " Finished stages are kept." if stages else ""

    def tell(event: Event) -> None:
        nonlocal published, explained
        if text := event_text(event):
            say(text)
        published |= isinstance(event, Published | Resumed)
        data = event_data(event)
        if "preflight" in data:
            result.setdefault("preflight", []).append(data.pop("preflight"))
        result.update(data)
        explained |= isinstance(event, TakenBack) or "left" in data

    with _terminated():
        try:
            tell_all(steps, tell)
        except (GlmdeployError, KeyboardInterrupt):
            if not published and changing:
                say(f"Nothing was deployed: what ran before still runs.{kept}")
            elif published and not explained and "url" in result:
                say(f"The app is deployed ({result['url']}), but has not answered yet.")
            elif published and not explained:
                say("The app is deployed; its address is not known.")
            raise
    return result
