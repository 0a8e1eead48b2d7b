"""No launch loses a word: each is in the profile, in a message, or was taken by the shell."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any

import pytest
from launch_texts import VERSIONS, Maker, Written

from glmdeploy.authoring.launch.find import launches
from glmdeploy.authoring.launch.imported import import_script
from glmdeploy.authoring.launch.place import sections_of
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.findings import Severity
from glmdeploy.redaction import NAMES
from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.authoring.launch.launch import Note
    from glmdeploy.authoring.launch.sections import Sections
    from glmdeploy.sglang.catalog import Catalog

A_PART = 250
"""Launches that one test makes."""

NOT_ABOUT_WORDS = re.compile(r"was assumed|has no --api-key|does not say|other launch")
"""Messages about what the text lacks; they account for no word that stands there."""


@pytest.fixture(autouse=True)
def _no_suggestions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an unknown option is like takes most of the time, and decides nothing here."""
    monkeypatch.setattr("glmdeploy.sglang.catalog.nearest", lambda *_, **__: ())


def made(seed: int) -> Written:
    return Maker(random=random.Random(seed)).script()


def lost(written: Written, sections: Sections, release: Catalog) -> Iterator[str]:
    """The words that neither the profile nor a message has."""
    if not sections.data:
        assert any(note.severity is Severity.ERROR for note in sections.notes), "no profile, and no reason for it"
        return
    profile = json.dumps(sections.data, ensure_ascii=False)
    told = [note for note in sections.notes if not NOT_ABOUT_WORDS.search(note.message)]
    messages = "\n".join(f"{note.message} {note.fix} {note.expected}" for note in told)
    words = written.words
    for index, (start, end, word) in enumerate(words):
        before = words[index - 1] if index and words[index - 1][1] + 1 == start else None
        behind = words[index + 1] if index + 1 < len(words) and words[index + 1][0] - 1 == end else None
        if word.startswith("-"):
            found = placed(word, sections.data, release) or word.partition("=")[0] in messages
            found = found or ("=" in word and word.rpartition("=")[2] in profile)
            value = behind if behind and not behind[2].startswith("-") else None
            found = found or any(value and covers(note, *value[:2]) for note in told)
            found = found or (value is not None and value[2].rpartition("=")[2] in profile)
        else:
            found = word.rpartition("=")[2] in profile or word in messages
            flag = before if before and before[2].startswith("-") else None
            found = found or any(flag and covers(note, *flag[:2]) for note in told)
            if flag is not None and re.search(NAMES, flag[2]):
                found = found or "*" * len(word) in messages or f"value of {flag[2]} was not copied" in messages
                found = found or f"{flag[2]} is a secret" in messages
        if not found and not any(covers(note, start, end) for note in told):
            yield word


def covers(note: Note, start: int, end: int) -> bool:
    return note.span[0] < end and start < note.span[1]


def placed(word: str, data: dict[str, Any], release: Catalog) -> bool:
    """Whether an option is in a profile, under its own name or where the profile has a place for it."""
    name, _, value = word.partition("=")
    arguments = data["sglang"].get("args", {})
    try:
        option = release.find(name)
    except OptionError:
        key = name.lstrip("-")
        return key in arguments and (not value or value in json.dumps(arguments[key]))
    if option.dest in ("model_path", "served_model_name", "port"):
        return not value or value in json.dumps(data)
    if option.dest == "api_key":
        return "api_key" in data.get("secrets", {})
    if option.dest == "revision":
        return not value or value in json.dumps(data)
    key = option.canonical.removeprefix("--")
    return key in arguments and (
        not value or str(arguments[key]) in (value, str(number(value)), f"[{value!r}]", f"[{value}]")
    )


def number(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def account(seed: int) -> list[str]:
    """What is wrong with the reading of one launch."""
    written = made(seed)
    release = catalog.load(VERSIONS[seed % len(VERSIONS)])
    try:
        found = launches(written.text)
    except ShellError as error:
        return [f"cannot be read: {error.message}"]
    if not found:
        return ["no launch found"]
    sections = sections_of(found[0], release, ImportOptions(), written.text)
    return [f"lost: {word}" for word in lost(written, sections, release)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "part" in metafunc.fixturenames:
        metafunc.parametrize("part", range(-(-metafunc.config.getoption("--launches") // A_PART)))


def test_no_launch_loses_a_word(part: int) -> None:
    wrong = {seed: faults for seed in range(part * A_PART, (part + 1) * A_PART) if (faults := account(seed))}
    shown = "\n".join(f"--- {seed}: {'; '.join(faults)}\n{made(seed).text}" for seed, faults in list(wrong.items())[:5])
    assert not wrong, f"{len(wrong)} of {A_PART} launches lose words\n{shown}"


@pytest.mark.parametrize("seed", [3, 7, 11])
def test_a_whole_import_says_what_was_read(seed: int) -> None:
    """What was noted on the way reaches the findings of an import, and what is refused there is said."""
    written = made(seed)
    result = import_script(Script(file="x.sh", text=written.text), ImportOptions(sglang_version="0.5.23"))
    assert result.text is not None
    said = "\n".join([result.text, *(f"{note.message} {note.fix} {note.location.text}" for note in result.notes)])
    names = [word.strip("-").partition("=")[0] for _, _, word in written.words if word.startswith("--")]
    assert [name for name in names if name not in said] == []


def test_the_accounting_can_fail() -> None:
    """A word that nothing takes is found by the accounting."""
    written = made(1)
    [launch, *_] = launches(written.text)
    release = catalog.load("0.5.23")
    sections = sections_of(launch, release, ImportOptions(), written.text)
    written.words.append((len(written.text), len(written.text) + 5, "v9999"))
    assert "v9999" in list(lost(written, sections, release))
