"""A Markdown file: the launches in its fenced blocks, and in indented ones where it has no fences.

After CommonMark 0.31.2, 4.4 and 4.5. In a block with prompts (``$ ``) only what stands behind them is a command, the
rest is what came out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.located import Located, joined, placed
from glmdeploy.authoring.formats.tell import LAUNCHES, told, warning, with_releases
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.errors import ProfileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from glmdeploy.authoring.launch.launch import Launch, Note, Span
    from glmdeploy.authoring.launch.script import Script

    Reader = Callable[[Located, Script], list[Launch]]

_FENCE = re.compile(r"(?P<indent>[ \t>]*(?:(?:[-*+]|[0-9]+[.)])[ \t]+)?)(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)$")
_DOCUMENT = re.compile(r"<<-?[ \t]*[\"']?[A-Za-z_]\w*")
_PROMPT = re.compile(
    r"[ \t]*(?:\([\w.-]+\)[ \t]*)?(?:[\w.-]+@[\w.-]+[^\s$#]*[ \t]*)?(?:[$%❯]|(?<=[:~\]])#)[ \t]+(?=\S)"
)
_MORE = re.compile(r"[ \t]*>[ \t]?")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: ``kind`` is the first word behind the fence, in small letters."""

    kind: str
    text: Located
    span: Span


def shows(script: Script) -> Span | None:
    """Where the first fenced block begins, or the text, by its name."""
    named = script.file.lower().endswith((".md", ".markdown", ".mdx"))
    if script.text.startswith("#!") or script.file.lower().endswith((".yaml", ".yml")):
        return None
    if not named and "```" not in script.text and "~~~" not in script.text:
        return None
    blocks = list(_fenced(Located(text=script.text, offsets=range(len(script.text)))))
    if blocks and not named:
        before = script.text[: blocks[0].span[0]]
        command = re.search(
            r"^[ \t]*(?:cat|tee)\b[^\n]*<<|^[\w.-]+:[ \t]*[|>]?[ \t]*$|^[A-Za-z_]\w*=", before, re.MULTILINE
        )
        return None if command or _DOCUMENT.search(before) else blocks[0].span
    return blocks[0].span if blocks else (0, 1) if named else None


def read(text: Located, script: Script, readers: Mapping[str, Reader], shell: Reader) -> list[Launch]:
    """The launches of all blocks, in the order of the file. ``readers`` are those of the kinds that are no shell's.

    :raises ProfileError: where no block launches anything, and one cannot be read.
    :raises ShellError: so, too.
    """
    blocks = list(_fenced(text)) or list(_indented(text))
    found: list[Launch] = []
    notes: list[Note] = []
    first: Exception | None = None
    for block in blocks:
        if not LAUNCHES.search(block.text.text):
            continue
        try:
            reader = readers.get(block.kind)
            found += reader(block.text, script) if reader else shell(_commands(block.text), script)
        except (ShellError, ProfileError) as error:
            first = first or error
            notes.append(warning("this block cannot be read, and was left out", block.span, "import it on its own"))
    if not found and first is not None:
        raise first
    return told(with_releases(found, [block.text for block in blocks]), *notes)


def _fenced(text: Located) -> Iterator[Block]:
    lines: list[Located] = []
    opening: re.Match[str] | None = None
    start = text.cut(0, 0)
    for line in text.lines():
        bare = line.cut(0, len(line.text.rstrip("\r")))
        match = _FENCE.match(bare.text)
        if opening is None:
            if match:
                opening, lines, start = match, [], bare
        elif match and not match["info"].strip() and match["mark"].startswith(opening["mark"]):
            kind = re.match(r"[{.]*([\w+-]*)", opening["info"].strip().lower())
            yield Block(kind=kind[1] if kind else "", text=_text(lines), span=start.span(opening.start("mark")))
            opening = None
        else:
            quoted = re.match(r"[ \t]*>[ ]?", bare.text) if ">" in opening["indent"] else None
            width = quoted.end() if quoted else len(opening["indent"].expandtabs(4))
            blanks = len(bare.text) - len(bare.text.lstrip(" \t")) if not quoted else width
            lines.append(bare.cut(min(width, blanks)))


def _indented(text: Located) -> Iterator[Block]:
    lines: list[Located] = []
    for line in [*text.lines(), text.cut(len(text.text))]:
        if line.text.startswith(("    ", "\t")):
            lines.append(line.cut(1 if line.text[0] == "\t" else 4))
        elif lines and line.text.strip():
            yield Block(kind="", text=_text(lines), span=lines[0].span())
            lines = []
    if lines:
        yield Block(kind="", text=_text(lines), span=lines[0].span())


def _text(lines: list[Located]) -> Located:
    return joined([piece for line in lines for piece in (line, placed("\n", line.span(len(line.text))[0]))])


def _commands(text: Located) -> Located:
    """The commands of a block: all of it, or what stands behind prompts."""
    lines = list(text.lines())
    if not any(_PROMPT.match(line.text) for line in lines):
        return text
    kept: list[Located] = []
    continued = False
    for line in lines:
        prompt = _PROMPT.match(line.text)
        if prompt:
            line = line.cut(prompt.end())  # noqa: PLW2901
        elif continued:
            more = _MORE.match(line.text)
            line = line.cut(more.end() if more else 0)  # noqa: PLW2901
        else:
            continue
        continued = line.text.rstrip("\r").endswith("\\")
        kept.append(line)
    return _text(kept)
