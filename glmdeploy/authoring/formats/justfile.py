"""A justfile: its variables, and the recipes that launch SGLang.

After the manual of just 1.40 (just.systems/man). Functions other than ``env`` and what its parameters get from the
command line are not in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.located import Located, joined, placed
from glmdeploy.authoring.formats.tell import info, installed, shell, told, warning, with_releases

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.authoring.launch.launch import Launch, Note, Span
    from glmdeploy.authoring.launch.script import Script

_NAME = r"[A-Za-z_][\w-]*"
_STRING = r"'''(?s:.*?)'''|\"\"\"(?s:.*?)\"\"\"|'[^']*'|\"(?:\\.|[^\"\\])*\""
_ASSIGNMENT = re.compile(
    rf"(?P<export>export[ \t]+)?(?P<name>{_NAME})[ \t]*:=[ \t]*(?P<value>.*)", re.ASCII | re.DOTALL
)
_PARAMETER = re.compile(
    rf"[ \t]*(?P<kind>[+*]?\$?|\$[+*]?)(?P<name>{_NAME})(?:=(?P<value>{_STRING}|[\w.-]+|\([^)]*\)))?", re.ASCII
)
_RECIPE = re.compile(
    rf"@?(?P<name>{_NAME})(?P<parameters>(?:[ \t]+[+*]?\$?{_NAME}(?:=(?:{_STRING}|[\w.-]+|\([^)]*\)))?)*)[ \t]*:(?!=)"
    r"(?P<needs>[^\n]*)",
    re.ASCII,
)
_OTHER = re.compile(
    rf"(?:set[ \t]+{_NAME}|alias[ \t]+|import\??[ \t]|mod\??[ \t]|\[[\w\s,:()'\"/.-]+\][ \t]*$)", re.ASCII
)
_INSERTION = re.compile(r"\{\{\{\{|\{\{(?P<expression>.*?)\}\}")
_TERM = re.compile(
    rf"[ \t]*(?:(?P<string>x?(?:{_STRING}))|(?P<env>env(?:_var_or_default|_var)?)\((?P<arguments>[^()]*)\)"
    rf"|(?P<name>{_NAME}))"
    r"[ \t]*(?P<operator>[+/]|$)",
    re.ASCII,
)


@dataclass(kw_only=True)
class _Recipe:
    name: str
    parameters: dict[str, str | None]
    needs: Located
    span: Span
    body: list[Located] = field(default_factory=list)


def shows(script: Script) -> Span | None:
    """Where the first line stands that only just reads, if every line outside recipes is just's."""
    named = bool(re.search(r"(?:^|[/\\])\.?[Jj]ustfile$|\.just$", script.file))
    text = script.text
    if text.startswith("#!") and "just" not in text.partition("\n")[0]:
        return None
    own: Span | None = None
    recipes = 0
    for match in re.finditer(r"^(?![ \t\n]|#)(?P<line>[^\n]+)$", _without_strings(text), re.MULTILINE):
        if _ASSIGNMENT.match(match["line"]) or _OTHER.match(match["line"]):
            own = own or match.span()
        elif _RECIPE.match(match["line"]):
            recipes += 1
        elif not named:
            return None
    insertion = _insertion(text)
    if not recipes or (
        re.search(r"\$[({][A-Za-z_]+[)}][^\n]*\n?", text) and own is None and not insertion and not named
    ):
        return None
    own = own if insertion or not re.search(r"\$\([A-Z_]+\)", text) else None
    return own or insertion or ((0, 1) if named else None)


def _insertion(text: str) -> Span | None:
    """Where the first line of a recipe stands that has ``{{...}}``."""
    start = 0
    for line in text.split("\n"):
        if line[:1] in (" ", "\t") and 0 <= line.find("{{") < line.rfind("}}"):
            return start, start + len(line)
        start += len(line) + 1
    return None


def _without_strings(text: str) -> str:
    return re.sub(r"'''.*?'''|\"\"\".*?\"\"\"", lambda match: "x" * len(match[0]), text, flags=re.DOTALL)


def read(text: Located, script: Script) -> list[Launch]:
    """The launches of all recipes, in the order of the file.

    :raises ShellError: where a recipe cannot be read as a shell reads it.
    """
    values: dict[str, Located] = {}
    exported: dict[str, Located] = {}
    recipes: list[_Recipe] = []
    notes: list[Note] = []
    for line in text.lines():
        if not line.text.strip():
            continue
        if line.text[0] in " \t":
            if recipes:
                recipes[-1].body.append(line)
        elif match := _ASSIGNMENT.fullmatch(line.text):
            values[match["name"]] = line.cut(*match.span("value")).stripped()
            if match["export"]:
                exported[match["name"]] = values[match["name"]]
        elif re.match(r"(?:import|mod)\b", line.text):
            notes.append(warning("what the file has that is imported here is not in this text", line.span()))
        elif match := _RECIPE.match(line.text):
            recipes.append(_recipe(match, line))
    return [launch for each in recipes for launch in _of_recipe(each, values, exported, notes)]


