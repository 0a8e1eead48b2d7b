"""A Makefile: its variables, and the recipes that launch SGLang.

After the manual of GNU make 4.4: 3.1 (what makefiles contain), 5.1 (recipe syntax), 6 (variables), 10.3 (variables in
implicit rules are not known here). Functions are not evaluated: what needs one is not told by the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.located import Located, joined, placed
from glmdeploy.authoring.formats.tell import info, installed, shell, told, warning, with_releases
from glmdeploy.profile.text.characters import shown
from glmdeploy.redaction import mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.authoring.launch.launch import Launch, Note, Span
    from glmdeploy.authoring.launch.script import Script

MAX_DEPTH = 20
"""Variables inside variables."""

_NAME = r"[A-Za-z_.][\w.-]*"
_ASSIGNMENT = re.compile(
    rf"[ ]*(?P<words>(?:(?:export|override|private|unexport)[ \t]+)*)(?P<name>{_NAME})[ \t]*"
    r"(?P<operator>:::=|::=|:=|\?=|\+=|!=|=)[ \t]*(?P<value>.*)",
    re.ASCII | re.DOTALL,
)
_RULE = re.compile(r"[ ]*(?P<targets>[^\s:=#\"'`;&|<>][^:=#\"'`;&|<>]*?)[ ]*::?(?![=:/])(?P<rest>.*)", re.DOTALL)
_DIRECTIVE = re.compile(
    r"[ ]*(?:ifeq|ifneq|ifdef|ifndef|else|endif|-?include|sinclude|export|unexport|vpath|define|endef|undefine)\b"
)
_CALL = re.compile(r"[ ]*\$[({](?:info|warning|error|eval|call|foreach)\b")
_REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<one>[@<^+*?%A-Za-z_0-9])"
    r"|\((?P<round>[^()$]*(?:\$\([^()]*\)[^()$]*)*)\)|\{(?P<curly>[^{}$]*)\})"
)
_SHELL_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SHEBANG = re.compile(r"#![^\n]*\bmake\b")


@dataclass(kw_only=True)
class _Variable:
    """``otherwise`` is what it is where the condition is not met under which it is set, None without one."""

    value: Located
    simple: bool
    otherwise: str | None = None


@dataclass(kw_only=True)
class _Rule:
    targets: str
    needs: Located
    span: Span
    recipe: list[Located] = field(default_factory=list)
    own: dict[str, _Variable] = field(default_factory=dict)


@dataclass(kw_only=True)
class _Make:
    variables: dict[str, _Variable] = field(default_factory=dict)
    exported: list[str] = field(default_factory=list)
    rules: list[_Rule] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def shows(script: Script) -> Span | None:
    """Where the first rule or assignment of make's own form stands, if every line outside recipes is make's."""
    text = script.text
    shebang = text.startswith("#!")
    if shebang and not _SHEBANG.match(text):
        return None
    named = bool(re.search(r"(?:^|[/\\])(?:GNU)?[Mm]akefile[^/\\]*$|\.mk$", script.file)) or shebang
    first: Span | None = None
    rules = recipes = 0
    lines = text.split("\n")
    at = start = 0
    defining = False
    while at < len(lines):
        line, begin = lines[at], start
        start += len(line) + 1
        at += 1
        while line.endswith("\\") and at < len(lines):
            line = f"{line[:-1]} {lines[at]}"
            start += len(lines[at]) + 1
            at += 1
        bare = line.strip()
        if defining or not bare or bare.startswith("#"):
            defining = defining and bare != "endef"
            continue
        if line.startswith("\t"):
            recipes += rules > 0
            continue
        defining = bare.startswith("define ")
        if _ASSIGNMENT.fullmatch(line) or _DIRECTIVE.match(line) or _CALL.match(line):
            pass
        elif (rule := _RULE.fullmatch(line)) and (named or not re.search(r"(?:^|\s)-", rule["targets"])):
            rules += 1  # a target is no option, as `-p` in `docker run -p 30000:30000` is one
        elif not named:
            return None
        first = first or (begin, begin + len(lines[at - 1]))
    return first if first and rules and (named or recipes) else None


def read(text: Located, script: Script) -> list[Launch]:
    """The launches of all recipes, in the order of the file.

    :raises ShellError: where a recipe cannot be read as a shell reads it.
    """
    make = _parsed(text)
    return [launch for rule in make.rules for launch in _of_rule(rule, make)]


def _of_rule(rule: _Rule, make: _Make) -> list[Launch]:
    variables = {**make.variables, **rule.own}
    env = {
        name: _expanded(variables[name].value, variables, rule).word() for name in make.exported if name in variables
    }
    found: list[Launch] = []
    others: list[Note] = []
    releases: list[Located] = []
    for line in rule.recipe:
        bare = re.match(r"[ \t]*[-@+]*[ \t]*", line.text)
        used: list[Note] = []
        command = _expanded(line.cut(bare.end() if bare else 0), variables, rule, used)
        launched = told(shell(command, env), *used)
        if launched:
            found += launched
        elif command.text.strip():
            releases.append(command)
            if not installed(command) and not re.match(r"(?:@?echo|printf|:|true|#)\b", command.text):
                others.append(warning("this line of the recipe was left out", command.stripped().span()))
    if not found:
        return []
    target = rule.targets.strip()
    notes = [info(f"the recipe of `{target}` was taken", rule.span)]
    if needs := rule.needs.stripped().text:
        notes.append(warning(f"what `{target}` needs beforehand was left out: {needs}", rule.needs.stripped().span()))
    return told(with_releases(found, releases), *make.notes, *notes, *others)


def _parsed(text: Located) -> _Make:
    make = _Make()
    rule: _Rule | None = None
    conditions: list[bool | None] = []
    """Of each condition around a line whether it is met, None where the text does not tell."""
    define: tuple[str, list[Located]] | None = None
    for full in _lines(text):
        bare = full.text.strip()
        if define is not None:
            if bare == "endef":
                make.variables[define[0]] = _Variable(value=joined(define[1]), simple=False)
                define = None
            else:
                define[1].extend([full, placed("\n", full.span(len(full.text))[0])])
            continue
        if full.text.startswith("\t") and not re.match(r"[ \t]*(?:ifn?eq|ifn?def|else|endif)\b", full.text):
            if rule is not None and False not in conditions:
                rule.recipe.append(full.cut(1))
            elif rule is not None:
                make.notes.append(
                    info("this line was left out: its condition is not met in this text", full.stripped().span())
                )
            continue
        line = _uncommented(full)
        if not line.text.strip():
            continue
        bare = line.text.strip()
        if match := re.match(r"(?:override )?define\s+([^\s=:?+]+)", bare):
            define = (match[1], [])
        elif re.match(r"(?:ifeq|ifneq|ifdef|ifndef)\b", bare):
            conditions.append(_met(bare, make))
        elif re.match(r"else\b", bare) and conditions:
            before = conditions.pop()
            conditions.append(None if before is None or bare != "else" else not before)
        elif bare == "endif" or bare.startswith("endif "):
            conditions = conditions[:-1]
        elif False in conditions:
            message = "this line was left out: its condition is not met in this text"
            make.notes.append(info(message, line.stripped().span()))
        elif match := _ASSIGNMENT.fullmatch(line.text):
            _assign(match, line, make.variables, make, conditional=None in conditions)
        elif re.match(r"(?:-?include|sinclude)\b", bare):
            message = "what the file has that is included here is not in this text"
            make.notes.append(warning(message, line.stripped().span(), "put it in place of the include"))
        elif bare.startswith("export") and not _RULE.fullmatch(line.text):
            make.exported += bare.split()[1:] or list(make.variables)
        elif match := _RULE.fullmatch(line.text):
            rule = _rule(match, line, make) or rule
    return make


def _met(line: str, make: _Make) -> bool | None:
    """Whether a condition is met; None where the text does not tell (GNU make's manual, 7.2)."""
    word, _, rest = line.partition(" ")
    if word in ("ifdef", "ifndef"):
        name = rest.strip()
        held = make.variables.get(name)
        if held is not None and held.otherwise is not None:
            return None
        return (
            (held is not None and bool(held.value.text)) == (word == "ifdef") if _SHELL_NAME.fullmatch(name) else None
        )
    sides = re.fullmatch(r"\(([^,]*),([^,]*)\)|([\"'])(.*)\3\s+([\"'])(.*)\5", rest.strip())
    if sides is None:
        return None
    one, other = (sides[1], sides[2]) if sides[1] is not None else (sides[4], sides[6])
    # A variable that is set nowhere is empty for make.
    sides_of = (_expanded(placed(side.strip(), 0), make.variables, None).text for side in (one, other))
    texts = [re.sub(r"\$\{\w+\}", "", text) for text in sides_of]
    plain = all(not re.search(r"\$", text) for text in texts)
    uncertain = any(each.otherwise is not None for name, each in make.variables.items() if f"({name})" in line)
    return (texts[0] == texts[1]) == (word == "ifeq") if plain and not uncertain else None


def _rule(match: re.Match[str], line: Located, make: _Make) -> _Rule | None:
    targets = match["targets"]
    rest = line.cut(*match.span("rest"))
    if targets.startswith(".") and "/" not in targets:
        return None
    if own := _ASSIGNMENT.fullmatch(rest.text.strip()):
        # Of this target alone: make reads it whether it stands before or behind the rule.
        inner = rest.stripped()
        rule = next((each for each in make.rules if each.targets == targets), None)
        if rule is None:
            rule = _Rule(targets=targets, needs=rest.cut(0, 0), span=line.stripped().span())
            make.rules.append(rule)
        held = dict(make.variables)
        _assign(own, inner, held, make, conditional=False)
        rule.own[own["name"]] = held[own["name"]]
        return rule
    needs, semicolon, command = rest.text.partition(";")
    before = next((each for each in make.rules if each.targets == targets and not each.recipe), None)
    rule = before or _Rule(targets=targets, needs=rest.cut(0, len(needs)), span=line.stripped().span())
    rule.needs = rest.cut(0, len(needs))
    if semicolon and command.strip():
        rule.recipe.append(rest.cut(len(needs) + 1))
    if before is None:
        make.rules.append(rule)
    return rule


def _assign(
    match: re.Match[str], line: Located, variables: dict[str, _Variable], make: _Make, *, conditional: bool
) -> None:
    name, operator = match["name"], match["operator"]
    value = line.cut(*match.span("value"))
    if "export" in match["words"].split():
        make.exported.append(name)
    held = variables.get(name)
    if operator == "?=" and held is not None:
        return
    if operator == "!=":
        value = joined([placed("$(shell ", value.span()[0]), value, placed(")", value.span()[0])])
    simple = operator in (":=", "::=", ":::=")
    if simple:
        value = _expanded(value, variables, None, keep=True)
    otherwise = (held.value.text if held is not None else "") if conditional else None
    if operator == "+=" and held is not None:
        value = joined([held.value, placed(" ", value.span()[0]), value])
        otherwise = (
            otherwise if otherwise is not None or held.otherwise is None else f"{held.otherwise} {match['value']}"
        )
    variables[name] = _Variable(value=value, simple=simple, otherwise=otherwise)


def _expanded(
    text: Located,
    variables: Mapping[str, _Variable],
    rule: _Rule | None,
    used: list[Note] | None = None,
    *,
    keep: bool = False,
    depth: int = 0,
) -> Located:
    """The text with make's variables put in; ``keep``: ``$$`` stays for the expansion of what it is assigned to."""

    def value(match: re.Match[str]) -> Located | None:
        if match["dollar"]:
            return placed("$$" if keep else "$", 0)
        name = match["one"] or (match["round"] if match["round"] is not None else match["curly"]) or ""
        if name in "@<" and rule is not None:
            return placed((rule.targets if name == "@" else rule.needs.text).split(" ")[0], 0)
        if fallback := re.fullmatch(r"or[ \t]+\$[({](\w+)[)}],[ \t]*([^,$()]*)", name):
            held = variables.get(fallback[1])
            inner = held.value if held is not None else placed(fallback[2], 0)
            return _expanded(inner, variables, rule, used, keep=keep, depth=depth + 1)
        held = variables.get(name)
        if held is None or depth >= MAX_DEPTH:
            # A variable of the environment of make: the shell's own form says that it is not in the text.
            return placed(f"${{{name}}}", 0) if _SHELL_NAME.fullmatch(name) and not keep else None
        if held.otherwise is not None and used is not None:
            other = f"`{shown(mask(held.otherwise.strip()))}`" if held.otherwise.strip() else "empty"
            taken = f"`{shown(mask(held.value.text))}`"
            message = f"$({name}) is set under a condition: {taken} was taken; it is {other} otherwise"
            used.append(warning(message, text.span(*match.span())))
        return _expanded(held.value, variables, rule, used, keep=keep, depth=depth + 1)

    return text.replaced(_REFERENCE, value)


def _uncommented(line: Located) -> Located:
    found = re.search(r"(?<!\\)#", line.text)
    return line.cut(0, len(line.text[: found.start()].rstrip())) if found else line


def _lines(text: Located) -> Iterator[Located]:
    """Logical lines: outside recipes a continuation is one blank, in a recipe the shell gets it."""
    lines = text.lines()
    for line in lines:
        pieces = [line]
        recipe = line.text.startswith("\t")
        while pieces[-1].text.endswith("\\"):
            following = next(lines, None)
            if following is None:
                break
            end = pieces[-1].span(len(pieces[-1].text))[0]
            if recipe:
                pieces += [placed("\n", end), following.cut(following.text.startswith("\t"))]
            else:
                inner = following.stripped()
                pieces[-1] = pieces[-1].cut(0, len(pieces[-1].text) - 1)
                pieces += [placed(" ", end), inner if inner.text else following.cut(0, 0)]
        yield joined(pieces)
