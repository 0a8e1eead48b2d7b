"""What a Python text starts: its statements are followed, as far as it tells their values, and never executed."""

from __future__ import annotations

import ast
from collections import ChainMap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.python_values import Unknown, Value, Values, as_word, name_of, plain
from glmdeploy.authoring.formats.tell import warning
from glmdeploy.authoring.launch.launch import Word

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping, Sequence

    from glmdeploy.authoring.formats.python_file import PythonFile
    from glmdeploy.authoring.launch.launch import Note

MAX_STEPS = 20_000
"""Statements that are followed; loops over known values are followed once for each."""
MAX_CALLS = 12
"""Functions inside functions."""

_PROCESSES = frozenset({"Popen", "run", "call", "check_call", "check_output"})
_SHELLS = frozenset(
    {"os.system", "os.popen", "subprocess.getoutput", "launch_server_cmd", "execute_shell_command"}
    | {"asyncio.create_subprocess_shell"}
)
"""Functions that give a text to a shell; two are SGLang's own (``sglang/utils.py``, ``sglang/test/doc_patch.py``)."""
_ARGUMENTS = frozenset({"os.execv", "os.execvp", "os.execve", "os.execvpe", "pty.spawn"})
_WITHIN = frozenset({"Engine", "Runtime", "ServerArgs"})

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, kw_only=True)
class Started:
    """A process: ``command`` is the text for a shell, or the words. ``within`` are the definitions around it."""

    node: ast.Call
    command: Word | list[Value]
    env: dict[str, Word]
    within: tuple[Definition, ...]
    notes: tuple[Note, ...]

    @property
    def unknown(self) -> int:
        """How many parts the text does not tell."""
        words = [self.command] if isinstance(self.command, Word) else self.command
        return sum(len(each.unknown) if isinstance(each, Word) else isinstance(each, Unknown) for each in words)


