"""How long a cold start takes, step by step, and what comes once before the first: bars on a line of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.report.page.figure import figure, svg, table, titled
from glmdeploy.report.page.markup import Child, Markup, joined, number, prose, tag
from glmdeploy.report.words import about, about_dollars, duration
from glmdeploy.sizing import timeline
from glmdeploy.sizing.cost import of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.report.page.subject import Subject
    from glmdeploy.sizing.timeline import Step

ROW, BAR = 46, 12
"""Pixels of a step, and of its bar."""

_AXIS = 24


def steps(subject: Subject) -> Sequence[Step]:
    """Of a cold start, in their order: as sizing has them, else those that every model takes."""
    if subject.first and subject.first.size:
        return subject.first.size.steps
    return subject.facts.cold_start() if subject.facts else ()


def total(some: Sequence[Step]) -> tuple[int, int, int]:
    """Seconds of all: the estimate, the least and the most."""
    return sum(step.seconds for step in some), sum(step.least for step in some), sum(step.most for step in some)


def times(subject: Subject) -> Markup:
    """Both lines of time, as far as they are known."""
    return joined(_cold_start(subject), _once(subject))


def _cold_start(subject: Subject) -> Iterator[Child]:
    facts, some = subject.facts, steps(subject)
    if facts is None or not some:
        return
    yield tag("h3", "Each cold start")
    if (device := facts.value("device")) not in (None, "cuda"):
        why = f"SGLang runs on `{device}`, and what was measured was measured on a GPU"
        yield tag("p", prose(f"How long it takes is not known here: {why}."), class_="unknown")
        return
    limit = facts.profile.server.startup_timeout
    seconds, least, most = total(some)
    late = seconds > limit
    said = f"about {about(seconds)} of the {duration(limit)} that `startup_timeout` allows"
    yield tag(
        "p",
        prose(f"{said[0].upper()}{said[1:]}{': it is not reached in time' * late}."),
        class_="bad" if late else None,
    )
    if facts.model is None:
        yield tag(
            "p",
            prose(f"How long the weights of {facts.profile.model.repo} load is not known here: their size is not."),
            class_="unknown",
        )
    caption = joined(
        tag("strong", "From a container’s start to its first answer"),
        f". Between {about(least)} and {about(most)}, by the least and the most that was measured or reported of each "
        "step: the thin lines.",
    )
    yield figure(
        _gantt(some, limit, "A cold start"),
        caption,
        _table("Steps of a cold start", some),
        says="Where the times are from",
    )


def _once(subject: Subject) -> Iterator[Child]:
    facts = subject.facts
    if facts is None or facts.model_loaded is None:
        return
    compiles = facts.profile.compile is not None
    some = timeline.before_the_first(facts.model_loaded, compiles=compiles)
    yield tag("h3", "Once, before the first")
    texts = []
    compiling = next((step.seconds for step in some if step.name == "compile"), None)
    price = subject.price(facts.gpu)
    if compiling is not None and price is not None:
        dollars = of(facts.gpu, compiling, {facts.gpu.type: price})
        texts.append(f"The compilation costs about {about_dollars(dollars or 0)}.")
    texts.append("The image is built once too. How long that takes, and Modal for finding GPUs, is not known here.")
    yield tag("p", " ".join(texts))
    what = "Weights and kernels into their volumes" if compiles else "Weights into their volume"
    caption = joined(tag("strong", what), ", for the first deployment and whenever what decides them changes.")
    yield figure(_gantt(some, None, what), caption, _table(what, some), says="Where the times are from")


def _gantt(some: Sequence[Step], limit: int | None, what: str) -> Markup:
    """A row for each step: its name and time above its bar, and a thin line from its least to its most."""
    seconds, _, _ = total(some)
    reach, start = float(max(seconds, limit or 0)), 0
    for step in some:
        reach = max(reach, start + step.most)
        start += step.seconds
    reach *= 1.005
    drawn: list[Child] = []
    start = 0
    for place, step in enumerate(some):
        drawn += _row(step, start, reach, place * ROW)
        start += step.seconds
    low = len(some) * ROW + 4
    for at, text in _marks(reach, limit):
        x = f"{number(at / reach * 100)}%"
        anchor = "start" if at / reach < 0.05 else "end" if at / reach > 0.9 else "middle"
        drawn.append(tag("line", x1=x, x2=x, y1=low - 4, y2=low, class_="axis"))
        drawn.append(tag("text", text, x=x, y=low + 16, text_anchor=anchor, class_="tick"))
    drawn.append(tag("line", x1=0, x2="100%", y1=low - 4, y2=low - 4, class_="axis"))
    if limit is not None:
        x = f"{number(limit / reach * 100)}%"
        drawn.append(tag("line", x1=x, x2=x, y1=0, y2=low, class_="limit"))
        drawn.append(tag("text", "startup_timeout", x=x, dx=-6, y=13, text_anchor="end", class_="name"))
    said = ", ".join(f"{step.name} about {about(step.seconds)}" for step in some)
    return svg(titled(f"{what}: {said}"), *drawn, height=low + _AXIS, kind="gantt")


def _row(step: Step, start: int, reach: float, y: int) -> Iterator[Child]:
    begin, wide = start / reach, max(step.seconds / reach, 0.004)
    late = begin > 0.6
    text = tag(
        "text",
        joined(tag("tspan", step.name, class_="strong"), f" {about(step.seconds)}"),
        x=f"{number((begin + wide if late else begin) * 100)}%",
        y=y + 16,
        text_anchor="end" if late else "start",
        class_="step",
    )
    middle = y + 23 + BAR / 2
    least, most = (f"{number((start + each) / reach * 100)}%" for each in (step.least, step.most))
    about_it = tag("title", f"{step.name}: {about(step.least)} to {about(step.most)}")
    return iter(
        (
            text,
            tag("line", x1=least, x2=most, y1=middle, y2=middle, class_="range"),
            tag(
                "rect",
                about_it,
                x=f"{number(begin * 100)}%",
                y=y + 23,
                width=f"{number(wide * 100)}%",
                height=BAR,
                rx=2,
                class_="span",
            ),
            tag("line", x1=least, x2=least, y1=middle - 4, y2=middle + 4, class_="least"),
            tag("line", x1=most, x2=most, y1=middle - 4, y2=middle + 4, class_="range"),
        )
    )


def _marks(reach: float, limit: int | None) -> list[tuple[float, str]]:
    """Places on the axis: a round number of minutes apart, and the limit's own."""
    choices = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 43_200, 86_400)
    apart = next((each for each in choices if reach / each <= 5), 172_800)
    places = [float(apart * place) for place in range(int(reach // apart) + 1)]
    if limit is not None:
        places = [each for each in places if abs(each - limit) > apart * 0.55] + [float(limit)]
    return [(each, duration(each)) for each in sorted(places)]


def _table(caption: str, some: Sequence[Step]) -> Markup:
    rows: list[tuple[Child, str, str]] = [
        (
            joined(step.name, tag("span", step.basis, class_="more")),
            about(step.seconds),
            f"{about(step.least)} to {about(step.most)}",
        )
        for step in some
    ]
    if len(some) > 1:
        seconds, least, most = total(some)
        rows.append(("all", about(seconds), f"{about(least)} to {about(most)}"))
    return table(caption, ("step, and where its time is from", "about", "from, to"), rows, numbers=(1, 2))
