"""What the stand-in rehearses for ``verify``: loads, calls that the user names, accepted drafts, answers, faults."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest
from standin_process import ARGUMENTS, start
from support import wait_until

from glmdeploy.local.standin import rehearsed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from standin_process import Engine

TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"a": {"enum": [3]}, "b": {"const": 1.5}, "c": {"const": True}, "d": {"const": "x"}},
            "required": ["a", "b", "c", "d"],
        },
    },
}


@pytest.fixture(scope="module")
def faulty(model: Path, container: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Path]]:
    folder = tmp_path_factory.mktemp("faulty")
    speculates = ("--speculative-algorithm", "EAGLE", "--speculative-num-steps", "5")
    variables = {
        rehearsed.FAULTS_VARIABLE: str(folder / "faults"),
        rehearsed.ANSWERS_VARIABLE: json.dumps({"Who are you?": "A rehearsal."}),
    }
    engine = start(model, container, folder / "log", *ARGUMENTS, *speculates, **variables)
    try:
        engine.statuses_until_healthy()
        yield engine, folder / "faults"
    finally:
        engine.process.kill()
        engine.process.wait()


def test_loads_tell_what_runs(engine: Engine) -> None:
    def running() -> int:
        status, loads = engine.ask("/v1/loads")
        assert status == 200
        [load] = loads["loads"]
        assert load["num_total_reqs"] == load["num_running_reqs"] + load["num_waiting_reqs"]
        return int(load["num_running_reqs"])

    assert engine.ask("/v1/loads", key=None)[0] == 401
    wait_until(lambda: running() == 0)
    thread = threading.Thread(target=lambda: engine.chat("Hello", max_tokens=900, ignore_eos=True))
    thread.start()
    wait_until(lambda: running() == 1)
    thread.join()
    wait_until(lambda: running() == 0)


def test_a_function_that_the_user_names_is_called(faulty: tuple[Engine, Path]) -> None:
    engine, file = faulty
    thought = {"chat_template_kwargs": {"enable_thinking": False}}
    for choice in ({}, {"tool_choice": "auto"}):
        message = engine.chat("Please add this.", tools=[TOOL], **choice, **thought)[1]["choices"][0]["message"]
        assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"a": 3, "b": 1.5, "c": True, "d": "x"}
    for said, choice in (("Hello", {}), ("Please add this.", {"tool_choice": "none"})):
        message = engine.chat(said, tools=[TOOL], **choice, **thought)[1]["choices"][0]["message"]
        assert "tool_calls" not in message
    file.write_text("strings-in-stream")
    body = {"messages": [{"role": "user", "content": "add"}], "tools": [TOOL], **thought}
    events = engine.events("/v1/chat/completions", body)
    calls = [call for event in events for choice in event["choices"] for call in choice["delta"].get("tool_calls", [])]
    arguments = json.loads("".join(call["function"]["arguments"] for call in calls))
    assert arguments == {"a": "3", "b": "1.5", "c": True, "d": "x"}
    file.unlink()


def test_accepted_drafts(faulty: tuple[Engine, Path], engine: Engine) -> None:
    one, file = faulty
    body = {"text": "a", "sampling_params": {"max_new_tokens": 7, "ignore_eos": True}}
    meta = one.ask("/generate", body)[1]["meta_info"]
    assert (meta["spec_accept_length"], meta["spec_verify_ct"]) == (3.5, 2)
    file.write_text("no-draft")
    assert one.ask("/generate", body)[1]["meta_info"]["spec_accept_length"] == 1.0
    file.unlink()
    assert "spec_accept_length" not in engine.ask("/generate", body)[1]["meta_info"]


def test_rehearsed_answers(faulty: tuple[Engine, Path]) -> None:
    engine, file = faulty

    def said(question: str) -> str:
        return str(engine.chat(question)[1]["choices"][0]["message"]["content"])

    assert said("Who are you?") == "A rehearsal."
    assert said("What is the capital of Japan?") == "Tokyo (From the table of glmdeploy's stand-in.)"
    assert said("Else?").startswith("This answer comes from glmdeploy's stand-in engine")
    file.write_text("wrong-answers")
    assert said("Who are you?").startswith("This answer comes from glmdeploy's stand-in engine")
    file.unlink()


def test_a_file_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    assert rehearsed.faults(None) == rehearsed.faults(tmp_path / "none") == rehearsed.faults(tmp_path) == frozenset()
