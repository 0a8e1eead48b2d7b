"""What the commands that bring a version out share: their options, and what is printed while they work."""

from __future__ import annotations

import contextlib
import functools
import re
import signal
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.errors import GlmdeployError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from glmdeploy.operate.events import Event
    from glmdeploy.operate.preview import Preview
    from glmdeploy.operate.rollout import How

NOTE = re.compile(r"[a-zA-Z0-9._-]{1,29}")
"""Modal's tags (1.6.4), of whose 50 characters 21 are the plan's."""


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--strategy``, ``--wait``, ``--rollback``, ``--timeout`` and ``--tag``, for :func:`how`."""

    @click.option(
        "--strategy",
        type=click.Choice(["rolling", "recreate"]),
        default="rolling",
        show_default=True,
        help="rolling: old containers serve until a new one is ready; recreate: they are stopped first.",
    )
    @click.option(
        "--wait/--no-wait", default=True, show_default=True, help="See that it serves. Without, nothing is guarded."
    )
    @click.option(
        "--rollback/--no-rollback",
        default=True,
        show_default=True,
        help="Bring back what ran before, where the new version does not become healthy.",
    )
    @click.option(
        "--timeout",
        type=click.FloatRange(min=1),
        metavar="SECONDS",
        help="For so long a container may take until it is ready.  [default: the start-up limit and 2 min]",
    )
    @click.option(
        "--tag",
        default="",
        metavar="TEXT",
        callback=_tag,
        help="A name for this deployment in Modal's history: up to 29 letters, digits, `.`, `_` and `-`.",
    )
    @functools.wraps(function)
    def wrapped(**arguments: Any) -> Any:
        return function(**arguments)

    return wrapped


def _tag(_: click.Context, __: click.Parameter, text: str) -> str:
    if text and not NOTE.fullmatch(text):
        raise click.BadParameter("up to 29 letters, digits, dots, underscores and dashes")
    return text


def how(given: dict[str, Any]) -> How:
    """What the options ask for."""
    from glmdeploy.operate.rollout import How

    return How(
        strategy=given["strategy"],
        note=given["tag"],
        wait=given["wait"],
        take_back=given["rollback"],
        timeout=given["timeout"],
        canary=given.get("canary", False),
    )


class Progress:
    """Prints each event, and adds to the command's ``result`` what JSON tells of it.

    While it is entered, SIGTERM is taken as Ctrl-C: whoever ends the command gets the better of two versions too.
    """

    def __init__(self, result: dict[str, Any]) -> None:
        self.result = result
        self._before: Any = None
        self._published = False
        self._told = False

    def __enter__(self) -> Progress:
        def end(*_: Any) -> None:
            raise KeyboardInterrupt

        with contextlib.suppress(ValueError):  # not in the main thread
            self._before = signal.signal(signal.SIGTERM, end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ValueError, TypeError):
            signal.signal(signal.SIGTERM, self._before)
        if isinstance(fault, GlmdeployError | KeyboardInterrupt) and not (self._published or self._told):
            self._say("Nothing was deployed: what ran before still runs. Finished stages are kept.")

    def carry_out(self, found: Preview, wanted: How) -> None:
        """:raises DeployError:"""
        from glmdeploy.operate.apply import carry_out

        carry_out(found, wanted, self.tell)

    def tell(self, event: Event) -> None:
        from glmdeploy.operate import events
        from glmdeploy.operate.proof import Healthy
        from glmdeploy.report.progress import event_text, preflight_data

        if text := event_text(event):
            self._say(text)
        match event:
            case events.Published(number=number):
                self._published = True
                self.result["version"] = number
            case events.Judged(found=found):
                self.result.setdefault("preflight", []).append(preflight_data(found))
            case events.Located(url=url):
                self.result["url"] = url
            case Healthy(seconds=seconds, task=task):
                self.result |= {"healthy_after": round(seconds, 1), "proven": task is not None}
            case events.KeyRequired(required=required, proxy=proxy):
                self.result["key_required"] = required
                if proxy:
                    self.result["proxy_token_required"] = True
            case events.WeightsVerified(files=files):
                self.result["weights"] = {"verified": files}
            case events.Verified(checks=checks):
                self.result["verified"] = list(checks)
            case events.AutoscalerChanged(values=values):
                self._told = True
                self.result["changed_live"] = dict(values)
            case events.Unchanged(number=number):
                self.result |= {"version": number, "unchanged": True}

    def _say(self, text: str) -> None:
        """On standard error, where the containers' logs go too: standard output has the plan and the result."""
        click.echo(text, err=True)
