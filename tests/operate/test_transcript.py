"""What others print is in a file: whole, without secrets, for the owner alone; and the last of it is at hand."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from looked_at import NOW

from glmdeploy.operate import transcript
from glmdeploy.operate.endpoint import framed
from glmdeploy.operate.last_words import last_words
from glmdeploy.operate.logs import Line
from glmdeploy.operate.transcript import KEPT_FILES, Transcript

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "a-key-of-nobody-at-all"


@pytest.fixture(autouse=True)
def as_before(tmp_path: Path) -> Iterator[None]:
    """Loggers and the current transcript are those of the process again afterwards."""
    handlers = {name: logging.getLogger(name).handlers[:] for name in ("modal-client", "py.warnings", "asyncio")}
    yield
    logging.captureWarnings(False)
    for name, known in handlers.items():
        logging.getLogger(name).handlers[:] = known
        logging.getLogger(name).propagate = True
    transcript._current[:] = [Transcript()]


def test_nothing_is_made_for_nothing(tmp_path: Path) -> None:
    transcript.keep(tmp_path / "app", "status")
    assert transcript.current().path is None
    assert not (tmp_path / "app").exists()


def test_what_others_print_is_in_the_file_and_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", SECRET)
    kept = transcript.keep(tmp_path / "app", "apply")
    heard: list[str] = []
    kept.listeners.append(heard.append)
    with transcript.overheard():
        print("✓ App deployed in 0.1s! 🎉")
        print(f"the key is {SECRET}", file=sys.stderr)
        print("\x1b[32mgreen\x1b[0m\r 10%\r100%")
        thread = threading.Thread(target=lambda: print("from a thread"))
        thread.start()
        thread.join()
        logging.getLogger("py.warnings").warning("a warning of the SDK's")
        logging.getLogger("modal-client").warning("a message of the SDK's")
        print("no end", end="")
    kept.end()
    out = capsys.readouterr()
    assert (out.out, out.err) == ("", "")
    assert kept.path is not None
    text = kept.path.read_text()
    lines = [line.partition(" ")[2] for line in text.splitlines()]
    assert lines[:4] == ["✓ App deployed in 0.1s! 🎉", "the key is ***", "100%", "from a thread"]
    assert "a warning of the SDK's" in text
    assert lines[-2:] == ["modal-client: a message of the SDK's", "no end"]
    assert SECRET not in text
    assert heard[:2] == ["✓ App deployed in 0.1s! 🎉", "the key is ***"]
    assert kept.path.stat().st_mode & 0o077 == 0
    assert kept.path.parent.stat().st_mode & 0o077 == 0


def test_the_last_lines_are_of_the_step_and_not_of_its_end(tmp_path: Path) -> None:
    kept = Transcript(tmp_path, "apply")
    kept.write("of the step before\n")
    kept.forget_tail()
    kept.write("container ta-1 starts\nwhy it failed\n\nTraceback (most recent call last):\n  File x\nError: y\n")
    kept.write("the app was stopped\ncontainer ta-1 ended after a failed call: y\n")
    assert kept.tail(12) == ["why it failed"]
    kept.end()


def test_a_few_files_are_kept_of_an_app(tmp_path: Path) -> None:
    for number in range(KEPT_FILES + 5):
        (tmp_path / f"20250101T0000{number:02}-apply-1.log").touch()
    (tmp_path / "notes.txt").touch()
    kept = Transcript(tmp_path, "apply")
    kept.write("a line\n")
    kept.end()
    found = sorted(path.name for path in tmp_path.glob("*.log"))
    assert len(found) == KEPT_FILES
    assert kept.path is not None
    assert found[-1] == kept.path.name
    assert (tmp_path / "notes.txt").exists()


def test_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "app").write_text("a file where the folder should be")
    kept = Transcript(tmp_path / "app", "apply")
    heard: list[str] = []
    kept.listeners.append(heard.append)
    kept.write("a line\n")
    assert heard == ["a line"]
    assert kept.tail(1) == ["a line"]
    with contextlib.suppress(OSError):
        kept.end()


def said(*texts: str, task: str = "ta-1", source: str = "stdout") -> list[Line]:
    return [Line(at=NOW, text=text, task=task, source=source) for text in texts]


def test_the_last_words_are_those_of_the_container_that_gave_up() -> None:
    refused = "glmdeploy refused 0123 ta-1: SGLang ended"
    lines = [
        *said("server_args=ServerArgs(tp_size=8)", "torch.OutOfMemoryError: CUDA out of memory", ""),
        *said("another one still starts", task="ta-2"),
        *said("container ta-1 starts", source="system"),
        *said("glmdeploy start imports took 1 s", refused, "Traceback (most recent call last):"),
        *said("the other one goes on", task="ta-2"),
    ]
    assert framed(last_words(lines)) == ["  | torch.OutOfMemoryError: CUDA out of memory"]
    assert last_words([line for line in lines if not line.is_error])[-1] == "the other one goes on"
    assert last_words([]) == []


def test_the_last_words_of_a_cluster_are_those_of_the_rank_that_failed() -> None:
    lines = [
        *said("glmdeploy start rank 0 of 2 in cluster cu-1", "rank 0 waits"),
        *said("glmdeploy start rank 1 of 2 in cluster cu-1", "torch.OutOfMemoryError: CUDA out of memory", task="ta-2"),
        *said("glmdeploy start rank 1 of 2 in cluster cu-2", "another cluster's", task="ta-3"),
        *said("glmdeploy refused 0123 ta-1: rank 1: SGLang ended", "Traceback (most recent call last):"),
        *said("glmdeploy start rank 1 ends with its cluster", "Traceback (most recent call last):", task="ta-2"),
    ]
    assert last_words(lines) == ["torch.OutOfMemoryError: CUDA out of memory"]
    alone = [line for line in lines if line.task == "ta-1"]
    assert last_words(alone) == ["rank 0 waits"], "where rank 1 has said nothing"


def test_what_tells_of_an_end_in_a_cluster_is_an_error() -> None:
    hung, ended = said("rank 1: hung (S): process 1 was in state T", "rank 0: SGLang ended; ending the container")
    assert hung.is_error
    assert ended.is_error
    assert not said("he said rank 1: hung (S)")[0].is_error
