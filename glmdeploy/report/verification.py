"""A verification as text and as JSON."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from glmdeploy import redaction
from glmdeploy.report.view import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.operate.baseline import Comparison, Worse
    from glmdeploy.operate.verification import Verification

MARKS = {"ok": "✓ ok", "failed": "✗ failed", "skipped": "- skipped"}
LEAST_WIDTH = 40


def verification_text(found: Verification, width: int, comparison: Comparison | None = None) -> str:
    """A line for each check, the load's figures below, and what it comes to last; no line longer than ``width``."""
    width = max(width, LEAST_WIDTH)
    names = max(len(_name(check.name)) for check in found.checks)
    lines = []
    for check in found.checks:
        words = check.words
        if check.asked_again:
            words += f" (asked again: the container went away, {check.asked_again})"
        head = f"  {MARKS[check.state]:<9}  {_name(check.name):<{names}}  "
        lines += _hanging(head, clean(words), width)
    lines += _load(found, width)
    for each in comparison.worse if comparison else ():
        lines += _hanging("  ✗ failed   baseline  ", _worse(each), width)
    if comparison and (lost := comparison.unmeasured):
        lines += _hanging("  - skipped  baseline  ", f"{len(lost)} of its figures not measured, as {lost[0]}", width)
    return "\n".join([*lines, *_summary(found, comparison, width)])


def _name(name: str) -> str:
    return name.replace("_", " ")


def _hanging(head: str, words: str, width: int) -> list[str]:
    """The words after the head, and what is too long below its beginning."""
    if len(head) > width // 2:
        return [head.rstrip(), *textwrap.wrap(words, width, initial_indent="    ", subsequent_indent="    ")]
    indent = " " * len(head)
    return textwrap.wrap(words, width, initial_indent=head, subsequent_indent=indent) or [head.rstrip()]


def _load(found: Verification, width: int) -> Iterator[str]:
    """A table of the levels: medians, and tokens a second of all clients; a paragraph each where it is too wide."""
    rows = [["at a time", "first token", "a token", "a request", "tokens/s", "requests/s"], *map(_row, found.load)]
    if len(rows) == 1:
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if 2 + sum(size + 2 for size in widths) - 2 > width:
        _, *names = rows[0]
        for clients, *cells in rows[1:]:
            told = ", ".join(f"{name} {cell}" for name, cell in zip(names, cells, strict=True) if cell)
            yield from _hanging("    ", f"{clients} at a time: {told}", width)
        return
    for row in rows:
        yield "  " + "  ".join(f"{cell:>{size}}" for cell, size in zip(row, widths, strict=True)).rstrip()


def _row(level: Mapping[str, Any]) -> list[str]:
    return [
        f"{level['concurrency']:,}",
        _median(level, "time_to_first_token_ms"),
        _median(level, "inter_token_latency_ms"),
        _median(level, "request_latency_ms"),
        _number(level.get("output_token_throughput_tokens_per_s")),
        _number(level.get("request_throughput_requests_per_s")),
    ]


def _median(level: Mapping[str, Any], name: str) -> str:
    value = (level.get(name) or {}).get("p50")
    return "" if value is None else f"{_number(value)} ms"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 1 else f"{value:.2f}"


def _worse(worse: Worse) -> str:
    percent = "" if worse.percent is None else f", {worse.percent:.0f} % worse"
    return f"{worse.name}: {worse.now:g}, was {worse.before:g}{percent}"


def _summary(found: Verification, comparison: Comparison | None, width: int) -> Iterator[str]:
    made = [check for check in found.checks if check.state != "skipped"]
    skipped = len(found.checks) - len(made)
    told = f"{len(found.failed)} of {len(made)} failed" if found.failed else f"all {len(made)} passed"
    if skipped:
        told += f", {skipped} skipped"
    if comparison:
        worse = len(comparison.worse)
        told += (
            f"; {worse} of {comparison.compared} figures worse than the baseline"
            if worse
            else (f"; none of {comparison.compared} figures worse than the baseline")
        )
    if found.where == "container":
        told += " (asked from a container)"
    yield from textwrap.wrap(told, width)
    if found.stand_in:
        yield from textwrap.wrap("It was the stand-in that answered: its figures say nothing of SGLang.", width)


def verification_data(found: Verification, comparison: Comparison | None = None) -> dict[str, Any]:
    """Everything, as JSON data: a baseline for another one."""
    data: dict[str, Any] = {
        "ok": found.ok and not (comparison and comparison.worse),
        "url": found.url,
        "app": found.app,
        "asked_from": found.where,
        "stand_in": found.stand_in,
        "checks": [
            {
                "name": check.name,
                "state": check.state,
                "words": redaction.mask(check.words),
                **({"asked_again": redaction.mask(check.asked_again)} if check.asked_again else {}),
            }
            for check in found.checks
        ],
        "figures": dict(found.figures),
        "load": [dict(level) for level in found.load],
    }
    if comparison:
        data["baseline"] = {
            "compared": comparison.compared,
            "worse": [{"name": each.name, "before": each.before, "now": each.now} for each in comparison.worse],
            "unmeasured": list(comparison.unmeasured),
        }
    return data
