"""What GPUs cost against the traffic: dollars a day by busy hours, dollars an hour by requests at a time."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from glmdeploy import cron
from glmdeploy.profile.serving import WEB_SERVER
from glmdeploy.report.page.figure import Note, Plot, Shape, Tick, figure, plot, table, ticks, titled
from glmdeploy.report.page.markup import Child, Markup, joined, linked, prose, tag
from glmdeploy.report.page.times import steps, total
from glmdeploy.report.words import cents, counted, dollars, duration
from glmdeploy.sizing.cost import HOURS_A_DAY, Spending, Traffic, spend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.cron import Cron
    from glmdeploy.gpus import Price
    from glmdeploy.report.page.subject import Subject
    from glmdeploy.rules.facts import Facts

_HOURS = (0.0, *(step / 4 for step in range(1, 97)))
_TOLD = (0, 1, 2, 4, 8, 12, 16, 24)


class _Bill(NamedTuple):
    """What is needed to price a day of the first GPU."""

    price: Price
    each: int
    """GPUs of a container, or of all that serve together as a cluster."""
    named: str
    """What Modal has several of: ``container`` or ``cluster``."""
    fewest: int
    most: int
    cold: int
    window: int
    schedule: Cron | None

    def spending(self, hours: float) -> Spending:
        """With requests during so many hours, in one stretch."""
        return spend(
            self.price,
            gpus=self.each,
            containers=(self.fewest, self.most),
            cold_start=self.cold,
            scaledown_window=self.window,
            traffic=Traffic(busy_hours=hours),
            schedule=self.schedule,
        )

    def day(self, hours: float) -> tuple[float, float]:
        """Dollars: with one container busy, and with all."""
        found = self.spending(hours).day
        return (found.least, found.most) if found else (0.0, 0.0)

    @property
    def hourly(self) -> float:
        return self.price.dollars * self.each


def hourly(subject: Subject) -> float | None:
    """Dollars an hour of one container, or cluster, on the first GPU; None where the price is not known."""
    if subject.facts is None or (price := subject.price(subject.facts.gpu)) is None:
        return None
    return price.dollars * subject.facts.gpu_count


def rented(facts: Facts) -> str:
    """The GPUs of one of them: ``8 × B200``, ``2 × 8 × B200``; of several that it may have, joined by "or"."""
    nodes = f"{facts.nodes} × " if facts.nodes > 1 else ""
    return " or ".join(f"{nodes}{gpu.count} × {gpu.type}" for gpu in facts.gpus)


def costs(subject: Subject) -> Markup:
    """Sums, both plots, and what is not in them."""
    return joined(_costs(subject))


def _costs(subject: Subject) -> Iterator[Child]:
    facts = subject.facts
    if facts is None:
        return
    price = subject.price(facts.gpu)
    if price is None:
        yield tag("p", f"The price of {facts.gpu.type} is not known here.", class_="unknown")
        return
    server = facts.profile.server
    bill = _Bill(
        price=price,
        each=facts.gpu_count,
        named=facts.replica,
        fewest=server.min_containers,
        most=max(server.max_containers, server.min_containers),
        cold=total(steps(subject))[0],
        window=server.scaledown_window,
        schedule=_schedule(subject),
    )
    yield tag("p", _sums(bill))
    yield tag("div", _by_hours(bill), _by_requests(subject, bill), class_="pair")
    region = f", × {subject.multiplier:g} for the region" if subject.multiplier != 1 else ""
    listed = cents(price.dollars / subject.multiplier)
    yield tag(
        "p",
        f"{f'{facts.nodes} × ' if facts.nodes > 1 else ''}{facts.gpu.count} × {listed} a GPU and hour{region}: ",
        linked(price.source),
        f", read on {price.date}. "
        "CPU, memory and storage come on top. How many requests it answers in an hour is not known "
        "without a measurement, so there is no price of a token here.",
        class_="aside",
    )
    if len(facts.gpus) > 1:
        others = ", ".join(
            f"{gpu} {cents(known.dollars * gpu.count * facts.nodes)}"
            for gpu in facts.gpus[1:]
            if (known := subject.price(gpu))
        )
        yield tag("p", f"Of {facts.gpu}, the first GPU that Modal tries. The others an hour: {others or 'not known'}.")


def _schedule(subject: Subject) -> Cron | None:
    keepalive = subject.facts.profile.keepalive if subject.facts else None
    if keepalive is None or not keepalive.enabled:
        return None
    try:
        return cron.parse(keepalive.schedule)
    except cron.CronError:
        return None  # a finding says so


def _sums(bill: _Bill) -> Markup:
    idle = f"{counted(bill.fewest, bill.named)} always up: {cents(bill.hourly * bill.fewest)} an hour, idle too"
    pieces: list[Child] = [
        tag("strong", f"{cents(bill.hourly)} an hour"),
        f" for each {bill.named} while it is up; ",
        idle if bill.fewest else "nothing while there are no requests",
        f". At most {counted(bill.most, bill.named)}: {cents(bill.hourly * bill.most)} an hour. ",
        f"A cold start is {cents(bill.hourly * bill.cold / 3600)}, and the {duration(bill.window)} ",
        f"that a {bill.named} stays up after its last request (",
        tag("code", "scaledown_window"),
        f") {cents(bill.hourly * bill.window / 3600)}.",
    ]
    if bill.schedule:
        pieces.append(" The keep-alive’s hours are in the sums of a day.")
    return joined(pieces)


def _by_hours(bill: _Bill) -> Markup:
    top, up = ticks(max(bill.day(HOURS_A_DAY)[1], 0.01), dollars)
    one = [(hours / HOURS_A_DAY, bill.day(hours)[0] / top) for hours in _HOURS]
    all_ = [(hours / HOURS_A_DAY, bill.day(hours)[1] / top) for hours in _HOURS]
    several = bill.most > max(bill.fewest, 1)
    shapes = [Shape(points=one, kind="fits", area=True), Shape(points=one, kind="curve")]
    fewest = counted(max(bill.fewest, 1), bill.named)
    notes = [Note(x=1, y=one[-1][1], text=f"{fewest}: {dollars(one[-1][1] * top)}", anchor="end", dy=-8, kind="point")]
    if several:
        shapes.append(Shape(points=all_, kind="curve most"))
        text = f"all {bill.most}: {dollars(all_[-1][1] * top)}"
        notes.append(Note(x=1, y=all_[-1][1], text=text, anchor="end", dy=-8, dx=-4, kind="point"))
    across = [Tick(at=hours / HOURS_A_DAY, text=f"{hours} h") for hours in (0, 6, 12, 18, 24)]
    caption = joined(
        tag("strong", "Dollars a day, by the hours in which requests come"),
        " in one stretch, with its cold start and the wait after it.",
    )
    says = titled(
        "Dollars a day by busy hours: "
        + ", ".join(
            f"{hours} h {dollars(bill.day(hours)[0])}" + (f" to {dollars(bill.day(hours)[1])}" if several else "")
            for hours in (0, 8, 24)
        )
    )
    rows = [
        (f"{hours}", cents(bill.day(hours)[0]), *((cents(bill.day(hours)[1]),) if several else ())) for hours in _TOLD
    ]
    head = ("busy hours", fewest, *((f"all {bill.most}",) if several else ()))
    data = table("Dollars a day by busy hours", head, rows, numbers=(0, 1, 2))
    drawn = Plot(across=across, up=up, shapes=shapes, notes=notes)
    return figure(plot(drawn, says), caption, data, says="The same as a table")


def _by_requests(subject: Subject, bill: _Bill) -> Markup | None:
    """Stairs: Modal adds a container where those that run have as many requests as the profile says."""
    each, field = _adds_at(subject)
    if each is None:
        text = f"`{field}` 0: Modal never adds a container for more requests."
        return tag("p", prose(text), class_="unknown")
    most = bill.most
    end = max(1, ceil(each * (most + 0.5)))
    top, up = ticks(bill.hourly * max(most, 1), dollars)
    points: list[tuple[float, float]] = []
    for containers in range(max(bill.fewest, 1), most + 1):
        begin = 0.0 if containers == max(bill.fewest, 1) else each * (containers - 1)
        until = float(end) if containers == most else each * containers
        points += [(at / end, bill.hourly * containers / top) for at in (begin, until)]
    full = each * most
    shapes = [
        Shape(points=points, kind="fits", area=True),
        Shape(points=points, kind="curve"),
        Shape(points=[(full / end, 0.0), (full / end, 1.0)], kind="bound"),
    ]
    assert subject.facts is not None
    beyond = "more wait" if subject.facts.profile.server.kind == WEB_SERVER else f"no more {bill.named}s"
    notes = [
        Note(x=0, y=points[0][1], text=counted(max(bill.fewest, 1), bill.named), dx=6, dy=17, kind="point"),
        Note(x=1, y=0, text=beyond, anchor="end", dx=-2, dy=-8, kind="name"),
    ]
    if most > max(bill.fewest, 1):
        notes.append(Note(x=1, y=points[-1][1], text=f"at most {most}", anchor="end", dx=-6, dy=17, kind="point"))
    across = _counts(each, most, end)
    caption = joined(
        tag("strong", "Dollars an hour, by requests at a time"),
        prose(
            f": Modal adds a {bill.named} at {each:g} requests for each that runs (`{field}`), up to `max_containers`."
        ),
    )
    stairs = [
        (
            f"{ceil(each * (containers - 1)) + 1 if containers > 1 else 1:,} to {int(each * containers):,}",
            containers,
            cents(bill.hourly * containers),
        )
        for containers in _some(max(bill.fewest, 1), most)
    ]
    if bill.fewest > 1 and stairs:
        stairs[0] = (f"1 to {int(each * bill.fewest):,}", *stairs[0][1:])
    idle = ("none", bill.fewest, cents(bill.hourly * bill.fewest))
    data = table(
        "Dollars an hour by requests at a time",
        ("requests", f"{bill.named}s", "an hour"),
        [idle, *stairs],
        numbers=(1, 2),
    )
    says = titled(
        "Dollars an hour by requests at a time: " + ", ".join(f"{row[0]} {row[2]}" for row in [idle, *stairs][:5])
    )
    drawn = Plot(across=across, up=up, shapes=shapes, notes=notes)
    return figure(plot(drawn, says), caption, data, says="The same as a table")


def _adds_at(subject: Subject) -> tuple[float | None, str]:
    """Requests for each container at which Modal adds another, and the field that says so; None for never."""
    assert subject.facts is not None
    server = subject.facts.profile.server
    if server.kind == WEB_SERVER:
        return (
            (server.max_inputs, "max_inputs")
            if server.target_inputs is None
            else (server.target_inputs, "target_inputs")
        )
    return server.target_concurrency or None, "target_concurrency"


def _counts(each: float, most: int, end: int) -> list[Tick]:
    step = max(1, -(-most // 5))
    return [
        Tick(at=each * place / end, text=f"{each * place:,.0f}")
        for place in range(most + 1)
        if place % step == 0 or (place == most and most % step > step / 2)
    ]


def _some(first: int, last: int) -> list[int]:
    """All of them, or where they are many the first ones and the last."""
    every = range(first, last + 1)
    return [*every] if len(every) <= 12 else [*every[:10], last]
