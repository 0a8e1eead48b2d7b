"""The whole page: a headline with the answers, the sections, the style sheet. One file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from glmdeploy import __version__
from glmdeploy.report.page.capacity import capacity
from glmdeploy.report.page.changes import changes
from glmdeploy.report.page.comparison import comparison
from glmdeploy.report.page.costs import costs, hourly, rented
from glmdeploy.report.page.figure import definitions
from glmdeploy.report.page.findings import findings, summary
from glmdeploy.report.page.markup import Child, Markup, joined, prose, tag
from glmdeploy.report.page.memory import memory, verdict
from glmdeploy.report.page.picture import picture
from glmdeploy.report.page.times import steps, times, total
from glmdeploy.report.page.values import command, values
from glmdeploy.report.words import about, counted, dollars, gib, tokens
from glmdeploy.sizing.size import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.report.page.subject import Report, Subject

XHTML = "http://www.w3.org/1999/xhtml"

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' "
    "rx='3' fill='%231d5f9e'/%3E%3Cpath d='M3 11h10M3 8h6M3 5h8' stroke='%23fff' stroke-width='1.6'/%3E%3C/svg%3E"
)


class Section(NamedTuple):
    """``name`` is what the page's navigation calls it, ``lead`` what it tells."""

    anchor: str
    name: str
    lead: str
    content: Markup | None


class Tile(NamedTuple):
    """An answer of the headline. ``state`` is a class of the style sheet: ``good``, ``bad`` or nothing."""

    name: str
    answer: str
    more: str
    state: str = ""


def page(report: Report) -> str:
    """The page. The same report gives the same text."""
    subject = report.subject
    sections = [each for each in _sections(report) if each.content is not None]
    name = subject.facts.profile.name if subject.facts else subject.name
    style = _style()
    policy = f"default-src 'none'; style-src 'sha256-{_hash(style)}'; img-src data:"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        # The page loads nothing, and no script in it would run: what a profile holds cannot change that.
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content=f"glmdeploy {__version__}"),
        tag("title", f"{name} · glmdeploy report"),
        tag("link", rel="icon", href=_ICON),
        Markup(f"<style>{style}</style>"),
    )
    links = (tag("li", tag("a", each.name, href=f"#{each.anchor}")) for each in sections)
    body = tag(
        "body",
        tag("a", "To the content", href="#content", class_="skip"),
        definitions(),
        tag("header", _headline(report, name), class_="page-head"),
        tag("nav", tag("ul", links), aria_label="Sections"),
        tag("main", map(_section, sections), id="content"),
        tag("footer", _foot(report)),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, xmlns=XHTML, lang='en').html}\n"


def _sections(report: Report) -> Iterator[Section]:
    subject = report.subject
    found = comparison(report)
    if found is not None:
        lead = f"From {found.name} to this profile, and what each value brings about."
        yield Section("changes", "What changes", lead, changes(found, subject))
    last = Section("findings", "Findings", "What is known to go wrong, and sources.", findings(subject))
    if subject.errors:
        yield last
    if subject.facts is not None:
        lead = "What is made once, where it lies, what serves it, and how clients reach that."
        yield Section("picture", "Deployment", lead, picture(subject))
        yield Section("memory", "Memory", "Of each GPU, after what SGLang makes of the profile.", memory(report))
        yield Section("capacity", "KV capacity", "Context against concurrency.", capacity(report))
        yield Section("time", "Cold start", "Estimates from what was measured or reported.", times(subject))
        yield Section("cost", "Cost", "GPUs on Modal against traffic.", costs(subject))
    if not subject.errors:
        yield last
    if subject.facts is not None:
        yield Section("values", "Effective values", "What SGLang will run with, and who decided.", values(report))
        yield Section("command", "Command", "As the container starts SGLang.", command(subject))


def _section(each: Section) -> Markup:
    head = tag(
        "div", tag("h2", each.name, id=f"{each.anchor}-title"), tag("p", each.lead, class_="lead"), class_="side"
    )
    return tag(
        "section",
        head,
        tag("div", each.content, class_="content"),
        id=each.anchor,
        aria_labelledby=f"{each.anchor}-title",
    )


