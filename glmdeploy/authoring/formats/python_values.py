"""Values of expressions in a Python text, as far as the text tells them. Nothing of it is executed.

A text is a :class:`Word` with the place of each character, lists and mappings are Python's own, numbers too. What the
text does not tell is :class:`Unknown`; in a text it stands as ``${name}``, which is what a shell calls such a thing.
"""

from __future__ import annotations

import ast
import json
import operator
import re
import shlex
import textwrap
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from glmdeploy.authoring.formats.located import Located, placed, split
from glmdeploy.authoring.formats.tell import info
from glmdeploy.authoring.launch.launch import Word

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from glmdeploy.authoring.formats.python_file import PythonFile
    from glmdeploy.authoring.launch.launch import Note, Span

Value: TypeAlias = Any
"""A Word, a number, True, False, None, a list or dict of values, a function's node, or Unknown."""

MAX_TEXT = 100_000
"""Characters of one text; of what would be longer the value is not told."""

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: lambda left, right: left is right,
    ast.IsNot: lambda left, right: left is not right,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_SAME = frozenset({"strip", "lstrip", "rstrip", "lower", "upper", "dedent", "removeprefix", "removesuffix"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Unknown:
    """What the text does not tell: ``node`` is the expression.

    Of a call ``behind`` is what its method belongs to, with the values of the ``arguments`` and ``keywords``.
    """

    node: ast.AST
    span: Span
    source: str
    behind: Value = None
    arguments: tuple[Value, ...] = ()
    keywords: dict[str, Value] = field(default_factory=dict)


def name_of(node: ast.AST) -> str:
    """A dotted name as written (``os.environ``); empty for another expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = name_of(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def plain(value: Value) -> Value:
    """The value with texts as Python's own; Unknown where any part is.

    :raises LookupError: where a part is not told.
    """
    if isinstance(value, Unknown) or (isinstance(value, Word) and value.unknown):
        raise LookupError
    if isinstance(value, Word):
        return value.text
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float):
        return value
    raise LookupError


def as_word(value: Value, span: Span) -> Word:
    """A value as one text."""
    if isinstance(value, Word):
        return value
    if isinstance(value, Unknown):
        name = re.sub(r"\W+", "_", value.source.removeprefix("self.")).strip("_")[:60] or "value"
        return placed(f"${{{name}}}", value.span[0]).word(unknown=(f"${{{name}}}",))
    try:
        return placed(str(plain(value)), span[0]).word()
    except LookupError:
        return placed("${value}", span[0]).word(unknown=("${value}",))


def together(words: Sequence[Word], between: str = "") -> Word:
    """The texts as one, with what was noted about each."""
    text: list[str] = []
    offsets: list[int] = []
    for index, word in enumerate(words):
        if index and between:
            text.append(between)
            offsets += [word.span[0]] * len(between)
        text.append(word.text)
        offsets += word.offsets if len(word.offsets) == len(word.text) else [word.span[0]] * len(word.text)
    found = Located(text="".join(text), offsets=tuple(offsets))
    unknown = tuple(dict.fromkeys(part for word in words for part in word.unknown))
    notes = tuple(dict.fromkeys(note for word in words for note in word.notes))
    made = found.word(unknown=unknown, notes=notes)
    return replace(made, span=(words[0].span[0], max(words[0].span[1], made.span[1])) if words else (0, 1))


@dataclass(kw_only=True)
class Values:
    """Values of expressions under the names that are known. ``called`` is asked for every call first."""

    file: PythonFile
    environ: dict[str, Word]
    called: Callable[[ast.Call, MutableMapping[str, Value]], Value]
    depth: int = 0
    defaults: list[Note] = field(default_factory=list)
    """Notes about numbers that the script takes where the environment has none: a number holds no note."""

    def of(self, node: ast.AST, names: MutableMapping[str, Value]) -> Value:
        """The value of an expression."""
        self.depth += 1
        try:
            found = self._of(node, names) if self.depth < 60 else self.unknown(node)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
            found = self.unknown(node)
        self.depth -= 1
        return found

    def unknown(self, node: ast.AST) -> Unknown:
        return Unknown(node=node, span=self.file.span(node), source=self.file.source(node))

    def _of(self, node: ast.AST, names: MutableMapping[str, Value]) -> Value:
        match node:
            case ast.Constant(value=str()):
                return self.file.constant(node).word(raw=self.file.source(node))
            case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float):
                return value
            case ast.JoinedStr():
                return self._formatted(node, names)
            case ast.Name() | ast.Attribute():
                return self._named(node, names)
            case ast.List() | ast.Tuple() | ast.Set():
                return self._items(node.elts, names)
            case ast.Dict():
                return self._mapping(node, names)
            case ast.BinOp():
                return self._calculated(node, names)
            case ast.UnaryOp():
                value = plain(self.of(node.operand, names))
                return -value if isinstance(node.op, ast.USub) else not value if isinstance(node.op, ast.Not) else value
            case ast.IfExp():
                test = self.of(node.test, names)
                chosen = node.body if isinstance(test, Unknown) or plain(test) else node.orelse
                return self.of(chosen, names)
            case ast.BoolOp():
                return self._either(node, names)
            case ast.Compare(ops=[compared], comparators=[other]):
                return _COMPARED[type(compared)](plain(self.of(node.left, names)), plain(self.of(other, names)))
            case ast.Subscript():
                return self._item(node, names)
            case ast.Starred():
                return self.of(node.value, names)
            case ast.NamedExpr():
                names[node.target.id] = self.of(node.value, names)
                return names[node.target.id]
            case ast.ListComp(generators=[each]) if isinstance(each.target, ast.Name) and not each.ifs:
                items = self.of(each.iter, names)
                if isinstance(items, list) and len(items) < 200:
                    return [self.of(node.elt, {**names, each.target.id: item}) for item in items]
            case ast.Await():
                return self.of(node.value, names)
            case ast.Call():
                return self._call(node, names)
        return self.unknown(node)

    def _named(self, node: ast.Name | ast.Attribute, names: MutableMapping[str, Value]) -> Value:
        name = name_of(node)
        if name == "sys.executable":
            return placed("python3", self.file.span(node)[0]).word()
        if name == "os.environ":
            return dict(self.environ)
        if name and name in names:
            found = names[name]
            if isinstance(found, Word):
                # A value lies where it is used, because that is where a reader looks for it.
                span = self.file.span(node)
                return replace(found, span=span, raw="", offsets=(span[0],) * len(found.text))
            return found
        return self.unknown(node)

    def _items(self, nodes: Sequence[ast.expr], names: MutableMapping[str, Value]) -> list[Value]:
        items: list[Value] = []
        for node in nodes:
            value = self.of(node, names)
            if isinstance(node, ast.Starred) and isinstance(value, list):
                items += value
            elif isinstance(node, ast.Starred):
                items.append(self.unknown(node))
            else:
                items.append(value)
        return items

    def _mapping(self, node: ast.Dict, names: MutableMapping[str, Value]) -> dict[Any, Value]:
        found: dict[Any, Value] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            held = self.of(value, names)
            if key is None:
                found.update(held if isinstance(held, dict) else {})
            else:
                found[plain(self.of(key, names))] = held
        return found

    def _formatted(self, node: ast.JoinedStr, names: MutableMapping[str, Value]) -> Word:
        words = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                value = self.of(part.value, names)
                if part.format_spec is not None and not isinstance(value, Unknown):
                    spec = plain(self.of(part.format_spec, names))
                    value = placed(format(plain(value), spec), self.file.span(node)[0]).word()
                span = self.file.span(part.value)
                word = as_word(value, span)
                words.append(replace(word, offsets=(self.file.span(node)[0],) * len(word.text)))
            elif isinstance(part, ast.Constant):
                words.append(placed(str(part.value), self.file.span(node)[0]).word())
        return replace(together(words), span=self.file.span(node), raw=self.file.source(node))

    def _calculated(self, node: ast.BinOp, names: MutableMapping[str, Value]) -> Value:
        left, right = self.of(node.left, names), self.of(node.right, names)
        span = self.file.span(node)
        if isinstance(node.op, ast.Add):
            if isinstance(left, list) and isinstance(right, list):
                return [*left, *right]
            if isinstance(left, list) and isinstance(right, Unknown):
                return [*left, right]
            if isinstance(left, Word) or isinstance(right, Word):
                return together([as_word(left, span), as_word(right, span)])
        if isinstance(node.op, ast.Div) and isinstance(left, Word):
            return together([left, as_word(right, span)], "/")
        if isinstance(node.op, ast.Mod) and isinstance(left, Word):
            values = plain(right)
            return placed(left.text % (tuple(values) if isinstance(values, list) else values), span[0]).word()
        first, second = plain(left), plain(right)
        if isinstance(first, str | list) or isinstance(second, str | list):
            return self.unknown(node)
        return _OPERATORS[type(node.op)](first, second)

    def _either(self, node: ast.BoolOp, names: MutableMapping[str, Value]) -> Value:
        value: Value = None
        for each in node.values:
            value = self.of(each, names)
            if isinstance(value, Unknown):
                # `os.environ.get("X") or "default"`: the default is what the text tells.
                continue
            if bool(value.text if isinstance(value, Word) else value) == isinstance(node.op, ast.Or):
                return value
        return value

    def _item(self, node: ast.Subscript, names: MutableMapping[str, Value]) -> Value:
        base = self.of(node.value, names)
        if isinstance(node.slice, ast.Slice):
            ends = [plain(self.of(end, names)) if end else None for end in (node.slice.lower, node.slice.upper)]
            return base[slice(*ends)] if isinstance(base, list) else self.unknown(node)
        key = plain(self.of(node.slice, names))
        if name_of(node.value) == "os.environ" and key not in base:
            return placed(f"${{{key}}}", self.file.span(node)[0]).word(unknown=(f"${{{key}}}",))
        return base[key]

    def _call(self, node: ast.Call, names: MutableMapping[str, Value]) -> Value:
        found = self.called(node, names)
        if found is not NotImplemented:
            return found
        name = name_of(node.func)
        arguments = self._items(node.args, names)
        span = self.file.span(node)
        match name, arguments:
            case ("str", [value]):
                return value if isinstance(value, Word) else as_word(value, span)
            case ("int" | "float", [value]):
                return {"int": int, "float": float}[name](plain(value))
            case ("list" | "tuple" | "dict", [value]):
                return value
            case ("len", [value]):
                return len(plain(value))
            case ("Path" | "pathlib.Path" | "PurePosixPath", [Word() as path, *rest]):
                return together([path, *(as_word(each, span) for each in rest)], "/")
            case ("os.path.join", [Word(), *_]):
                return together([as_word(each, span) for each in arguments], "/")
            case ("os.getenv" | "os.environ.get", [Word() as key, *default]):
                return self._environment(node, key.text, default)
            case ("shlex.split", [Word() as text]):
                pieces = split(Located(text=text.text, offsets=text.offsets))
                return [
                    each.word(unknown=[part for part in text.unknown if part in each.text], notes=text.notes)
                    for each in pieces
                ]
            case ("shlex.quote", [value]):
                word = as_word(value, span)
                return word if word.unknown else placed(shlex.quote(word.text), span[0]).word()
            case ("shlex.join", [list() as items]):
                return placed(shlex.join(plain(items)), span[0]).word()
            case ("json.dumps", [value]):
                return placed(json.dumps(plain(value)), span[0]).word()
            case ("textwrap.dedent", [Word() as text]):
                plainer = textwrap.dedent(text.text)
                return text if plainer == text.text else placed(plainer, span[0]).word()
        return self._method(node, names, arguments, span)

    def _environment(self, node: ast.Call, key: str, default: Sequence[Value]) -> Value:
        if key in self.environ:
            return self.environ[key]
        span = self.file.span(node)
        if not default or default[0] is None:
            return placed(f"${{{key}}}", span[0]).word(unknown=(f"${{{key}}}",))
        message = f"{key} is not set in this text; the default that the script gives was taken"
        note: Note = info(message, span)
        if isinstance(default[0], Word):
            return replace(default[0], notes=(*default[0].notes, note))
        if note not in self.defaults:
            self.defaults.append(note)
        return default[0]

    def _method(self, node: ast.Call, names: MutableMapping[str, Value], arguments: list[Value], span: Span) -> Value:
        if not isinstance(node.func, ast.Attribute):
            return self._unknown_call(node, names, arguments, None)
        base, method = self.of(node.func.value, names), node.func.attr
        if isinstance(base, Word):
            if method == "join" and isinstance(arguments[0], list):
                return replace(together([as_word(item, span) for item in arguments[0]], base.text), span=span)
            if method == "split" and not arguments:
                return [each.word(notes=base.notes) for each in split(Located(text=base.text, offsets=base.offsets))]
            if method in _SAME and not base.unknown:
                text = getattr(base.text, method)(*plain(arguments))
                at = base.text.find(text)
                if at >= 0 and len(base.offsets) == len(base.text):
                    return Located(text=text, offsets=base.offsets[at : at + len(text)]).word(notes=base.notes)
                return placed(text, span[0]).word(notes=base.notes)
            if method == "replace" and not base.unknown:
                return placed(base.text.replace(*plain(arguments))[:MAX_TEXT], span[0]).word(notes=base.notes)
            if method == "format" and not base.unknown:
                given = {each.arg: plain(self.of(each.value, names)) for each in node.keywords if each.arg}
                if re.fullmatch(r"(?:[^{}]|\{\w*\}|\{\{|\}\})*", base.text):
                    return placed(base.text.format(*plain(arguments), **given), span[0]).word(notes=base.notes)
        if isinstance(base, dict):
            if method == "items":
                return [[placed(str(key), span[0]).word(), value] for key, value in base.items()]
            if method == "keys":
                return [placed(str(key), span[0]).word() for key in base]
            if method == "values":
                return list(base.values())
            if method == "copy":
                return dict(base)
            if method == "get":
                key = plain(arguments[0])
                return base[key] if key in base else arguments[1] if len(arguments) > 1 else None
        if isinstance(base, list) and method == "copy":
            return list(base)
        return self._unknown_call(node, names, arguments, base)

    def _unknown_call(
        self, node: ast.Call, names: MutableMapping[str, Value], arguments: list[Value], base: Value
    ) -> Unknown:
        keywords = {each.arg: self.of(each.value, names) for each in node.keywords if each.arg}
        return replace(self.unknown(node), behind=base, arguments=tuple(arguments), keywords=keywords)
