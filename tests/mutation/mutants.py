"""Mutants: a function with one small thing changed that should matter, in its body; it may be decorated.

What only words say is left alone: docstrings, f-strings, what a message is made of, ``__repr__`` and ``__str__``.
"""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
SUBJECTS = (
    "glmdeploy/rules",
    "glmdeploy/sglang/effective.py",
    "glmdeploy/sglang/decisions",
    "glmdeploy/plan",
)
"""What is mutated: files, and folders with all that is below them."""

_WORDS = frozenset({"message", "fix", "expected", "advice", "why", "title", "reason", "help", "links", "sources"})
"""Arguments that are for people."""
_NAME = re.compile(r"[\w.-]+")
_NOT_MUTATED = frozenset({"__repr__", "__str__"})
_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_OPPOSITE = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """The ``number``-th change of a function: ``change`` says what it is. ``digest`` is of the function as it is."""

    file: str
    function: str
    number: int
    line: int
    change: str
    digest: str

    @property
    def id(self) -> str:
        return f"{self.file}::{self.function} #{self.number} {self.change}"


def files() -> list[str]:
    """The files that are mutated, relative to the repository."""
    found = []
    for subject in SUBJECTS:
        place = ROOT / subject
        found += [place] if place.is_file() else sorted(place.rglob("*.py"))
    return [str(file.relative_to(ROOT)) for file in found if file.name != "__init__.py"]


@cache
def of_file(file: str) -> tuple[Mutant, ...]:
    """All mutants of a file."""
    tree = ast.parse((ROOT / file).read_text())
    found = []
    for name, function in _functions(tree):
        changer = _Changer(-1)
        digest = hashlib.sha256(ast.dump(function).encode()).hexdigest()[:12]
        changer.visit_body(function)
        found += [
            Mutant(file=file, function=name, number=number, line=line, change=change, digest=digest)
            for number, (line, change) in enumerate(changer.found)
        ]
    return tuple(found)


def tree_of(mutant: Mutant) -> ast.Module:
    """The module with the change made."""
    tree = ast.parse((ROOT / mutant.file).read_text())
    function = dict(_functions(tree))[mutant.function]
    _Changer(mutant.number).visit_body(function)
    return ast.fix_missing_locations(tree)


def code_of(mutant: Mutant) -> CodeType:
    """The function's code with the change made."""
    module = compile(tree_of(mutant), str(ROOT / mutant.file), "exec")
    return next(code for code in within(module) if code.co_qualname == mutant.function)


def within(code: CodeType) -> Iterator[CodeType]:
    """The code of all that is defined in it, at any depth."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from within(each)


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Functions and methods, each once by its qualified name."""
    seen: set[str] = set()

    def visit(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for each in body:
            if isinstance(each, ast.ClassDef):
                yield from visit(each.body, f"{prefix}{each.name}.")
            elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{prefix}{each.name}"
                if name not in seen and each.name not in _NOT_MUTATED:
                    seen.add(name)
                    yield name, each

    yield from visit(tree.body, "")


class _Changer(ast.NodeTransformer):
    """Makes the change with the number ``wanted``, or with -1 none: ``found`` has the line and the words of each."""

    def __init__(self, wanted: int) -> None:
        self.found: list[tuple[int, str]] = []
        self._wanted = wanted

    def visit_body(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        body = function.body
        begin = 1 if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) else 0
        function.body = [*body[:begin], *(self.visit(each) for each in body[begin:])]

    def _offer(self, node: ast.AST, change: str, make: Callable[[], ast.AST]) -> ast.AST | None:
        """The changed node, where it is its turn."""
        self.found.append((getattr(node, "lineno", 0), change))
        return make() if len(self.found) - 1 == self._wanted else None

    def generic_visit(self, node: ast.AST) -> ast.AST:
        return super().generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        return node if node.arg in _WORDS else self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        for index, operator in enumerate(node.ops):
            other = _COMPARED.get(type(operator))
            if other is None:
                continue
            before = ast.unparse(node)
            ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
            changed = ast.Compare(node.left, ops, node.comparators)
            made = self._offer(node, f"{before} -> {ast.unparse(changed)}", lambda changed=changed: changed)
            if made is not None:
                return made
        return self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        changed = ast.BoolOp(other, node.values)
        made = self._offer(node, f"{ast.unparse(node)} -> {ast.unparse(changed)}", lambda: changed)
        return made or self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        if isinstance(node.op, ast.Not):
            made = self._offer(node, f"{ast.unparse(node)} -> {ast.unparse(node.operand)}", lambda: node.operand)
            if made is not None:
                return made
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        other = _COMPUTED.get(type(node.op))
        words = any(isinstance(each, ast.JoinedStr) for each in (node.left, node.right))
        if other is not None and not words:
            changed = ast.BinOp(node.left, other(), node.right)
            made = self._offer(node, f"{ast.unparse(node)} -> {ast.unparse(changed)}", lambda: changed)
            if made is not None:
                return made
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        other: object
        if isinstance(value, bool):
            other = not value
        elif isinstance(value, int):
            other = value + 1
        elif isinstance(value, float):
            other = value * 2 + 1
        elif isinstance(value, str) and _NAME.fullmatch(value):
            other = f"{value}_"
        else:
            return node
        return self._offer(node, f"{value!r} -> {other!r}", lambda: ast.Constant(other)) or node

    def visit_If(self, node: ast.If) -> ast.AST:
        return self._condition(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        return self._condition(node)

    def _condition(self, node: ast.If | ast.IfExp) -> ast.AST:
        if not isinstance(node.test, ast.Compare | ast.BoolOp) and not (
            isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not)
        ):
            test = node.test
            changed = ast.UnaryOp(ast.Not(), test)
            if self._offer(test, f"if {ast.unparse(test)} -> if {ast.unparse(changed)}", lambda: changed) is not None:
                node.test = changed
                return node
        return self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        empty = node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)
        if not empty:
            shown = ast.unparse(node)
            made = self._offer(node, f"{shown[:80]} -> return None", lambda: ast.Return(ast.Constant(None)))
            if made is not None:
                return ast.copy_location(made, node)
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        made = self._offer(node, f"{ast.unparse(node)[:80]} -> pass", ast.Pass)
        return ast.copy_location(made, node) if made is not None else self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        made = self._offer(node, f"{ast.unparse(node)[:80]} -> pass", ast.Pass)
        return ast.copy_location(made, node) if made is not None else self.generic_visit(node)

    def visit_Continue(self, node: ast.Continue) -> ast.AST:
        return self._offer(node, "continue -> break", ast.Break) or node

    def visit_Break(self, node: ast.Break) -> ast.AST:
        return self._offer(node, "break -> continue", ast.Continue) or node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in _OPPOSITE:
            changed = ast.Call(ast.Name(_OPPOSITE[node.func.id], ast.Load()), node.args, node.keywords)
            made = self._offer(node, f"{node.func.id}(...) -> {_OPPOSITE[node.func.id]}(...)", lambda: changed)
            if made is not None:
                return made
        return self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        for index, test in enumerate(node.ifs):
            rest = [*node.ifs[:index], *node.ifs[index + 1 :]]
            made = self._offer(test, f"for ... if {ast.unparse(test)} -> for ...", lambda test=test: test)
            if made is not None:
                node.ifs = rest
                return node
        return self.generic_visit(node)
