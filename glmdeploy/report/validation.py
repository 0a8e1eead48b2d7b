"""What ``validate`` tells people: a line for each profile, and the findings that somebody has to look at."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from glmdeploy.findings import Severity, listed
from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.text import COLORS, finding_text
from glmdeploy.report.view import clean
from glmdeploy.report.words import counted
from glmdeploy.report.wrap import table, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.findings import Finding
    from glmdeploy.report.run import Judged, Run

OK, ERROR, UNKNOWN = "ok", "error", "not known"
"""What a profile is: the last where something could not be judged, and nothing else is wrong."""

_UNJUDGED = "knowledge"
_COLORS = {OK: "green", ERROR: "red", UNKNOWN: "yellow"}


def validation_text(run: Run, width: int = UNLIMITED, *, everything: bool = False) -> str:
    """All of a run. Of one profile errors and warnings stand in full, then one line sums it up.

    Of several there is a line for each, and below it what fails in full. Remarks, and of several profiles warnings,
    are counted; ``everything`` has them in full. What could not be judged is said in the line that sums a profile up.
    """
    if len(run.profiles) == 1:
        [judged] = run.profiles
        shown = [each for each in judged.findings if (everything or _stands(each)) and not _unjudged(each)]
        texts = [finding_text(each, width) for each in shown]
        return "\n".join([*texts, wrapped(_summary(judged, run, everything=everything), width, indent=2)])
    rows = [_row(judged, run) for judged in run.profiles]
    shown = [each for each in run.findings if (everything or run.fails(each)) and not _unjudged(each)]
    texts = [finding_text(each, width) for each in shown]
    return "\n".join([*table(rows, width), *texts, *wrapped(_total(run, everything=everything), width).split("\n")])


def _unjudged(finding: Finding) -> bool:
    """Whether a finding says what could not be judged; with ``--strict-knowledge`` that is an error as others are."""
    return finding.id == _UNJUDGED and finding.severity is Severity.INFO


def _stands(finding: Finding) -> bool:
    """Whether a finding stands in full without being asked for."""
    return finding.waived is None and (finding.severity is not Severity.INFO or _unjudged(finding))


def state(judged: Judged, run: Run) -> str:
    """:data:`OK`, :data:`ERROR` or :data:`UNKNOWN`."""
    if any(map(run.fails, judged.findings)):
        return ERROR
    return UNKNOWN if any(map(_unjudged, judged.findings)) else OK


def _summary(judged: Judged, run: Run, *, everything: bool) -> str:
    """``b200-eagle-bf16kv: ok, 3 warnings, 9 remarks``."""
    found = state(judged, run)
    counts = _counts(judged.findings, strict=run.strict)
    hidden = not everything and any(not _stands(each) for each in judged.findings)
    unjudged = "".join(f"; {clean(each.message)}" for each in judged.findings if _unjudged(each))
    words = {OK: ["ok"], UNKNOWN: ["ok as far as it was judged"], ERROR: []}[found]
    label = click.style(words[0], fg=_COLORS[found]) if words else ""
    text = ", ".join(filter(None, (label, *counts)))
    return f"{_name(judged)}: {text}{' (--all shows them)' if hidden else ''}{unjudged}"


def _name(judged: Judged) -> str:
    return "standard input" if judged.profile == "-" else clean(judged.profile)


def _row(judged: Judged, run: Run) -> list[str]:
    """State, profile, and how much was found; what could not be judged in words."""
    found = state(judged, run)
    unjudged = [clean(each.message) for each in judged.findings if _unjudged(each)]
    counts = ", ".join(_counts(judged.findings, strict=run.strict))
    text = "; ".join(filter(None, [counts, *unjudged]))
    return [click.style(found, fg=_COLORS[found]), _name(judged), text]


def _counts(findings: Sequence[Finding], *, strict: bool) -> Iterator[str]:
    """How many of each kind there are: ``1 error``, ``3 warnings``, ``9 remarks``, ``1 waived``."""
    kinds = Counter(_kind(finding) for finding in findings)
    for severity in (Severity.ERROR, Severity.WARNING):
        if count := kinds[severity]:
            text = click.style(counted(count, str(severity)), fg=COLORS[severity])
            failing = strict and severity is Severity.WARNING
            yield f"{text} ({'fails' if count == 1 else 'fail'} with --strict)" if failing else text
    if count := kinds[Severity.INFO]:
        yield counted(count, "remark")
    if count := kinds["waived"]:
        yield f"{count} waived"


def _kind(finding: Finding) -> str:
    if finding.waived is not None:
        return "waived"
    return _UNJUDGED if _unjudged(finding) else finding.severity


def _total(run: Run, *, everything: bool) -> str:
    """``8 profiles: 7 ok and 1 error; 24 warnings, 70 remarks``."""
    states = Counter(state(judged, run) for judged in run.profiles)
    names = {OK: "ok", ERROR: "with errors", UNKNOWN: "not wholly judged"}
    parts = listed([f"{states[each]} {name}" for each, name in names.items() if states[each]])
    counts = ", ".join(_counts(run.findings, strict=run.strict))
    hidden = not everything and any(not run.fails(each) and not _unjudged(each) for each in run.findings)
    more = " (--all shows them)" if hidden else ""
    return f"{counted(len(run.profiles), 'profile')}: {parts}{'; ' if counts else ''}{counts}{more}"
