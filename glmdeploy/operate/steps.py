"""The steps of a change of a deployment, by name: the process may end between any two, and the next converges."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from glmdeploy.operate.events import Event

APPLY = (
    "look",
    "secrets",
    "preflight",
    "download",
    "compile",
    "rehearse",
    "forget",
    "archive",
    "publish",
    "published",
    "room",
    "follow",
    "ready",
    "refusals",
    "leave",
    "settle",
    "settled",
)
"""Of an ``apply`` that ends well; each is named as it begins."""
CANARY = ("canary", "canary passed")
"""Of one that tries a second app first, between ``archive`` and ``publish``."""
LIVE = ("live", "settled")
"""Of one that changes the autoscaler alone."""
TAKE_BACK = ("take back", "taken back")
"""What comes between where the new version fails."""
ROLLBACK = ("look", "forget", *APPLY[APPLY.index("publish") :])
"""Of a ``rollback`` that ends well."""

observers: list[Callable[[str], None]] = []
"""Called with each step's name as it begins; tests end the process there."""


def begin(step: str) -> None:
    """Say that a step begins."""
    for observer in observers:
        observer(step)


def tell_all(events: Generator[Event], tell: Callable[[Event], None]) -> None:
    """Have a change go on to its end, and tell each of its events.

    An interrupt that strikes while one is told goes to the change: it cleans up, and goes on telling.
    """
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            event = events.throw(interrupt) if interrupt else next(events)
        except StopIteration:
            return
        interrupt = None
        try:
            tell(event)
        except KeyboardInterrupt as one:
            interrupt = one
