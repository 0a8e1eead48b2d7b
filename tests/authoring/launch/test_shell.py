"""Shell text becomes commands as a shell reads it, with the places of their words and what they stand in."""

from __future__ import annotations

import re
import shutil
import string
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.authoring.launch.shell import Command, Document, commands
from glmdeploy.authoring.launch.words import Opaque, Parameter, RawWord, ShellError, Text


def text_of(word: RawWord) -> str:
    """The word with its quotes taken off, and its expansions as they are written."""
    return "".join(part.text if isinstance(part, Text) else part.raw for part in word.parts)


def read(text: str) -> list[list[str]]:
    """The words of each command."""
    return [[text_of(word) for word in item.words] for item in commands(text) if isinstance(item, Command)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b; c && d || e | f & g", [["a", "b"], ["c"], ["d"], ["e"], ["f"], ["g"]]),
        ("a\nb \\\n c", [["a"], ["b", "c"]]),
        ("a\r\nb \\\r\n c\r\n", [["a"], ["b", "c"]]),
        ("a\\\nb 'c'\\\n\"d\"", [["ab", "cd"]]),
        ("a b#c # d 'e", [["a", "b#c"]]),
        ("a b\\\n#c # d", [["a", "b#c"]]),
        ("a >x b 2>&1 c <<<d e &>f", [["a", "b", "c", "e"]]),
        ("a 2 >x 2b>y {fd}>z", [["a", "2", "2b"]]),
        ("a $'\\\\' 'b' $'c\\'d'", [["a", "\\", "b", "c'd"]]),
        ('a $"b" "$" c$ "\\$ $d"', [["a", "b", "$", "c$", "$ $d"]]),
        ("a [1,2] ] == =~ {b,c} x=y ! if", [["a", "[1,2]", "]", "==", "=~", "{b,c}", "x=y", "!", "if"]]),
        ("a =~ if\n 'b'$(c)", [["a", "=~", "if"], ["b$(c)"]]),
        ("a ?(b", [["a", "?"], ["b"]]),
        ("a $((1if x; then\n0)) b", [["a", "$((1if x; then\n0))", "b"]]),
        ("a 'b\x00c' d\x00e \xa0f \x85", [["a", "b\x00c", "d\x00e", "\xa0f", "\x85"]]),
        ("[ a = b ] && c; [[ d =~ (e|f) ]] || g; (( h < 1 )) && i", [["c"], ["g"], ["i"]]),
        ("for a in b c; do d; done; case e in f) g ;; h|i) j ;; esac", [["d"], ["g"], ["j"]]),
        ("f() { a; }; function g { b; }", [["a"], ["b"]]),
        ("if a; then b; elif c; then d; else e; fi", [["a"], ["b"], ["c"], ["d"], ["e"]]),
        ("if a; then b", [["a"], ["b"]]),
        (")\n}\na", [["a"]]),
    ],
)
def test_commands(text: str, expected: list[list[str]]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "under"),
    [
        ("x", ()),
        ("if a; then x; fi", ("if",)),
        ("if a; then b; fi; x", ()),
        ("while a; do if b; then x; fi; done", ("while", "if")),
        ("for a in b; do x; done", ("for",)),
        ("for ((;;)); do x; done", ("for",)),
        ("case a in b) x ;; esac", ("case",)),
        ("case a in b) ;; esac; x", ()),
        ("f() { x; }", ("function", "{")),
        ("function f { a; }; x", ()),
        ("(x)", ("(",)),
        ("{ a; }; x", ()),
        ("if a\nx", ("if",)),
        ("if a; then b; fi; fi; x", ()),
    ],
)
def test_what_a_command_stands_in(text: str, under: tuple[str, ...]) -> None:
    [found] = [item.under for item in commands(text) if isinstance(item, Command) and text_of(item.words[0]) == "x"]
    assert found == under


def test_parts() -> None:
    [item] = commands("a\"b$c\"${d:-'e'$f}$(g)`h`${i%j}")
    assert isinstance(item, Command)
    [word] = item.words
    assert [
        (type(part), part.quoted, part.raw if not isinstance(part, Text) else part.text) for part in word.parts
    ] == [
        (Text, False, "a"),
        (Text, True, "b"),
        (Parameter, True, "$c"),
        (Parameter, False, "${d:-'e'$f}"),
        (Opaque, False, "$(g)"),
        (Opaque, False, "`h`"),
        (Opaque, False, "${i%j}"),
    ]
    default = word.parts[3]
    assert isinstance(default, Parameter)
    assert (default.name, default.operator, len(default.argument)) == ("d", ":-", 2)


def test_assignments() -> None:
    [item] = commands("A=1 B+='x y' C=(d 'e f' # g\n $h) x i=j")
    assert isinstance(item, Command)
    assignments, words = item.split()
    assert [(each.name, each.appends, text_of(each.value)) for each in assignments] == [
        ("A", False, "1"),
        ("B", True, "x y"),
        ("C", False, ""),
    ]
    assert assignments[2].value.array is not None
    assert list(map(text_of, assignments[2].value.array)) == ["d", "e f", "$h"]
    assert list(map(text_of, words)) == ["x", "i=j"]


def test_places_count_characters() -> None:
    text = "é '😀' \\\r\n  b\u0301=\"ü$x\"; 'c'"
    found = [text[slice(*word.span)] for item in commands(text) if isinstance(item, Command) for word in item.words]
    assert found == ["é", "'😀'", 'b\u0301="ü$x"', "'c'"]
    characters = [
        text[offset]
        for item in commands(text)
        if isinstance(item, Command)
        for word in item.words
        for part in word.parts
        if isinstance(part, Text)
        for offset in part.offsets
    ]
    assert "".join(characters) == "é😀b\u0301=üc"


