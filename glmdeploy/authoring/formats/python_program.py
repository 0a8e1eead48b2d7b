"""A Python program that starts SGLang's server as a process: what it starts is read, the program is never executed."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import python_file
from glmdeploy.authoring.formats.located import Located
from glmdeploy.authoring.formats.python_flow import Flow, flow
from glmdeploy.authoring.formats.python_values import Unknown, as_word
from glmdeploy.authoring.formats.tell import LAUNCHES, failed, of_the_machine, shell, told, warning
from glmdeploy.authoring.launch.find import of_argv
from glmdeploy.authoring.launch.launch import Word

if TYPE_CHECKING:
    from glmdeploy.authoring.formats.python_file import PythonFile
    from glmdeploy.authoring.formats.python_flow import Started
    from glmdeploy.authoring.launch.launch import Launch, Span
    from glmdeploy.authoring.launch.script import Script

_FIRST = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*(?P<line>[^\n]*)")
_IMPORT = re.compile(
    r"^(?:import[ \t]+[\w.]+(?:[ \t]*,|[ \t]*$|[ \t]+as\b|[ \t]*#)|from[ \t]+[\w.]+[ \t]+import\b)", re.MULTILINE
)
_OPENING = re.compile(
    r"import[ \t]+\w|from[ \t]+[\w.]+[ \t]+import\b|def[ \t]+\w+\(|class[ \t]+\w+[(:]|@\w+|[rR]?\"\"\"|'''"
)
_SHEBANG = re.compile(r"#![^\n]*\bpython[0-9.]*\b")


def shows(script: Script) -> Span | None:
    """Where the first import stands, or the text's first line, if it is Python as its first lines or its name say."""
    text = script.text
    first = _FIRST.match(text)
    line = first["line"] if first else ""
    start = first.start("line") if first else 0
    if text.startswith("#!") and not _SHEBANG.match(text):
        return None
    if script.file.endswith((".py", ".pyw")) or _SHEBANG.match(text) or _OPENING.match(line):
        if line.startswith(("@echo", "import-module")) or (re.match(r"@\w+ *:?$", line) and "def " not in text):
            return None
        found = _IMPORT.search(text)
        return found.span() if found else (start, max(start + len(line), start + 1))
    found = _IMPORT.search(text)
    if found is None:
        return None
    try:
        python_file.parsed(Located(text=text, offsets=range(len(text))))
    except python_file.NotPython:
        return None
    return found.span()


def read(text: Located, script: Script) -> list[Launch]:
    """The launches of the processes that it starts.

    :raises ProfileError: where it starts none that launches SGLang.
    """
    file = parsed(text, script)
    found = flow(file)
    result = [launch for started in ordered(found) for launch in launches(started, found)]
    if not result:
        raise refused(found, file, script)
    return result


def parsed(text: Located, script: Script) -> PythonFile:
    """The tree of the text.

    :raises ProfileError: where it is no Python.
    """
    try:
        return python_file.parsed(text)
    except python_file.NotPython as error:
        message = f"this is Python that cannot be parsed: {error.message}"
        raise failed(script, message, error.span, "correct it, or import the command that it runs") from None


def ordered(found: Flow) -> list[Started]:
    """The processes in the order of the text."""
    return sorted(found.started.values(), key=lambda each: (each.node.lineno, each.node.col_offset))


def launches(started: Started, found: Flow) -> list[Launch]:
    """The launches of a process.

    :raises ShellError: where it is a shell text that cannot be read.
    """
    file = found.file
    env, notes = of_the_machine(started.env)
    notes += found.values.defaults
    notes += started.notes
    span = file.span(started.node)
    if isinstance(started.command, Word):
        word = started.command
        launched = shell(Located(text=word.text, offsets=word.offsets), env)
        notes += word.notes
    else:
        items = [each for each in started.command if not _is_starred(each)]
        notes += [
            warning(f"{each.source} is not in this text, and was left out", each.span)
            for each in started.command
            if _is_starred(each)
        ]
        launched = of_argv([as_word(each, span) for each in items], env)
    for keyword in started.node.keywords:
        if keyword.arg == "cwd":
            notes.append(warning("the folder in which the process starts was left out", file.span(keyword.value)))
    return told(launched, *notes)


def _is_starred(value: object) -> bool:
    return isinstance(value, Unknown) and isinstance(value.node, ast.Starred)


def refused(found: Flow, file: PythonFile, script: Script) -> Exception:
    """Why a program cannot be imported that starts no server in a process of its own."""
    if found.inside:
        node = found.inside[0]
        what = file.source(node.func) if isinstance(node, ast.Call) else "SGLang"
        message = f"this is Python that runs SGLang within itself (`{what}`), which cannot be imported"
        fix = "import a command with `python3 -m sglang.launch_server` and the same options"
        return failed(script, message, file.span(node.func), fix)
    if named := LAUNCHES.search(file.text.text):
        message = "this is Python, and how it launches SGLang its text does not tell: it was not executed"
        return failed(script, message, file.text.span(*named.span()), "import the command that it runs")
    return failed(script, "nothing in this Python launches SGLang", file.text.span(0, 1))
