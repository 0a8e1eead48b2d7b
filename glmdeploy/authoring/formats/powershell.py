"""PowerShell: its variables, and the commands that launch SGLang.

After about_Parsing, about_Quoting_Rules, about_Variables and about_Splatting of PowerShell 7.4. Expressions other than
strings, numbers and lists are not evaluated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import windows
from glmdeploy.authoring.formats.located import Located, joined, placed
from glmdeploy.authoring.formats.tell import info, installed, warning, with_releases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.authoring.launch.launch import Launch, Note, Span, Word
    from glmdeploy.authoring.launch.script import Script

_VARIABLE = r"\$(?:\{(?P<braced>(?:env:)?[\w:]+)\}|(?P<bare>(?:env:|script:|global:)?\w+))"
_ASSIGNMENT = re.compile(
    rf"[ \t]*(?:\[[\w.\[\]]+\][ \t]*)?{_VARIABLE}[ \t]*(?P<operator>\+?=)[ \t]*(?P<value>.*)", re.DOTALL | re.IGNORECASE
)
_PARAMETER = re.compile(rf"{_VARIABLE}[ \t]*=[ \t]*(?P<value>\"[^\"]*\"|'[^']*'|[\w.-]+)", re.IGNORECASE)
_SHOWS = re.compile(
    r"^[ \t]*(?:\$env:\w+[ \t]*=|\$\w+[ \t]*\+?=(?!=)[ \t]*\S|param[ \t]*\([ \t]*(?:$|\[|\$)|Write-(?:Host|Output)\b"
    r"|\[CmdletBinding\(|Set-StrictMode\b|<#)",
    re.MULTILINE | re.IGNORECASE,
)
_SHELL = re.compile(r"^[ \t]*export[ \t]+\w|[ \t]\\\n[ \t]*-", re.MULTILINE)
"""What stands in shell texts alone."""
_CONTINUED = re.compile(r"^[^#\n`]*[ \t]`[ \t]*\n(?=[ \t]*[-\w$./@\"'])", re.MULTILINE)
_REDIRECTION = re.compile(r"(?:[0-9*])?>>?(?:&[0-9])?[ \t]*(?:\$null|[^\s;|]+)?")
_OPENS = re.compile(
    r"^[ \t]*\}?[ \t]*(?P<word>if|else|elseif|switch|foreach|for|while|try|catch|finally|do|function)\b", re.IGNORECASE
)


@dataclass(kw_only=True)
class _Scope:
    """``lists`` are the items of arrays, ``env`` what programs get."""

    values: dict[str, Word] = field(default_factory=dict)
    lists: dict[str, list[Word]] = field(default_factory=dict)
    env: dict[str, Word] = field(default_factory=dict)


def shows(script: Script) -> Span | None:
    """Where the first line stands that only PowerShell reads."""
    text = script.text
    if text.startswith("#!") and not re.match(r"#![^\n]*\b(?:pwsh|powershell)\b", text):
        return None
    if script.file.lower().endswith((".ps1", ".psm1")):
        return 0, 1
    found = next(filter(None, [_SHOWS.search(text), _continued(text)]), None)
    # `$NAME=value` may be a slip in a shell text.
    slip = found is not None and re.match(r"[ \t]*\$\w+=", found[0]) and _SHELL.search(text)
    return found.span() if found and not slip else None


def _continued(text: str) -> re.Match[str] | None:
    """A line that ends with a backquote which closes no other: in a shell such quotes come in pairs."""
    found = _CONTINUED.search(text)
    return found if found and not re.search(r"\\[ \t]*\n[ \t]*-", text) else None


def read(text: Located, script: Script) -> list[Launch]:
    """The launches of all commands.

    :raises ShellError: where a shell text among the arguments cannot be read.
    """
    scope = _Scope()
    found: list[Launch] = []
    notes: list[Note] = []
    depth: list[bool] = []
    seen: list[Located] = []
    for line in _statements(text):
        conditional = any(depth)
        if match := re.match(r"[ \t]*param[ \t]*\(", line.text, re.IGNORECASE):
            for parameter in _PARAMETER.finditer(line.text, match.end()):
                written = parameter["braced"] or parameter["bare"]
                name = written.lower()
                word = _word(line.cut(*parameter.span("value")), scope)
                told = info(f"${written} has its default {word.text}, which was taken", word.span)
                scope.values[name] = replace(word, notes=(told,))
        elif match := _ASSIGNMENT.fullmatch(line.text):
            _assign(match, line, scope, conditional=conditional)
        else:
            for words in _commands(line, scope):
                found += windows.argv(words, scope.env, *notes)
        seen.append(line)
        opens = _OPENS.match(line.text)
        bare = re.sub(r"\"[^\"]*\"|'[^']*'|\$\{[^}]*\}|@\{[^}]*\}", "", line.text)
        for brace in re.findall(r"[{}]", bare):
            if brace == "{":
                depth.append(
                    bool(opens) and (opens["word"].lower() if opens else "") not in ("function", "try", "finally")
                )
            elif depth:
                depth.pop()
    return with_releases(found, seen) if installed(*seen) else found


def _assign(match: re.Match[str], line: Located, scope: _Scope, *, conditional: bool) -> None:
    name = (match["braced"] or match["bare"]).lower().removeprefix("script:").removeprefix("global:")
    value = line.cut(*match.span("value")).stripped()
    environment = name.startswith("env:")
    shown = (match["braced"] or match["bare"])[4 if environment else 0 :]
    inner = re.fullmatch(r"@\((?P<items>.*)\)", value.text, re.DOTALL)
    if inner or (re.search(r",[ \t]*(?=[\"'$\w-])", value.text) and not environment and value.text[:1] in "\"'"):
        items = _items(value.cut(*inner.span("items")) if inner else value, scope)
        if conditional:
            message = f"${shown} is set under a condition; the last value in the text was taken"
            items = [replace(item, notes=(*item.notes, warning(message, line.stripped().span()))) for item in items]
        scope.lists[name] = [*scope.lists.get(name, []), *items] if match["operator"] == "+=" else items
        return
    word = _word(value, scope)
    if match["operator"] == "+=" and name in scope.lists:
        scope.lists[name] = [*scope.lists[name], word]
        return
    if conditional:
        message = f"${shown} is set under a condition; the last value in the text was taken"
        word = replace(word, notes=(*word.notes, warning(message, line.stripped().span())))
    if environment:
        scope.env[shown] = word
    scope.values[name] = word


def _items(text: Located, scope: _Scope) -> list[Word]:
    """The items of a list."""
    found = re.finditer(r"\"(?:`.|[^\"`])*\"|'(?:''|[^'])*'|[^\s,]+", text.text, re.DOTALL)
    return [_word(text.cut(*match.span()), scope) for match in found if not match[0].startswith("#")]


def _word(text: Located, scope: _Scope) -> Word:
    """The value of an expression that is one word."""
    if re.fullmatch(r"\"(?:`.|[^\"`])*\"|'(?:''|[^'])*'|[\w.:/\\-]+|\$(?:env:)?\w+|\$\{[\w:]+\}", text.text, re.DOTALL):
        words = [word for words in _commands(text, scope, values=True) for word in words]
        if len(words) == 1:
            return words[0]
        if not words:
            return text.cut(0, 0).word() if not text.text else placed("", text.span()[0]).word()
    name = re.sub(r"\W+", "_", text.text).strip("_")[:40] or "value"
    return placed(f"${name}", text.span()[0]).word(unknown=(f"${name}",))


def _commands(line: Located, scope: _Scope, *, values: bool = False) -> Iterator[list[Word]]:
    """The words of each command in a line."""
    words: list[Word] = []
    at = 0
    text = line.text
    while at < len(text):
        each = text[at]
        two = text[at : at + 2]
        if each in " \t":
            at += 1
        elif each == "#" and not values:
            break
        elif two in ("&&", "||") or (each in ";|{}\n" and not values):
            if words:
                yield words
            words, at = [], at + (2 if two in ("&&", "||") else 1)
        elif each in "&." and not words and (at + 1 == len(text) or text[at + 1] in " \t\"'"):
            at += 1
        elif not values and (match := _REDIRECTION.match(text, at)):
            at = match.end()
        elif splat := re.compile(r"@(\w+)").match(text, at):
            items = scope.lists.get(splat[1].lower(), [_unknown(line, at, splat[0])])
            words += [_used(item, line.span(at, splat.end())) for item in items]
            at = splat.end()
        elif (whole := re.compile(r"\$(\w+)(?![\w.:(\[])").match(text, at)) and whole[1].lower() in scope.lists:
            words += [_used(item, line.span(at, whole.end())) for item in scope.lists[whole[1].lower()]]
            at = whole.end()
        else:
            word, at = _read(line, at, scope, values=values)
            words.append(word)
    if words:
        yield words


def _read(line: Located, at: int, scope: _Scope, *, values: bool) -> tuple[Word, int]:
    """The word that begins at a character, and where it ends."""
    pieces: list[Located] = []
    unknown: list[str] = []
    notes: list[Note] = []
    text, start, quote = line.text, at, ""
    while at < len(text):
        each = text[at]
        if each == "`" and quote != "'" and at + 1 < len(text):
            pieces.append(line.cut(at + 1, at + 2))
            at += 2
        elif quote == "'" and text.startswith("''", at):
            pieces.append(line.cut(at, at + 1))
            at += 2
        elif each == quote:
            quote = ""
            at += 1
        elif not quote and each in "\"'":
            quote = each
            at += 1
        elif each == "$" and quote != "'" and (match := re.compile(_VARIABLE, re.IGNORECASE).match(text, at)):
            end = match.end()
            member = re.compile(r"(?:\.\w+|\[[^\]]*\])+").match(text, end) if not quote else None
            name = (match["braced"] or match["bare"]).lower()
            held = scope.values.get(name)
            if held is not None and not member:
                pieces.append(placed(held.text, line.span(at)[0]))
                unknown += held.unknown
                notes += held.notes
            else:
                # The shell's own form, so that a text for a shell inside says so too.
                shown = f"${{{re.sub(r'[^0-9A-Za-z_]', '_', (match['braced'] or match['bare']).removeprefix('env:'))}}}"
                pieces.append(placed(shown, line.span(at)[0]))
                unknown.append(shown)
            at = member.end() if member else end
        elif text.startswith("$(", at) and quote != "'":
            end = text.find(")", at)
            end = len(text) if end < 0 else end + 1
            pieces.append(placed("${expression}", line.span(at)[0]))
            unknown.append("${expression}")
            at = end
        elif not quote and (each in " \t;|{}\n" or (each == "," and values)):
            break
        else:
            pieces.append(line.cut(at, at + 1))
            at += 1
    found = joined(pieces)
    word = found.word(raw=text[start:at], unknown=tuple(dict.fromkeys(unknown)), notes=notes)
    return replace(word, span=line.span(start, at)), at


def _used(word: Word, span: Span) -> Word:
    """A word of a list where the list is used, because that is where a reader looks for it."""
    return replace(word, span=span, offsets=(span[0],) * len(word.text), raw="")


def _unknown(line: Located, at: int, written: str) -> Word:
    return placed(written, line.span(at)[0]).word(unknown=(written,))


def _statements(text: Located) -> Iterator[Located]:
    """Lines, continued ones and lists over several lines as one; comments in ``<# #>`` are left out."""
    text = text.replaced(re.compile(r"<#.*?#>", re.DOTALL), lambda _: placed("", 0))
    pieces: list[Located] = []
    open_ = 0
    for line in text.lines():
        bare = line.text.rstrip(" \t")
        if pieces and line.text.lstrip().startswith("#"):
            continue
        plain = re.sub(r"\"(?:`.|[^\"`])*\"|'[^']*'|(?:^|\s)#.*", "", line.text)
        open_ = max(open_ + plain.count("(") - plain.count(")"), 0)
        if bare.endswith("`"):
            pieces += [line.cut(0, len(bare) - 1), placed(" ", line.span(len(bare) - 1)[0])]
        elif open_ or bare.endswith(("|", "&&", "||")):
            cut = re.search(r"(?:^|[ \t])#.*", line.text)
            pieces += [
                line.cut(0, cut.start()) if cut else line,
                placed("\n" if open_ else " ", line.span(len(bare))[0]),
            ]
        else:
            yield joined([*pieces, line])
            pieces = []
    if pieces:
        yield joined(pieces)
