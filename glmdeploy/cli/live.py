"""The end of a terminal that is drawn again while something goes on; lines without one. Nothing under a second."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from glmdeploy import redaction
from glmdeploy.report.grid import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TextIO

    from glmdeploy.report.steps import Steps
    from glmdeploy.report.told import Row

FRAME_SECONDS = 0.12
PATIENCE_SECONDS = 1.0
"""What takes less is not told at all."""
PLAIN_SECONDS = 20.0
"""The same where nothing is drawn again: a line that says what is waited for is worth it later."""
LIFE_SECONDS = (60.0, 120.0)
"""Without a terminal a step that takes long gives a sign of life: after so long, and then so often."""
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def redraws(stream: TextIO) -> bool:
    """Whether what was written can be drawn again there."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def all_columns(stream: TextIO) -> int:
    """The columns that COLUMNS says, or the terminal has; of a file or a pipe there is no end."""
    with contextlib.suppress(KeyError, ValueError):
        if (told := int(os.environ["COLUMNS"])) > 0:
            return told
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if stream.isatty():
            return os.get_terminal_size(stream.fileno()).columns or UNLIMITED
    return UNLIMITED


def columns(stream: TextIO) -> int:
    """Of the terminal, but the last, in which some break a line; of anything else there is no end."""
    found = all_columns(stream)
    return found if found == UNLIMITED else found - 1


class Region:
    """Lines that go on, above a few that are drawn again. ``picture`` gives the latter; threads may write.

    The stream is the one of when it was made: what others print meanwhile goes elsewhere.
    """

    def __init__(self, picture: Callable[[int, str], list[str]], *, after: float = 0.0) -> None:
        self.stream = sys.stderr
        self._picture = picture
        self._live = redraws(self.stream)
        self._drawn = 0
        self._frame = 0
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._shows_at = time.monotonic() + after
        self._thread = threading.Thread(target=self._run, name="picture", daemon=True)
        if self._live:
            self._thread.start()

    @property
    def live(self) -> bool:
        """Whether anything is drawn again."""
        return self._live

    def say(self, lines: Iterable[str]) -> None:
        """Write lines for good."""
        with self._lock:
            self._erase()
            for line in lines:
                click.echo(line, file=self.stream)
            self._draw()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """What is printed in this block, on whichever stream, stands above what is drawn again."""
        with self._lock:
            self._erase()
            self.stream.flush()
            yield
            self._draw()

    def end(self) -> None:
        """Leave what was written for good alone."""
        self._over.set()
        if self._live and self._thread.is_alive():
            self._thread.join(2)
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._erase()
            self.stream.flush()
            self._live = False

    def _run(self) -> None:
        while not self._over.wait(FRAME_SECONDS):
            with self._lock, contextlib.suppress(OSError, ValueError):
                self._frame += 1
                self._erase()
                self._draw()

    def _erase(self) -> None:
        if self._drawn:
            self.stream.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        if not self._live or self._over.is_set() or time.monotonic() < self._shows_at:
            return
        width = max(columns(self.stream), 20)
        lines = [line[:width] for line in self._picture(width, SPINNER[self._frame % len(SPINNER)])]
        if lines:
            self.stream.write("\n".join(lines) + "\n")
            self.stream.flush()
        self._drawn = len(lines)


class StepsRegion(Region):
    """The steps of a change: the one that runs, those to come, and who answers meanwhile."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        super().__init__(self._of_steps)
        self._next_sign = LIFE_SECONDS[0]
        self._row_name = ""
        if not self.live:
            threading.Thread(target=self._give_signs, name="signs of life", daemon=True).start()

    def _of_steps(self, width: int, spinner: str) -> list[str]:
        # What is told of steps knows Modal's SDK, which must not be imported with the commands.
        from glmdeploy.report.rows import coming_line, live_lines

        row = self._steps.running
        lines = live_lines(row, width, spinner) if row else []
        lines += map(coming_line, self._steps.coming)
        return [*lines, f"  {self._steps.footer}"] if self._steps.footer else lines

    def _give_signs(self) -> None:
        from glmdeploy.report.rows import plain_progress

        while not self._over.wait(1):
            row = self._steps.running
            if row is None or row.name != self._row_name:
                self._row_name, self._next_sign = row.name if row else "", LIFE_SECONDS[0]
            elif row.seconds >= self._next_sign:
                self._next_sign = row.seconds + LIFE_SECONDS[1]
                with contextlib.suppress(OSError, ValueError):
                    self.say(plain_progress(row, columns(self.stream)))


class Busy:
    """Something that may take more than a moment: what it is, and how far, in ``whole`` units where that is known."""

    def __init__(self, name: str) -> None:
        from glmdeploy.report.told import RUNNING, Row

        self._began = time.monotonic()
        self._row = Row(name=name, state=RUNNING)
        self.region: Region | None = None
        """Where it is drawn, unless it is not to be seen."""

    def note(self, text: str) -> None:
        """Say something beside the result, where it is drawn; nothing where nothing is to be seen."""
        from glmdeploy.report.wrap import wrapped

        if self.region is not None:
            self.region.say(wrapped(redaction.mask(text), columns(self.region.stream)).split("\n"))

    def say(self, text: str, *, err: bool = False) -> None:
        """Print a line of the result above what is drawn again."""
        if self.region is not None:
            with self.region.aside():
                click.echo(text, err=err)
        else:
            click.echo(text, err=err)

    def tell(self, text: str = "", *, done: float = 0.0, whole: float = 0.0) -> None:
        """How far it is."""
        took = time.monotonic() - self._began
        fraction = min(done / whole, 1.0) if whole > 0 else None
        left = took * (whole - done) / done if whole > 0 and done > 0 and took > PATIENCE_SECONDS else None
        self._row = replace(self._row, text=text, fraction=fraction, left=left)

    def row(self) -> Row:
        """As it is now."""
        return replace(self._row, seconds=time.monotonic() - self._began)


@contextlib.contextmanager
def busy(name: str, text: str = "", *, quiet: bool = False) -> Iterator[Busy]:
    """Shows that something goes on, from the second second on, and nothing when it has ended.

    Without a terminal it is one line, after :data:`PLAIN_SECONDS`.
    """
    it = Busy(name)
    it.tell(text)
    if quiet:
        yield it
        return
    from glmdeploy.report.rows import live_lines

    region = it.region = Region(lambda width, spinner: live_lines(it.row(), width, spinner), after=PATIENCE_SECONDS)
    timer = threading.Timer(PLAIN_SECONDS, lambda: region.say([f"{name}: {text} ..." if text else f"{name} ..."]))
    timer.daemon = True
    if not region.live:
        timer.start()
    try:
        yield it
    finally:
        timer.cancel()
        region.end()
