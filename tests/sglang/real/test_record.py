"""The record of the real SGLang's answers: what it keeps, and that nothing passes for recorded that is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import sglang_record
from hypothesis import given
from hypothesis import strategies as st
from sglang_record import EMPTY, Record

from glmdeploy.errors import GlmdeployError
from glmdeploy.sglang import catalog

if TYPE_CHECKING:
    from pathlib import Path

VERSION = catalog.versions()[-1]

REAL: dict[str, Any] = {"values": {"a": 1, "b": True, "c": None}, "stderr": "usage: many words\nerror: no\n"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sglang_record, "FOLDER", tmp_path)
    return tmp_path


def record(**flags: bool) -> Record:
    return Record(VERSION, **({"ask": False, "write": False} | flags))


def never() -> dict[str, Any]:
    raise AssertionError("the real SGLang is asked")


def remember(answer: dict[str, Any], question: object = "question", **flags: bool) -> None:
    recorded = record(write=True, **flags)
    recorded.answer("probe", "program", question, lambda: answer)
    recorded.save()


def test_what_is_recorded_is_not_asked_again(folder: Path) -> None:
    remember(REAL)
    expected = EMPTY | REAL | {"stderr": "error: no"}
    assert record().answer("probe", "program", "question", never) == expected
    text = (folder / f"{VERSION}.json").read_text()
    remember(REAL | {"values": {"a": 1}}, "another")
    assert record().answer("probe", "program", "question", never) == expected
    assert len((folder / f"{VERSION}.json").read_text().splitlines()) == len(text.splitlines()) + 1


@pytest.mark.parametrize(
    ("probe", "program", "question"),
    [("probe", "program", "new"), ("probe", "changed", "question"), ("new", "program", "question")],
)
def test_what_is_not_recorded_fails(probe: str, program: str, question: str) -> None:
    remember(REAL)
    with pytest.raises(pytest.fail.Exception, match=r"not recorded; `pytest tests/sglang/real --record` asks it"):
        record().answer(probe, program, question, never)


def test_another_wheel_has_no_record(folder: Path) -> None:
    remember(REAL)
    path = folder / f"{VERSION}.json"
    path.write_text(path.read_text().replace(catalog.load(VERSION).wheel_sha256, "0" * 64))
    with pytest.raises(pytest.fail.Exception, match="not recorded"):
        record().answer("probe", "program", "question", never)


@pytest.mark.parametrize("other", [{"a": 1, "b": 1, "c": None}, {"a": 1, "b": True}, {}])
def test_an_answer_that_is_not_the_recorded_one_fails(other: dict[str, Any], folder: Path) -> None:
    remember(REAL)
    text = (folder / f"{VERSION}.json").read_text()
    asking = record(ask=True)
    with pytest.raises(pytest.fail.Exception, match="otherwise than is recorded"):
        asking.answer("probe", "program", "question", lambda: REAL | {"values": other})
    asking.save()
    assert (folder / f"{VERSION}.json").read_text() == text
    assert record(ask=True).answer("probe", "program", "question", lambda: REAL)["values"] == REAL["values"]


def test_asking_alone_records_nothing() -> None:
    with pytest.raises(pytest.fail.Exception, match="otherwise than is recorded"):
        record(ask=True).answer("probe", "program", "question", lambda: REAL)


def test_who_cannot_be_asked_fails() -> None:
    def absent() -> dict[str, Any]:
        raise GlmdeployError("no wheel")

    with pytest.raises(pytest.fail.Exception, match="cannot be asked here: no wheel"):
        record(write=True).answer("probe", "program", "question", absent)


def test_recording_anew_forgets_what_is_not_asked() -> None:
    remember(REAL, "old")
    remember(REAL, "new", ask=True)
    assert record().answer("probe", "program", "new", never)["values"] == REAL["values"]
    with pytest.raises(pytest.fail.Exception, match="not recorded"):
        record().answer("probe", "program", "old", never)


VALUES = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0, "", "1"]) | st.just([])
TABLES = st.dictionaries(st.sampled_from("abc"), VALUES)


@given(st.lists(st.builds(lambda values, resolved: {"values": values, "resolved": resolved}, TABLES, TABLES)))
def test_every_answer_comes_back_and_the_file_does_not_tell_when_it_came(answers: list[dict[str, Any]]) -> None:
    numbers = range(len(answers))
    half = len(answers) // 2
    texts = set()
    for parts in ((numbers,), (numbers[:half], numbers[half:]), (numbers[::-1][:1], numbers[::-1])):
        path = sglang_record.FOLDER / f"{VERSION}.json"
        path.unlink(missing_ok=True)
        for part in parts:
            recorded = record(write=True)
            for number in part:
                recorded.answer("probe", "program", number, lambda number=number: answers[number])
            recorded.save()
        texts.add(path.read_text() if answers else "")
        again = record()
        for number, answer in enumerate(answers):
            found = again.answer("probe", "program", number, never)
            assert json.dumps(found, sort_keys=True) == json.dumps(EMPTY | answer, sort_keys=True)
    assert len(texts) == 1
