"""Single values from the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.errors import ProfileError
from glmdeploy.profile.text.characters import check
from glmdeploy.profile.text.document import build
from glmdeploy.profile.text.sets import apply, parse
from glmdeploy.profile.text.yaml12 import read_mapping

if TYPE_CHECKING:
    from glmdeploy.findings import Finding
    from glmdeploy.profile.text.document import Document

PROFILE = """\
name: a
keys: [A, B]
server: {port: 8000, env: {A.B: x, C: y}}
waive:
  - {rule: GLM004, reason: r}
empty:
"""


def changed(*arguments: str, text: str = PROFILE) -> Document:
    root = read_mapping(check(text, "p.yaml"))
    for argument in arguments:
        root = apply(root, parse(argument))
    return build(root, files=())


def refusal(argument: str) -> Finding:
    with pytest.raises(ProfileError) as caught:
        changed(argument)
    (finding,) = caught.value.findings
    assert finding.id == "yaml"
    assert (finding.location.file, finding.location.line) == ("--set", 1)
    assert finding.location.text == argument
    return finding


@pytest.mark.parametrize(
    ("argument", "path", "value"),
    [
        ("name=b", ("name",), "b"),
        ("server.port=1", ("server", "port"), 1),
        ("server.port= 1 ", ("server", "port"), 1),
        ("server.new.deep-key=no", ("server", "new", "deep-key"), "no"),
        ("empty.a=1", ("empty", "a"), 1),
        ('server.env."A.B"=z', ("server", "env", "A.B"), "z"),
        ("server.env.'A.B'=z", ("server", "env", "A.B"), "z"),
        (r'"a \"b\" \\ ="=z', ('a "b" \\ =',), "z"),
        ("keys[1]=X", ("keys", 1), "X"),
        ("keys[0]=null", ("keys", 0), None),
        ("waive[0].rule=GLM001", ("waive", 0, "rule"), "GLM001"),
        ("keys=[]", ("keys",), []),
        ("a=[1, {b: ~}, x=y]", ("a",), [1, {}, "x=y"]),
        ("url=http://h:1/p?q=1#f", ("url",), "http://h:1/p?q=1#f"),
        ("a='it''s # here'", ("a",), "it's # here"),
        ('a=""', ("a",), ""),
        ("a=---", ("a",), "---"),
        ("a=1:30", ("a",), "1:30"),
        ("a=!!str 5", ("a",), "5"),
    ],
)
def test_a_value_is_set(argument: str, path: tuple[str | int, ...], value: Any) -> None:
    document = changed(argument)
    data: Any = document.data
    for part in path:
        data = data[part]
    assert data == value
    assert type(data) is type(value)
    place = document.locate(path)
    assert (place.file, place.line, place.text) == ("--set", 1, argument)
    start = argument.index("=", argument.rfind('"=') + 1 if argument.startswith('"') else 0) + 1
    written = argument[place.column - 1 : place.column - 1 + place.length]
    assert argument[start:].removeprefix("!!str ").strip() == written


def test_what_is_not_set_keeps_its_place() -> None:
    document = changed("server.port=1", "keys[0]=X")
    assert document.locate(("server",), key=True).file == "p.yaml"
    assert document.locate(("server", "port"), key=True).file == "p.yaml"
    assert document.locate(("server", "env", "C")).file == "p.yaml"
    assert document.locate(("keys", 1)).file == "p.yaml"
    assert document.locate(()).file == "p.yaml"


def test_a_mapping_is_merged() -> None:
    document = changed("server={env: {C: null, D: w}}")
    assert document.data["server"] == {"port": 8000, "env": {"A.B": "x", "D": "w"}}
    assert document.locate(("server", "env"), key=True).file == "p.yaml"
    assert document.locate(("server", "env", "D")).file == "--set"
    assert document.locate(("server", "env", "C")).file == "--set"


def test_later_settings_see_earlier_ones() -> None:
    assert changed("a.b=1", "a.b=2", "a.c=3").data["a"] == {"b": 2, "c": 3}
    assert changed("server=null", "server.port=1").data["server"] == {"port": 1}
    assert "name" not in changed("name=null").data


@pytest.mark.parametrize(
    ("argument", "column", "fragment"),
    [
        ("", 1, "a key is expected"),
        ("=1", 1, "a key is expected"),
        ("a", 2, "= is missing"),
        ("a b=1", 2, "= is missing"),
        ("a.=1", 3, "a key is expected"),
        (".a=1", 1, "a key is expected"),
        ("a..b=1", 3, "a key is expected"),
        ('a."b=1', 3, "a key is expected"),
        ("keys[x]=1", 5, "an index in brackets is a number"),
        ("keys[-1]=1", 5, "an index in brackets is a number"),
        ("keys[1=1", 5, "an index in brackets is a number"),
        ("[0]=1", 1, "a key is expected"),
        ("extends=b.yaml", 1, "extends cannot be set"),
        ("extends[0]=b.yaml", 1, "extends cannot be set"),
        ("name=", 6, "a value is missing"),
        ("name=  ", 6, "a value is missing"),
        ("name=# x", 6, "a value is missing"),
        ("name=&x", 6, "a value is missing"),
        ("name=GLM #1", 10, "a comment begins here"),
        ("name=[a] #1", 10, "a comment begins here"),
        ("name=a: b", 6, "the value is a block"),
        ("name=- a", 6, "the value is a block"),
        ("name=*/10 * * * *", 6, "begins with * is an alias"),
        ("name=@x", 6, "cannot begin with @"),
        ("name=[a", 6, "never closed"),
        ("name={a: 1, a: 2}", 13, "given twice"),
        ("name={a:1}", 7, "no space after the colon"),
        ("name=.inf", 6, "infinity"),
        ("name=!x y", 6, "the tag !x"),
        ("name=a\x1b", 7, "U+001B"),
        ("name=a\nb", 7, "more than one line"),
        ("a" + ".a" * 64 + "=1", 129, "longer than 64"),
        ("name.x=1", 6, "name is text, with nothing inside"),
        ("name[0]=1", 5, "name is text, with nothing inside"),
        ("keys[2]=1", 5, "keys has 2 items"),
        ("keys.a=1", 6, "keys is a list"),
        ("server[0]=1", 7, "server is a mapping, not a list"),
        ("new[0]=1", 4, "there is no list `new`"),
        ("nane=null", 1, "there is no `nane` to remove"),
        ("server.evn.A=null", 8, "there is no `server.evn` to remove"),
        ("empty=null", 1, "there is no `empty` to remove"),
    ],
)
def test_a_bad_argument_is_refused_in_place(argument: str, column: int, fragment: str) -> None:
    if argument.endswith("\x1b") or "\n" in argument:  # what may not be shown is not in the place's text
        with pytest.raises(ProfileError) as caught:
            changed(argument)
        finding = caught.value.findings[0]
    else:
        finding = refusal(argument)
    assert fragment.replace("`", "") in finding.message.replace("`", "")
    assert finding.location.column == column


def test_removing_what_is_not_there_offers_near_names() -> None:
    assert refusal("nane=null").fix == "did you mean `name`?"


names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@given(st.lists(names, min_size=1, max_size=5), st.integers(-99, 99) | names | st.lists(st.booleans()))
def test_any_key_can_be_quoted_and_any_json_set(keys: list[str], value: Any) -> None:
    quoted = ".".join('"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"' for key in keys)
    document = changed(f"{quoted}={json.dumps(value)}", text="{}")
    data: Any = document.data
    for key in keys:
        data = data[key]
    assert data == value


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(["keys", "server", ".", "[0]", "[", '"', "=", "null", "{", "}", ": ", "#", " "])).map(
        "".join
    )
)
def test_any_argument_is_set_or_refused_in_place(argument: str) -> None:
    try:
        document = changed(argument)
    except ProfileError as error:
        (place, *_) = [finding.location for finding in error.findings]
    else:
        place = next(mark.value for mark in document.marks.values() if mark.value.file == "--set")
    assert place.file == "--set"
    assert 1 <= place.column <= len(argument) + 1
