"""A Python text as a tree, with the places of its nodes. It is parsed and never executed."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.located import Located, placed

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Span

_PREFIX = re.compile(r"[rRbBuU]*('''|\"\"\"|'|\")")


class NotPython(Exception):
    """``span`` is where the text stops being Python, ``message`` what Python says there."""

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message)
        self.message = message
        self.span = span


@dataclass(frozen=True, kw_only=True)
class PythonFile:
    """The tree of a text, and how its nodes' places are found."""

    text: Located
    tree: ast.Module
    starts: tuple[int, ...]

    def span(self, node: ast.AST) -> Span:
        """Where a node stands in the imported text."""
        start, end = self._ends(node)
        return self.text.span(start, end)

    def source(self, node: ast.AST) -> str:
        """A node as written."""
        start, end = self._ends(node)
        return self.text.text[start:end]

    def constant(self, node: ast.Constant) -> Located:
        """A string, with the place of each character where it is written plainly."""
        start, end = self._ends(node)
        value = str(node.value)
        written = self.text.cut(start, end)
        opening = _PREFIX.match(written.text)
        if opening:
            inner = written.cut(opening.end(), len(written.text) - len(opening[1]))
            if inner.text == value:
                return inner
            # Lines that end with a backslash are the one escape of commands that fill several lines.
            bare = inner.replaced(re.compile(r"\\\n"), lambda _: placed("", 0))
            if bare.text == value:
                return bare
        return placed(value, self.text.span(start)[0])

    def _ends(self, node: ast.AST) -> tuple[int, int]:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        last, stop = getattr(node, "end_lineno", None) or line, getattr(node, "end_col_offset", None) or column
        return self._offset(line, column), self._offset(last, stop)

    def _offset(self, line: int, column: int) -> int:
        """Of a column in bytes of UTF-8, as ``ast`` counts."""
        start = self.starts[min(line, len(self.starts)) - 1]
        following = self.starts[line] if line < len(self.starts) else len(self.text.text)
        written = self.text.text[start:following]
        if written.isascii():
            return start + min(column, len(written))
        return start + len(written.encode("utf-8", "replace")[:column].decode("utf-8", "ignore"))


def parsed(text: Located) -> PythonFile:
    """The tree of a text.

    :raises NotPython: where it is none.
    """
    starts = [0, *(match.end() for match in re.finditer("\n", text.text))]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.text)
    except SyntaxError as error:
        line = min(max(error.lineno or 1, 1), len(starts))
        begin = min(starts[line - 1] + max((error.offset or 1) - 1, 0), max(len(text.text) - 1, 0))
        raise NotPython(error.msg or "invalid syntax", text.span(begin, begin + 1)) from None
    except (ValueError, RecursionError, MemoryError):
        raise NotPython("it cannot be parsed", text.span(0, 1)) from None
    return PythonFile(text=text, tree=tree, starts=tuple(starts))
