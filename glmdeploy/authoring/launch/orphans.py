"""Lines that were meant for a launch and never reach it, because its command ends too early, and why it does."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Launch, Note, Word
from glmdeploy.authoring.launch.lookalikes import named
from glmdeploy.authoring.launch.masking import masked
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.authoring.launch.words import RawWord

_LIMIT = 600

_CAUSES = (
    (r"\\\n[ \t]*#", "the comment above it stands inside the continued command and ends it"),
    (r"#[^\n]*\\[ \t]*\n", "the backslash above it stands in a comment, and continues nothing"),
    (r"\\\n[ \t]*\n", "the empty line above it, behind a backslash, ends the command"),
    (r"[&;|]", "the command above it is already at its end (`&`, `;` or `|`)"),
    (r"#", "the line above it ends with a comment, and no backslash continues it"),
    (r"\n[ \t]*\n", "the lines above it lack their backslash, and an empty line ends the command"),
    (r"\n", "the line above it lacks its backslash"),
)
_GAP = re.compile(r"(?:[ \t\n&;|]|\\\n|#[^\n]*)*")


def begins_with_option(words: Sequence[Word]) -> bool:
    """Whether a line's first word is an option, which no command is called, or an array that the text does not have."""
    if not words:
        return False
    unknown = words[0].unknown and re.fullmatch(r"\$\{\w+\[@\]\}", words[0].text) is not None
    return bool(unknown) or re.match(r"-{1,2}[A-Za-z]", words[0].text) is not None


def is_option(word: RawWord) -> bool:
    """Whether a redirection's file is called like an option, as behind a prompt ``>`` that was copied too."""
    return re.match(r"--?[A-Za-z]", word.raw) is not None


def into_file(word: RawWord) -> Note:
    """The error at an option that a redirection takes for its file."""
    message = f"the > in front of it makes a file of `{shown(masked(word.raw))}`, which never reaches SGLang"
    return Note(severity=Severity.ERROR, message=message, span=word.span, fix="remove the >")


def adjacent(gap: str) -> bool:
    """Whether nothing but blanks, comments and ends of commands stands between two commands."""
    return _GAP.fullmatch(gap) is not None


def next_line(gap: str) -> bool:
    """Whether the one command stands on the line below the other."""
    return re.fullmatch(r"[ \t]*\n[ \t]*", gap) is not None


def indent(gap: str) -> int | None:
    """How far a command is set in from the margin; None where it does not begin its line."""
    before = gap.rpartition("\n")[2]
    return None if before.strip(" \t") else len(before.expandtabs())


def further_in(launch: int | None, gap: str) -> bool:
    """Whether the next line is set in as the other lines of a launch are, which begins at the margin ``launch``."""
    own = indent(gap)
    below = re.fullmatch(r"[ \t]*[\\&]?\n(?:[ \t]*#[^\n]*\n)*[ \t]*", gap) is not None
    return launch is not None and own is not None and own > launch and below


def cause(gap: str) -> str:
    """Why a command ends before a line that was meant for it."""
    if not adjacent(gap):
        return "it belongs to no command"
    return next((said for pattern, said in _CAUSES if re.search(pattern, gap)), "the command above it has ended")


def lost(words: Sequence[Word], gap: str, broken: Word | None) -> Note:
    """The error at a line that never reaches the launch above it."""
    if broken is not None:
        at = place(broken)
        message = f"{_behind(broken)}; {quoted(words)} never reaches SGLang"
        return Note(severity=Severity.ERROR, message=message, span=at, fix="end the line with the backslash")
    begins = "this line begins with an option, but " if begins_with_option(words) else ""
    message = f"{begins}{cause(gap)}: {quoted(words)} never reaches SGLang"
    fix = "end each line of the launch but the last with a backslash, with nothing behind it and no comment between"
    return Note(severity=Severity.ERROR, message=message, span=whole(words), fix=fix)


def cut_off(above: Sequence[Word], gap: str, broken: Word | None) -> Note:
    """The error where a launch's first lines never reach it."""
    why = _behind(broken) if broken else cause(gap).replace("above it", "above the launch")
    message = f"{why}: {quoted(above)} never reaches the launch"
    fix = "end each line of the launch but the last with a backslash, with nothing behind it and no comment between"
    return Note(severity=Severity.ERROR, message=message, span=place(broken) if broken else whole(above), fix=fix)