def _headline(report: Report, name: str) -> Iterator[Child]:
    subject = report.subject
    yield tag("p", "Deployment report", class_="kicker")
    yield tag("h1", tag("bdi", name))
    if subject.facts is None:
        yield tag(
            "p",
            "This is no profile that can be read, so there is nothing to plan: see the findings.",
            class_="subtitle",
        )
    else:
        profile, facts = subject.facts.profile, subject.facts
        gpus = rented(facts)
        yield tag(
            "p",
            tag("bdi", tag("strong", profile.model.repo)),
            f" on {gpus}, SGLang {facts.catalog.version}",
            class_="subtitle",
        )
        if profile.description:
            yield tag("p", tag("bdi", profile.description), class_="about")
    yield tag("dl", (_tile(each) for each in _tiles(report)), class_="tiles")


def _tile(each: Tile) -> Markup:
    inner = joined(tag("dt", each.name), tag("dd", tag("strong", each.answer), tag("span", prose(each.more))))
    return tag("div", inner, class_=f"tile {each.state}".strip())


def _tiles(report: Report) -> Iterator[Tile]:
    subject = report.subject
    state = "bad" if subject.errors else "warn" if subject.warnings else "good"
    can = "can be deployed" if subject.plan else "not deployed as long as there are errors"
    yield Tile("Findings", summary(subject), can, state)
    if subject.facts is None:
        return
    yield _fits(subject)
    profile = subject.facts.profile
    if (rate := hourly(subject)) is not None:
        server, one = profile.server, subject.facts.replica
        most = max(server.max_containers, server.min_containers)
        bounds = (
            counted(most, one) if most == server.min_containers else f"{server.min_containers} to {counted(most, one)}"
        )
        idle = (
            "nothing when idle"
            if not server.min_containers
            else f"{dollars(rate * server.min_containers)} an hour when idle"
        )
        yield Tile("Cost", f"{dollars(rate)} an hour", f"each {one}; {bounds}, {idle}")
    seconds, least, most = total(steps(subject))
    late = seconds > profile.server.startup_timeout
    if subject.facts.model_loaded is not None:
        yield Tile("Cold start", f"about {about(seconds)}", f"{about(least)} to {about(most)}", "bad" if late else "")
    else:
        yield Tile("Cold start", "not known", "the load of the weights is not")
    if (size := subject.first and subject.first.size) and size.fits:
        whole = (
            counted(size.whole_requests, "whole-context request") if size.whole_requests else "no whole-context request"
        )
        yield Tile("KV pool", tokens(size.memory.pool.tokens), f"{whole} at a time")
    yield _endpoint(subject)


def _fits(subject: Subject) -> Tile:
    first = subject.first
    if first is None or first.size is None:
        return Tile("Memory", "not known", (first and first.why) or "")
    size = first.size
    words = {Answer.FITS: ("fits", "good"), Answer.TIGHT: ("tight", "warn"), Answer.NOT: ("does not fit", "bad")}
    answer, state = words[size.answer]
    if size.uneven is not None:
        answer = "does not start"
    free = (
        f"{gib(size.free)} of {gib(size.memory.total)} free on each GPU"
        if size.answer is Answer.FITS
        else verdict(size)
    )
    return Tile("Memory", answer, free, state)


def _endpoint(subject: Subject) -> Tile:
    assert subject.facts is not None
    profile = subject.facts.profile
    required = [
        *(["API key"] if profile.secrets.api_key else []),
        *(["proxy token"] if profile.server.requires_proxy_auth else []),
    ]
    where = f"app {profile.app}" + (f" in {profile.environment}" if profile.environment else "")
    if not required:
        return Tile("Endpoint", "open to everyone", where, "warn")
    return Tile("Endpoint", " and ".join(required) + " required", f"{where}, model {profile.model.served_name}")


def _foot(report: Report) -> Iterator[Child]:
    plan = report.subject.plan
    yield tag(
        "p",
        f"Made by glmdeploy {__version__} on ",
        tag("time", report.day.isoformat(), datetime=report.day.isoformat()),
        f" from {report.subject.name}.",
        f" Plan {plan.digest[:12]}." if plan else "",
    )
    yield tag(
        "p",
        "Nothing was started for this page: memory, times and money are worked out from what was measured, reported "
        "or listed, as is said beside them.",
    )


@cache
def _style() -> str:
    """The style sheet without its comments and indentation; an XML parser takes it as it is."""
    text = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return "\n".join(line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("/*"))


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
