"""A secret is hidden in every spelling, wherever a chunk of output ends, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import shlex
import urllib.parse
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.redaction import Redactor
from glmdeploy.runtime.masking import SHORTEST, Mask, spellings

if TYPE_CHECKING:
    from collections.abc import Callable

LANGUAGES: dict[str, Callable[[str], str]] = {
    "itself": lambda text: text,
    "repr": repr,
    "repr in double quotes": lambda text: repr(text + "'")[1:-2],
    "repr in single quotes": lambda text: repr(text + '"')[1:-2],
    "ascii": ascii,
    "repr of bytes": lambda text: repr(text.encode()),
    "bytes in double quotes": lambda text: repr(text.encode() + b"'")[2:-2],
    "JSON": json.dumps,
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON with slashes escaped": lambda text: json.dumps(text).replace("/", "\\/"),
    "JSON for HTML": lambda text: json.dumps(text).translate({ord(one): f"\\u{ord(one):04x}" for one in "<>&"}),
    "a dictionary": lambda text: str({"api_key": text}),
    "a shell's word": shlex.quote,
    "a shell's words": lambda text: shlex.join(["python3", "--api-key=" + text]),
    "a part of a URL": lambda text: urllib.parse.quote(text, safe=""),
    "a path of a URL": urllib.parse.quote,
    "a query": lambda text: urllib.parse.urlencode({"key": text}),
    "a query, lower case": lambda text: re.sub("%..", lambda match: match[0].lower(), urllib.parse.quote_plus(text)),
    "HTML": html.escape,
    "HTML's text": lambda text: html.escape(text, quote=False),
    "bytes read as Latin-1": lambda text: text.encode().decode("latin-1"),
}
SIMPLE = {name: LANGUAGES[name] for name in ("itself", "repr", "JSON", "a shell's word", "a dictionary", "HTML")}

AWKWARD = (
    "sk-0123456789abcdef",
    "it's a key with 'quotes'",
    'say "key" twice: "key"',
    """both ' and " of them""",
    "back\\slash\\n and \\' more",
    "tab\tand\x1bescape",
    "schlüssel-ключ-鍵-🔑",
    "$(rm -rf) `key` $HOME !x",
    "a+b c%20d&e=f?g#h/i:j",
    "<key> & </key>",
    "\x7f\x80\xff binary",
    "{'a': \"b\"}",
)

# No line breaks: a value is hidden line by line. No asterisk: it would be hidden by what hides it.
KEYS = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="*\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"), min_size=1
).filter(lambda text: text == text.strip())


def pieces_of(mask: Mask, data: bytes, sizes: list[int]) -> bytes:
    """The data as a mask shows it when it comes in pieces of these sizes."""
    shown, held = b"", b""
    for size in sizes:
        held, data = held + data[:size], data[size:]
        masked, taken = mask.piece(held, last=False)
        shown, held = shown + masked, held[taken:]
    return shown + mask.piece(held + data, last=True)[0]


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=examples(30))
@given(key=KEYS)
def test_a_key_is_hidden_in_every_language(language: str, key: str) -> None:
    written = LANGUAGES[language](key)
    bare = LANGUAGES[language]("")
    shown = Mask([], keys=[key])(written)
    assert key not in shown.replace("***", "")
    assert "***" in shown
    if len(key) > 2 * len(bare) + 10:  # nothing else is left of it than what stands around every key
        assert len(shown) <= len(bare) + 10


@pytest.mark.parametrize("inner", SIMPLE)
@pytest.mark.parametrize("outer", SIMPLE)
@pytest.mark.parametrize("key", AWKWARD)
def test_a_key_is_hidden_in_a_text_within_a_text(inner: str, outer: str, key: str) -> None:
    written = SIMPLE[outer](SIMPLE[inner](key))
    shown = Mask([key])(f"before {written} after")
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    # What is left are quotes, and the word around it.
    assert len(shown) <= len("before  after***") + len(SIMPLE[outer](SIMPLE[inner](""))) + 12, shown


@pytest.mark.parametrize("key", AWKWARD)
def test_base64_of_the_value_alone_is_hidden(key: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert Mask([key])(encode(key.encode()).decode()).rstrip("=") == "***"


@given(
    key=KEYS,
    parts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="*")), max_size=4),
    sizes=st.lists(st.integers(1, 9)),
)
def test_borders_of_pieces_make_no_difference(key: str, parts: list[str], sizes: list[int]) -> None:
    mask, data = Mask([], keys=[key]), key.join(["", *parts, ""]).encode()
    assert pieces_of(mask, data, sizes) == mask.piece(data, last=True)[0]
    assert key.encode() not in pieces_of(mask, data, sizes).replace(b"***", b"\0" if key != "\0" else b"\1")


@given(st.binary(), st.lists(st.integers(1, 9)))
def test_without_a_secret_every_byte_passes(data: bytes, sizes: list[int]) -> None:
    assert pieces_of(Mask([]), data, sizes) == data


@given(st.text(st.characters(exclude_characters="k")))
def test_what_is_no_secret_passes(text: str) -> None:
    assert Mask(["k-secret-k"])(text) == text


def test_values_that_are_no_keys_are_hidden_from_six_characters_on() -> None:
    assert SHORTEST == 6
    assert Mask(["true", "1", "12345", "123456"])("1 true 12345 123456") == "1 true 12345 ***"


@pytest.mark.parametrize("key", ["a", "ab", "abc", "the", "12345"])
def test_a_key_is_hidden_however_short_it_is(key: str) -> None:
    assert Mask([], keys=[key])(f"x{key}x '{key}'") == "x***x '***'"


def test_a_value_that_contains_another_is_hidden_as_a_whole() -> None:
    assert Mask(["secret", "secret-and-more"])("secret-and-more secret") == "*** ***"


def test_a_value_of_several_lines_is_hidden_line_by_line() -> None:
    assert Mask(["-----BEGIN\nline-of-the-key\nab\n"])("x line-of-the-key ab -----BEGIN") == "x *** ab ***"


def test_undecodable_bytes_of_a_variable_are_hidden() -> None:
    data = b"sk-\xff\xfe-0123456789"
    assert Mask([os.fsdecode(data)]).piece(b"key: " + data, last=True)[0] == b"key: ***"


def test_a_plain_key_has_few_spellings() -> None:
    assert spellings("sk0123456789") == {"sk0123456789", base64.b64encode(b"sk0123456789").decode()}


def test_the_redactor_of_the_embedded_cloud_knows_the_same_spellings() -> None:
    assert Redactor(['it\'s "secret"'])(json.dumps({"key": 'it\'s "secret"'})) == '{"key": "***"}'