class Flow:
    """Follows the statements of a text. ``started`` are the processes, ``inside`` uses of SGLang without a process."""

    def __init__(self, file: PythonFile) -> None:
        self.file = file
        self.environ: dict[str, Word] = {}
        self.values = Values(file=file, environ=self.environ, called=self._called)
        self.names: MutableMapping[str, Value] = {}
        self.started: dict[ast.Call, Started] = {}
        self.inside: list[ast.Call] = []
        self.within: tuple[Definition, ...] = ()
        self.conditions: tuple[Note, ...] = ()
        self.steps = 0

    def follow(self) -> None:
        """The whole text: first its own statements, then each definition on its own."""
        self._body(self.file.tree.body, self.names)
        self._definitions(self.file.tree.body, self.names)

    def _definitions(self, body: Sequence[ast.stmt], names: MutableMapping[str, Value]) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                inner = ChainMap({}, names)
                self.within = (*self.within, node)
                self._body(node.body, inner)
                for name, value in list(inner.maps[0].items()):
                    inner[f"self.{name}"] = inner[f"cls.{name}"] = names[f"{node.name}.{name}"] = value
                self._definitions(node.body, inner)
                self.within = self.within[:-1]
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._run(node, (), {}, names, keep=True)
            elif isinstance(node, ast.If | ast.Try | ast.With):
                self._definitions([*node.body, *getattr(node, "orelse", ())], names)

    def _run(
        self,
        node: ast.FunctionDef | ast.AsyncFunctionDef,
        given: Sequence[Value],
        named: dict[str, Value],
        names: MutableMapping[str, Value],
        *,
        keep: bool = False,
    ) -> Value:
        """What a function gives back, with its parameters as given, else by their defaults."""
        if len(self.within) >= MAX_CALLS or node in self.within:
            return self.values.unknown(node)
        arguments = [*node.args.posonlyargs, *node.args.args]
        inner = ChainMap({}, names)
        for parameter in (*arguments, *node.args.kwonlyargs):
            if parameter.arg not in ("self", "cls"):
                inner[parameter.arg] = self.values.unknown(parameter)
        for parameter, default in zip(arguments[::-1], node.args.defaults[::-1], strict=False):
            inner[parameter.arg] = self.values.of(default, names)
        for parameter, chosen in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            if chosen is not None:
                inner[parameter.arg] = self.values.of(chosen, names)
        bare = [each.arg for each in arguments if each.arg not in ("self", "cls")]
        inner.update(zip(bare, given, strict=False))
        inner.update(
            {
                name: value
                for name, value in named.items()
                if name in {each.arg for each in (*arguments, *node.args.kwonlyargs)}
            }
        )
        held = self.within
        self.within = (*held, node)
        result = self._body(node.body, inner)
        self._definitions(node.body, inner)
        self.within = held
        if keep:  # What a method gives its object stays for the methods behind it.
            names.update({name: value for name, value in inner.maps[0].items() if name.startswith("self.")})
        return result

    def _body(self, body: Sequence[ast.stmt], names: MutableMapping[str, Value]) -> Value:
        """Follow statements; what they return, None where they do not."""
        result: Value = None
        for node in body:
            self.steps += 1
            if self.steps > MAX_STEPS:
                return result
            match node:
                case ast.Assign():
                    value = self._noted(self.values.of(node.value, names), node, names)
                    for target in node.targets:
                        self._assign(target, value, names)
                case ast.AnnAssign(value=ast.expr() as expression):
                    self._assign(node.target, self._noted(self.values.of(expression, names), node, names), names)
                case ast.AugAssign():
                    sum_ = ast.copy_location(ast.BinOp(left=_loaded(node.target), op=node.op, right=node.value), node)
                    self._assign(node.target, self._added(self.values.of(sum_, names), node.target, node, names), names)
                case ast.Expr():
                    self.values.of(node.value, names)
                case ast.Return():
                    found = self.values.of(node.value, names) if node.value is not None else None
                    if not self.conditions:
                        return found
                    result = found
                case ast.If():
                    returned = self._branch(node, names)
                    result = returned if returned is not None else result
                case ast.For() | ast.AsyncFor():
                    self._loop(node, names)
                case ast.While():
                    self._under(node, node.body, names)
                case ast.With() | ast.AsyncWith():
                    for item in node.items:
                        value = self.values.of(item.context_expr, names)
                        if item.optional_vars is not None:
                            self._assign(item.optional_vars, value, names)
                    returned = self._body(node.body, names)
                    result = returned if returned is not None else result
                case ast.Try():
                    returned = self._body([*node.body, *node.orelse, *node.finalbody], names)
                    result = returned if returned is not None else result
                    for handler in node.handlers:
                        self._under(handler, handler.body, names)
                case ast.Match():
                    for case in node.cases:
                        self._under(node, case.body, names)
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    names[node.name] = node
                case ast.ClassDef():
                    names[node.name] = node
        return result

    def _branch(self, node: ast.If, names: MutableMapping[str, Value]) -> Value:
        if isinstance(node.test, ast.Compare) and name_of(node.test.left) == "__name__":
            return self._body(node.body, names)
        test = self.values.of(node.test, names)
        try:
            chosen = node.body if plain(test) else node.orelse
        except LookupError:
            first = self._under(node, node.body, names)
            second = self._under(node, node.orelse, names)
            return second if second is not None else first
        return self._body(chosen, names)

    def _under(self, node: ast.AST, body: Sequence[ast.stmt], names: MutableMapping[str, Value]) -> Value:
        held = self.conditions
        span = self.file.span(node)
        self.conditions = (*held, warning("this is done under a condition that the text does not tell", span))
        result = self._body(body, names)
        self.conditions = held
        return result

    def _loop(self, node: ast.For | ast.AsyncFor, names: MutableMapping[str, Value]) -> None:
        items = self.values.of(node.iter, names)
        if isinstance(items, list) and len(items) <= 256:
            for item in items:
                self._assign(node.target, item, names)
                self._body(node.body, names)
            return
        self._assign(node.target, self.values.unknown(node.target), names)
        self._under(node, node.body, names)

    def _assign(self, target: ast.expr, value: Value, names: MutableMapping[str, Value]) -> None:
        match target:
            case ast.Name() | ast.Attribute():
                if name := name_of(target):
                    names[name] = value
            case ast.Tuple() | ast.List():
                items = value if isinstance(value, list) and len(value) == len(target.elts) else None
                for index, each in enumerate(target.elts):
                    self._assign(each, items[index] if items else self.values.unknown(each), names)
            case ast.Subscript():
                self._put(name_of(target.value), target.slice, value, names)

    def _put(self, name: str, key: ast.expr, value: Value, names: MutableMapping[str, Value]) -> None:
        try:
            index = plain(self.values.of(key, names))
        except LookupError:
            return
        if name == "os.environ":
            self.environ[str(index)] = as_word(value, self.file.span(key))
        elif isinstance(held := names.get(name), dict):
            names[name] = {**held, index: value}
        elif isinstance(held, list) and isinstance(index, int) and -len(held) <= index < len(held):
            names[name] = [*held]
            names[name][index] = value

    def _noted(self, value: Value, node: ast.Assign | ast.AnnAssign, names: MutableMapping[str, Value]) -> Value:
        """A value that is given under a condition, with a note of that."""
        if not self.conditions or not isinstance(value, Word | list):
            return value
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        message = f"{self.file.source(target)} is set under a condition; the last value in the text was taken"
        return _with(value, warning(message, self.file.span(node)))

    def _added(self, value: Value, target: ast.expr, node: ast.AST, names: MutableMapping[str, Value]) -> Value:
        """A value with what is added to it under a condition, which is noted at what is added."""
        held = names.get(name_of(target))
        if not self.conditions or not isinstance(value, list) or not isinstance(held, list):
            return value
        message = "this is added under a condition that the text does not tell; it was taken"
        added = [_with(each, warning(message, self.file.span(node))) for each in value[len(held) :]]
        return [*held, *added]

    def _called(self, node: ast.Call, names: MutableMapping[str, Value]) -> Value:
        """What a call of the text's own functions gives, and a process that it starts; else NotImplemented."""
        name = name_of(node.func)
        last = name.rpartition(".")[2]
        first = node.args[0] if node.args else next((each.value for each in node.keywords if each.arg == "args"), None)
        if name in _SHELLS or last in ("launch_server_cmd", "execute_shell_command"):
            if first is not None:
                self._start(node, as_word(self.values.of(first, names), self.file.span(node)), names)
        elif name in _ARGUMENTS and node.args:
            self._start(node, self.values.of(node.args[min(1, len(node.args) - 1)], names), names)
        elif name == "asyncio.create_subprocess_exec":
            self._start(node, self.values._items(node.args, names), names)
        elif last in _PROCESSES and first is not None and self._is_process(name):
            self._process(node, first, names)
        elif last in _WITHIN and name.partition(".")[0] in ("sgl", "sglang", last):
            self.inside.append(node)
        elif last in ("append", "extend", "insert", "update", "setdefault") and isinstance(node.func, ast.Attribute):
            return self._mutated(node, node.func, names)
        elif isinstance(function := names.get(name), ast.FunctionDef | ast.AsyncFunctionDef):
            given = self.values._items(node.args, names)
            named = {each.arg: self.values.of(each.value, names) for each in node.keywords if each.arg}
            return self._run(function, given, named, names)
        return NotImplemented

    def _is_process(self, name: str) -> bool:
        root, dot, last = name.rpartition(".")
        if dot:
            return root in ("subprocess", "sp") or root.endswith("subprocess")
        return (last != "run" and last != "call") or f"import {last}" in self.file.text.text

    def _process(self, node: ast.Call, first: ast.expr, names: MutableMapping[str, Value]) -> None:
        value = self.values.of(first, names)
        shell = next((each.value for each in node.keywords if each.arg == "shell"), None)
        by_shell = shell is not None and self.values.of(shell, names) is True
        if isinstance(value, list) and by_shell:
            value = as_word(value[0], self.file.span(first)) if value else value
        self._start(
            node, value if isinstance(value, list) or by_shell else as_word(value, self.file.span(first)), names
        )

    def _start(self, node: ast.Call, command: Value, names: MutableMapping[str, Value]) -> None:
        if isinstance(command, Unknown):
            return
        given = next((each.value for each in node.keywords if each.arg == "env"), None)
        env = dict(self.environ)
        if given is not None and isinstance(found := self.values.of(given, names), dict):
            env |= {str(key): as_word(value, self.file.span(given)) for key, value in found.items()}
        made = Started(
            node=node,
            command=command if isinstance(command, Word | list) else as_word(command, self.file.span(node)),
            env=env,
            within=self.within,
            notes=self.conditions,
        )
        held = self.started.get(node)
        if held is None or made.unknown < held.unknown:
            self.started[node] = made

    def _mutated(self, node: ast.Call, function: ast.Attribute, names: MutableMapping[str, Value]) -> Value:
        name, method = name_of(function.value), function.attr
        arguments = [self.values.of(each, names) for each in node.args]
        if name == "os.environ" and arguments:
            if method == "setdefault" and len(arguments) == 2:
                self.environ.setdefault(plain(arguments[0]), as_word(arguments[1], self.file.span(node)))
            elif isinstance(arguments[0], dict):
                self.environ.update(
                    {str(key): as_word(each, self.file.span(node)) for key, each in arguments[0].items()}
                )
            return None
        held = names.get(name)
        if isinstance(held, dict) and method == "update" and arguments and isinstance(arguments[0], dict):
            names[name] = {**held, **arguments[0]}
        if not isinstance(held, list) or not arguments:
            return NotImplemented
        if method == "insert":
            at = plain(arguments[0])
            names[name] = [*held[:at], arguments[1], *held[at:]]
            return None
        more = (
            [arguments[0]] if method == "append" else arguments[0] if isinstance(arguments[0], list) else [arguments[0]]
        )
        if self.conditions:
            message = "this is added under a condition that the text does not tell; it was taken"
            more = [_with(each, warning(message, self.file.span(node))) for each in more]
        names[name] = [*held, *more]
        return None


def _loaded(target: ast.expr) -> ast.expr:
    """A target as the value that it has."""
    if isinstance(target, ast.Name):
        return ast.copy_location(ast.Name(id=target.id, ctx=ast.Load()), target)
    return target


def _with(value: Value, *notes: Note) -> Value:
    if isinstance(value, Word):
        return replace(value, notes=(*value.notes, *notes))
    if isinstance(value, list):
        return [_with(each, *notes) for each in value]
    return value


def flow(file: PythonFile) -> Flow:
    """What a text starts."""
    found = Flow(file)
    found.follow()
    return found


def definitions(tree: ast.AST) -> Iterable[Definition]:
    """All functions and classes of a text, in its order."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node
