"""The deployment as a picture: what is made once, where it lies, what serves it, and how clients reach that.

Drawn twice from the same boxes: in rows for a wide page, in columns for a phone. The style sheet shows one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.report.page.costs import hourly, rented
from glmdeploy.report.page.figure import figure, svg, table, titled
from glmdeploy.report.page.markup import Child, Markup, joined, shortened, tag
from glmdeploy.report.page.times import steps, total
from glmdeploy.report.view import clean
from glmdeploy.report.words import about, count_bytes, counted, dollars
from glmdeploy.sizing import timeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.profile.models import Profile
    from glmdeploy.report.page.subject import Subject
    from glmdeploy.rules.facts import Facts


@dataclass(frozen=True, kw_only=True)
class Box:
    """``kind`` is a class of the style sheet, ``what`` the small word above the name."""

    kind: str
    what: str
    name: str
    details: tuple[str, ...] = ()
    secret: str | None = None
    """The name of a Modal Secret that it gets."""
    more: int = 1
    """How many of them there may be."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Chains of boxes, each of which ends at the server."""

    chains: Sequence[Sequence[Box]]
    server: Box


def scene(subject: Subject, facts: Facts) -> Scene:
    """What is drawn of a profile."""
    return Scene(chains=[*_chains(subject, facts)], server=_server(subject, facts))


def _chains(subject: Subject, facts: Facts) -> Iterator[list[Box]]:
    profile = facts.profile
    model = facts.model_loaded
    once = {step.name: step.seconds for step in timeline.before_the_first(model, compiles=True)} if model else {}
    secrets, volumes = profile.secrets, profile.volumes
    revision = profile.model.revision
    owner, slash, name = clean(profile.model.repo).rpartition("/")
    hub = Box(
        kind="outside",
        what="Hugging Face Hub",
        name=name,
        details=(*([f"of {owner}"] if slash else []), f"at {shortened(revision, 12)}"),
    )
    size = (count_bytes(model.weights), f"about {about(once['download'])}") if model else ("size not known",)
    yield [
        hub,
        Box(
            kind="stage",
            what="download, once",
            name="on a CPU",
            details=size,
            secret=secrets.huggingface.name if secrets.huggingface else None,
        ),
        Box(kind="volume", what="volume", name=volumes.weights.name, details=(f"at {volumes.weights.mount}",)),
    ]
    # NAME:TAG, NAME@DIGEST or NAME:TAG@DIGEST; a colon before a slash is that of a port.
    named, at, _ = clean(profile.sglang.image).partition("@")
    path, _, version = named.rpartition(":") if ":" in named.rpartition("/")[2] else (named, "", "")
    steps_on = len(profile.sglang.image_steps)
    image = Box(
        kind="outside",
        what="image",
        name=path,
        details=tuple(
            filter(
                None,
                (
                    version or None,
                    "pinned by digest" if at else None,
                    f"{counted(steps_on, 'step')} on top" if steps_on else None,
                ),
            )
        ),
        secret=secrets.registry.name if secrets.registry else None,
    )
    if profile.compile is None:
        yield [image]
    else:
        took = (f"about {about(once['compile'])}",) if "compile" in once else ()
        compiler = Box(kind="stage", what="compile, once", name=f"on {' or '.join(map(str, facts.gpus))}", details=took)
        kernels = volumes.kernels
        yield [
            image,
            compiler,
            *(
                [Box(kind="volume", what="volume", name=kernels.name, details=(f"at {kernels.mount}",))]
                if kernels
                else []
            ),
        ]
    for further in volumes.further:
        yield [Box(kind="volume", what="volume", name=further.name, details=(f"at {further.mount}",))]
    yield [_clients(profile), _endpoint(profile)]


def _clients(profile: Profile) -> Box:
    details: tuple[str, ...] = (f"as {profile.model.served_name}",)
    if profile.keepalive.enabled:
        details += (f"kept warm {profile.keepalive.schedule}",)
    return Box(kind="outside", what="clients", name="/v1", details=details)


def _endpoint(profile: Profile) -> Box:
    key = profile.secrets.api_key
    server = profile.server
    name = "API key required" if key else "open to everyone"
    details = ["proxy token required"] if server.requires_proxy_auth else []
    if server.kind == "web_server":
        details.append(f"{server.max_inputs} requests a container")
    return Box(kind="gate", what="endpoint", name=name, details=tuple(details), secret=key.name if key else None)


def _server(subject: Subject, facts: Facts) -> Box:
    server = facts.profile.server
    most = max(server.max_containers, server.min_containers)
    bounds = (
        f"{server.min_containers} to {counted(most, facts.replica)}"
        if server.min_containers != most
        else counted(most, facts.replica)
    )
    gpus = rented(facts)
    details = [f"SGLang {facts.catalog.version}", bounds]
    if (rate := hourly(subject)) is not None:
        details.append(f"{dollars(rate)} an hour each")
    if facts.model_loaded is not None:
        details.append(f"start about {about(total(steps(subject))[0])}")
    return Box(kind="server", what="server", name=gpus, details=tuple(details), more=most)


def picture(subject: Subject) -> Markup | None:
    """The picture, and the same as a table."""
    if subject.facts is None:
        return None
    drawn = scene(subject, subject.facts)
    title = f"{subject.facts.profile.name}: " + "; ".join(
        " to ".join(f"{box.what} {box.name}" for box in (*chain, drawn.server)) for chain in drawn.chains
    )
    rows = [
        (box.what, box.name, ", ".join(box.details), box.secret or "")
        for chain in (*drawn.chains, [drawn.server])
        for box in chain
    ]
    data = table("The parts of the deployment", ("part", "name", "more", "Modal Secret"), rows)
    image = joined(_wide(drawn, titled(title)), _tall(drawn, titled(title)))
    return figure(image, None, data, says="The same as a table")


