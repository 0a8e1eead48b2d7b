"""What other programs fill in: ``$(NAME)`` of Kubernetes, and templates in double braces.

``$(NAME)``: https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.launch.launch import Word

_REFERENCE = re.compile(r"\$(?:(?P<escaped>\$)|\((?P<name>[A-Za-z_][\w.-]*)\))")
_TEMPLATE = re.compile(r"\$?\{\{[^{}]*\}\}")


def expanded(text: Word, env: Mapping[str, Word]) -> Word:
    """The word with the variables that Kubernetes fills in.

    One whose value the file does not tell stays as `${NAME}`, and one that it does not set as `$(NAME)`.
    """
    text = without_template(text)
    if "$" not in text.text:
        return text
    characters: list[str] = []
    offsets: list[int] = []
    unknown, variables, notes = list(text.unknown), list(text.variables), list(text.notes)
    at = 0

    def add(value: str, places: tuple[int, ...]) -> None:
        characters.append(value)
        offsets.extend(places)

    for match in _REFERENCE.finditer(text.text):
        add(text.text[at : match.start()], text.offsets[at : match.start()])
        at, place = match.end(), text.offsets[match.start() : match.start() + 1]
        value = env.get(match["name"] or "")
        if match["escaped"]:
            add("$", place)
        elif value is None:
            # Kubernetes leaves it as it stands, and a shell would run a command of that name.
            unknown += [] if re.search(r"\s", text.text) else [match[0]]
            add(match[0], text.offsets[match.start() : match.end()])
        elif value.unknown:
            raw = f"${{{match['name']}}}"
            unknown.append(raw)
            variables.append(match["name"])
            add(raw, place * len(raw))
        else:
            variables.append(match["name"])
            notes += value.notes
            add(value.text, place * len(value.text))
    add(text.text[at:], text.offsets[at:])
    joined = "".join(characters)
    return replace(
        text,
        text=joined,
        raw=joined,
        offsets=tuple(offsets),
        unknown=tuple(dict.fromkeys(unknown)),
        variables=tuple(dict.fromkeys(variables)),
        notes=tuple(dict.fromkeys(notes)),
    )


def without_template(text: Word) -> Word:
    """A word in which another program fills something in: ``{{.Name}}``."""
    found = _TEMPLATE.findall(text.text)
    return replace(text, unknown=(*text.unknown, *found)) if found else text