def test_here_documents() -> None:
    text = "cat <<A <<-'B C' >x && a\nit's\nA\n\t\"\n\tB C\nb\ncat <<D\nnever \"ends"
    assert read(text) == [["cat"], ["a"], ["b"], ["cat"]]
    documents = [item for item in commands(text) if isinstance(item, Document)]
    assert [document.text for document in documents] == ["it's\n", '\t"\n', 'never "ends']
    for document in documents:
        assert "".join(text[offset] for offset in document.offsets) == document.text


@pytest.mark.parametrize(
    "text",
    [
        'cd "$A $(dirname "$0")"',
        'a "${A} ${B:-"x"}" b',
        'a "$(date) $(basename "$0") x"',
        'a "$1 ${A/\\//_}"',
        'a "$A\t$(b "c")\n$(d "e f")"',
    ],
)
def test_expansions_with_blanks_between_them(text: str) -> None:
    """The grammar counts a blank between two expansions in quotes to the second one."""
    [command, last] = [each for each in commands(f"{text}\nz") if isinstance(each, Command)]
    assert len(command.words) in (2, 3)
    assert len(last.words) == 1


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        ("a 'b\nc", 2, "the single quote that opens here is never closed"),
        ("a 'b' c'", 7, "the single quote that opens here is never closed"),
        ("a \"b\n$c 'd", 2, "the double quote that opens here is never closed"),
        ("a $'b\\'", 2, "the $' that opens here is never closed"),
        ("a `b", 2, "the backquote that opens here is never closed"),
        ("a $(b", 2, "the ( that opens here is never closed"),
        ("a <(b", 2, "the ( that opens here is never closed"),
        ("a ${b", 2, "the ${ that opens here is never closed"),
        ("a ${b:-c", 2, "the ${ that opens here is never closed"),
        ("a=(b\nc", 2, "the ( of this array is never closed"),
        ("a=(b; c)", 2, "the ( of this array is never closed"),
        ("a >\nb", 2, "a redirection lacks its file"),
        ("a 2>; b", 2, "a redirection lacks its file"),
        ("a > >b", 2, "a redirection lacks its file"),
        ("a " + "${b:-" * 21 + "}" * 21, 102, "more than 20 parameters inside one another"),
    ],
)
def test_what_no_shell_reads(text: str, at: int, message: str) -> None:
    with pytest.raises(ShellError) as caught:
        list(commands(text))
    assert (caught.value.message, caught.value.span) == (message, (at, at + 1))


def test_only_shell_text_loads_the_grammar() -> None:
    code = "import glmdeploy.authoring.launch.imported, sys; print('tree_sitter' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=300)
    assert done.stdout.strip() == b"False"


PLAIN = string.ascii_letters + string.digits + "-_./:@%+=#!^[]{}"
CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0\r\x01\x7f")
"""Without what bash itself uses as a mark, and the end of a line that a text from Windows has."""


@st.composite
def quoted(draw: st.DrawFn) -> str:
    """A word in one or several of the ways to quote, maybe with continuations in it."""
    pieces = []
    for chunk in draw(st.lists(st.text(CHARACTERS, max_size=4) | st.text(PLAIN, max_size=4), min_size=1, max_size=4)):
        way = draw(st.sampled_from(["single", "double", "backslash", "ansi", "translated", "plain"]))
        if way == "plain" and chunk and set(chunk) <= set(PLAIN) and (pieces or chunk[0] != "#"):
            pieces.append(chunk)
        elif way == "single" and "'" not in chunk:
            pieces.append(f"'{chunk}'")
        elif way == "backslash" and chunk and "\n" not in chunk:
            pieces.append("".join(f"\\{character}" for character in chunk))
        elif way == "ansi":
            pieces.append("$'" + "".join(draw(st.sampled_from(escapes(character))) for character in chunk) + "'")
        else:
            sign = "$" if way == "translated" else ""
            pieces.append(sign + '"' + re.sub(r'(["\\$`])', r"\\\1", chunk) + '"')
    return draw(st.sampled_from(["", "\\\n"])).join(pieces)


def escapes(character: str) -> list[str]:
    """The ways to write a character in ``$'...'``."""
    code = ord(character)
    ways = [f"\\{code:03o}", f"\\x{code:02x}"] if code < 0x80 else []
    ways += {"\n": ["\\n"], "\t": ["\\t"], "'": ["\\'"], "\\": ["\\\\"], '"': ['\\"']}.get(character, [])
    return ways if character in "'\\" else [*ways, character]


SEPARATORS = st.sampled_from([" ", "\t", "  ", " \\\n", " >/dev/null ", " 2>&1 "])
COMMENTS = st.just("") | st.text(CHARACTERS.filter(lambda character: character != "\n"), max_size=8).map(
    lambda text: f" # {text}"
)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@settings(deadline=None, max_examples=examples(200))
@given(words=st.lists(st.tuples(SEPARATORS, quoted()), max_size=5), comment=COMMENTS)
def test_words_are_those_that_bash_gives(words: list[tuple[str, str]], comment: str) -> None:
    line = "say start" + "".join(separator + word for separator, word in words) + comment
    script = f"set -f\nsay() {{ printf '%s\\0' \"$@\" >&3; }}\n{line}\n"
    command = ["bash", "--norc", "-c", 'eval "$0" 3>&1 >/dev/null', script]
    done = subprocess.run(command, capture_output=True, check=True, timeout=300)
    assert read(line) == [["say", *done.stdout.decode().split("\0")[:-1]]]
