"""A Windows batch file: ``set``, ``%X%``, lines that end with ``^``, and the commands that launch SGLang.

After the reference of ``cmd`` and ``set`` (learn.microsoft.com, Windows commands).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import windows
from glmdeploy.authoring.formats.located import Located, joined, logical_lines, placed
from glmdeploy.authoring.formats.tell import installed, warning, with_releases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.authoring.launch.launch import Launch, Note, Span, Word
    from glmdeploy.authoring.launch.script import Script

_SHOWS = re.compile(
    r"^[ \t]*(?:@echo[ \t]+off\b|setlocal\b|(?:@?rem|::)[ \t]|set[ \t]+\"\w+=)|[ \t]\^[ \t]*\r?\n[ \t]*[-\w%./\"]",
    re.MULTILINE | re.IGNORECASE,
)
_SET = re.compile(r"[ \t]*@?set[ \t]+(?P<quote>\"?)(?P<name>\w+)=(?P<value>.*)", re.IGNORECASE | re.DOTALL)
_VARIABLE = re.compile(r"%%|%(?P<name>[A-Za-z_]\w*)%|!(?P<late>[A-Za-z_]\w*)!|%(?P<argument>~?[0-9*])")
_TOKEN = re.compile(
    r"\"(?P<quoted>[^\"]*)\"?|(?P<blank>[ \t]+)|(?P<end>&&?|\|\|?|[()\n])|\^(?P<escaped>.)|(?P<text>[^\s\"&|()^]+)"
)
_REDIRECTION = re.compile(r"(?<!\S)[0-9]?>>?[ \t]*(?:&[0-9]|\S+)")


def shows(script: Script) -> Span | None:
    """Where the first line stands that only cmd reads."""
    if script.text.startswith("#!"):
        return None
    if script.file.lower().endswith((".bat", ".cmd")):
        return 0, 1
    found = _SHOWS.search(script.text)
    return found.span() if found and not re.search(r"\\[ \t]*\r?\n[ \t]*-", script.text) else None


def read(text: Located, script: Script) -> list[Launch]:
    """The launches of all commands.

    :raises ShellError: where a shell text among the arguments cannot be read.
    """
    values: dict[str, Word] = {}
    used: set[str] = set()
    found: list[Launch] = []
    lines = list(logical_lines(text, mark="^", glue=" "))
    depth = 0
    for line in lines:
        bare = line.text.strip().lstrip("@")
        if re.match(r"(?:rem\b|::)", bare, re.IGNORECASE):
            continue
        condition = re.match(r"(?:if|for)\b", bare, re.IGNORECASE)
        inner = line
        if condition and (action := re.search(r"(?i)(?<=[ \t(])set[ \t]+\"?\w+=", line.text)):
            inner = line.cut(action.start())
        if match := _SET.match(inner.text):
            name, word = _set(match, inner, values, used)
            if condition or depth:
                message = f"%{match['name']}% is set under a condition; the last value in the text was taken"
                word = replace(word, notes=(*word.notes, warning(message, inner.stripped().span())))
            values[name] = word
        else:
            for words in _commands(line, values, used):
                found += windows.argv(words, {})
        depth = max(depth + bare.count("(") - bare.count(")"), 0)
    env = {name: word for name, word in values.items() if name not in used}
    result = [replace(launch, env={**env, **launch.env}) if launch.container is None else launch for launch in found]
    return with_releases(result, lines) if installed(*lines) else result


def _set(match: re.Match[str], line: Located, values: dict[str, Word], used: set[str]) -> tuple[str, Word]:
    value = line.cut(*match.span("value"))
    end = value.text.rfind('"') if match["quote"] else -1
    if end >= 0:
        value = value.cut(0, end)
    return match["name"].upper() if match["name"].isupper() else match["name"], _expanded(value, values, used)


def _expanded(text: Located, values: dict[str, Word], used: set[str]) -> Word:
    unknown: list[str] = []
    notes: list[Note] = []

    def value(match: re.Match[str]) -> Located | None:
        if match[0] == "%%":
            return placed("%", 0)
        name = match["name"] or match["late"]
        held = next((word for key, word in values.items() if name and key.lower() == name.lower()), None)
        if held is not None and name:
            used.update(key for key in values if key.lower() == name.lower())
            unknown.extend(held.unknown)
            notes.extend(held.notes)
            return placed(held.text, 0)
        unknown.append(match[0])
        return None

    found = text.replaced(_VARIABLE, value)
    return found.word(raw=text.text, unknown=unknown, notes=notes)


def _commands(line: Located, values: dict[str, Word], used: set[str]) -> Iterator[list[Word]]:
    line = line.replaced(_REDIRECTION, lambda _: placed("", 0))
    words: list[Word] = []
    pieces: list[Located] = []

    def ended() -> None:
        if pieces:
            word = _expanded(joined(pieces), values, used)
            # %ARGS% holds several words, unless it stands in quotes.
            if " " in word.text and not any('"' in piece.text for piece in quoted):
                words.extend(placed(part, word.span[0]).word(notes=word.notes) for part in word.text.split())
            else:
                words.append(word)
        pieces.clear()
        quoted.clear()

    quoted: list[Located] = []
    for match in _TOKEN.finditer(line.text):
        if match["blank"] or match["end"]:
            ended()
            if match["end"] and words:
                yield list(words)
                words.clear()
        elif match["quoted"] is not None:
            quoted.append(line.cut(*match.span()))
            pieces.append(line.cut(*match.span("quoted")))
        else:
            pieces.append(line.cut(*match.span("escaped" if match["escaped"] else "text")))
    ended()
    while words and words[0].text.lower().lstrip("@") in ("call", "start", "/b", "/wait", "if", "else", "cmd", "/c"):
        words.pop(0)
    if words:
        yield words
