"""Files of other programs in YAML and JSON: what of each comes out, and that nothing of it is lost in silence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from glmdeploy.authoring.formats.recognise import recognise
from glmdeploy.authoring.launch.imported import import_script
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.authoring.launch.launch import Launch, Note, Word
    from glmdeploy.findings import Finding

HERE = Path(__file__).parent / "yaml"
GOOD = sorted((HERE / "good").iterdir())
BAD = sorted((HERE / "bad").iterdir())


def script(file: Path) -> Script:
    return Script(file=file.name, text=file.read_text(encoding="utf-8"))


def place(text: str, offset: int) -> str:
    line = text.count("\n", 0, offset)
    return f"{line + 1}:{offset - text.rfind(chr(10), 0, offset)}"


def described(text: str, launch: Launch) -> Iterator[str]:
    """A launch as lines: each word with its place, and what is noted."""

    def shown(word: Word) -> str:
        what = f" (not known: {', '.join(word.unknown)})" if word.unknown else ""
        return f"{place(text, word.span[0])} {word.text!r}{what}"

    yield f"launch at {place(text, launch.place[0])}" + (f" of {launch.engine.name}" if launch.engine else "")
    yield from (f"  word {shown(word)}" for word in launch.words)
    yield from (f"  env {name} {shown(word)}" for name, word in launch.env.items())
    if launch.container:
        yield f"  image {shown(launch.container.image)}"
        yield from (f"  {name} {shown(word)}" for name, word in launch.container.flags)
    yield from (f"  gpu {shown(word)}" for word in (launch.gpu,) if word)
    yield from (f"  nodes {shown(word)}" for word in (launch.nodes,) if word)
    yield from (f"  release {shown(word)}" for word in launch.releases)
    yield from (f"  {noted(text, note)}" for note in launch.notes)


def noted(text: str, note: Note) -> str:
    return f"{note.severity} {place(text, note.span[0])} {note.message}"


def told(found: Finding) -> str:
    fix = f"\n  fix: {found.fix}" if found.fix else ""
    expected = f"\n  expected: {found.expected}" if found.expected else ""
    return f"{found.severity} {found.location.line}:{found.location.column} {found.message}{expected}{fix}"


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_what_comes_out(file: Path, snapshot: Callable[[str, str], None]) -> None:
    source = script(file)
    form = recognise(source)
    if form is None:
        result = import_script(source, ImportOptions(sglang_version="0.5.11"))
        assert result.data is not None
        errors = [each.location for each in result.notes if each.severity is Severity.ERROR]
        refused = [f"error {each.line}:{each.column}" for each in errors]
        lines = ["a --config file", *refused, str(result.data["sglang"]["args"])]
    else:
        lines = [form.name, *(line for launch in form.read(source) for line in described(source.text, launch))]
    snapshot(f"yaml_{file.stem}", "\n".join(lines) + "\n")


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_a_profile_comes_out(file: Path) -> None:
    result = import_script(script(file), ImportOptions(repo="zai-org/GLM-5.1-FP8"))
    assert result.data is not None
    errors = [found.message for found in result.notes if found.severity is Severity.ERROR]
    assert all("reasoning_parser" in each or "cuda-graph-bs" in each for each in errors), errors


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_what_is_refused(file: Path, snapshot: Callable[[str, str], None]) -> None:
    with pytest.raises(ProfileError) as raised:
        import_script(script(file), ImportOptions())
    assert all(found.id == "import" for found in raised.value.findings)
    lines = list(map(told, raised.value.findings))
    if "vllm" in file.stem:  # what each of its options is called is another test's matter
        lines = [line.partition(",")[0] for line in lines[:1]]
    snapshot(f"yaml_bad_{file.stem}", "\n".join(lines) + "\n")


@pytest.mark.parametrize("file", [*GOOD, *BAD], ids=lambda file: file.stem)
def test_every_word_stands_where_it_is_written(file: Path) -> None:
    """Each character of a word that was not filled in from elsewhere is the one at its place."""
    source = script(file)
    form = recognise(source)
    try:
        found = form.read(source) if form else []
    except (ProfileError, ShellError):
        return
    for launch in found:
        for word in launch.words:
            if len(word.offsets) != len(word.text) or word.variables or source.text[word.span[0]] == "$":
                continue
            written = [source.text[at] for at in word.offsets]
            assert [each for each in written if each.strip()] == [each for each in word.text if each.strip()]


@pytest.mark.parametrize(
    "text",
    [
        # All on one line, so that every message shows it; the last two are refused.
        '{"items": [%s, {"kind": "Pod", "apiVersion": "v1", "zz": 1, "spec": {"containers": [{"image": "i",'
        ' "args": ["sglang", "serve", "a/b"]}]}}], "kind": "List", "apiVersion": "v1"}',
        '{"items": [%s, {"kind": "Pod", "apiVersion": "v1", "spec": {"containers": [{"image": "lmsysorg/sglang",'
        ' "args": ["sglang", "serve", "a/b", "--nnodes", "2"]}]}}], "kind": "List", "apiVersion": "v1"}',
        '{"items": [%s], "kind": "List", "apiVersion": "v1"}',
    ],
)
def test_the_values_of_a_secret_are_never_shown(text: str) -> None:
    secret = '{"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"plain": "Y29ycmVjdA"}}'
    try:
        result = import_script(Script(file="x.json", text=text % secret), ImportOptions(gpu="H200:8"))
        found = result.notes
    except ProfileError as error:
        found = tuple(error.findings)
    assert found
    assert not any("Y29ycmVjdA" in str(each) for each in found)
