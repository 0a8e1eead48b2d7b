"""What ``validate`` tells people: a line for each profile, and the findings that somebody has to look at."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from glmdeploy.findings import Severity, listed
from glmdeploy.records import record
from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.text import COLORS, finding_text
from glmdeploy.report.view import clean
from glmdeploy.report.words import counted
from glmdeploy.report.wrap import table, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.findings import Finding
    from glmdeploy.report.run import Judged, Run

OK, ERROR, UNKNOWN = "ok", "error", "not known"
"""What a profile is: the last where something could not be judged, and nothing else is wrong."""

_UNJUDGED = "knowledge"
_COLORS = {OK: "green", ERROR: "red", UNKNOWN: "yellow"}


@record
class Told:
    """What is told of one profile: its state, how many findings of which kind there are, and ``texts`` in full.

    ``judged`` says whether the rules saw it, ``failed`` whether it is a reason for exit code 1, and ``hidden`` whether
    there is more to show. It is much smaller than the findings.
    """

    profile: str
    judged: bool
    state: str
    failed: bool
    counts: Mapping[str, int]
    unjudged: tuple[str, ...]
    texts: tuple[str, ...]
    hidden: bool


def told(judged: Judged, run: Run, width: int = UNLIMITED, *, everything: bool = False, alone: bool = False) -> Told:
    """What is told of a profile. Of one ``alone``, errors and warnings stand in full; else only what fails.

    ``everything`` has all in full, but for what could not be judged: that is said in the line that sums it up.
    """
    stands = _stands if alone else run.fails
    shown = [each for each in judged.findings if (everything or stands(each)) and not _unjudged(each)]
    left = (each for each in judged.findings if not stands(each) and (alone or not _unjudged(each)))
    return Told(
        profile=judged.profile,
        judged=judged.judged,
        state=state(judged, run),
        failed=any(map(run.fails, judged.findings)),
        counts=Counter(map(_kind, judged.findings)),
        unjudged=tuple(clean(each.message) for each in judged.findings if _unjudged(each)),
        texts=tuple(finding_text(each, width) for each in shown),
        hidden=not everything and any(left),
    )


def validation_text(profiles: Sequence[Told], width: int = UNLIMITED, *, strict: bool = False) -> str:
    """All of a run: of one profile its texts and a line that sums it up, of several a line for each before them."""
    if len(profiles) == 1:
        [one] = profiles
        return "\n".join([*one.texts, wrapped(_summary(one, strict=strict), width, indent=2)])
    rows = [_row(each, strict=strict) for each in profiles]
    texts = (text for each in profiles for text in each.texts)
    return "\n".join([*table(rows, width), *texts, *wrapped(_total(profiles, strict=strict), width).split("\n")])


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


def _summary(told: Told, *, strict: bool) -> str:
    """``b200-eagle-bf16kv: ok, 3 warnings, 9 remarks``."""
    words = {OK: ["ok"], UNKNOWN: ["ok as far as it was judged"], ERROR: []}[told.state]
    label = click.style(words[0], fg=_COLORS[told.state]) if words else ""
    text = ", ".join(filter(None, (label, *_counts(told.counts, strict=strict))))
    unjudged = "".join(f"; {message}" for message in told.unjudged)
    return f"{_name(told)}: {text}{' (--all shows them)' if told.hidden else ''}{unjudged}"


def _name(told: Told) -> str:
    return "standard input" if told.profile == "-" else clean(told.profile)


def _row(told: Told, *, strict: bool) -> list[str]:
    """State, profile, and how much was found; what could not be judged in words."""
    counts = ", ".join(_counts(told.counts, strict=strict))
    text = "; ".join(filter(None, [counts, *told.unjudged]))
    return [click.style(told.state, fg=_COLORS[told.state]), _name(told), text]


def _counts(kinds: Mapping[str, int], *, strict: bool) -> Iterator[str]:
    """How many of each kind there are: ``1 error``, ``3 warnings``, ``9 remarks``, ``1 waived``."""
    for severity in (Severity.ERROR, Severity.WARNING):
        if count := kinds.get(severity, 0):
            text = click.style(counted(count, str(severity)), fg=COLORS[severity])
            failing = strict and severity is Severity.WARNING
            yield f"{text} ({'fails' if count == 1 else 'fail'} with --strict)" if failing else text
    if count := kinds.get(Severity.INFO, 0):
        yield counted(count, "remark")
    if count := kinds.get("waived", 0):
        yield f"{count} waived"


def _kind(finding: Finding) -> str:
    if finding.waived is not None:
        return "waived"
    return _UNJUDGED if _unjudged(finding) else finding.severity


def _total(profiles: Sequence[Told], *, strict: bool) -> str:
    """``8 profiles: 7 ok and 1 error; 24 warnings, 70 remarks``."""
    states = Counter(each.state for each in profiles)
    names = {OK: "ok", ERROR: "with errors", UNKNOWN: "not wholly judged"}
    parts = listed([f"{states[each]} {name}" for each, name in names.items() if states[each]])
    kinds = sum((Counter(each.counts) for each in profiles), Counter[str]())
    counts = ", ".join(_counts(kinds, strict=strict))
    more = " (--all shows them)" if any(each.hidden for each in profiles) else ""
    return f"{counted(len(profiles), 'profile')}: {parts}{'; ' if counts else ''}{counts}{more}"
