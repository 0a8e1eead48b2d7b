"""A Jupyter notebook: the commands of its cells, and the processes that its Python starts.

After nbformat 4 (nbformat.readthedocs.io) and IPython's magics: ``!command``, ``%%bash``, ``%env X=Y``, ``{name}`` in
a command.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.formats import json_text, python_file
from glmdeploy.authoring.formats.located import Located, joined, placed
from glmdeploy.authoring.formats.python_flow import flow
from glmdeploy.authoring.formats.python_program import launches, ordered
from glmdeploy.authoring.formats.python_values import as_word, plain
from glmdeploy.authoring.formats.tell import failed, shell, told, warning, with_releases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.authoring.formats.python_flow import Flow
    from glmdeploy.authoring.launch.launch import Launch, Note, Span, Word
    from glmdeploy.authoring.launch.script import Script

_SHOWS = re.compile(r'"cells"\s*:\s*\[')
_SHELL_CELL = re.compile(r"[ \t]*%%(?:bash|sh|script[ \t]+(?:ba)?sh)\b[^\n]*\n")
_COMMAND = re.compile(r"[ \t]*(?:!!?|%(?:sx|system)[ \t]+)(?P<command>.*)", re.DOTALL)
_ENV = re.compile(r"[ \t]*%(?:set_)?env[ \t]+(?P<name>\w+)[ \t]*[= ][ \t]*(?P<value>.*)")
_MAGIC = re.compile(r"[ \t]*%")
_INSERTED = re.compile(r"\{(?P<name>[A-Za-z_]\w*)\}")


def shows(script: Script) -> Span | None:
    """Where the cells begin."""
    if not script.text.lstrip().startswith("{") or '"nbformat"' not in script.text:
        return None
    found = _SHOWS.search(script.text)
    return found.span() if found else None


def read(text: Located, script: Script) -> list[Launch]:
    """The launches of all cells.

    :raises ProfileError: where it is no JSON, or no cell launches SGLang.
    :raises ShellError: where a command cannot be read.
    """
    try:
        document = json_text.read(text)
    except json_text.NotJson as error:
        raise failed(script, "this is a Jupyter notebook that is no JSON", error.span) from None
    cells = list(_cells(document))
    python = joined([piece for cell in cells for piece in (_python(cell), placed("\n", cell.span()[0]))])
    found: list[Launch] = []
    known: Flow | None = None
    notes: list[Note] = []
    try:
        file = python_file.parsed(python)
        known = flow(file)
        found += [launch for started in ordered(known) for launch in launches(started, known)]
    except python_file.NotPython as error:
        notes.append(warning(f"the Python of the cells cannot be parsed: {error.message}", error.span))
    env = dict(known.environ) if known else {}
    for cell in cells:
        found += told(_of_cell(cell, env, known), *notes)
    return with_releases(sorted(found, key=lambda launch: launch.place), cells)


def _cells(document: Any) -> Iterator[Located]:
    """The text of each cell with code."""
    for cell in document.get("cells", ()) if isinstance(document, dict) else ():
        kind = cell.get("cell_type") if isinstance(cell, dict) else None
        if not isinstance(kind, Located) or kind.text != "code":
            continue
        source = cell.get("source", ())
        lines = source if isinstance(source, list) else [source]
        if pieces := [line for line in lines if isinstance(line, Located)]:
            yield joined(pieces)


def _logical(cell: Located) -> Iterator[Located]:
    """Its lines, a command that is continued as one."""
    pieces: list[Located] = []
    for line in cell.lines():
        pieces.append(line)
        if _COMMAND.match(pieces[0].text) and line.text.endswith("\\"):
            pieces.append(placed("\n", line.span(len(line.text))[0]))
            continue
        yield joined(pieces)
        pieces = []
    if pieces:
        yield joined(pieces)


def _python(cell: Located) -> Located:
    """The cell without what IPython alone understands."""
    if re.match(r"[ \t]*%%(?!time|capture)", cell.text):
        return cell.cut(0, 0)
    lines = [
        joined([line.cut(0, len(line.text) - len(line.text.lstrip())), placed("pass", line.span()[0])])
        if _COMMAND.match(line.text) or _MAGIC.match(line.text)
        else line
        for line in _logical(cell)
    ]
    return joined([piece for line in lines for piece in (line, placed("\n", line.span(len(line.text))[0]))])


def _of_cell(cell: Located, env: dict[str, Word], known: Flow | None) -> list[Launch]:
    if match := _SHELL_CELL.match(cell.text):
        return shell(cell.cut(match.end()), env)
    if re.match(r"[ \t]*%%(?!time|capture)", cell.text):
        return []
    found: list[Launch] = []
    for line in _logical(cell):
        if match := _ENV.match(line.text):
            env[match["name"]] = line.cut(*match.span("value")).stripped().word()
        elif match := _COMMAND.match(line.text):
            found += shell(_inserted(line.cut(*match.span("command")), known), env)
    return found


def _inserted(command: Located, known: Flow | None) -> Located:
    def value(match: re.Match[str]) -> Located | None:
        held = known.names.get(match["name"]) if known else None
        try:
            return placed(str(plain(held)), 0) if held is not None else placed(f"${{{match['name']}}}", 0)
        except LookupError:
            return placed(as_word(held, (0, 1)).text, 0)

    return command.replaced(_INSERTED, value)
