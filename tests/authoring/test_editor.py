"""Edits keep every other line as it is and give exactly the intended data, or are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.authoring.editor import EditError, apply
from glmdeploy.findings import AddAfter, Edit, Remove, RenameKey, SetValue
from glmdeploy.profile.text.load import read_text
from glmdeploy.resources import profiles_dir

B200 = (profiles_dir() / "b200-eagle-bf16kv.yaml").read_text()


def read(text: str) -> Any:
    return read_text(text, "f").data


NAMES = st.text("abcdefg-_ ", min_size=1, max_size=6) | st.sampled_from(["tp", "no", "a: b", "#x", "é", "8000", "- a"])
WORDS = st.text(max_size=8).filter(lambda text: not any("\ud800" <= character <= "\udfff" for character in text))
SCALARS = st.one_of(
    WORDS,
    st.sampled_from(["0.5.23", "a#b", "a # b", "yes", "true", "null", "~", "1", "x, y", "{a}", "it's", '"q"', "*a"]),
    st.integers(-5, 99_999),
    st.booleans(),
    st.floats(-2, 2, allow_nan=False),
)
COMMENTS = st.sampled_from(["", "", "  # note", "   # a: b", " # {x: 1}", "      # it's"])
ABOVE = st.sampled_from(["", "", "\n", "# heading\n", "\n# tp: 4\n\n"])


@st.composite
def block(draw: st.DrawFn, indent: int = 0, depth: int = 2) -> str:
    """A mapping as a person writes one: comments, blank lines, quotes, brackets on a line, nested blocks."""
    text = ""
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        text += draw(ABOVE).replace("#", " " * indent + "#") + " " * indent + json.dumps(name)
        kind = draw(st.sampled_from(["scalar", "scalar", "flow", "list", "block"] if depth else ["scalar", "flow"]))
        comment = draw(COMMENTS)
        if kind == "scalar":
            text += f": {json.dumps(draw(SCALARS))}{comment}\n"
        elif kind == "flow":
            inner = draw(st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=2), max_size=3))
            text += f": {json.dumps(inner)}{comment}\n"
        elif kind == "list":
            items = draw(st.lists(SCALARS, min_size=1, max_size=2))
            text += f":{comment}\n" + "".join(f"{' ' * (indent + 2)}- {json.dumps(item)}\n" for item in items)
        else:
            text += f":{comment}\n" + draw(block(indent + 2, depth - 1))
    return text


def entries(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all entries and list items."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        found += [inner for key, item in inside for inner in entries(item, (*path, key))]
    return found


def any_edit(path: tuple[Any, ...]) -> st.SearchStrategy[Edit]:
    """An edit at the path, or the making of a new entry there."""
    return st.one_of(
        st.builds(SetValue, path=st.just(path), value=SCALARS),
        st.builds(SetValue, path=NAMES.map(lambda name: (*path, name)), value=SCALARS),
        st.builds(RenameKey, path=st.just(path), name=NAMES),
        st.just(Remove(path=path)),
        st.builds(AddAfter, path=st.just(path), name=NAMES, value=SCALARS | st.lists(SCALARS, max_size=2)),
    )


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, Edit]:
    text = draw(block())
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    path = draw(st.sampled_from(entries(read(text))))
    edit = draw(any_edit(path))
    return text, edit


def expected(data: Any, edit: Edit) -> Any:
    """The intended data, worked out another way than the code under test does."""
    holder, last = holder_of(data, edit.path), edit.path[-1]
    if isinstance(holder, list):
        holder[last : last + 1] = [edit.value] if isinstance(edit, SetValue) else []
        return data
    if holder is None:
        assert isinstance(edit, SetValue)
        holder_of(data, edit.path[:-1])[edit.path[-2]] = {last: edit.value}
        return data
    items = list(holder.items())
    at = list(holder).index(last) if last in holder else len(items)
    if isinstance(edit, SetValue):
        items[at : at + 1] = [(last, edit.value)]
    elif isinstance(edit, RenameKey):
        items[at] = (edit.name, items[at][1])
    elif isinstance(edit, Remove):
        del items[at]
    else:
        items.insert(at + 1, (edit.name, edit.value))
    holder.clear()
    holder.update(items)
    return data


def holder_of(data: Any, path: tuple[Any, ...]) -> Any:
    for part in path[:-1]:
        data = data[part]
    return data


def may_be_refused(data: Any, edit: Edit) -> bool:
    holder, last = holder_of(data, edit.path), edit.path[-1]
    if isinstance(edit, SetValue):
        inside = last in (
            holder if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        )
        return isinstance(holder[last], dict | list) if inside else holder is not None and not isinstance(holder, dict)
    if isinstance(edit, Remove):
        return len(holder) == 1
    return isinstance(holder, list) or edit.name in holder


@given(edits())
def test_every_other_line_stays_as_it_is(drawn: tuple[str, Edit]) -> None:
    text, edit = drawn
    if may_be_refused(read(text), edit):
        with pytest.raises(EditError):
            apply(text, [edit], "f")
        return
    changed = apply(text, [edit], "f")
    assert json.dumps(read(changed)) == json.dumps(expected(read(text), edit))
    newline = "\r\n" if "\r\n" in text else "\n"
    old, new = lines(text, newline), lines(changed, newline)
    if isinstance(edit, Remove):
        assert comments(new) == comments(old)
        old, new = ([line for line in each if not is_comment(line)] for each in (old, new))
    first = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    added = len(new) - len(old)
    assert added == 0 or isinstance(edit, AddAfter | Remove) or edit.path not in entries(read(text))
    assert added <= 1
    changed_in_place = int(added == 0)
    assert new[first + max(added, changed_in_place) :] == old[first + max(-added, changed_in_place) :]


def lines(text: str, newline: str) -> list[str]:
    """With their ends; the last one may have none, and gets it when another line follows."""
    return (text if text.endswith("\n") or not text else text + newline).splitlines(keepends=True)


def is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def comments(lines: list[str]) -> list[str]:
    return [line for line in lines if is_comment(line)]


@pytest.mark.parametrize(
    ("before", "edit", "after"),
    [
        ("a: 1  # one\nb: 2\n", SetValue(path=("a",), value=2), "a: 2  # one\nb: 2\n"),
        ("a: 1        # one\n", SetValue(path=("a",), value=12345), "a: 12345    # one\n"),
        ("a: 1  # one\n", SetValue(path=("a",), value="long enough"), "a: long enough  # one\n"),
        ("a: b        # one\n", RenameKey(path=("a",), name="name"), "name: b     # one\n"),
        ("'a': 'b'\n", SetValue(path=("a",), value="it's"), "'a': 'it''s'\n"),
        ('"a": b\n', RenameKey(path=("a",), name="c"), '"c": b\n'),
        ("a: b\n", SetValue(path=("a",), value="true"), 'a: "true"\n'),
        ("a:\nb: 1\n", SetValue(path=("a",), value=1), "a: 1\nb: 1\n"),
        ("a: null\n", SetValue(path=("a",), value=1), "a: 1\n"),
        ("# top\na: 1\n# own\nb: 2  # c\n\nc: 3\n", Remove(path=("b",)), "# top\na: 1\n# own\n\nc: 3\n"),
        ("a:\n- 1\n- 2\nb: 3\n", Remove(path=("a",)), "b: 3\n"),
        ("a:  # goes\n  # stays\n  b: 1\n\n  # too\n  c: 2\nd: 3\n", Remove(path=("a",)), "  # stays\n  # too\nd: 3\n"),
        ("a:\n- 1\n- 2  # two\n- 3\n", Remove(path=("a", 1)), "a:\n- 1\n- 3\n"),
        ("a:\n  - b: 1\n    # why\n    c: 2\n  -   d\n", Remove(path=("a", 0)), "a:\n    # why\n  -   d\n"),
        ("a:\n  - b: 1\n  - c: |\n     x\n     y\n", Remove(path=("a", 1)), "a:\n  - b: 1\n"),
        ("a:\n  - - 1\n    - 2\n  - 3\n", Remove(path=("a", 0)), "a:\n  - 3\n"),
        ("a: [1, {b: 2}, 3]\n", Remove(path=("a", 0)), "a: [{b: 2}, 3]\n"),
        ("a: [1, {b: 2}, 3]\n", Remove(path=("a", 1)), "a: [1, 3]\n"),
        ("a: [1, {b: 2}, 3]\n", Remove(path=("a", 2)), "a: [1, {b: 2}]\n"),
        ("a: one\n  two\nb: 3\n", Remove(path=("a",)), "b: 3\n"),
        ("a: |\n  x\n\n   # y\n\n # c\nb: 1\n", Remove(path=("a",)), "\n # c\nb: 1\n"),
        ("a: >\nb: 1\n", Remove(path=("a",)), "b: 1\n"),
        ("a: 'x\n # it''s'  # c\nb: 1\n", Remove(path=("a",)), "b: 1\n"),
        ("a:\n  b: |\n    # x\n\n  # c\n  d: 1\ne: 1\n", Remove(path=("a",)), "  # c\ne: 1\n"),
        ("a: |\n  x\n\n  # y\nb: 1\n", AddAfter(path=("a",), name="c", value=2), "a: |\n  x\n\n  # y\nc: 2\nb: 1\n"),
        ("a: {b: 1, c: 2, d: 3}\n", Remove(path=("a", "b")), "a: {c: 2, d: 3}\n"),
        ("a: {b: 1, c: 2, d: 3}\n", Remove(path=("a", "c")), "a: {b: 1, d: 3}\n"),
        ("a: {b: 1, c: 2, d: 3}\n", Remove(path=("a", "d")), "a: {b: 1, c: 2}\n"),
        ("a: {b: 1}  # x\n", AddAfter(path=("a", "b"), name="c", value=[1, 2]), "a: {b: 1, c: [1, 2]}  # x\n"),
        ("a:\n  b: 1", AddAfter(path=("a", "b"), name="c", value="x"), "a:\n  b: 1\n  c: x\n"),
        ("a: 1\r\n", AddAfter(path=("a",), name="c", value={"d": "1"}), 'a: 1\r\nc:\r\n  d: "1"\r\n'),
        ("a: 1\n", SetValue(path=("b",), value=2), "a: 1\nb: 2\n"),
        ("a: 1\r\n", SetValue(path=("b", "c d", "e"), value="x"), "a: 1\r\nb:\r\n  c d:\r\n    e: x\r\n"),
        ("a:\n  b: 1  # one\n\n# end\n", SetValue(path=("a", "c"), value=2), "a:\n  b: 1  # one\n  c: 2\n\n# end\n"),
        ("a:  # none\n  # b: 1\n", SetValue(path=("a", "b"), value=2), "a: {b: 2}  # none\n  # b: 1\n"),
        ("a: ~\nb: 1\n", SetValue(path=("a", "b"), value="2"), 'a: {b: "2"}\nb: 1\n'),
        ("a: {}\n", SetValue(path=("a", "b", "c"), value=True), "a: {b: {c: true}}\n"),
        ("a: { b: 1 }  # x\n", SetValue(path=("a", "c"), value="d"), "a: { b: 1, c: d }  # x\n"),
        ('{"a": {"b": "c"}}', SetValue(path=("a", "d"), value="e"), '{"a": {"b": "c", "d": "e"}}'),
        ("\ufeffa: 1\n", SetValue(path=("a",), value=2), "\ufeffa: 2\n"),
        ('{"a": "0.5.11",\n "b": 1}\n', SetValue(path=("a",), value="0.5.23"), '{"a": "0.5.23",\n "b": 1}\n'),
        ("a: [{b: 1, c: 2}]\n", SetValue(path=("a", 0, "b"), value=3), "a: [{b: 3, c: 2}]\n"),
        ("a: [b, c]  # d\n", SetValue(path=("a", 1), value="E:1"), "a: [b, E:1]  # d\n"),
        ("a:\n- b  # one\n- 'c'  # two\n", SetValue(path=("a", 1), value="d"), "a:\n- b  # one\n- 'd'  # two\n"),
    ],
)
def test_text(before: str, edit: Edit, after: str) -> None:
    assert apply(before, [edit], "f") == after


@pytest.mark.parametrize(
    ("text", "edit", "words"),
    [
        ("a: 1\n", Remove(path=("b",)), "f has no `b` of its own"),
        ("a: [1]\n", SetValue(path=("a", 1), value=1), "`a` in f is no mapping that `1` can be added to"),
        ("a:\n- \n- b\n", SetValue(path=("a", 0), value=1), "`a[0]` in f is an item without a value"),
        ("a: [&x 1, *x]\n", SetValue(path=("a", 1), value=2), "`a[1]` in f is an alias"),
        ("a: {b: 1}\n", SetValue(path=("a",), value=1), "not a single value"),
        ("a: [b]\n", SetValue(path=("a", "c"), value=1), "`a` in f is no mapping that `c` can be added to"),
        ("a: 1\n", SetValue(path=("a", "c"), value=1), "`a` in f is no mapping that `c` can be added to"),
        ("a: &x {b: 1}\nc: *x\n", SetValue(path=("c", "d"), value=1), "`c` in f is an alias"),
        ("a: &x {b: 1}\nc: *x\n", SetValue(path=("a", "d"), value=1), "cannot be changed safely"),
        ("a: &x 1\nb: *x\n", SetValue(path=("b",), value=2), "`b` in f is an alias"),
        ("a: &x 1\nb: *x\n", SetValue(path=("a",), value=2), "cannot be changed safely"),
        ("a: &x {c: 1, d: 2}\nb: *x\n", Remove(path=("a", "c")), "cannot be changed safely"),
        ("a: &x {c: 1, d: 2}\nb: *x\n", SetValue(path=("b", "c"), value=3), "`b` in f is an alias"),
        ("a: &x 1\nb: *x\n", Remove(path=("a",)), "cannot be changed safely"),
        ("a: one\n  two\n", SetValue(path=("a",), value=2), "cannot be changed safely"),
        ("a: |\n  one\nb: 1\n", SetValue(path=("a",), value=2), "cannot be changed safely"),
        ("{a: 1,\n b: 2}\n", Remove(path=("a",)), "in brackets over several lines"),
        ("{a: 1,\n b: 2}\n", AddAfter(path=("b",), name="c", value=1), "in brackets over several lines"),
        ("a: {b: 1}\n", Remove(path=("a", "b")), "all that its mapping in f holds"),
        ("a:\n  - b: 1\n    c: 2\n", Remove(path=("a", 0, "b")), "shares its line"),
        ("a:\n  -\n    b: 1\n  - 2\n", Remove(path=("a", 0)), "shares its line"),
        ("a:\n  - - 1\n    - 2\n  - 3\n", Remove(path=("a", 0, 0)), "shares its line"),
        ("a: [1,\n 2]\n", Remove(path=("a", 0)), "in brackets over several lines"),
        ("a: [1]\n", Remove(path=("a", 0)), "all that its list in f holds"),
        ("a: 1\nb: 2\n", RenameKey(path=("a",), name="b"), "f has `b` already"),
        ("a: 1\n", SetValue(path=("a",), value=float("inf")), "cannot be changed safely"),
    ],
)
def test_refused(text: str, edit: Edit, words: str) -> None:
    with pytest.raises(EditError) as caught:
        apply(text, [edit], "f")
    assert words in caught.value.message


STYLES = (
    "a: &x {b: 1, c: two}\nd: *x\ne:\n  - *x\n  - f: *x\n    g: |\n      t\n        # deep\n\n      more\n    h: 1\n",
    "? a\n: 1\n? b\n: {c: [1,\n 2], d: 3}\ne: >-\n  folded\n  text\n\n# end\nf: 'one\n\n  two'\n",
    "a:   # first\n\n  # second\n  b: !!str 1\n  c: &k !!int '2'  # third\n  d: {e: {f: [ {g: 1} ] } , h: *k}\n",
    'a: "x\\\n  y"\nb:\n- c: 1\n  d: 2\n-\n  e: 3\n  f:\n  - 4\n  - five\n    six\ng: ~\nh:\n',
)


@given(text=st.sampled_from(STYLES), data=st.data())
def test_whatever_the_style_an_edit_is_exact_or_refused(text: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(entries(read(text))))
    edit = data.draw(any_edit(path))
    try:
        changed = apply(text, [edit], "f")
    except EditError:
        return
    assert json.dumps(read(changed)) == json.dumps(expected(read(text), edit))


def test_several_edits_of_a_profile() -> None:
    changed = apply(
        B200,
        [
            SetValue(path=("sglang", "version"), value="0.5.23"),
            Remove(path=("sglang", "env", "SGLANG_ENABLE_SPEC_V2")),
            RenameKey(path=("sglang", "args", "nsa-prefill-backend"), name="dsa-prefill-backend"),
            AddAfter(path=("sglang", "args", "dsa-prefill-backend"), name="page-size", value=64),
        ],
        "f",
    )
    lines, kept = changed.splitlines(), B200.splitlines()
    assert sum(line not in kept for line in lines) == 3
    assert sum(line not in lines for line in kept) == 3
    assert "    page-size: 64" in lines
    assert "    dsa-prefill-backend: trtllm     # not flashmla: accuracy loss on B200, #21291" in lines
