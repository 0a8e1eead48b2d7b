"""What a YAML syntax error most likely means, in words for whoever wrote the line.

The patterns match what libyaml 0.2.5, 0.2.6 and PyYAML 6.0 (scanner.py, parser.py) say; both are covered, because
either may do the parsing. What no pattern knows is reported in the parser's own words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.profile.text.characters import SourceText, fault, shown
from glmdeploy.records import record
from glmdeploy.sglang.wording import styled

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.findings import Finding, Location

# `key:value` and nothing on the line that would make it a key after all; `http://` is no such slip.
_GLUED = r"(\s*(?:- +)*[^\s:'\"#]+):(?!//)\S(?!.*:(?:\s|$))"

# `--tp 8`, `--tp=8`, `--trust-remote-code`, where a key with a value belongs.
_FLAG = r"(\s*)--([A-Za-z][\w-]*)(?:[ =]([^:]*))?"

_QUOTE_IT = "put the value in quotes if it is text"
_INDENT_ALIKE = "indent the keys of one mapping, and the items of one list, by the same number of spaces"


@record
class Problem:
    """A parser's complaint. ``at`` is the offset where it arose, ``since`` where the construct began."""

    text: str
    context: str
    at: int
    since: int | None

    @property
    def begin(self) -> int:
        """Where the construct began, as far as the parser said."""
        return self.at if self.since is None else self.since


def explain(problem: Problem, source: SourceText) -> Finding:
    """The finding for a syntax error, at the place where the mistake most likely is."""
    said = f"{problem.context}: {problem.text}"
    for pattern, explanation in _EXPLANATIONS:
        if re.search(pattern, said):
            return explanation(problem, source)
    return fault(f"this is not YAML: {styled(said.removeprefix(': '))}", source.place(problem.at))


def _character(problem: Problem, source: SourceText) -> Finding:
    character = source.text[problem.at : problem.at + 1]
    if character == "\t":
        return _tab(problem, source)
    return fault(f"a value cannot begin with `{character}`", source.place(problem.at), fix=_QUOTE_IT)


def _tab(problem: Problem, source: SourceText) -> Finding:
    return fault(
        "a tab stands where YAML takes only spaces for indentation",
        source.place(problem.at),
        fix="replace the tab with spaces",
    )


def _alias(problem: Problem, source: SourceText) -> Finding:
    return fault(
        "a value that begins with `*` is an alias in YAML, and this is not the name of one",
        source.place(problem.begin),
        fix=_QUOTE_IT,
    )


def _anchor(problem: Problem, source: SourceText) -> Finding:
    return fault(
        "a value that begins with `&` is an anchor in YAML, and this is not the name of one",
        source.place(problem.begin),
        fix=_QUOTE_IT,
    )


def _tag(problem: Problem, source: SourceText) -> Finding:
    return fault(
        "a value that begins with `!` is a tag in YAML, and this is not one that is understood",
        source.place(problem.begin),
        fix=_QUOTE_IT,
    )


def _open_quote(problem: Problem, source: SourceText) -> Finding:
    return fault(
        "the quote that opens here is never closed",
        source.place(problem.begin),
        fix="add the closing quote",
    )


def _escape(problem: Problem, source: SourceText) -> Finding:
    # libyaml points at the backslash, PyYAML somewhere behind it.
    start = source.text.rfind("\\", 0, problem.at + 1)
    begin = shown(source.text[start : start + 2])
    if begin in ("\\x", "\\u", "\\U"):
        digits = {"x": 2, "u": 4, "U": 8}[begin[1]]
        return fault(
            f"after `{begin}` in double quotes, {digits} hexadecimal digits of a character must follow",
            source.place(start, start + 2),
            fix="use single quotes, or write `\\\\` for a backslash",
        )
    return fault(
        f"`{begin}` begins no escape that double quotes know",
        source.place(start, start + 2),
        fix="use single quotes, or write `\\\\` for a backslash",
    )


def _block_text(problem: Problem, source: SourceText) -> Finding:
    return fault(
        f"a value that begins with `{source.text[problem.begin]}` is a block of text on the lines below,"
        " so nothing else may follow on this line",
        source.place(problem.begin),
        fix=_QUOTE_IT,
    )


def _colon(problem: Problem, source: SourceText) -> Finding:
    place = source.place(problem.at)
    before = place.text[: place.column - 1]
    if re.search(r":\s", before):
        return fault(
            "this line has a second colon followed by a space, which cannot be part of an unquoted value",
            place,
            fix="put the value in quotes, or begin a nested mapping on the next line",
        )
    if len(before) > 1024:
        return fault("a key may not be longer than 1024 characters", source.place(problem.at - len(before)))
    above = place.line - 2
    while above >= 0 and not source.lines[above].split("#")[0].strip():
        above -= 1
    if above >= 0 and (flag := re.fullmatch(_FLAG, source.lines[above])):
        return _flag(flag, source, source.starts[above])
    glued = re.match(_GLUED, source.lines[above]) if above >= 0 else None
    if glued:
        return fault(
            "there is no space after this colon, so the line is not a key with a value",
            source.place(source.starts[above] + glued.end(1)),
            fix="write `key: value`",
        )
    start = problem.at - len(before.lstrip())
    return fault(
        "this line is a key, but by its indentation it continues the value above",
        source.place(start, problem.at),
        fix=_INDENT_ALIKE,
    )


