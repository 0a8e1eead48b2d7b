"""A configuration of supervisord: the command and environment of each ``[program:...]``.

After supervisord.org/configuration.html (4.2) and ``supervisor/options.py``: no shell reads ``command``, ``%(ENV_X)s``
is the variable X of supervisord's own environment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.located import Located, joined, placed, split
from glmdeploy.authoring.formats.tell import info, of_the_machine, told, warning
from glmdeploy.authoring.launch.find import of_argv

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.authoring.launch.launch import Launch, Note, Span, Word
    from glmdeploy.authoring.launch.script import Script

_PROGRAM = re.compile(r"^\[(?:program|eventlistener|fcgi-program):[^\]\n]+\][ \t]*$", re.MULTILINE)
_COMMAND = re.compile(r"^command[ \t]*[=:]", re.MULTILINE)
_ENTRY = re.compile(r"([A-Za-z_]\w*)[ \t]*[=:][ \t]*")
_EXPANSION = re.compile(r"%\((\w+)\)[0-9]*[sd]|%%")
_PAIR = re.compile(
    r"[ \t\n]*([A-Za-z_]\w*)[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|([^,\n]*))[ \t]*(?:,|$|(?=\n))"
)

OF_NO_MATTER = re.compile(
    r"stdout_\w+|stderr_\w+|redirect_stderr|priority|process_name|numprocs_start|startsecs|serverurl|loglevel"
)
"""Of no matter for what runs: where the output goes, and in which order."""


@dataclass(kw_only=True)
class _Section:
    name: str
    span: Span
    entries: dict[str, tuple[Located, Span]] = field(default_factory=dict)


def shows(script: Script) -> Span | None:
    """Where the first program stands."""
    found = _PROGRAM.search(script.text)
    first = re.search(r"^[ \t]*[^\s#;]", script.text, re.MULTILINE)
    if found is None or not _COMMAND.search(script.text) or first is None or not first[0].endswith("["):
        return None
    return found.span()


def read(text: Located, script: Script) -> list[Launch]:
    """The launches of all programs."""
    sections = list(_sections(text))
    shared = next((_environment(each) for each in sections if each.name == "supervisord"), {})
    found: list[Launch] = []
    for section in sections:
        if "command" not in section.entries or ":" not in section.name:
            continue
        env, notes = of_the_machine({**shared, **_environment(section)})
        words = [_expanded(piece, section, shared) for piece in split(section.entries["command"][0])]
        launched = of_argv(words, env)
        found += told(launched, info(f"{section.name} was taken", section.span), *notes, *_told(section))
    return found


def _told(section: _Section) -> Iterator[Note]:
    for key, (value, span) in section.entries.items():
        if key in ("command", "environment") or OF_NO_MATTER.fullmatch(key):
            continue
        if key in ("autostart", "autorestart", "startretries", "exitcodes"):
            yield info(f"{key} was left out: Modal starts containers anew by itself", span)
        elif key.startswith(("stop", "kill")):
            yield info(f"{key} was left out: `server.exit_grace_period` says how long a container may take", span)
        elif key in ("directory", "user", "umask"):
            yield info(f"{key} was left out: it belongs to the old machine", span)
        elif key == "numprocs" and value.text.strip() != "1":
            yield warning("numprocs was left out: one server was taken", span, "see `server.max_containers`")
        elif key != "numprocs":
            yield warning(f"{key} has no place in a profile, and was left out", span)


def _sections(text: Located) -> Iterator[_Section]:
    section: _Section | None = None
    key = ""
    for line in text.lines():
        bare = line.text.strip()
        if not bare or bare[0] in "#;":
            continue
        if line.text[0] in " \t" and section is not None and key:
            held, span = section.entries[key]
            section.entries[key] = joined([held, placed("\n", line.span()[0]), _uncommented(line)]), span
        elif bare.startswith("["):
            if section is not None:
                yield section
            section, key = _Section(name=bare.strip("[]"), span=line.stripped().span()), ""
        elif section is not None and (match := _ENTRY.match(line.text)):
            key = match[1]
            section.entries[key] = _uncommented(line.cut(match.end())).stripped(), line.stripped().span()
    if section is not None:
        yield section


def _uncommented(line: Located) -> Located:
    found = re.search(r"[ \t];", line.text)
    return line.cut(0, found.start()) if found else line


def _environment(section: _Section) -> dict[str, Word]:
    if "environment" not in section.entries:
        return {}
    value = section.entries["environment"][0]
    env = {}
    for match in _PAIR.finditer(value.text):
        group = next((index for index in (2, 3, 4) if match[index] is not None), 4)
        env[match[1]] = _expanded(value.cut(*match.span(group)), section, {})
    return env


def _expanded(piece: Located, section: _Section, shared: dict[str, Word]) -> Word:
    unknown: list[str] = []

    def value(match: re.Match[str]) -> Located | None:
        if match[0] == "%%":
            return placed("%", 0)
        known = shared.get(match[1].removeprefix("ENV_"))
        if match[1] == "program_name":
            return placed(section.name.partition(":")[2], 0)
        if known is not None and match[1].startswith("ENV_") and not known.unknown:
            return placed(known.text, 0)
        unknown.append(match[0])
        return None

    return piece.replaced(_EXPANSION, value).word(raw=piece.text, unknown=unknown)
