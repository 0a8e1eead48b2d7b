"""How many requests of which length the KV pool holds at a time: a plot with where the limits meet it."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, NamedTuple

from glmdeploy.report.page.figure import Note, Plot, Shape, Tick, figure, plot, table, titled
from glmdeploy.report.page.markup import Child, Markup, joined, prose, tag
from glmdeploy.report.words import counted, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.report.page.subject import Report, Sized
    from glmdeploy.sizing.size import Size

_APART = 17
"""Pixels between two lines' names."""


class Limit(NamedTuple):
    """Requests at a time, by whom, and in how few words a plot says it."""

    requests: int
    short: str
    field: str


def capacity(report: Report) -> Markup:
    """A plot for each GPU that a container may have."""
    return joined(_one(each) for each in report.subject.sizes)


def _one(sized: Sized) -> Iterator[Child]:
    size = sized.size
    if size is None or not size.fits:
        why = sized.why if size is None else "there is no KV pool"
        yield tag("p", prose(f"How many requests fit on {sized.gpu} is not known here: {why}."), class_="unknown")
        return
    yield tag("p", prose(_words(size)))
    pool = size.memory.pool.tokens * size.replicas
    caption = joined(
        tag("strong", "Requests that fit at a time, by the tokens of each"),
        f", prompt and answer together. Both axes are logarithmic. {tokens(pool)} in all",
        f" on {sized.gpu}." if size.replicas == 1 else f" of {size.replicas} replicas on {sized.gpu}.",
    )
    says = titled(f"Requests that fit at a time on {sized.gpu}, from few long ones to many short ones. {_words(size)}")
    yield figure(plot(_drawn(size), says), caption, _table(size), says="The same as a table")


def _words(size: Size) -> str:
    whole, context = size.whole_requests, f"the whole context ({tokens(size.context)})"
    text = f"{counted(whole, 'request')} of {context} fit{'s' * (whole == 1)} at a time."
    if not whole:
        text = f"No request of {context} fits; the longest that fits has {tokens(size.memory.pool.tokens)}."
    if size.share is not None:
        each = "of a replica " if size.replicas > 1 else ""
        text += f" With all {size.running} {each}that may run (`max-running-requests`), each has {tokens(size.share)}."
    sent = f"With the {size.max_inputs} that Modal sends at a time (`{size.inputs_field}`)"
    return f"{text} {sent}, {tokens(size.input_share)}."


def limits(size: Size) -> list[Limit]:
    """What bounds the requests at a time, the lowest first."""
    found = [Limit(size.max_inputs, f"Modal sends {size.max_inputs:,}", size.inputs_field)]
    if size.running:
        running = size.running * size.replicas
        found.append(Limit(running, f"SGLang runs {running:,}", "max-running-requests"))
    return sorted(found)


def _drawn(size: Size) -> Plot:
    pool = size.memory.pool.tokens * size.replicas
    longest = size.memory.pool.tokens
    bounds = limits(size)
    least = min(1024, *(max(pool // each.requests, 16) for each in bounds), size.context) / 1.4
    low, high = log2(least), log2(max(size.context, least * 4)) + 0.15
    top = log2(max(bounds[-1].requests * 2.2, 4))

    def x(length: float) -> float:
        return min(max((log2(length) - low) / (high - low), 0.0), 1.0)

    def y(requests: float) -> float:
        return min(max(log2(max(requests, 1)) / top, 0.0), 1.0)

    # From the left: as many as the highest limit lets run, then what the pool holds, down to the longest request.
    highest = bounds[-1].requests
    end = min(longest, size.context)
    edge = min(pool / highest, end)
    points = [(0.0, y(highest)), (x(edge), y(min(highest, pool / edge))), (x(end), y(pool / end)), (x(end), 0.0)]
    shapes = [Shape(points=points, kind="fits", area=True), Shape(points=points, kind="curve")]
    dots, notes = [], []
    taken: list[float] = []
    for limit in reversed(bounds):
        meets = min(pool / limit.requests, end)
        place = y(limit.requests)
        if any(abs(place - other) * Plot.height < _APART for other in taken):
            continue
        taken.append(place)
        shapes.append(Shape(points=[(0.0, place), (1.0, place)], kind="bound"))
        dots.append((x(meets), place))
        edge_of = x(size.context)
        notes.append(Note(x=edge_of, y=place, text=limit.short, anchor="end", dx=-6, dy=-6, kind="name"))
        text = f"{limit.requests:,} × {int(meets):,}"
        if x(meets) < 0.55:
            notes.append(Note(x=x(meets), y=place, text=text, dx=9, dy=-7, kind="point"))
        else:  # beside the dot it would run over the limit's name, or out of the plot
            notes.append(Note(x=x(meets), y=place, text=text, anchor="end", dx=-9, dy=16, kind="point"))
    last = pool // end
    dots.append((x(end), y(last)))
    if not any(abs(y(last) - other) * Plot.height < _APART for other in taken):
        text, at = f"{last:,} × {end:,}", x(end)
        # Beside the dot where there is room, at the edge where there is little, else before the dot.
        place, anchor, dx = (at, "start", 9) if at < 0.6 else (1.0, "end", -2) if at < 0.9 else (at, "end", -6)
        notes.append(Note(x=place, y=y(last), text=text, anchor=anchor, dx=dx, dy=-12, kind="point"))
    notes.append(Note(x=0, y=1, text="requests at a time", dy=-9, kind="name"))
    shapes.append(Shape(points=[(x(size.context), 0.0), (x(size.context), 1.0)], kind="bound"))
    notes.append(
        Note(x=x(size.context), y=1, text=f"whole context {size.context:,}", anchor="end", dx=-6, dy=-9, kind="name")
    )
    return Plot(across=_lengths(low, high), up=_counts(top), shapes=shapes, dots=dots, notes=notes, height=240)


def _lengths(low: float, high: float) -> list[Tick]:
    """Powers of two, at most six of them."""
    powers = range(int(low) + 1, int(high) + 1)
    step = max(1, -(-len(powers) // 6))
    some = [power for power in powers if (power - powers[0]) % step == 0]
    last = some[-1] if some else 0
    return [
        Tick(at=(power - low) / (high - low), text=_short(2**power) + " tokens" * (power == last)) for power in some
    ]


def _counts(top: float) -> list[Tick]:
    powers = range(int(top) + 1)
    step = max(1, -(-len(powers) // 5))
    some = [power for power in powers if power % step == 0 and power < top - 0.2]
    return [Tick(at=power / top, text=f"{2**power:,}") for power in some]


def _short(count: int) -> str:
    return f"{count // 1024:,}k" if count >= 1024 else str(count)


def _table(size: Size) -> Markup:
    lengths = [2**power for power in range(12, 31) if 2**power < size.context]
    rows: list[list[Child]] = []
    for length in [*lengths, size.context]:
        each = size.memory.pool.tokens // length * size.replicas
        name = joined(f"{length:,}", tag("span", "whole context", class_="more") if length == size.context else None)
        rows.append([name, f"{each:,}", *(f"{min(each, bound.requests):,}" for bound in limits(size))])
    with_bounds = (joined("with ", tag("code", each.field)) for each in limits(size))
    head: list[Child] = ["tokens of each", "requests that fit", *with_bounds]
    caption = f"Requests that fit at a time on {size.gpu}, by their length"
    return table(caption, head, rows, numbers=range(2 + len(limits(size))))