def unbroken(words: Sequence[Word]) -> tuple[list[Word], list[Note], Word | None]:
    """The words without the blanks behind backslashes that were to continue a line, an error for each of them, and
    the last word where it has one.
    """
    kept: list[Word] = []
    notes: list[Note] = []
    last: Word | None = None
    for word in words:
        last = None
        if not word.broken:
            kept.append(word)
            continue
        last = word
        message = f"{_behind(word)}, and SGLang is given it in a word"
        notes.append(
            Note(severity=Severity.ERROR, message=message, span=place(word), fix="end the line with the backslash")
        )
        text = word.text[:-1]
        if text.strip():
            kept.append(replace(word, text=text, offsets=word.offsets[:-1], broken=False))
    return kept, notes, last


def without_comment(words: Sequence[Word], lines: Sequence[int]) -> tuple[list[Word], list[Note], Word | None]:
    """The words without a comment that stands behind a backslash, with an error for it.

    ``lines`` has the number of the line for each word. The last is the first word of the comment, where the command
    ends with it.
    """
    for index, word in enumerate(words):
        mark = re.fullmatch(r"\\\s*#", word.raw) is not None and index + 1 < len(words)
        if index and re.match(r"\\\s*#", word.raw) and (mark or word.text[:1].isspace()):
            end = next((at for at in range(index, len(words)) if lines[at] != lines[index]), len(words))
            message = (
                "a comment cannot stand behind a backslash, which then does not continue the line: "
                f"{quoted(words[index:end])} is given to SGLang"
            )
            span = (word.span[0], words[end - 1].span[1])
            note = Note(severity=Severity.ERROR, message=message, span=span, fix="remove the comment")
            rest, notes, _ = without_comment(words[end:], lines[end:])
            return [*words[:index], *rest], [note, *notes], word if end == len(words) else None
    return list(words), [], None


def _behind(word: Word) -> str:
    if word.text.lstrip().startswith("#"):
        return "a comment cannot stand behind a backslash, which then does not continue the line"
    if word.raw in ("\\\\", "/"):
        what = "a slash stands" if word.raw == "/" else "two backslashes stand"
        return f"{what} here, where one backslash would continue the line"
    character = word.text[-1:] or " "
    what = "a blank" if character == " " else "a tab" if character == "\t" else named(character)
    return f"{what} stands behind this backslash, which therefore does not continue the line"


def place(word: Word) -> tuple[int, int]:
    """The character behind the backslash; the comment that stands there."""
    if word.text.lstrip().startswith("#") or not word.offsets:
        return word.span
    return word.offsets[-1], word.offsets[-1] + 1


def whole(words: Sequence[Word]) -> tuple[int, int]:
    return words[0].span[0], max(word.span[1] for word in words)


def quoted(words: Sequence[Word]) -> str:
    """Words as a message may repeat them, without their secrets."""
    return f"`{shown(masked(' '.join(word.text.strip() for word in words)), _LIMIT)}`"


def with_note(launch: Launch, note: Note, more: Sequence[Note] = ()) -> Launch:
    """The launch with a note in place of the one on the same backslash, and ``more`` notes."""
    others = [each for each in launch.notes if each.span[0] != note.span[0] or "backslash" not in each.message]
    return replace(launch, notes=(*others, note, *more))


def line_ends(text: str, places: Sequence[int]) -> list[Note]:
    """What carriage returns behind backslashes do."""
    at = text.find("\\\r\n")
    if at < 0 or at + 1 >= len(places):
        return []
    whole = text.count("\r\n") == text.count("\n")
    message = "a carriage return (U+000D) stands behind this backslash, which for a shell does not continue the line"
    said = "the lines of this text end as on Windows, and were" if whole else "it was"
    span = (places[at], places[at] + 2)
    severity = Severity.WARNING if whole else Severity.ERROR
    return [
        Note(
            severity=severity,
            message=f"{message}; {said} read as meant",
            span=span,
            fix="convert it, such as with dos2unix",
        )
    ]
