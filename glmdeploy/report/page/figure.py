"""Figures that keep the size of their text at any width, each with the same as a table; and tables.

A plot's marks are placed in percent of its width and pixels of its height. Only lines and areas are stretched, in an
inner SVG without text, whose strokes keep their width.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from glmdeploy.report.page.markup import Child, Markup, joined, number, tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SVG = "http://www.w3.org/2000/svg"
"""XML wants to be told; HTML knows."""

STRETCHED = 1000
"""Units of an inner SVG, on either axis."""


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A place on an axis, from 0 to 1, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Note:
    """A text in a plot: ``x`` and ``y`` from 0 to 1, moved by pixels; ``anchor`` is SVG's."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    dx: int = 0
    dy: int = 0
    kind: str = "note"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A line, or with ``area`` what is below it, through points from 0 to 1. ``kind`` is a class of the style sheet."""

    points: Sequence[tuple[float, float]]
    kind: str
    area: bool = False


@dataclass(frozen=True, kw_only=True)
class Plot:
    """What is drawn, from back to front. Both axes run from 0 to 1, the vertical one upwards."""

    across: Sequence[Tick]
    up: Sequence[Tick]
    shapes: Sequence[Shape]
    dots: Sequence[tuple[float, float]] = ()
    notes: Sequence[Note] = ()
    height: int = 200
    """Pixels."""


TOP, BOTTOM = 22, 26
"""Pixels above a plot's area for the topmost label, and below it for those of the axis."""


def plot(drawn: Plot, label: Markup) -> Markup:
    """The plot as an SVG of the whole width; ``label`` are the attributes' elements, of :func:`titled`."""
    low = TOP + drawn.height
    grid: list[Child] = []
    for tick in drawn.up:
        y = number(low - tick.at * drawn.height)
        grid.append(tag("line", x1="0", x2="100%", y1=y, y2=y, class_="grid"))
        grid.append(tag("text", tick.text, x="0", y=number(low - tick.at * drawn.height - 5), class_="tick"))
    for tick in drawn.across:
        anchor = "start" if tick.at < 0.05 else "end" if tick.at > 0.88 else "middle"
        grid.append(tag("line", x1=_percent(tick.at), x2=_percent(tick.at), y1=low, y2=low + 5, class_="axis"))
        grid.append(
            tag("text", tick.text, x=_percent(tick.at), y=low + 19, text_anchor=anchor, class_="tick"),
        )
    axis = tag("line", x1="0", x2="100%", y1=low, y2=low, class_="axis")
    stretched = tag(
        "svg",
        (_path(shape) for shape in drawn.shapes),
        x="0",
        y=TOP,
        width="100%",
        height=drawn.height,
        viewBox=f"0 0 {STRETCHED} {STRETCHED}",
        preserveAspectRatio="none",
        overflow="visible",
    )
    dots = (tag("circle", cx=_percent(x), cy=number(low - y * drawn.height), r=5, class_="dot") for x, y in drawn.dots)
    notes = (_note(each, drawn.height) for each in drawn.notes)
    return svg(label, stretched, grid, axis, dots, notes, height=low + BOTTOM)


def svg(label: Markup, *children: Child, height: float = 0, view: str | None = None, kind: str = "plot") -> Markup:
    """An image. ``label`` is what :func:`titled` gives; with ``view`` it scales as a whole."""
    size = {"viewBox": view} if view else {"height": number(height)}
    return tag("svg", label, *children, xmlns=SVG, role="img", width="100%", class_=kind, **size)


def titled(title: str) -> Markup:
    """What an image is called by who cannot see it: its first child."""
    return tag("title", title)


def figure(image: Child, caption: Child, data: Child, *, says: str) -> Markup:
    """An image below its caption, and the same as a table for who asks for it."""
    head = tag("figcaption", caption) if caption is not None else None
    return tag("figure", head, image, tag("details", tag("summary", says), data))


def table(
    caption: str, head: Sequence[Child], rows: Iterable[Sequence[Child]], *, numbers: Sequence[int] = ()
) -> Markup:
    """A table whose first column names its rows. ``numbers`` are the columns that are set flush right.

    The caption is for who does not see what stands around it. It scrolls by itself where it is too wide.
    """

    def kind(place: int) -> str | None:
        return "num" if place in numbers else None

    heads = [tag("th", each, scope="col", class_=kind(place)) for place, each in enumerate(head)]
    body = [
        tag(
            "tr",
            (
                tag("td", each, class_=kind(place)) if place else tag("th", each, scope="row", class_=kind(place))
                for place, each in enumerate(row)
            ),
        )
        for row in rows
    ]
    inner = tag("table", tag("caption", caption, class_="unseen"), tag("thead", tag("tr", heads)), tag("tbody", body))
    # What scrolls must be reached by the keyboard, and have a name.
    return tag("div", inner, class_="scrolls", tabindex="0", role="group", aria_label=caption)


def ticks(most: float, shown: Callable[[float], str], *, least: int = 3) -> tuple[float, list[Tick]]:
    """A round end of an axis from 0 that takes ``most``, and ``least`` to twice as many ticks above 0."""
    step = next(step for step in _steps() if most / step <= least * 2)
    end = step * max(1, -(-most // step))
    number_of = round(end / step)
    return end, [Tick(at=place / number_of, text=shown(step * place)) for place in range(1, number_of + 1)]


def _steps() -> Iterable[float]:
    return (factor * 10.0**power for power in count(-2) for factor in (1, 2, 5))


def _path(shape: Shape) -> Markup:
    spots = [f"{number(x * STRETCHED)} {number((1 - y) * STRETCHED)}" for x, y in shape.points]
    way = f"M{'L'.join(spots)}"
    if shape.area:
        first, last = shape.points[0][0], shape.points[-1][0]
        way += f"L{number(last * STRETCHED)} {STRETCHED}L{number(first * STRETCHED)} {STRETCHED}Z"
    return tag("path", d=way, class_=shape.kind, vector_effect="non-scaling-stroke")


def _note(note: Note, height: int) -> Markup:
    y = TOP + (1 - note.y) * height + note.dy
    attributes = {"x": _percent(note.x), "y": number(y), "text_anchor": note.anchor, "class_": note.kind}
    return tag("text", note.text, dx=note.dx or None, **attributes)


def _percent(share: float) -> str:
    return f"{number(share * 100)}%"


def definitions() -> Markup:
    """Patterns that all images of the page share: what is only estimated is hatched."""
    hatch = tag(
        "pattern",
        joined(
            tag("rect", width=6, height=6, class_="hatched"),
            tag("line", x1=0, y1=0, x2=0, y2=6, class_="hatching"),
        ),
        id="hatch",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )
    return tag("svg", tag("defs", hatch), xmlns=SVG, width=0, height=0, aria_hidden="true", class_="away")
