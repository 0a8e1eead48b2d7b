"""A systemd unit: its ExecStart with the environment; and the ``[Container]`` of podman's quadlets.

After systemd.syntax(7), systemd.service(5) ("Command lines") and systemd.exec(5) of systemd 255, and
podman-systemd.unit(5) of podman 5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.located import Located, logical_lines, placed, split
from glmdeploy.authoring.formats.tell import LAUNCHES, failed, info, of_the_machine, told, warning
from glmdeploy.authoring.launch.find import in_image, of_argv
from glmdeploy.authoring.launch.launch import Container, Word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.authoring.launch.launch import Launch, Note, Span
    from glmdeploy.authoring.launch.script import Script

_SECTION = re.compile(r"^[ \t]*\[(?:Unit|Service|Install|Container)\][ \t]*$", re.MULTILINE)
_STARTS = re.compile(r"^[ \t]*(?:ExecStart|Exec|Image)[ \t]*=", re.MULTILINE)
_ENTRY = re.compile(r"[ \t]*([A-Za-z][\w-]*)[ \t]*=[ \t]*")
_BRACED = re.compile(r"\$\$|\$\{([A-Za-z_]\w*)\}", re.ASCII)
_BARE = re.compile(r"\$([A-Za-z_]\w*)", re.ASCII)
_SPECIFIER = re.compile(r"%([%A-Za-z])")
_PREFIX = re.compile(r"[@:+!|-]*")

_SILENT_SECTIONS = frozenset({"Unit", "Install"})
OF_NO_MATTER = frozenset(
    {"Type", "StandardOutput", "StandardError", "StandardInput", "SyslogIdentifier", "NotifyAccess", "RemainAfterExit"}
    | {"ContainerName", "AutoUpdate", "Pull", "Label", "LogDriver", "SyslogFacility", "SyslogLevel", "ServiceName"}
)
"""Of no matter for what runs."""
_AGAIN = re.compile(r"Restart\w*|StartLimit\w*|SuccessExitStatus|RestartPreventExitStatus|Watchdog\w*")
_STOPS = re.compile(r"Kill\w*|SendSIG\w+|TimeoutStop\w*|FinalKillSignal")
_LIMITS = re.compile(
    r"Limit\w+|Memory\w+|CPU\w+|Tasks\w+|IO\w+|OOM\w+|Nice|Device\w+|Delegate|Slice|ShmSize|Ulimit|PidsLimit"
    r"|Protect\w+|Private\w+|NoNewPrivileges|Read\w+Paths|Capability\w+|AmbientCapabilities|Network\w*|SecurityLabel\w+"
)
_FLAGS = {"PublishPort": "publish", "Volume": "volume", "AddDevice": "device", "Mount": "mount", "Secret": "secret"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    section: str
    key: str
    value: Located
    span: Span


def shows(script: Script) -> Span | None:
    """Where the first section of a unit stands, if there is one that starts something."""
    found = _SECTION.search(script.text)
    before = script.text[: found.start()] if found else ""
    if found is None or not _STARTS.search(script.text) or re.search(r"^[ \t]*[^\s#;]", before, re.MULTILINE):
        return None
    return found.span()


def read(text: Located, script: Script) -> list[Launch]:
    """The launches of each ExecStart, or of the container.

    :raises ProfileError: where the unit runs only what is not in the text.
    """
    entries = list(_entries(text))
    env, notes = of_the_machine(_environment(entries))
    notes += [note for entry in entries for note in _told(entry)]
    found: list[Launch] = []
    starts = [entry for entry in entries if entry.key == "ExecStart"]
    for entry in starts:
        prefix = _PREFIX.match(entry.value.text)
        found += of_argv(_words(entry.value.cut(prefix.end() if prefix else 0), env), env)
    found += _quadlet(entries, env)
    if not found and starts and not LAUNCHES.search(starts[-1].value.text):
        words = split(starts[-1].value)
        what = words[0].text if words else "it"
        message = f"ExecStart launches no SGLang: what {what} does is not in this text"
        raise failed(script, message, starts[-1].value.span(), "import the script that launches it")
    return told(found, *notes)


def _quadlet(entries: Sequence[_Entry], env: Mapping[str, Word]) -> list[Launch]:
    images = [entry for entry in entries if entry.section == "Container" and entry.key == "Image"]
    if not images:
        return []
    command = [entry for entry in entries if entry.key in ("Entrypoint", "Exec") and entry.section == "Container"]
    flags = [(_FLAGS[entry.key], entry.value.word()) for entry in entries if entry.key in _FLAGS]
    image, *_ = _words(images[-1].value, env) or [images[-1].value.word()]
    argv = [word for entry in sorted(command, key=lambda each: each.key == "Exec") for word in _words(entry.value, env)]
    return in_image(argv, env, Container(image=image, flags=tuple(flags)))


def _told(entry: _Entry) -> Iterator[Note]:
    key = entry.key
    if entry.section in _SILENT_SECTIONS or key in OF_NO_MATTER or key in _FLAGS:
        return
    if key in ("ExecStart", "Exec", "Image", "Entrypoint", "Environment"):
        return
    if key == "EnvironmentFile":
        message = f"the variables in {entry.value.text.lstrip('-')} are not in this text, and were left out"
        yield warning(message, entry.value.span(), "add them under `sglang.env`, secrets excepted")
    elif key.startswith("Exec"):
        yield warning(f"{key} was left out: a profile has no place for it", entry.span)
    elif _AGAIN.fullmatch(key):
        yield info(f"{key} was left out: Modal starts containers anew by itself", entry.span)
    elif _STOPS.fullmatch(key):
        yield info(f"{key} was left out: `server.exit_grace_period` says how long a container may take", entry.span)
    elif key == "TimeoutStartSec":
        yield info("TimeoutStartSec was left out: `server.startup_timeout` bounds a start", entry.span)
    elif _LIMITS.fullmatch(key):
        yield info(f"{key} was left out: Modal decides it for its containers", entry.span)
    elif key in ("User", "Group", "WorkingDirectory", "UMask", "SupplementaryGroups", "RuntimeDirectory"):
        yield info(f"{key} was left out: it belongs to the old machine", entry.span)
    else:
        yield warning(f"{key} has no place in a profile, and was left out", entry.span)


def _entries(text: Located) -> Iterator[_Entry]:
    section = ""
    kept: dict[str, list[_Entry]] = {}
    for line in logical_lines(text, comment="#", glue=" "):
        bare = line.text.strip()
        if not bare or bare[0] in "#;":
            continue
        if bare.startswith("[") and bare.endswith("]"):
            section = bare[1:-1]
        elif match := _ENTRY.match(line.text):
            value = line.cut(match.end()).stripped()
            entry = _Entry(section=section, key=match[1], value=value, span=line.stripped().span())
            if not value.text:  # An empty value takes back what was given before.
                kept.pop(match[1], None)
            else:
                kept.setdefault(match[1], []).append(entry)
    yield from sorted((entry for found in kept.values() for entry in found), key=lambda each: each.span)


def _environment(entries: Sequence[_Entry]) -> dict[str, Word]:
    env: dict[str, Word] = {}
    for entry in entries:
        for piece in split(entry.value, escapes=True) if entry.key == "Environment" else ():
            name, equals, _ = piece.text.partition("=")
            if equals:
                env[name] = _specified(piece.cut(len(name) + 1))
        if entry.key == "PassEnvironment":
            for name in entry.value.text.split():
                env[name] = placed(f"${name}", entry.span[0]).word(unknown=(f"${name}",))
    return env


def _words(text: Located, env: Mapping[str, Word]) -> list[Word]:
    """The words of a command line, with its variables and specifiers (systemd.service(5), "Command lines")."""
    words: list[Word] = []
    for piece in split(text, escapes=True):
        bare = _BARE.fullmatch(piece.text)
        held = env.get(bare[1]) if bare else None
        if held is not None and not held.unknown:
            words += [placed(part, piece.span()[0]).word() for part in held.text.split()]
            continue
        unknown: list[str] = [piece.text] if bare else []

        def value(match: re.Match[str], unknown: list[str] = unknown) -> Located | None:
            if match[0] == "$$":
                return placed("$", 0)
            known = env.get(match[1])
            if known is None or known.unknown:
                unknown.append(match[0])
                return None
            return placed(known.text, 0)

        words.append(_specified(piece.replaced(_BRACED, value), unknown))
    return words


def _specified(piece: Located, unknown: Sequence[str] = ()) -> Word:
    parts = list(unknown)

    def value(match: re.Match[str]) -> Located | None:
        if match[1] != "%":
            parts.append(match[0])
        return placed("%", 0) if match[1] == "%" else None

    return piece.replaced(_SPECIFIER, value).word(raw=piece.text, unknown=parts)
