"""Files that are no YAML and hold a launch: what of each comes out, and that nothing of it is lost in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.authoring.formats.recognise import PROGRAMS, recognise
from glmdeploy.authoring.launch.imported import import_script
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.errors import GlmdeployError, ProfileError
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.authoring.launch.launch import Launch, Note, Word

HERE = Path(__file__).parent
FOLDERS = (
    "apptainer",
    *("batch", "container_json", "dockerfile", "fish", "justfile", "makefile", "markdown", "modal_script", "notebook"),
    *("powershell", "python_program", "refused", "supervisord", "systemd"),
)
FILES = [file for folder in FOLDERS for file in sorted((HERE / folder).iterdir())]
SHELL = sorted((HERE.parent / "launch").glob("*/*.sh"))
ONLY_BY_NAME = {"indented.md"}
"""Files that show by nothing but their name what they are."""
SECRETS = ("hf_aaaa", "correct-horse", "correct-battery")


def name(file: Path) -> str:
    return f"{file.parent.name}_{original(file)}"


def original(file: Path) -> str:
    """What a file is called where it comes from: Python has another name here, so that nothing checks it as ours."""
    return file.name.removesuffix(".txt")


def script(file: Path, called: str | None = None) -> Script:
    return Script(file=called or original(file), text=file.read_text(encoding="utf-8"))


def place(text: str, offset: int) -> str:
    return f"{text.count(chr(10), 0, offset) + 1}:{offset - text.rfind(chr(10), 0, offset)}"


def word_of(text: str, word: Word) -> str:
    unknown = f" (not known: {', '.join(word.unknown)})" if word.unknown else ""
    return f"{place(text, word.span[0])} {word.text!r}{unknown}"


def noted(text: str, note: Note) -> str:
    return f"{note.severity} {place(text, note.span[0])} {note.message}"


def described(text: str, launch: Launch) -> Iterator[str]:
    """A launch as lines: each word with its place, and what is noted."""
    yield f"launch at {place(text, launch.place[0])}" + (f" of {launch.engine.name}" if launch.engine else "")
    yield from (f"  word {word_of(text, word)}" for word in launch.words)
    yield from (f"  env {key} {word_of(text, word)}" for key, word in launch.env.items())
    if launch.container:
        yield f"  image {word_of(text, launch.container.image)}"
        yield from (f"  {key} {word_of(text, word)}" for key, word in launch.container.flags)
    yield from (f"  gpu {word_of(text, word)}" for word in (launch.gpu,) if word)
    yield from (f"  release {word_of(text, word)}" for word in launch.releases)
    yield from (
        f"  {'.'.join(map(str, path))} {place(text, span[0])} {json.dumps(value)}"
        for path, (value, span) in launch.settings.items()
    )
    notes = dict.fromkeys((*launch.notes, *(note for word in launch.words for note in word.notes)))
    yield from (f"  {noted(text, note)}" for note in notes)


def read(source: Script) -> list[Launch]:
    form = recognise(source)
    assert form is not None
    return form.read(source)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_what_comes_out(file: Path, snapshot: Callable[[str, str], None]) -> None:
    source = script(file)
    form = recognise(source)
    assert form is not None
    lines = [form.name]
    try:
        lines += [line for launch in form.read(source) for line in described(source.text, launch)]
    except ProfileError as error:
        for found in error.findings:
            fix = f"\n  fix: {found.fix}" if found.fix else ""
            lines.append(f"{found.severity} {found.location.line}:{found.location.column} {found.message}{fix}")
    snapshot(f"program_{name(file)}", "\n".join(lines) + "\n")


def test_there_are_enough_files() -> None:
    assert len(FILES) >= 50


@pytest.mark.parametrize("file", [file for file in FILES if file.name not in ONLY_BY_NAME], ids=name)
def test_content_is_recognised_without_its_name(file: Path) -> None:
    by_name, by_content = recognise(script(file)), recognise(script(file, "<stdin>"))
    assert by_content is not None
    assert by_name is not None
    assert by_content.name == by_name.name


@pytest.mark.parametrize("file", FILES, ids=name)
def test_line_ends_of_windows_change_nothing(file: Path) -> None:
    plain = script(file)
    windows = Script(file=original(file), text=plain.text.replace("\n", "\r\n"))
    form, other = recognise(plain), recognise(windows)
    assert form is not None
    assert other is not None
    assert form.name == other.name

    def words(source: Script) -> list[list[str]] | int:
        try:
            return [[word.text for word in launch.words] for launch in read(source)]
        except (ProfileError, ShellError):
            return 0

    assert words(windows) == words(plain)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_no_secret_is_shown(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    try:
        result = import_script(script(file), ImportOptions(repo="Qwen/Qwen3-8B", gpu="H200:8"))
        shown = [result.text or "", *(f"{found.message} {found.location.text} {found.fix}" for found in result.notes)]
    except GlmdeployError as error:
        found_in = error.findings if isinstance(error, ProfileError) else ()
        shown = [str(error), *(f"{found.message} {found.location.text} {found.fix}" for found in found_in)]
    for secret in SECRETS:
        assert not any(secret in each for each in shown) or secret not in text


def test_a_modal_script_becomes_a_whole_profile() -> None:
    result = import_script(script(HERE / "modal_script" / "class_with_snapshot.py.txt"), ImportOptions())
    assert result.complete
    assert result.data is not None
    assert result.data["gpu"] == "H200:8"
    assert result.data["server"]["scaledown_window"] == 1200
    assert result.data["sglang"]["image"] == "lmsysorg/sglang:v0.5.11-cu130"
    assert result.data["sglang"]["version"] == "0.5.11"
    assert result.data["sglang"]["image_steps"] == [{"pip": ["nvtx==0.2.13"]}, {"run": ["mkdir -p /opt/templates"]}]


@pytest.mark.parametrize("file", sorted((HERE / "refused").iterdir()), ids=name)
def test_what_is_refused_writes_nothing(file: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        import_script(script(file), ImportOptions())
    [found] = caught.value.findings
    assert found.severity is Severity.ERROR
    assert found.message.startswith("this is ")


@pytest.mark.parametrize("file", SHELL, ids=lambda file: file.name)
def test_shell_is_no_other_format(file: Path) -> None:
    for called in (file.name, "<stdin>", "launch.txt"):
        assert recognise(script(file, called)) is None


@given(data=st.data())
@settings(max_examples=examples(80), deadline=None)
def test_shell_with_a_mistake_is_no_other_format(data: st.DataObject) -> None:
    """Lines lost, doubled, cut and in another order: no shell text becomes a file of another kind."""
    lines = data.draw(st.sampled_from(SHELL)).read_text(encoding="utf-8").split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(("drop", "double", "cut", "comment", "blank", "indent"))):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "cut" if not lines[at].startswith("#!"):
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
            case "comment":
                lines.insert(at, "# a remark: with a colon")
            case "blank":
                lines[at] += " "
            case "indent":
                lines[at] = "\t" + lines[at]
    text = "\n".join(lines)
    claimed = [form.name for form in PROGRAMS if form.shows(Script(file="<stdin>", text=text)) is not None]
    assert claimed == []


@given(data=st.data())
@settings(max_examples=examples(80), deadline=None)
def test_no_text_ends_in_a_traceback(data: st.DataObject) -> None:
    """Whatever becomes of a file, it is read or refused, and every place lies in it."""
    file = data.draw(st.sampled_from(FILES))
    text = file.read_text(encoding="utf-8")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        size = data.draw(st.integers(0, 20))
        insert = data.draw(st.sampled_from(("", "\n", "\\\n", "\t", *"\"'{}()$%#é`")))
        text = text[:at] + insert + text[at + size :]
    source = Script(file=original(file), text=text)
    form = recognise(source)
    if form is None:
        return
    try:
        found = form.read(source)
    except (ProfileError, ShellError):
        return
    for launch in found:
        words = (*launch.words, *launch.env.values(), *launch.releases)
        spans = [launch.place, *(word.span for word in words), *(note.span for note in launch.notes)]
        assert all(0 <= start <= end <= max(len(text), 1) for start, end in spans)
