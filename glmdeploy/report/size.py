"""What ``glmdeploy size`` found, as text in the width of a terminal: a screen of it, or all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from glmdeploy.findings import listed
from glmdeploy.gpus import SECONDS_AN_HOUR, rented, replica
from glmdeploy.report.grid import UNLIMITED, Bar, bars
from glmdeploy.report.words import about, cents, count_bytes, duration, gib, tokens
from glmdeploy.report.wrap import NARROWEST, lines
from glmdeploy.sizing.memory import GIB
from glmdeploy.sizing.size import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.sizing.network import Network
    from glmdeploy.sizing.size import Size
    from glmdeploy.sizing.timeline import Step

WIDEST = 100
"""Columns. A longer line is hard to read, however wide the terminal."""

_CHUNK = 8192
"""Tokens of a prefill, to say what the network takes at the least."""

_KV_COLUMNS = 68
"""Columns of the terminal from which what the KV cache holds stands in columns."""


def size_text(size: Size, width: int, *, everything: bool = True) -> str:
    """What ``glmdeploy size`` shows in a terminal of ``width`` columns; without ``everything`` on a screen of it.

    That leaves out where each figure is from, and the parts of a cost or a time that the sum tells enough of.
    """
    width = width if width >= UNLIMITED else max(NARROWEST, min(width, WIDEST))
    sections = [_head(size, width, everything=everything), _memory(size, width), _kv_cache(size, width)]
    if size.network:
        sections.append(_network(size.network, width))
    if everything:
        sections += [_costs(size, width), _cold_start(size, width), _before_the_first(size, width)]
    else:
        sections += [_brief_costs(size, width), _brief_times(size, width)]
    return "\n\n".join("\n".join(section) for section in sections)


def _head(size: Size, width: int, *, everything: bool) -> Iterator[str]:
    model = size.facts.model
    yield from _wrapped(f"{size.profile}: {size.repo} on {rented(size.gpu, size.nodes)}, SGLang {size.sglang}", width)
    if everything:
        yield from _wrapped(
            f"{model.architecture}, {_short(model.parameters, ('B', 'M', 'K'))} parameters, "
            f"{_short(model.weights, (' GB', ' MB', ' kB'))} of files ({size.facts.weights_told_by}); "
            f"dimensions from {size.facts.told_by}",
            width,
            dim=True,
        )
    memory = size.memory
    if size.answer is Answer.FITS:
        yield from _wrapped(f"It fits, with a KV pool of {tokens(memory.pool.tokens)}.", width, fg="green", bold=True)
        return
    if size.answer is Answer.TIGHT:
        yield from _wrapped(
            f"It is tight: with a KV pool of {tokens(memory.pool.tokens)}, activations and CUDA graphs have "
            f"{gib(max(memory.left, 0))} of each GPU, and may take up to {gib(memory.working)} (estimate). SGLang may "
            "run out of memory.",
            width,
            fg="yellow",
            bold=True,
        )
        return
    if size.uneven is not None:
        yield from _wrapped(f"It does not start: {size.uneven}.", width, fg="red", bold=True)
        return
    if memory.overcommitted:
        yield from _wrapped(
            f"It does not fit: SGLang {size.sglang} gives the KV pool {gib(memory.pool.bytes)} of each GPU, and then "
            f"lacks {gib(-memory.left)} for all that comes with it.",
            width,
            fg="red",
            bold=True,
        )
        return
    lacking = memory.weights - memory.static
    yield from _wrapped(
        f"It does not fit: the weights take {gib(memory.weights)} of each GPU, "
        + (f"{gib(lacking)} more than" if lacking > 0 else "and leave no room for a KV pool in")
        + f" the {gib(memory.static)} that `mem-fraction-static` {size.fraction:g} gives to both.",
        width,
        fg="red",
        bold=True,
    )


def _memory(size: Size, width: int) -> Iterator[str]:
    memory = size.memory
    of = "each GPU" if size.replicas == 1 else f"each GPU, with the KV pool of one of {size.replicas} replicas"
    yield from _title(f"Memory of {of}: {gib(memory.total)} for SGLang", width)
    parts = [
        ("weights", memory.weights, "blue"),
        ("LoRA adapters", memory.adapters, "magenta"),
        ("linear states", memory.states, "green"),
        ("KV pool", memory.pool.bytes - size.draft_bytes, "green"),
        ("draft model's KV", size.draft_bytes, "cyan"),
        ("activations, graphs", memory.working, "yellow"),
        ("free", max(size.free, 0), "bright_black"),
    ]
    rows = [Bar(name=name, length=part, shown=gib(part), color=color) for name, part, color in parts if part]
    yield from bars(rows, min(width, WIDEST))
    if size.free < 0:
        yield click.style(f"  {gib(-size.free)} more than there are", fg="red")
    unused, left = memory.spare, memory.total - memory.static
    note = f"`mem-fraction-static` {size.fraction:g} gives {gib(memory.static)} to weights and KV pool"
    if memory.pool.tokens < size.uncapped:
        note += f", {gib(unused)} of which `max-total-tokens` leaves unused"
    yield from _wrapped(f"{note}. It leaves {gib(left)} for activations and CUDA graphs.", width, indent=2)
    if (over := -unused) > GIB // 10 and size.fits:
        why = "the draft model's part and the scales of FP8" if size.draft_bytes else "the scales of FP8"
        yield from _wrapped(
            f"SGLang {size.sglang} takes {gib(over)} more than that: it sizes the KV pool without {why}.",
            width,
            indent=2,
            fg="yellow",
        )
    if size.answer is Answer.FITS and memory.working > left:
        yield from _wrapped(
            f"They may take up to {gib(memory.working)} (estimate), of which {gib(memory.left - left)} come from what "
            "weights and KV pool leave unused.",
            width,
            indent=2,
        )


def _network(network: Network, width: int) -> Iterator[str]:
    yield from _title(f"Between the {network.hosts} hosts", width)
    yield from _wrapped(
        f"Each sends {count_bytes(network.token_bytes)} for each token: {network.why}.", width, indent=2
    )
    yield from _wrapped(least_time(network), width, indent=2)


def least_time(network: Network) -> str:
    """What the network takes at the least, and what of it is not known."""
    times = "once" if network.waits == 1 else f"{network.waits:,} times"
    waits = f"A step of decoding waits for another host {times}; for how long is not known here."
    chunk = network.seconds(_CHUNK)
    if chunk is None:
        return f"{waits} How fast their network without RDMA is, Modal does not tell."
    bound = "then" if network.apart else "at the least"
    return (
        f"At the {network.gigabits:,} Gb/s of Modal's RDMA a prefill chunk of {_CHUNK:,} tokens takes it "
        f"{chunk * 1000:,.{0 if chunk > 0.01 else 1}f} ms {bound}. {waits}"
    )


def _kv_cache(size: Size, width: int) -> Iterator[str]:
    memory = size.memory
    yield from _title("KV cache", width)
    if columns := width >= _KV_COLUMNS:
        yield f"  {'':<12}{'bytes a token':>14}{'tokens that fit':>17}"
    for name, pool in memory.possible.items():
        effect, style = "", {}
        if pool.bytes_per_token == memory.pool.bytes_per_token:
            effect, style = "in effect" + ("" if name == memory.kv_dtype else f" ({memory.kv_dtype})"), {"bold": True}
        if columns:
            line = f"  {name:<12}{pool.bytes_per_token:>14,}{pool.tokens:>17,}  {effect}".rstrip()
            yield click.style(line, **style)
        else:
            text = f"{name}: {pool.bytes_per_token:,} bytes a token, {pool.tokens:,} tokens fit"
            yield from _wrapped(f"{text}{', ' if effect else ''}{effect}", width, indent=2, **style)
    if size.cap is not None and size.fits:
        effect = f"caps the pool at {tokens(memory.pool.tokens)}"
        if memory.pool.tokens == size.uncapped:
            effect = f"caps nothing: {tokens(size.cap)} do not fit"
        yield from _wrapped(f"`max-total-tokens` {effect}.", width, indent=2)
    yield from _wrapped(_requests(size), width, indent=2)


def _requests(size: Size) -> str:
    whole, context = size.whole_requests, f"the whole context ({tokens(size.context)})"
    text = f"{whole:,} request{'s' * (whole != 1)} of {context} fit{'s' * (whole == 1)} at a time."
    if not whole:
        text = f"No request of {context} fits."
    if not size.fits:
        return text
    if size.share is not None:
        text += f" With all {size.running} that may run (`max-running-requests`), each has {tokens(size.share)}."
    sent = f"the {size.max_inputs} that Modal sends at a time (`{size.inputs_field}`)"
    return f"{text} With {sent}, {tokens(size.input_share)}."


def _costs(size: Size, width: int) -> Iterator[str]:
    costs, one = size.spending, replica(size.nodes)
    yield from _title("Cost", width)
    rows = [
        (f"an hour, {costs.min_containers} {one}s (minimum)", cents(costs.least)),
        (f"an hour, {costs.max_containers} {one}s (maximum)", cents(costs.most)),
        ("a cold start", cents(costs.cold_start)),
    ]
    if day := costs.day:
        least, most = cents(day.least), cents(day.most)
        always = f"{costs.min_containers} always up" if costs.min_containers else f"one up for {day.hours:.1f} h"
        rows.append((f"a day, {always}", least))
        if most != least:
            rows.append((f"a day, {costs.max_containers} up for the traffic", most))
    column = max(len(name) for name, _ in rows)
    yield from (f"  {name:<{column}}  {value}" for name, value in rows)
    price = costs.price
    region = f" × {costs.multiplier:g} for the region" if costs.multiplier != 1 else ""
    count = f"{size.nodes} × {size.gpu.count}" if size.nodes > 1 else size.gpu.count
    note = f"{count} × {cents(price.dollars)} a GPU and hour{region} ({price.source}, {price.date}). GPUs alone."
    if not costs.day:
        note += " State the traffic with --busy-hours for the cost of a day."
    yield from _wrapped(note, width, indent=2, dim=True)


def _brief_costs(size: Size, width: int) -> Iterator[str]:
    costs = size.spending
    yield from _title("Cost", width)
    least, most = costs.min_containers, costs.max_containers
    one = f"{cents(costs.replica)} an hour and {replica(size.nodes)}"
    several = f", {least} to {most} of them: up to {cents(costs.most)} an hour"
    same = f", {most} of them: {cents(costs.most)} an hour" if most > 1 else ""
    yield from _wrapped(one + (several if least != most else same), width, indent=2)
    if day := costs.day:
        either = cents(day.least) if day.least == day.most else f"{cents(day.least)} to {cents(day.most)}"
        yield from _wrapped(f"{either} a day with this traffic", width, indent=2)


def _brief_times(size: Size, width: int) -> Iterator[str]:
    """Seconds of a cold start, and before the first one, with what they cost."""
    late, (least, most) = size.cold_start > size.startup_timeout, size.cold_start_range
    yield from _title("Time", width)
    parts = listed([f"{step.name} {duration(step.seconds)}" for step in size.steps])
    costs = cents(size.spending.cold_start)
    yield from _wrapped(
        f"a cold start takes about {about(size.cold_start)} ({about(least)} to {about(most)}) of the "
        f"{duration(size.startup_timeout)} that `startup_timeout` allows, and {costs}: {parts}",
        width,
        indent=2,
        fg="red" if late else None,
    )
    once = [f"{step.name} about {about(step.seconds)}{_price(size, step)}" for step in size.once]
    if once:
        yield from _wrapped(f"before the first, once: {listed(once)}", width, indent=2)


def _price(size: Size, step: Step) -> str:
    """What a step on the GPUs costs; nothing of one that needs none."""
    if step.name != "compile":
        return ""
    return f" ({cents(size.spending.container * step.seconds / SECONDS_AN_HOUR)})"


def _cold_start(size: Size, width: int) -> Iterator[str]:
    allowed, late = size.startup_timeout, size.cold_start > size.startup_timeout
    title = f"Cold start: about {duration(size.cold_start)} of the {duration(allowed)} that `startup_timeout` allows"
    yield from _title(title, width, fg="red" if late else None)
    yield from _steps(size.steps, width)
    least, most = size.cold_start_range
    yield from _wrapped(
        f"Between {about(least)} and {about(most)}, by the least and the most that was measured or reported.",
        width,
        indent=2,
    )


def _before_the_first(size: Size, width: int) -> Iterator[str]:
    yield from _title("Before the first cold start, once", width)
    yield from _steps(size.once, width)
    note = "The image is built once too; how long that takes, and Modal for finding GPUs, is not known here."
    compiling = next((step.seconds for step in size.once if step.name == "compile"), None)
    if compiling is not None:
        dollars = size.spending.container * compiling / SECONDS_AN_HOUR
        note = f"The compilation costs about {cents(dollars)}. {note}"
    yield from _wrapped(note, width, indent=2)


def _steps(steps: Sequence[Step], width: int) -> Iterator[str]:
    """A bar a step, with the source of its length below it."""
    rows = [Bar(name=step.name, length=step.seconds, shown=duration(step.seconds), color="magenta") for step in steps]
    for line, step in zip(bars(rows, min(width, WIDEST)), steps, strict=True):
        yield line
        yield from _wrapped(step.basis, width, indent=4, dim=True)


def _wrapped(text: str, width: int, *, indent: int = 0, **style: Any) -> Iterator[str]:
    for line in lines(" " * indent + text, width, indent=indent):
        yield line[:indent] + click.style(line[indent:], **style)


def _title(text: str, width: int, **style: Any) -> Iterator[str]:
    return _wrapped(text, width, bold=True, **style)


def _short(count: int, units: tuple[str, str, str]) -> str:
    """In thousands of millions, in millions or in thousands, whose names ``units`` are; two digits at least."""
    for size, unit in zip((10**9, 10**6, 10**3), units, strict=True):
        if count >= size:
            return f"{count / size:,.{0 if count >= 10 * size else 1}f}{unit}"
    return str(count)
