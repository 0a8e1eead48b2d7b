"""The reader of YAML 1.2: a text in, its root node out.

PyYAML follows YAML 1.1 in what scalars *mean* (`no`, `1:30`, `0777`), so only its parser is used, for the
events that it gives; :mod:`glmdeploy.profile.text.composer` gives them the meaning of version 1.2.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import yaml

from glmdeploy.errors import ProfileError
from glmdeploy.profile.stranger import BEGIN
from glmdeploy.profile.text.characters import SourceText, fault
from glmdeploy.profile.text.composer import Composer, FatalError, Part
from glmdeploy.profile.text.syntax import Problem, explain
from glmdeploy.sglang.wording import styled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.findings import Finding
    from glmdeploy.profile.text.document import Node

Loader: TypeAlias = type[yaml.BaseLoader] | type[yaml.CBaseLoader]

PURE: Loader = yaml.BaseLoader
FAST: Loader = getattr(yaml, "CBaseLoader", PURE)
"""PyYAML's parser in C where it was built with libyaml, as its wheels are."""

# JSON writes a character beyond U+FFFF as two escapes, which libyaml refuses and the Python parser passes on.
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89abAB]")


def read_mapping(source: SourceText, *, loader: Loader = FAST) -> Node:
    """The one document of a profile, whose top level is a mapping.

    :raises ProfileError:
    """
    part = compose(source, loader=loader)
    if part is None or (part.node.value is None and part.empty):
        raise ProfileError([fault("the profile is empty", source.place(0), fix=BEGIN)])
    if not isinstance(part.node.value, dict):
        raise ProfileError(
            [
                fault(
                    f"a profile is a mapping of settings, not {part.node.kind}",
                    part.node.location,
                    fix="write `key: value` lines, with a space after each colon",
                )
            ]
        )
    return part.node


def compose(source: SourceText, *, loader: Loader = FAST) -> Part | None:
    """The root of a text's one document, or None where it has none.

    :raises ProfileError: with every duplicate key, bad key, bad scalar, foreign tag and bad alias, and with the first
    syntax error or exceeded bound, where reading ends.
    """
    composer = Composer(source)
    try:
        for event in events(source, loader):
            composer.take(event)
    except FatalError as stop:
        composer.findings.append(stop.finding)
    except OwnBoundError as stop:
        # What stands before it says where our bound is exceeded, and is read without a complaint.
        compose(replace(source, text=source.text[: stop.offset]), loader=loader)
        composer.findings.append(stop.finding)
    if composer.findings:
        raise ProfileError(sorted(composer.findings, key=_position))
    return composer.root


class OwnBoundError(Exception):
    """libyaml meets a bound of its own: 0.2.6 stops at the 1,001st bracket in a line, before it gives the first."""

    def __init__(self, finding: Finding, offset: int) -> None:
        super().__init__(finding.message)
        self.finding = finding
        self.offset = offset


def _position(finding: Finding) -> tuple[int, int]:
    return finding.location.line, finding.location.column


def events(source: SourceText, loader: Loader = FAST) -> Iterator[yaml.Event]:
    """What the parser finds in a text, one after the other.

    :raises FatalError: at a syntax error.
    :raises OwnBoundError: where libyaml meets a bound of its own.
    """
    if _SURROGATE_ESCAPE.search(source.text):
        loader = PURE
    try:
        yield from yaml.parse(source.text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark, context = error.problem_mark or error.context_mark, error.context_mark
        problem = Problem(
            text=error.problem or "",
            context=error.context or "",
            at=mark.index if mark else 0,
            since=context.index if context else None,
        )
        finding = explain(problem, source)
        if "nesting depth" in problem.text:
            raise OwnBoundError(finding, problem.at) from None
        raise FatalError(finding) from None
    except (yaml.YAMLError, ValueError) as error:
        # The Python parser lets int() and chr() fail on absurd versions and escapes, without a place.
        raise FatalError(fault(f"this is not YAML: {styled(str(error))}", source.place(0))) from None
