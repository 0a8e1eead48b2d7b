"""Every key of a file in YAML is in the launch, in a message, or known to be of no matter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import one_in

from glmdeploy.authoring.formats import (
    compose,
    compose_service,
    dstack,
    kserve,
    kubernetes,
    ome,
    pod,
    skypilot,
    truss,
)
from glmdeploy.authoring.formats.recognise import recognise
from glmdeploy.authoring.launch.script import Script
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.errors import ProfileError
from glmdeploy.profile.text.foreign import read_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.authoring.launch.launch import Launch, Span
    from glmdeploy.profile.text.foreign import Tree

GOOD = sorted(file for file in (Path(__file__).parent / "yaml" / "good").iterdir() if "config" not in file.stem)

NO_MATTER = {
    **compose.ROOT_NO_MATTER,
    **compose_service.NO_MATTER,
    **dstack.NO_MATTER,
    **kubernetes.ROOT_NO_MATTER,
    **pod.METADATA_NO_MATTER,
    **kubernetes.SPEC_NO_MATTER,
    **pod.CONTAINER_NO_MATTER,
    **skypilot.NO_MATTER,
    **truss.NO_MATTER,
}
CONSUMED = {
    "driver": "decides that a device is a GPU",
    "capabilities": "decides that a device is a GPU",
    "kind": "decides that a resource is a GPU",
    "valueFrom": "the variable is passed on",
    "required": "whether a file of variables must be there",
    "protocol": "of a published port",
    "mode": "of a published port",
    "type": "of a mounted folder",
    "readOnly": "of a mounted folder",
    "optional": "whether a ConfigMap must be there",
    "volumes": "told where a container mounts them",
    "modelFormat": "which runtime a cluster takes",
    "replicas": "told",
    "requests": "told with the limits",
    "vendor": "decides that a device is a GPU",
    "memory": "told with the GPU's name",
    "device_ids": "as many GPUs",
    "entrypoint": "the begin of the command",
}
"""What is read, and leaves no word of its own."""
ARGUMENTS = {"command", "args", "commands"}
"""Lists of words, of which the ones that launch the server leave none of their own."""


def spans(launches: list[Launch]) -> Iterator[Span]:
    """Where words and notes of the launches stand."""
    for launch in launches:
        container = launch.container
        words = [*launch.words, *launch.env.values(), *launch.releases, *([launch.gpu] if launch.gpu else [])]
        words += [launch.nodes] if launch.nodes else []
        words += [container.image, *(word for _, word in container.flags)] if container else []
        for word in words:
            yield word.span
            yield from ((at, at + 1) for at in word.offsets)
        yield from (note.span for note in launch.notes)
        yield launch.place


def lost(text: str, launches: list[Launch]) -> list[str]:
    """The keys of which nothing shows."""
    starts = {start for start, _ in spans(launches)}
    noted = {note.span[0] for launch in launches for note in launch.notes}
    names = {name for launch in launches for name in launch.env}
    said = "\n".join(note.message for launch in launches for note in launch.notes)

    def whole(tree: Tree) -> bool:
        """Whether an object or a container is told to be left out, at its name."""
        marks = [(tree.entries or {}).get(name) for name in ("kind", "name")]
        return any(pair is not None and pair.value.start in noted for pair in marks)

    def leaf(tree: Tree) -> bool:
        if tree.null or tree.text in names or (len(tree.text or "") > 3 and str(tree.text) in said):
            return True
        return any(tree.start <= at < max(tree.end, tree.start + 1) for at in starts)

    def visit(tree: Tree, path: str) -> Iterator[str]:
        if tree.entries is not None:
            if whole(tree):
                return
            for name, pair in tree.entries.items():
                if pair.key.start in starts or name in names or name in said:
                    continue
                if name in NO_MATTER or name in CONSUMED or name.startswith("x-"):
                    continue
                if name in ARGUMENTS and any(pair.value.start <= at < pair.value.end for at in starts):
                    continue
                yield from visit(pair.value, f"{path}.{name}")
        elif tree.items is not None:
            for index, item in enumerate(tree.items):
                yield from visit(item, f"{path}[{index}]")
        elif not leaf(tree):
            yield path

    return [each for tree in read_stream(text, "x.yaml") for each in visit(tree, "")]


def read(text: str, name: str = "x.yaml") -> list[Launch] | None:
    """The launches; None where the file is refused, and so nothing lost."""
    script = Script(file=name, text=text)
    form = recognise(script)
    assert form is not None
    try:
        return form.read(script)
    except (ProfileError, ShellError):
        return None


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_no_key_is_lost(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    found = read(text)
    assert found is not None
    assert lost(text, found) == []


def plain(tree: Tree) -> Any:
    if tree.entries is not None:
        return {name: plain(pair.value) for name, pair in tree.entries.items()}
    if tree.items is not None:
        return [plain(item) for item in tree.items]
    return None if tree.null else tree.text


def mappings(data: Any) -> Iterator[dict[str, Any]]:
    if isinstance(data, dict):
        yield data
        for value in data.values():
            yield from mappings(value)
    elif isinstance(data, list):
        for item in data:
            yield from mappings(item)


def documents(file: Path) -> list[Any]:
    return [plain(tree) for tree in read_stream(file.read_text(encoding="utf-8"), file.name)]


def dumped(data: list[Any]) -> str:
    return "\n---\n".join(json.dumps(each, indent=1) for each in data)


@pytest.mark.parametrize("value", one_in(3, ["zz", ["zz"], {"zz": "zz"}]), ids=["text", "list", "mapping"])
@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_a_key_that_nobody_knows_is_told_wherever_it_stands(file: Path, value: Any) -> None:
    count = len([each for data in documents(file) for each in mappings(data)])
    read_somewhere = 0
    for index in range(count):
        data = documents(file)
        [each for one in data for each in mappings(one)][index]["zz_unknown"] = value
        text = dumped(data)
        found = read(text)
        if found is None:
            continue
        read_somewhere += 1
        assert lost(text, found) == [], index
    assert read_somewhere > count / 2


KNOWN = sorted(
    {
        *compose_service.INFO,
        *compose_service.WARNED,
        *("image", "command", "args", "env", "environment", "deploy", "resources", "run", "commands", "spec", "model"),
        *dstack.INFO,
        *kserve.PREDICTOR_INFO,
        *ome.SPEC_INFO,
        *kubernetes.SPEC_INFO,
        *pod.POD_INFO,
        *pod.CONTAINER_WARNED,
        *skypilot.RESOURCES_INFO,
        *truss.INFO,
    }
)
VALUES = st.recursive(
    st.one_of(st.none(), st.text(max_size=12), st.sampled_from(["1", "all", "nvidia", "$X", "${A:-b}", "'"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(GOOD), st.data())
def test_no_file_breaks_the_reading(file: Path, data: st.DataObject) -> None:
    """Keys and values that belong elsewhere: a launch, or a refusal with a place; never anything else."""
    documented = documents(file)
    places = [each for one in documented for each in mappings(one)]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places))
        key = data.draw(st.sampled_from([*place]) if place and data.draw(st.booleans()) else st.sampled_from(KNOWN))
        place[key] = data.draw(VALUES)
    text = dumped(documented)
    script = Script(file="x.yaml", text=text)
    form = recognise(script)
    if form is None:
        return
    try:
        found = form.read(script)
    except ProfileError as error:
        assert all(each.location.line >= 1 for each in error.findings)
    except ShellError as error:
        assert 0 <= error.span[0] <= len(text)
    else:
        for each in spans(found):
            assert 0 <= each[0] <= len(text)