def _recipe(match: re.Match[str], line: Located) -> _Recipe:
    parameters = {each["name"]: each["value"] for each in _PARAMETER.finditer(match["parameters"]) if each["name"]}
    needs = line.cut(*match.span("needs")).stripped()
    return _Recipe(name=match["name"], parameters=parameters, needs=needs, span=line.span())


def _of_recipe(
    recipe: _Recipe, values: Mapping[str, Located], exported: Mapping[str, Located], notes: list[Note]
) -> list[Launch]:
    known = dict(values)
    defaults: list[Note] = []
    for name, value in recipe.parameters.items():
        known.pop(name, None)
        if value is not None:
            known[name] = placed(value, recipe.span[0])
            defaults.append(info(f"`{name}` has its default {value}, which was taken", recipe.span))
    env = {name: held.word() for name, value in exported.items() if (held := _value(value, known)) is not None}
    found: list[Launch] = []
    others: list[Note] = []
    releases: list[Located] = []
    for line in _commands(recipe):
        command = _inserted(line, known)
        launched = shell(command, env)
        found += launched
        if not launched:
            releases.append(command)
            if not installed(command) and not re.match(r"[ \t]*(?:@?echo|#)", command.text):
                others.append(warning("this line of the recipe was left out", command.stripped().span()))
    if not found:
        return []
    taken = info(f"the recipe `{recipe.name}` was taken", recipe.span)
    if recipe.needs.text and not recipe.needs.text.startswith("#"):
        message = f"what `{recipe.name}` needs beforehand was left out: {recipe.needs.text}"
        others.append(warning(message, recipe.needs.span()))
    return told(with_releases(found, releases), *notes, taken, *defaults, *others)


def _commands(recipe: _Recipe) -> Iterator[Located]:
    """A command a line, continued ones as one; the whole body where it begins with ``#!``."""
    if recipe.body and recipe.body[0].text.lstrip().startswith("#!"):
        yield joined([piece for line in recipe.body for piece in (line, placed("\n", line.span(len(line.text))[0]))])
        return
    pieces: list[Located] = []
    for line in recipe.body:
        begin = re.match(r"[ \t]*[@-]*", line.text) if not pieces else None
        pieces.append(line.cut(begin.end() if begin else 0))
        if line.text.endswith("\\"):
            pieces.append(placed("\n", line.span(len(line.text))[0]))
            continue
        yield joined(pieces)
        pieces = []
    if pieces:
        yield joined(pieces)


def _inserted(line: Located, known: Mapping[str, Located]) -> Located:
    def value(match: re.Match[str]) -> Located | None:
        if match["expression"] is None:
            return placed("{{", 0)
        expression = match["expression"].strip()
        found = _value(placed(expression, 0), known)
        if found is not None:
            return found
        # In the shell's own form, which says that its value is not in the text.
        name = expression.replace("-", "_")
        return placed(f"${{{name}}}" if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else f"$({expression})", 0)

    return line.replaced(_INSERTION, value)


def _value(expression: Located, known: Mapping[str, Located], depth: int = 0) -> Located | None:
    """The value of an expression: strings, variables, ``env`` with a default, ``+`` and ``/``; None for others."""
    pieces: list[Located] = []
    text = expression.text.strip()
    at = 0
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None or depth > 20:
            return None
        if match["string"]:
            quoted = match["string"].removeprefix("x")
            marks = 3 if quoted[:3] in ("'''", '"""') else 1
            inner = quoted[marks:-marks]
            if quoted[0] == '"':
                inner = re.sub(r"\\(.)", lambda each: {"n": "\n", "t": "\t"}.get(each[1], each[1]), inner)
            piece: Located | None = placed(inner, 0)
        elif match["env"]:
            arguments = re.findall(_STRING, match["arguments"])
            piece = placed(arguments[1][1:-1], 0) if len(arguments) == 2 else None
        else:
            held = known.get(match["name"])
            piece = None if held is None else _value(held, known, depth + 1)
        if piece is None:
            return None
        pieces.append(piece)
        if match["operator"] == "/":
            pieces.append(placed("/", 0))
        at = match.end()
    found = joined(pieces)
    return placed(found.text, expression.span()[0])