def _flag(flag: re.Match[str], source: SourceText, start: int) -> Finding:
    name, value = flag[2], (flag[3] or "true").strip()
    return fault(
        "this line is an option as a shell takes it, and has no colon",
        source.place(start + flag.end(1), start + len(flag[0])),
        fix=f"write `{shown(name)}: {shown(value)}`",
    )


def _no_colon(problem: Problem, source: SourceText) -> Finding:
    line = source.place(problem.begin)
    if flag := re.fullmatch(_FLAG, line.text):
        return _flag(flag, source, source.starts[line.line - 1])
    glued = re.search(r":(?=\S)", line.text)
    return fault(
        "this line has no colon followed by a space, so it is not a key with a value",
        source.place(problem.begin, problem.begin + len(line.text)),
        fix="put a space after the colon" if glued else "write `key: value`",
    )


def _dash_on_line(problem: Problem, source: SourceText) -> Finding:
    return fault(
        "a list cannot begin with a dash on the line of its key",
        source.place(problem.at),
        fix="begin it on the next line, or write `[a, b]`; quote the value if it is text",
    )


def _question_mark(problem: Problem, source: SourceText) -> Finding:
    return fault("a value cannot begin with `?`", source.place(problem.at), fix=_QUOTE_IT)


def _bracket(problem: Problem, source: SourceText) -> Finding:
    begin, at = source.place(problem.begin), source.place(problem.at)
    opening = source.text[problem.begin : problem.begin + 1]
    what, closing = ("mapping", "}") if opening == "{" else ("list", "]")
    if begin.line == at.line and problem.at < len(source.text):
        return fault(
            f"a comma or `{closing}` is missing before this, in the {what} that opens at column {begin.column}",
            at,
        )
    ended = not source.text[problem.at :].strip()
    return fault(
        f"the {what} that opens here is never closed"
        if ended
        else f"the {what} that opens here is not closed, or lacks a comma, before line {at.line}",
        begin,
        fix=f"add the missing comma, or the closing `{closing}`",
    )


def _no_value(problem: Problem, source: SourceText) -> Finding:
    character = source.text[problem.at : problem.at + 1]
    if not character or character in "\r\n":
        return fault("a value is missing here", source.place(problem.at))
    return fault(
        f"a value is expected here, not `{shown(character)}`",
        source.place(problem.at),
        fix="remove it, or put the value in quotes if it is text",
    )


def _mapping_end(problem: Problem, source: SourceText) -> Finding:
    place = source.place(problem.at)
    before = place.text[: place.column - 1].rstrip()
    here = source.text[problem.at : problem.at + 1]
    if before.strip("- "):
        return _after_value(before[-1], place)
    if here == ":":
        return fault("a key is missing before the colon", place)
    if here == "-":
        return fault("a list item stands among the keys of a mapping", place, fix=_INDENT_ALIKE)
    return fault(
        f"this line is indented by {place.column - 1} spaces, and no mapping above has its keys there",
        place,
        fix=_INDENT_ALIKE,
    )


def _after_value(last: str, place: Location) -> Finding:
    if last in "\"'":
        return fault(
            "after the closing quote only a comment may follow on the line",
            place,
            fix="quote the whole value (`''` stands for a quote inside single quotes),"
            " and see that no quote is left open on a line above",
        )
    return fault(
        "the value ended before this",
        place,
        fix="remove what follows the value, or put all of it in quotes if it is text",
    )


def _list_end(problem: Problem, source: SourceText) -> Finding:
    begin = source.place(problem.begin)
    return fault(
        f"this is not an item of the list that begins at line {begin.line}, and not indented less than it",
        source.place(problem.at),
        fix="begin an item with `- `, or indent a key of the surrounding mapping less than the items",
    )


def _document_end(problem: Problem, source: SourceText) -> Finding:
    return fault(
        "this line does not belong to the document above it",
        source.place(problem.at),
        fix="indent every top-level key alike, and remove `...` and `%` lines",
    )


def _directive(problem: Problem, source: SourceText) -> Finding:
    return fault(
        "a line that begins with `%` is a directive, which profiles do not need",
        source.place(problem.begin),
        fix="remove it; profiles are YAML 1.2 without saying so",
    )


_EXPLANATIONS: tuple[tuple[str, Callable[[Problem, SourceText], Finding]], ...] = (
    (r"tab character", _tab),
    (r"cannot start any token", _character),
    (r"scanning an alias", _alias),
    (r"scanning an anchor", _anchor),
    (r"(scanning|parsing) a tag|tag handle", _tag),
    (r"scanning a quoted scalar.*unexpected (end|document)", _open_quote),
    (r"quoted scalar", _escape),
    (r"scanning a block scalar", _block_text),
    (r"mapping values are not allowed", _colon),
    (r"could not find expected ':'", _no_colon),
    (r"sequence entries are not allowed", _dash_on_line),
    (r"mapping keys are not allowed", _question_mark),
    (r"expected ',' or", _bracket),
    (r"node content", _no_value),
    (r"parsing a block mapping", _mapping_end),
    (r"parsing a block collection", _list_end),
    (r"scanning a directive|%YAML|%TAG|incompatible YAML", _directive),
    (r"<document start>", _document_end),
)
