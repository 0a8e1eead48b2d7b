"""``--set``: an argument is taken and then reads as it was set, or is refused once, at a place in it."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from fuzz.places import hidden, in_text
from fuzz.target import ROOT, TOKEN, Target, words
from glmdeploy.errors import ProfileError
from glmdeploy.findings import at
from glmdeploy.profile.text.characters import check as text_of
from glmdeploy.profile.text.document import build
from glmdeploy.profile.text.load import read_text
from glmdeploy.profile.text.scalars import write
from glmdeploy.profile.text.sets import FILE, Setting, apply, parse
from glmdeploy.profile.text.yaml12 import read_mapping
from glmdeploy.report.text import finding_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.findings import Finding
    from glmdeploy.profile.text.document import Document, Node

BASE = """
name: small
list: [1, {a: b}, [2, 3], null]
server: {scaledown_window: 15m, "quoted.key": 1, region: [eu, us]}
sglang: {version: 0.5.23, args: {tp: 8, "a b": c}}
"""


@cache
def _base() -> tuple[Node, Document]:
    root = read_mapping(text_of(BASE, "base.yaml"))
    return root, build(root, files=("base.yaml",))


def check(data: bytes) -> None:
    argument = data.decode("utf-8", "surrogateescape")
    root, before = _base()
    try:
        setting = parse(argument)
    except ProfileError as error:
        _refused(argument, error.findings)
        return
    assert setting.steps, "a setting of nothing"
    path = tuple(step.part for step in setting.steps)
    try:
        changed = apply(root, setting)
    except ProfileError as error:
        _refused(argument, error.findings)
        return
    after = build(changed, files=("base.yaml",))
    _read_back(setting, before.data, after.data, path)
    assert build(root, files=("base.yaml",)).data == before.data, "what it was set in has changed"
    if _value(setting) is not None:
        assert build(apply(changed, setting), files=()).data == after.data, "set twice, it says something else"
    _written(path, _value(setting), after.data)


def _refused(argument: str, findings: list[Finding]) -> None:
    assert findings, "refused without a message"
    assert len(set(findings)) == len(findings), "the same message twice"
    in_text(findings, FILE, re.split(r"\r\n|\r|\n", argument))
    hidden(argument, "\n".join(map(finding_text, findings)))


def _value(setting: Setting) -> Any:
    return build(setting.value, files=(), keep_nulls=True).data


def _read_back(setting: Setting, before: Any, after: Any, path: tuple[str | int, ...]) -> None:
    """At its place stands the value, what was merged with it beside it; elsewhere all is as before."""
    value = _value(setting)
    if value is None and isinstance(path[-1], str):
        assert path[-1] not in at(after, path[:-1]), "a null that removes nothing"
    else:
        _says(at(after, path), value)
    _beside(before, after, path)


def _says(found: Any, value: Any) -> None:
    if isinstance(value, dict) and isinstance(found, dict):
        for key, inner in value.items():
            if inner is None:
                assert key not in found, f"null has left {key!r}"
            else:
                _says(found[key], inner)
    else:
        assert _pruned(value) == found, f"set {value!r}, read {found!r}"
        assert type(value) is type(found), f"set {value!r}, read {found!r}"


def _pruned(value: Any) -> Any:
    """A value as a profile holds it: entries that are null are left out."""
    if isinstance(value, dict):
        return {key: _pruned(inner) for key, inner in value.items() if inner is not None}
    return [_pruned(inner) for inner in value] if isinstance(value, list) else value


def _beside(before: Any, after: Any, path: tuple[str | int, ...]) -> None:
    """All that is not on the way to the value is as it was, in its order."""
    for part in path:
        if isinstance(before, list):
            assert len(before) == len(after), "a list has become longer or shorter"
            others = [[item for index, item in enumerate(each) if index != part] for each in (before, after)]
        else:
            others = [[(key, inner) for key, inner in each.items() if key != part] for each in (before, after)]
        assert others[0] == others[1], f"another place has changed than {part!r}"
        if isinstance(before, dict) and (part not in before or part not in after):
            return
        before, after = before[part], after[part]
        if not isinstance(before, dict | list):
            return


def _written(path: tuple[str | int, ...], value: Any, after: Any) -> None:
    """The same argument in this package's own spelling sets the same."""
    way = ""
    for part in path:
        if isinstance(part, int):
            way += f"[{part}]"
        else:
            quoted = part.replace("\\", "\\\\").replace('"', '\\"')
            way += ("." if way else "") + f'"{quoted}"'
    if any("\n" in str(part) for part in path):
        return
    again = parse(f"{way}={write(value)}")
    assert tuple(step.part for step in again.steps) == path, way
    assert build(apply(_base()[0], again), files=()).data == after, f"{way}={write(value)}"
    assert read_text(f"a: {write(value)}", "x").data == {"a": value}


def seeds() -> Iterator[bytes]:
    for text in (
        "sglang.args.tp=4",
        "sglang.args.tp-size=8",
        "server.region=[eu, us]",
        'list[1].a="x y"',
        "list[2][1]=4",
        "list[3]={a: 1}",
        "server={scaledown_window: 2m, region: null}",
        'server."quoted.key"=null',
        "server.'x.y'.z=1",
        "name='it''s'",
        "name=",
        "name=# x",
        "extends=base",
        "list[9]=1",
        "list.a=1",
        "server[0]=1",
        "name.a=1",
        "a=*x",
        "a=&x 1",
        "a=!!str 1",
        "a={b: {c: {d: null}}}",
        "a.b.c.d.e=1",
        'a="\\u00e9\\n"',
        "a=|\n x",
        "a=- 1",
        "a=b: c",
        "a=---",
        "a={<<: {b: 1}}",
        "a=1e400",
        "a=0x1F",
        "a=.nan",
        "a=yes # no",
        f"a={TOKEN}",
        f"{TOKEN}=1",
        f"a.{TOKEN}[x]=1",
        f"sglang.args.api-key={TOKEN} # x",
    ):
        yield text.encode()
    for file in (ROOT / "glmdeploy/rules/guards").glob("*.yaml"):
        for line in file.read_text().splitlines():
            if "sglang.args." in line and "=" in line and len(line) < 200:
                yield line.strip(" -\"'").encode()


TARGET = Target(name="sets", check=check, seeds=seeds, words=words("sets"), longest=256)