WIDTH, GAP, ARROW, LINE = 210, 16, 34, 17
"""Of a box, between two rows, of an arrow, and of a line of text."""

STEP, WHOLE, BETWEEN = 26, 340, 12
"""Of an arrow that points down, of the whole width on a phone, and between its two columns."""

LETTER, SMALL = 9.0, 7.4
"""Pixels of a letter on average in a box's name and in its details, for what has to be shortened."""


def _wide(drawn: Scene, title: Markup) -> Markup:
    """A chain a row; the server stands at the right end of all."""
    deepest = 3
    x = [place * (WIDTH + ARROW) for place in range(deepest + 1)]
    pieces: list[Child] = []
    y = 0
    for chain in drawn.chains:
        high = max(map(_height, chain))
        for place, box in enumerate(chain):
            pieces += _box(box, x[place], y, WIDTH, high)
            until = x[place + 1] if place + 1 < len(chain) else x[deepest]
            pieces.append(_arrow(x[place] + WIDTH, y + high / 2, until - 3, y + high / 2))
        y += high + GAP
    high = y - GAP
    pieces += _box(drawn.server, x[deepest], 0, WIDTH, high - 8, middle=True)
    return svg(title, *pieces, view=f"-1 -1 {x[deepest] + WIDTH + 12} {high + 2}", kind="picture wide")


def _tall(drawn: Scene, title: Markup) -> Markup:
    """What is made in two columns above the server, and what it serves below."""
    *made, asked = drawn.chains
    wide = (WHOLE - BETWEEN) // 2
    pieces: list[Child] = []
    y = 0
    for row in range(0, len(made), 2):
        pair = made[row : row + 2]
        heights = [
            max(_height(chain[place]) for chain in pair if place < len(chain)) for place in range(max(map(len, pair)))
        ]
        tops = [y + sum(heights[:place]) + STEP * place for place in range(len(heights) + 1)]
        for column, chain in enumerate(pair):
            x = column * (wide + BETWEEN)
            for place, box in enumerate(chain):
                pieces += _box(box, x, tops[place], wide, heights[place])
                until = tops[place + 1] if place + 1 < len(chain) else tops[-1]
                middle = x + wide / 2
                pieces.append(_arrow(middle, tops[place] + heights[place], middle, until - 3))
        y = tops[-1]
    high = _height(drawn.server)
    pieces += _box(drawn.server, 0, y, WHOLE, high)
    y += high + 8
    for box in reversed(asked):
        high = _height(box)
        pieces += _box(box, 0, y + STEP, WHOLE, high)
        pieces.append(_arrow(WHOLE / 2, y + STEP, WHOLE / 2, y + 3))
        y += STEP + high
    return svg(title, *pieces, view=f"-1 -1 {WHOLE + 12} {y + 2}", kind="picture tall")


def _height(box: Box) -> int:
    return max(54 + LINE * (len(box.details) + bool(box.secret)), 54 + LINE)


def _box(box: Box, x: float, y: float, wide: float, high: float, *, middle: bool = False) -> Iterator[Child]:
    if box.more > 1:
        for behind in range(min(box.more - 1, 2), 0, -1):
            away = behind * 4
            yield tag("rect", x=x + away, y=y + away, width=wide, height=high, rx=8, class_="box server behind")
    yield tag("rect", x=float(x), y=float(y), width=float(wide), height=float(high), rx=8, class_=f"box {box.kind}")
    if box.kind == "volume":
        yield tag("path", d=f"M{x:g} {y + 26:g}h{wide:g}", class_="lid")
    left, on = x + 14, " on" if box.kind == "server" else ""
    room, rest = int((wide - 24) / LETTER), int((wide - 24) / SMALL)
    top = y + 18 if not middle else y + (high - _height(box)) / 2 + 18
    yield tag("text", box.what, x=float(left), y=float(top), class_=f"what{on}")
    yield tag("text", shortened(box.name, room), x=float(left), y=float(top + 24), class_=f"title{on}")
    said = [*box.details]
    for place, text in enumerate(said):
        yield tag("text", shortened(text, rest), x=float(left), y=float(top + 43 + place * LINE), class_=f"detail{on}")
    if box.secret:
        line = top + 43 + len(said) * LINE
        yield from _key(left, line - 5)
        yield tag("text", shortened(box.secret, rest - 3), x=float(left + 20), y=float(line), class_="detail")


def _key(x: float, y: float) -> Iterator[Child]:
    yield tag("circle", cx=float(x + 4), cy=float(y), r=3.2, class_="secret")
    yield tag("path", d=f"M{x + 7.5:g} {y:g}h7m-2.5 0v3m-3 -3v2", class_="secret")


def _arrow(x1: float, y1: float, x2: float, y2: float) -> Markup:
    if y1 == y2:
        head = f"M{x2 - 6:g} {y2 - 4:g}L{x2:g} {y2:g}L{x2 - 6:g} {y2 + 4:g}"
    else:
        back = -6 if y2 > y1 else 6
        head = f"M{x2 - 4:g} {y2 + back:g}L{x2:g} {y2:g}L{x2 + 4:g} {y2 + back:g}"
    return tag("path", d=f"M{x1:g} {y1:g}L{x2:g} {y2:g}{head}", class_="arrow")
