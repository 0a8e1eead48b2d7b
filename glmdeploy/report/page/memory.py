"""Memory: a stacked bar of each GPU that a container may have, and what the KV cache's type decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from glmdeploy.report.page.figure import svg, table, titled
from glmdeploy.report.page.markup import Child, Markup, joined, number, prose, tag
from glmdeploy.report.size import least_time
from glmdeploy.report.words import count_bytes, gib, tokens
from glmdeploy.sizing.memory import GIB
from glmdeploy.sizing.size import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.report.page.subject import Report, Sized
    from glmdeploy.sizing.size import Size

HEIGHT = 40
"""Pixels of a bar."""

_ROOM = 0.2
"""The share of a bar from which on its part has room for its name, on a phone too."""


class Part(NamedTuple):
    name: str
    bytes: int
    kind: str
    about: str


def parts(size: Size) -> list[Part]:
    """What a GPU's memory goes to, without what is nothing."""
    memory = size.memory
    some = [
        Part("weights", memory.weights, "weights", "of the model, as this GPU's share"),
        Part("LoRA adapters", memory.adapters, "adapters", "of one batch"),
        Part("linear states", memory.states, "states", "of linear attention, for the requests that run"),
        Part(
            "KV pool",
            memory.pool.bytes - size.draft_bytes,
            "pool",
            f"{tokens(memory.pool.tokens)} as {memory.kv_dtype}",
        ),
        Part("draft’s KV", size.draft_bytes, "draft", "of the draft model’s layers, for the same tokens"),
        Part("activations, CUDA graphs", memory.working, "working", "an estimate of what they take at most"),
        Part("free", max(size.free, 0), "free", "taken by nothing"),
    ]
    return [part for part in some if part.bytes > 0]


def verdict(size: Size) -> str:
    """Whether it fits, in a sentence without its end."""
    memory = size.memory
    if size.uneven is not None:
        return f"it does not start: {size.uneven}"
    if memory.overcommitted:
        return (
            f"it does not fit: with a KV pool of {gib(memory.pool.bytes)}, {gib(-memory.left)} of each GPU are lacking"
        )
    if size.answer is Answer.NOT:
        return f"it does not fit: the weights take {gib(memory.weights)} of each GPU and leave no room for a KV pool"
    if size.answer is Answer.TIGHT:
        return (
            f"it is tight: activations and CUDA graphs have {gib(max(memory.left, 0))} of each GPU, and may take up to "
            f"{gib(memory.working)} (estimate)"
        )
    return f"it fits, with {gib(size.free)} of each GPU free"


def memory(report: Report) -> Markup:
    """The bars, what they are of, and what they leave out."""
    return joined(_one(each, report) for each in report.subject.sizes)


def _one(sized: Sized, report: Report) -> Iterator[Child]:
    size = sized.size
    if size is None:
        yield tag(
            "p", prose(f"How the memory of {sized.gpu} is used is not known here: {sized.why}."), class_="unknown"
        )
        return
    several = "" if size.replicas == 1 else f", with the KV pool of one of {size.replicas} replicas"
    count = size.gpu.count * size.nodes
    caption = joined(
        tag("strong", f"{gib(size.memory.total)} of each {sized.gpu.type} for SGLang"),
        f"{several}, of {count} GPUs" if count > 1 else several,
    )
    rows = [(_key(part), gib(part.bytes), _share(part.bytes, size)) for part in parts(size)]
    data = table(f"Memory of each GPU of {sized.gpu}", ("part", "of each GPU", "share"), rows, numbers=(1, 2))
    yield tag("figure", tag("figcaption", caption), _bar(size), data)
    yield tag("p", prose(_static(size)))
    if size.network:
        sends = f"Each of the {size.nodes} hosts sends {count_bytes(size.network.token_bytes)} for each token"
        yield tag("p", prose(f"{sends}: {size.network.why}. {least_time(size.network)}"))
    if (over := -size.memory.spare) > GIB // 10 and size.fits:
        why = "the draft model’s part and the scales of FP8" if size.draft_bytes else "the scales of FP8"
        yield tag("p", f"SGLang {size.sglang} takes {gib(over)} more than that: it sizes the KV pool without {why}.")
    if report.compared and report.compared.subject and (before := _other(sized, report.compared.subject.sizes)):
        was = ", ".join(f"{part.name} {gib(part.bytes)}" for part in parts(before))
        yield tag("p", f"With {report.compared.name}: {was}.", class_="aside")
    yield _types(size)


