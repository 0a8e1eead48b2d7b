"""A fish script, read as the shell text that means the same.

After the language reference of fish 4 (fishshell.com/docs/current/language.html): ``set``, command substitutions in
parentheses, blocks that end with ``end``. A variable is a list there: each of its items is a word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.located import Located, joined, logical_lines, placed, split
from glmdeploy.authoring.formats.tell import shell

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Launch, Span
    from glmdeploy.authoring.launch.script import Script

_EXPORTS = r"-[gGlUuaf]*x[gGlUuaf]*|--export|-[gGlUf][ \t]+-x|--global[ \t]+--export|-x[ \t]+-[gGlUf]"
_SHOWS = re.compile(
    rf"^[ \t]*(?:set[ \t]+(?:{_EXPORTS})[ \t]+[A-Za-z_]\w*[ \t]+\S|set[ \t]+-q[ \t]+\w+[ \t]*(?:;[ \t]*or\b|\n)"
    r"|set[ \t]+-(?:g|l|gl|U)[ \t]+[A-Za-z_]\w*[ \t]+\S|fish_add_path\b)",
    re.MULTILINE,
)
_PLAIN = re.compile(r"^[ \t]*set[ \t]+[A-Za-z_]\w*[ \t]+[^=\s-]\S*[ \t]*(?:\\\n|$)", re.MULTILINE)
_ENDS = re.compile(r"^[ \t]*end[ \t]*;?[ \t]*$", re.MULTILINE)
_SHEBANG = re.compile(r"#![^\n]*\bfish\b")
_SET = re.compile(
    r"[ \t]*set(?P<options>(?:[ \t]+-{1,2}[\w-]+)*)[ \t]+(?P<name>[A-Za-z_]\w*)(?:\[[^\]]*\])?(?P<value>.*)",
    re.DOTALL,
)
_OR_SET = re.compile(
    r"[ \t]*set[ \t]+-q[ \t]+(?P<asked>\w+)[ \t]*(?:;|\n|\|\|)[ \t]*(?:or[ \t]+)?(?P<rest>set\b.*)", re.DOTALL
)
_VARIABLE = re.compile(r"\$(\w+)(?:\[[^\]]*\])?|\{\$(\w+)\}")
_BLOCK = re.compile(
    r"[ \t]*(?P<word>if|while|for|switch|function|begin|else[ \t]+if|else|case|end)\b(?P<rest>.*)", re.DOTALL
)
_OPENED = {"if": ("; then", "fi"), "while": ("; do", "done"), "for": ("; do", "done"), "function": ("() {", "}")}


def shows(script: Script) -> Span | None:
    """Where the first line stands that only fish reads so."""
    text = script.text
    if text.startswith("#!"):
        return (0, 1) if _SHEBANG.match(text) else None
    if script.file.endswith(".fish"):
        return 0, 1
    found = _SHOWS.search(text) or (_PLAIN.search(text) if _ENDS.search(text) else None)
    return found.span() if found else None


def read(text: Located, script: Script) -> list[Launch]:
    """The launches of all commands.

    :raises ShellError: where it cannot be read.
    """
    return shell(_translated(text))


def _translated(text: Located) -> Located:
    lists: set[str] = set()
    closing: list[str] = []
    lines: list[Located] = []
    source = list(logical_lines(text, glue=" "))
    at = 0
    while at < len(source):
        line = source[at]
        at += 1
        bare = line.text.strip()
        if (
            re.fullmatch(r"set[ \t]+-q[ \t]+\w+", bare)
            and at < len(source)
            and re.match(r"[ \t]*or\b", source[at].text)
        ):
            line = joined([line, placed("\n", line.span(len(line.text))[0]), source[at]])
            at += 1
        if not bare or bare.startswith("#"):
            continue
        for piece in _statements(line):
            lines += [_statement(piece, lists, closing), placed("\n", piece.span(len(piece.text))[0])]
    return joined(lines)


def _statements(line: Located) -> list[Located]:
    """The statements between semicolons outside quotes; ``set -q X; or set X`` stays together."""
    if _OR_SET.fullmatch(line.text):
        return [line]
    pieces, start, quote = [], 0, ""
    for index, each in enumerate(line.text):
        if each == quote:
            quote = ""
        elif not quote and each in "\"'" and line.text[index - 1 : index] != "\\":
            quote = each
        elif not quote and each == ";":
            pieces.append(line.cut(start, index))
            start = index + 1
        elif not quote and each == "#" and line.text[index - 1 : index] in ("", " ", "\t"):
            return [*pieces, line.cut(start, index)]
    return [*pieces, line.cut(start)]


def _statement(line: Located, lists: set[str], closing: list[str]) -> Located:
    line = line.stripped()
    if asked := _OR_SET.fullmatch(line.text):
        inner = _SET.fullmatch(asked["rest"])
        if inner and inner["name"] == asked["asked"]:
            start = asked.start("rest")
            value = line.cut(start + inner.start("value"), start + inner.end("value")).stripped()
            exports = "export " if _exports(inner["options"]) else ""
            head, tail = (
                placed(f'{exports}{inner["name"]}="${{{inner["name"]}:-', line.span()[0]),
                placed('}"', line.span()[0]),
            )
            return joined(
                [
                    head,
                    *(joined([placed(" ", 0), each]) if index else each for index, each in enumerate(split(value))),
                    tail,
                ]
            )
    if match := _SET.fullmatch(line.text):
        return _set(match, line, lists)
    for word, operator in (("and", "&& "), ("or", "|| ")):
        if line.text.startswith(f"{word} "):
            return joined(
                [
                    placed("true ", line.span()[0]),
                    placed(operator, line.span()[0]),
                    _words(line.cut(len(word) + 1), lists),
                ]
            )
    if block := _BLOCK.fullmatch(line.text):
        return _block(block, line, lists, closing)
    return _words(line, lists)


def _block(match: re.Match[str], line: Located, lists: set[str], closing: list[str]) -> Located:
    at = line.span()[0]
    word, rest = re.sub(r"[ \t]+", " ", match["word"]), _words(line.cut(match.start("rest")), lists)
    if word == "end":
        return placed(closing.pop() if closing else ":", at)
    if word in _OPENED:
        begin, end = _OPENED[word]
        closing.append(end)
        if word == "function":
            return placed(f"{rest.text.split()[0] if rest.text.split() else 'f'}{begin} :", at)
        return joined([placed(word, at), rest, placed(begin, at)])
    if word == "begin":
        closing.append("}")
        return placed("{ :", at)
    if word == "switch":
        closing.append("fi")
        return placed("if true; then :", at)
    if word == "else if":
        return joined([placed("elif ", at), rest, placed("; then", at)])
    return placed("else" if word == "else" else ":", at)


def _exports(options: str) -> bool:
    return any(each == "--export" or (not each.startswith("--") and "x" in each) for each in options.split())


def _set(match: re.Match[str], line: Located, lists: set[str]) -> Located:
    at, name, options = line.span()[0], match["name"], match["options"].split()
    if any(each in ("-e", "--erase") for each in options):
        return placed(f"unset {name}", at)
    if any(each in ("-q", "--query", "-S", "--show") for each in options):
        return placed(":", at)
    value = line.cut(*match.span("value")).stripped()
    words = split(value)
    added = any(each == "--append" or (not each.startswith("--") and "a" in each) for each in options)
    exported = placed("export ", at) if _exports(match["options"]) else placed("", at)
    if len(words) == 1 and not added:
        lists.discard(name)
        return joined([exported, placed(f"{name}=", at), _words(value, lists)])
    lists.add(name)
    return joined([placed(f"{name}{'+=' if added else '='}(", at), _words(value, lists), placed(")", at)])


def _words(text: Located, lists: set[str]) -> Located:
    """The text with substitutions and lists as a shell writes them."""
    pieces: list[Located] = []
    quote, at = "", 0
    while at < len(text.text):
        each = text.text[at]
        here = text.span(at)[0]
        if each == "\\":
            pieces.append(text.cut(at, at + 2))
            at += 2
            continue
        if each == quote:
            quote = ""
        elif not quote and each in "\"'":
            quote = each
        elif not quote and each == "(":
            pieces.append(placed("$" if text.text[at - 1 : at] != "$" else "", here))
        elif each == "$" and quote != "'" and (match := _VARIABLE.match(text.text, at)):
            if match[1] in lists:
                every = f"${{{match[1]}[@]}}" if not quote else f"${{{match[1]}[*]}}"
                pieces.append(placed(every if quote else f'"{every}"', here))
            else:
                pieces.append(placed(f"${{{match[1]}}}" if quote else f'"${{{match[1]}}}"', here))
            at = match.end()
            continue
        pieces.append(text.cut(at, at + 1))
        at += 1
    return joined(pieces)
