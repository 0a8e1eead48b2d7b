"""What ``glmdeploy init`` found for a model: a table of what fits, and why; as text and as data."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.authoring.first.candidates import DEAR, OTHER, SHORT, SMALL, cheaper
from glmdeploy.authoring.first.nowhere import smaller
from glmdeploy.findings import Severity
from glmdeploy.report.view import clean
from glmdeploy.report.words import about, cents, count_bytes, counted
from glmdeploy.sizing.pool import BF16, FP8

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.authoring.first.candidates import Candidate, Found, Refused
    from glmdeploy.authoring.first.written import Written

NARROWEST, WIDEST = 40, 120
"""Columns."""

_WIDE, _MIDDLE = 116, 74
"""Columns from which a candidate is one line with its reason, and one line above its reason."""

_MOST_PLAIN, _MOST_DRAWN, _MOST_ROWS = 3, 2, 6
"""Rows of what is enough, of what is enough with a drawback, and of all."""
_MOST_REASONS = 2

_FORMATS = {"modelopt_fp4": "NVFP4", "modelopt_fp8": "FP8", "fp8": "FP8", "mxfp4": "MXFP4"}
_TYPES = {"float16": "FP16", "float32": "FP32"}
_KV = {BF16: "bf16", FP8: "fp8"}
_UNKNOWN = "times are estimates; speed is not estimated without a measurement (`glmdeploy verify`)"
_LIST = {SMALL: "too small", SHORT: "no room for one request", DEAR: "above the budget"}


def offered(found: Found, *, everything: bool = False) -> tuple[Candidate, ...]:
    """The candidates in the order in which they are numbered: the best first.

    Without ``everything`` those that are worth a look: the cheapest that are enough, what would be enough for less and
    has a drawback, and what costs less and is nearly enough; of each GPU one of a kind.
    """
    if everything or not found.candidates:
        return found.candidates
    best = found.candidates[0]
    less = [each for each in found.candidates[1:] if each.dollars < best.dollars]
    plain = [each for each in found.candidates if not (each.lacking or each.halved or each.apart)]
    drawn = [each for each in less if not each.lacking and (each.halved or each.apart)]
    short = [each for each in (less if not best.lacking else found.candidates[1:]) if each.lacking]
    picked = [best, *plain[:_MOST_PLAIN], *drawn[:_MOST_DRAWN]]
    for each in short:
        same = (other.draft.gpu == each.draft.gpu and other.dollars <= each.dollars for other in picked)
        if len(picked) < _MOST_ROWS and not any(same):
            picked.append(each)
    return tuple(each for each in found.candidates if each in picked)


def found_text(found: Found, width: int, *, everything: bool = False) -> str:
    """What is shown in a terminal of ``width`` columns before anybody chooses."""
    width = max(NARROWEST, min(width, WIDEST))
    rows = offered(found, everything=everything)
    parts = [_head(found, width), list(_table(found, rows, width)), _foot(found, rows, width, everything=everything)]
    return "\n\n".join("\n".join(lines) for lines in parts)


def _head(found: Found, width: int) -> list[str]:
    model, wanted = found.subject.model, found.wanted
    stored = _FORMATS.get(model.quantization, model.quantization)
    if model.quantization == "none":
        stored = _TYPES.get(str(model.config.get("dtype") or model.config.get("torch_dtype")), "BF16")
    size = f"{model.parameters / 1e9:,.1f}B" if model.parameters >= 10**9 else f"{model.parameters / 1e6:,.0f}M"
    lines = _wrapped(
        f"{found.subject.repo}: {size} parameters, {count_bytes(model.weights)} in {stored}, "
        f"{found.subject.context:,} tokens of context",
        width,
        bold=True,
    )
    budget = f", at most {cents(wanted.budget)} an hour" if wanted.budget is not None else ""
    return lines + _wrapped(
        f"wanted: {counted(wanted.running, 'request')} of {wanted.context:,} tokens at a time{budget}", width
    )


def _table(found: Found, rows: Sequence[Candidate], width: int) -> Iterator[str]:
    if width < _MIDDLE:
        for number, each in enumerate(rows, start=1):
            yield from _card(number, each, why(found, each), width)
        return
    wide = width >= _WIDE
    requests = f"requests of {_tokens(found.wanted.context)}" if wide else "requests"
    head = ("GPU", "tp", "KV", requests, "KV tokens", "an hour", "cold start" if wide else "start")
    cells = [head, *(_cells(each) for each in rows)]
    if not wide:
        cells = [(row[0], *row[2:]) for row in cells]  # `tp` is the number of GPUs
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for number, row in enumerate(cells):
        line = "  ".join(
            text.ljust(most) if column == 0 else text.rjust(most)
            for column, (text, most) in enumerate(zip(row, widths, strict=True))
        )
        if not number:
            yield click.style(f"     {line}", dim=True)
            continue
        reason = why(found, rows[number - 1])
        start = f"{number:>3}  {line}"
        if len(start) + 2 + len(reason) <= width:
            yield f"{_bold(start, first=number == 1)}  {reason}"
        else:
            yield _bold(start, first=number == 1)
            yield from _wrapped(reason, width, indent=5, dim=True)


def _card(number: int, each: Candidate, reason: str, width: int) -> Iterator[str]:
    gpu, tensor, kv, requests, tokens, dollars, start = _cells(each)
    yield _bold(f"{number:>3}  {gpu}  {dollars} an hour", first=number == 1)
    yield from _wrapped(
        f"tp {tensor}, {kv} KV of {tokens} tokens: {counted(int(requests), 'request')}", width, indent=5
    )
    yield from _wrapped(f"cold start about {start}; {reason}", width, indent=5, dim=True)


def _cells(each: Candidate) -> tuple[str, ...]:
    return (
        each.draft.rented,
        str(each.draft.count),
        _KV.get(each.kv, each.kv),
        f"{each.requests:,}".replace(",", ""),
        f"{each.size.memory.pool.tokens:,}",
        cents(each.dollars),
        minutes(each.size.cold_start),
    )


def minutes(seconds: int) -> str:
    """An estimate in whole minutes: ``2 min``."""
    return about(max(1, round(seconds / 60)) * 60)


def why(found: Found, candidate: Candidate) -> str:
    """Why it stands where it stands."""
    if candidate.lacking:
        half = ", with an FP8 KV cache" if candidate.halved else ""
        return f"{candidate.lacking} short of {candidate.wanted}{half}"
    drawbacks = []
    if candidate.halved:
        drawbacks.append("an FP8 KV cache can cost accuracy")
    if candidate.apart:
        drawbacks.append("these GPUs have no NVLink")
    reason = f"enough; {' and '.join(drawbacks)}" if drawbacks else "enough"
    if candidate != found.candidates[0]:
        return reason
    enough = [each for each in found.candidates if not each.lacking]
    cheapest = all(candidate.dollars <= each.dollars for each in enough)
    return f"{reason}, cheapest" if cheapest else f"{reason}, cheapest without a drawback"


def _foot(found: Found, rows: Sequence[Candidate], width: int, *, everything: bool) -> list[str]:
    lines: list[str] = []
    less = cheaper(found)
    refused = [each for each in found.refused if everything or each.dollars < less]
    for kind, title in _LIST.items():
        names = _largest([each for each in refused if each.kind == kind])
        if names and (kind != DEAR or everything):
            lines += _wrapped(f"{title}: {', '.join(names)}", width, dim=True)
    others = _reasons([each for each in refused if each.kind == OTHER])
    told = others if everything else others[:_MOST_REASONS]
    for names, reason in told:
        lines += _wrapped(f"refused: {', '.join(names)}: {clean(reason)}", width, dim=True)
    left = len(found.candidates) - len(rows) + len(others) - len(told)
    if left:
        lines += _wrapped(f"{left} more with --all", width, dim=True)
    if variants := smaller(found.subject.repo):
        lines += _wrapped(f"the same model in less memory: {', '.join(variants)}", width)
    return lines + _wrapped(_UNKNOWN, width)


def _largest(refused: Sequence[Refused]) -> list[str]:
    """The largest count of each GPU, which says it of the smaller ones too."""
    return [each.rented for each in {each.gpu: each for each in sorted(refused, key=lambda each: each.count)}.values()]


def _reasons(refused: Sequence[Refused]) -> list[tuple[list[str], str]]:
    """What rules say against GPUs, with those that they say it of; what a rule says of a type is told without it."""
    found: dict[str, list[str]] = {}
    for each in refused:
        reason, of_type, _ = each.why.partition(f" on {each.gpu}")
        names = found.setdefault(reason, [])
        name = each.gpu if of_type else each.rented
        if name not in names:
            names.append(name)
    return [(names, reason) for reason, names in found.items()]


def _tokens(count: int) -> str:
    return f"{count // 1024}k" if count % 1024 == 0 else f"{count:,}"


def _bold(text: str, *, first: bool) -> str:
    return click.style(text, bold=True) if first else text


def _wrapped(text: str, width: int, *, indent: int = 0, **style: Any) -> list[str]:
    lines = textwrap.wrap(text, width - indent, break_long_words=True, break_on_hyphens=False)
    return [" " * indent + (click.style(line, **style) if style else line) for line in lines]


def wrapped(text: str, width: int) -> str:
    """The text in lines of the terminal, with the indent that it has."""
    indent = len(text) - len(text.lstrip())
    return "\n".join(_wrapped(text.strip(), max(NARROWEST, width), indent=indent))


def written_text(file: str, profile: Written) -> str:
    """``wrote qwen3-8b.yaml (37 lines): valid, 0 warnings``."""
    warnings = counted(profile.count(Severity.WARNING), "warning")
    return f"wrote {clean(file)} ({counted(profile.lines, 'line')}): valid, {warnings}"


def found_data(
    found: Found,
    rows: Sequence[Candidate],
    *,
    chosen: Candidate | None = None,
    file: str | None = None,
    profile: Written | None = None,
) -> dict[str, Any]:
    """Everything, as JSON data; the names of numbers end in their unit, and bytes are those of one GPU.

    A candidate's ``number`` is that of the table, as ``--choose`` takes it, null for one that the table leaves out.
    ``chosen``, ``written`` and ``profile`` are null where none was chosen.
    """
    model, wanted = found.subject.model, found.wanted
    return {
        "model": {
            "repo": found.subject.repo,
            "architecture": model.architecture,
            "quantization": model.quantization,
            "parameters": model.parameters,
            "checkpoint_bytes": model.weights,
            "context_tokens": found.subject.context,
            "task": found.subject.task.value,
            "dimensions_from": found.subject.dimensions.told_by,
        },
        "wanted": {
            "context_tokens": wanted.context,
            "requests": wanted.running,
            "budget_hour_dollars": wanted.budget,
            "gpu": wanted.gpu,
            "count": wanted.count,
            "sglang": wanted.release,
        },
        "candidates": [_candidate_data(found, each, rows) for each in found.candidates],
        "refused": [
            {
                "gpu": {"type": each.gpu, "count": each.count},
                "container_hour_dollars": round(each.dollars, 4),
                "reason": each.kind,
                "message": clean(each.why),
                "missing_bytes": each.missing,
                "pool_tokens": each.holds,
            }
            for each in found.refused
        ],
        "throughput": None,
        "chosen": rows.index(chosen) + 1 if chosen else None,
        "written": file,
        "profile": profile.text if profile else None,
        "findings": {str(severity): profile.count(severity) for severity in Severity} if profile else None,
    }


def _candidate_data(found: Found, each: Candidate, rows: Sequence[Candidate]) -> dict[str, Any]:
    memory, draft = each.size.memory, each.draft
    return {
        "number": rows.index(each) + 1 if each in rows else None,
        "gpu": {"type": draft.gpu, "count": draft.count},
        "tp": draft.count,
        "kv_cache_dtype": each.kv,
        "whole_context_requests": each.requests,
        "enough": not each.lacking,
        "pool_tokens": memory.pool.tokens,
        "weights_bytes": memory.weights,
        "kv_pool_bytes": memory.pool.bytes,
        "container_hour_dollars": round(each.dollars, 4),
        "cold_start_seconds": each.size.cold_start,
        "compiles_beforehand": draft.compiles,
        "why": why(found, each),
    }
