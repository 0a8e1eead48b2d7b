"""The container's own lines: read as they were said, and said by nobody else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from container_process import container
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.runtime import output, verdict
from glmdeploy.runtime.masking import RESERVED, UNRESERVED, Mask, unreserved
from glmdeploy.runtime.output import PIPE_BYTES, Pump
from glmdeploy.runtime.verdict import SPEAKER, Verdict, in_a_line, read_stage, read_verdict

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "0123456789abcdef" * 4


def said(call: object, *arguments: object) -> str:
    written: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "write_out", written.append)
        patch.setenv("MODAL_TASK_ID", "ta-1")
        call(*arguments)  # type: ignore[operator]
    return b"".join(written).decode()


def test_the_lines() -> None:
    assert said(verdict.say_ready, DIGEST) == f"glmdeploy ready {DIGEST[:40]} ta-1\n"
    assert said(verdict.say_refused, DIGEST, ["a", "b; c\n d"]) == f"glmdeploy refused {DIGEST[:40]} ta-1: a; b, c d\n"
    assert said(verdict.say_stage, "weights") == "glmdeploy start weights\n"


@given(st.lists(st.text(), max_size=5))
def test_a_verdict_is_one_line_whatever_the_reasons(reasons: list[str]) -> None:
    line = said(verdict.say_refused, DIGEST, reasons)
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    found = read_verdict(line)
    told = [in_a_line(reason) for reason in reasons]
    assert found is not None
    assert found.reasons == tuple(filter(None, told)) or not any(told) or len(line) > 4000


def test_reading() -> None:
    assert read_verdict("glmdeploy ready ab12 ta-1\n") == Verdict("ab12", "ta-1")
    assert read_verdict("glmdeploy refused ab12 ta-1: x; y") == Verdict("ab12", "ta-1", ("x", "y"))
    assert read_stage("glmdeploy start loading weights 61 %") == "loading weights 61 %"
    for line in (" glmdeploy ready ab12 ta-1", "glmdeploy ready ab12 ta-1 more", "glmdeploy refused ab12 ta-1:", "x"):
        assert read_verdict(line) is None
    assert read_stage("a glmdeploy start x") is None


def pumped(*chunks: bytes, keys: tuple[str, ...] = ()) -> bytes:
    written: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "write_out", written.append)
        source, sink = os.pipe()
        running = Pump(source, Mask([], keys=keys), None)
        for chunk in chunks:
            os.write(sink, chunk)
        os.close(sink)
        running.drain(600)
    return b"".join(written)


FORGED = b"glmdeploy ready 0123 ta-1"


@pytest.mark.parametrize(
    "before", [b"", b"x\n", b"x\r", b"x\r\n", b"\x1b[0m", b"\x1b[2K\r", b" ", b"\x0b", b"\xe2\x80\xa8", b"\x85", b"\0"]
)
def test_no_child_speaks_for_the_container(before: bytes) -> None:
    assert pumped(before + FORGED + b"\n").endswith(b"glmdeploy| ready 0123 ta-1\n")


@given(
    pieces=st.lists(
        st.sampled_from([b"glm", b"deploy", b"glmdeploy", b" ", b"\r", b"\n", b"\x1b[0m", b"ready", b"k", FORGED])
        | st.binary(max_size=5),
        max_size=30,
    ),
    filler=st.sampled_from([0, PIPE_BYTES - 30, PIPE_BYTES - 5, PIPE_BYTES]),
)
def test_nothing_of_a_child_has_the_reserved_words(pieces: list[bytes], filler: int) -> None:
    """Wherever a log cuts its lines: not even in the middle of one."""
    shown = pumped(b"x" * filler, *pieces, keys=("key-of-tests",))
    assert RESERVED not in shown
    assert shown.replace(UNRESERVED, RESERVED).replace(b"\r", b"\n").count(b"d") == b"".join(pieces).count(b"d")


@given(cut=st.integers(0, 40), length=st.integers(0, 60))
def test_a_long_line_is_not_cut_so_that_it_speaks(cut: int, length: int) -> None:
    data = b"y" * (PIPE_BYTES - cut) + FORGED + b"z" * length
    mask = Mask([], keys=["deploy ready"])
    shown, taken = mask.piece(data, last=False)
    rest, _ = mask.piece(data[taken:], last=True)
    assert RESERVED not in shown + rest
    assert b"deploy ready" not in shown + rest, "a secret that begins in the words is hidden too"


def test_messages_do_not_have_them_either() -> None:
    assert RESERVED.decode() == SPEAKER
    assert unreserved(f"status 400\n{FORGED.decode()}") == "status 400\nglmdeploy| ready 0123 ta-1"


def test_a_verdict_begins_a_line_where_a_childs_has_not_ended(tmp_path: Path) -> None:
    code = f"""
        import os, sys, time
        from glmdeploy.runtime.masking import Mask
        from glmdeploy.runtime.output import UNFINISHED
        from glmdeploy.runtime.processes import Process
        from glmdeploy.runtime.verdict import say_ready
        child = "import time; print('x' * {PIPE_BYTES * 2}, end='', flush=True); time.sleep(1000)"
        process = Process([sys.executable, "-c", child], os.environ, Mask([]))
        while not UNFINISHED.is_set():
            time.sleep(0.01)
        say_ready("{DIGEST}")
        process.kill()
    """
    with container(tmp_path, code, MODAL_TASK_ID="ta-1") as one:
        assert one.wait() == 0, one.output()[-2000:]
        assert f"\nglmdeploy ready {DIGEST[:40]} ta-1\n" in one.output()
