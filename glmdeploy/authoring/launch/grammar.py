"""What tree-sitter-bash knows of a shell text: where quotes, expansions and constructs begin and end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tree_sitter import Node, Parser

_STRUCTURES = {
    "if_statement": "if",
    "while_statement": "while",
    "for_statement": "for",
    "c_style_for_statement": "for",
    "case_statement": "case",
    "function_definition": "function",
    "compound_statement": "{",
    "subshell": "(",
}
"""Nodes that have commands inside, with the word that opens each."""

PIECES = {
    "raw_string": re.compile(r"'[^']*'"),
    "ansi_c_string": re.compile(r"\$'(?:\\.|[^'\\])*'", re.DOTALL),
    "string": re.compile(r'".*"', re.DOTALL),
    "expansion": re.compile(r"\$\{.*\}", re.DOTALL),
    "command_substitution": re.compile(r"\$\(.*\)|`.*`", re.DOTALL),
    "arithmetic_expansion": re.compile(r"\$\(.*\)|\$\[.*\]", re.DOTALL),
    "process_substitution": re.compile(r"[<>]\(.*\)", re.DOTALL),
}
"""Nodes that are parts of words, with the form of one that is closed."""

# What is plain to see where the grammar, which gives up some text around what it does not know, has lost it.
_BRACED = r"\$\{[^{}'\"`\\]*\}"
_SUBSTITUTED = r"\$\((?:[^()'\"`\\]|\([^()'\"`\\]*\))*\)|`(?:\\.|[^`\\])*`"
_SIMPLE = {
    "raw_string": PIECES["raw_string"],
    "ansi_c_string": PIECES["ansi_c_string"],
    "string": re.compile(rf'"(?:\\.|[^"\\`$]|\$(?![({{])|{_BRACED}|{_SUBSTITUTED})*"', re.DOTALL),
    "expansion": re.compile(_BRACED),
    "command_substitution": re.compile(_SUBSTITUTED, re.DOTALL),
    "process_substitution": re.compile(r"[<>]\([^()'\"`\\]*\)"),
}
_WHOLE = frozenset({"test_command", "heredoc_body", "heredoc_end"})
"""Nodes whose words are no command's."""
_HEADED = frozenset({"function_definition", "for_statement", "c_style_for_statement", "case_statement", "case_item"})
"""Nodes whose first words are no command."""
_RESERVED = frozenset(
    {
        *("if", "then", "else", "elif", "fi", "while", "until", "for", "select", "do", "done", "case", "esac"),
        *("function", "{", "}", "!"),
    }
)

_STRANGE = re.compile(r"[^\t\n\x20-\x7e]")
_ESCAPED = re.compile(r"\\[^\w\n']", re.ASCII)


@dataclass(frozen=True, slots=True)
class Mark:
    """A stretch of text that is not literal.

    ``kind`` is a node's type, or ``enter`` and ``leave`` around the commands in a construct, ``reserved`` for a
    reserved word, and ``head`` for what stands before the first command in a construct.
    """

    kind: str
    start: int
    end: int
    node: Node | None

    def inside(self, text: str) -> Iterator[Mark]:
        """The marks inside this one."""
        if self.node is None:
            return iter(())
        return _marks(self.node.children, text, self.end - self.node.end_byte)

    @property
    def opens(self) -> str:
        """The word that opens a construct."""
        return _STRUCTURES[self.node.type] if self.node else ""

    @property
    def astray(self) -> bool:
        """Whether it stands where the grammar expects nothing of its kind."""
        return self.node is not None and self.node.parent is not None and self.node.parent.type == "ERROR"


def marks(text: str, start: int = 0) -> Iterator[Mark]:
    """What is not literal from ``start`` on, in the order of the text.

    What does not end as it should is no mark; its parts are.
    """
    # The grammar sees a full stop for what it need not tell from a letter, and would mistake: it takes other blanks
    # for separators, a null character for the end, and the quote behind an escaped backslash in $'...' for escaped.
    # So each character is one byte, and the tree's offsets are the text's.
    plain = _ESCAPED.sub("..", _STRANGE.sub(".", text[start:]))
    return _marks([_parser().parse(plain.encode("ascii")).root_node], text, start)


@cache
def _parser() -> Parser:
    import tree_sitter  # takes 120 ms, which only an import should pay
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


def _marks(nodes: Sequence[Node], text: str, shift: int) -> Iterator[Mark]:
    pending: list[Node | Mark] = [*reversed(nodes)]
    while pending:
        node = pending.pop()
        if isinstance(node, Mark):
            yield node
            continue
        start, end, kind, children = node.start_byte + shift, node.end_byte + shift, node.type, node.children
        if kind in PIECES and children:  # the blank between two expansions in quotes belongs to the grammar's second
            start += len(text[start:end]) - len(text[start:end].lstrip(" \t\n"))
        if kind == "comment":  # to be recognized where a word begins, which the grammar takes for other places too
            continue
        if _is_whole(node, text[start:end]):
            yield Mark(kind, start, end, node)
            continue
        if kind in _RESERVED and not node.is_named and not children and _stands_alone(text, start, end):
            yield Mark("reserved", start, end, node)
        elif kind in _STRUCTURES:
            yield Mark("enter", start, start, node)
            pending.append(Mark("leave", end, end, node))
        if kind in _HEADED and (body := _body(node)) and not any(child.has_error for child in children[:body]):
            yield Mark("head", start, children[body - 1].end_byte + shift, node)
            children = children[body:]
        pending += reversed(children)


def _body(node: Node) -> int:
    """The child with which the commands in a construct begin."""
    body = node.child_by_field_name("body")
    for index, child in enumerate(node.children):
        if child == body or child.type == "case_item" or (node.type == "case_item" and child.type == ")"):
            return index + (child.type == ")")
    return 0


def _is_whole(node: Node, raw: str) -> bool:
    """Whether a node is a mark of its own, and closed: the grammar may make up an end, or find it too far behind."""
    if node.type in _WHOLE or (node.child_count and node.children[0].type == "(("):
        return not node.has_error
    if node.type not in PIECES or (node.child_count and node.children[-1].is_missing):
        return False
    return PIECES[node.type].fullmatch(raw) is not None


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a reserved word is a word of its own, as it must be where the grammar only guesses."""
    return (start == 0 or text[start - 1] in "\t\n ;&|()<>") and (end == len(text) or text[end] in "\t\n ;&|()<>")


def simple(text: str, start: int, end: int) -> Mark | None:
    """The part of a word that opens at ``start``, where the grammar has lost it but it is plain to see."""
    for kind, form in _SIMPLE.items():
        if match := form.match(text, start, end):
            return Mark(kind, start, match.end(), None)
    return None
