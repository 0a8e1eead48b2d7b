"""What an editor offers below ``sglang.args``: the options of all releases, each with its help text and its releases.

A JSON Schema cannot depend on the pinned release, so it offers the union; ``validate`` judges by the pinned one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from glmdeploy.sglang import catalog
from glmdeploy.sglang.command import RESERVED
from glmdeploy.sglang.history import flags

if TYPE_CHECKING:
    from glmdeploy.sglang.catalog import Option

MAX_DESCRIPTION = 160
"""Characters of a help text; the whole of it is in ``glmdeploy catalog show``."""

MAX_EXAMPLES = 24
"""Choices that are worth a menu: of the parsers and quantizations there are more."""


def properties(value: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A schema for each option that a profile may set, by name without dashes; ``value`` is what each one takes."""
    newest: dict[str, Option] = {}
    for version in catalog.versions():
        for option in catalog.load(version).options:
            if option.dest not in RESERVED and option.action not in ("help", "removed"):
                newest[option.canonical] = option
    return {flag.removeprefix("--"): _property(flag, newest[flag], value) for flag in sorted(newest)}


def _property(flag: str, option: Option, value: dict[str, Any]) -> dict[str, Any]:
    span, known = flags()[flag], catalog.versions()
    releases = [f"since {span.first}"] if span.first != known[0] else []
    releases += [f"until {span.last}"] if span.last != known[-1] else []
    notes = [_shortened(option.help or ""), f"(SGLang {', '.join(releases)})" if releases else ""]
    found: dict[str, Any] = {"description": " ".join(note for note in notes if note) or "(no help text)"}
    if option.choices and len(option.choices) <= MAX_EXAMPLES:
        found["examples"] = [*option.choices]
    if option.deprecated or span.last != known[-1]:
        found["deprecated"] = True
    return value | found


def _shortened(text: str) -> str:
    """The text on one line; where it is long, its first sentences, or else its first words."""
    text = re.sub(r"\s+", " ", text).strip()
    if len(text) <= MAX_DESCRIPTION:
        return text
    sentences = re.findall(r".*?[.!?](?= |$)", text[:MAX_DESCRIPTION])
    return "".join(sentences).strip() if sentences else text[:MAX_DESCRIPTION].rpartition(" ")[0] + " …"