def _other(sized: Sized, others: Sequence[Sized]) -> Size | None:
    return next((each.size for each in others if each.gpu.type == sized.gpu.type), None)


def _static(size: Size) -> str:
    memory = size.memory
    note = f"`mem-fraction-static` {size.fraction:g} gives {gib(memory.static)} to weights and KV pool"
    if size.fits and memory.pool.tokens < size.uncapped:
        note += f", {gib(memory.spare)} of which `max-total-tokens` leaves unused"
    return f"{note}. What CUDA and NCCL hold before the weights are loaded is left out."


def _share(part: int, size: Size) -> str:
    return f"{part / size.memory.total * 100:.0f} %" if part / size.memory.total >= 0.005 else "below 1 %"


def _key(part: Part) -> Markup:
    swatch = tag(
        "svg",
        tag("rect", width="100%", height="100%", class_=f"part {part.kind}"),
        width=14,
        height=14,
        xmlns="http://www.w3.org/2000/svg",
        aria_hidden="true",
        class_="key",
    )
    return joined(swatch, part.name, tag("span", part.about, class_="more"))


def _bar(size: Size) -> Markup:
    """In percent of what SGLang has, or of what is asked for where that is more."""
    whole = max(size.memory.total, sum(part.bytes for part in parts(size)))
    drawn: list[Child] = []
    start = 0.0
    for part in parts(size):
        share = part.bytes / whole
        x, wide = f"{number(start * 100)}%", f"{number(share * 100)}%"
        about = tag("title", f"{part.name}: {gib(part.bytes)}")
        drawn.append(tag("rect", about, x=x, y=1, width=wide, height=HEIGHT, class_=f"part {part.kind}"))
        if share >= _ROOM and part.kind != "working":
            name = part.name.partition(",")[0] + (f" {gib(part.bytes)}" if share >= 1.6 * _ROOM else "")
            drawn.append(
                tag("text", name, x=x, dx=9, y=HEIGHT // 2 + 6, class_=f"within on-{part.kind}", aria_hidden="true")
            )
        start += share
    if whole > size.memory.total:
        end = f"{number(size.memory.total / whole * 100)}%"
        drawn.append(tag("line", x1=end, x2=end, y1=0, y2=HEIGHT + 2, class_="limit"))
    said = "; ".join(f"{part.name} {gib(part.bytes)}" for part in parts(size))
    return svg(titled(f"Memory of each GPU, {gib(size.memory.total)}: {said}"), *drawn, height=HEIGHT + 2, kind="stack")


def _types(size: Size) -> Markup:
    """What either type of KV cache would hold."""
    rows = []
    for name, pool in size.memory.possible.items():
        chosen = pool.bytes_per_token == size.memory.pool.bytes_per_token
        other = "" if name == size.memory.kv_dtype else f" ({size.memory.kv_dtype})"
        named = joined(tag("code", name), tag("span", f" in effect{other}", class_="chosen") if chosen else None)
        rows.append((named, f"{pool.bytes_per_token:,}", f"{pool.tokens:,}"))
    mine = size.memory.pool
    known = any(pool.bytes_per_token == mine.bytes_per_token for pool in size.memory.possible.values())
    if not known:
        named = joined(tag("code", size.memory.kv_dtype), tag("span", " in effect", class_="chosen"))
        rows.append((named, f"{mine.bytes_per_token:,}", f"{mine.tokens:,}"))
    head = ("KV cache", "bytes a token", "tokens that fit")
    capped = None
    if size.cap is not None and size.fits:
        effect = f"caps the pool at {tokens(mine.tokens)}"
        if known and mine.tokens == size.uncapped:
            effect = f"caps nothing: {tokens(size.cap)} do not fit"
        capped = tag("p", prose(f"`max-total-tokens` {effect}."))
    caption = f"What a KV cache holds on {size.gpu}"
    return joined(table(caption, head, rows, numbers=(1, 2)), capped)
