"""The pump: every byte, lines of any length in little memory, secrets hidden, whoever reads or does not."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from container_process import container
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.runtime import output
from glmdeploy.runtime.masking import Mask
from glmdeploy.runtime.output import PIPE_BYTES, SEEN_BYTES, TAIL_LINE_BYTES, TAIL_LINES, Pump

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-'very\\secret'-0123"

ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}

START = """
    import os, sys, threading, time
    from glmdeploy.runtime.masking import Mask
    from glmdeploy.runtime.output import say
    from glmdeploy.runtime.processes import Process
    def start(code, *keys, **more):
        return Process([sys.executable, "-c", code], os.environ, Mask([], keys=keys), **more)
"""


class Written:
    """What a pump writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data = b""
        monkeypatch.setattr(output, "write_out", self.write)

    def write(self, data: bytes) -> None:
        self.data += data


def pump(*chunks: bytes, keys: tuple[str, ...] = (KEY,)) -> tuple[bytes, list[bytes], str]:
    """What is written, seen and kept of chunks that come one by one."""
    seen: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        written = Written(patch)
        source, sink = os.pipe()
        running = Pump(source, Mask([], keys=keys), seen.append)
        for chunk in chunks:
            os.write(sink, chunk)
        os.close(sink)
        running.drain(600)
    return written.data, seen, running.tail()


def test_lines() -> None:
    assert pump(b"one\ntwo", b" and more\n\nthree") == (
        b"one\ntwo and more\n\nthree\n",
        [b"one", b"two and more", b"", b"three"],
        "one\ntwo and more\n\nthree\n",
    )


def test_nothing() -> None:
    assert pump() == (b"", [], "")


def test_progress_bars_and_line_ends_of_other_systems() -> None:
    assert pump(b"\r10%\r20%", b"\r", b"\n30%\r\n", b"\r", b"x")[0] == b"\n10%\n20%\n30%\n\nx\n"


@settings(max_examples=examples(30))
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
def test_every_byte_passes(chunks: list[bytes]) -> None:
    data = b"".join(chunks)
    expected = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assume(b"glmdeploy " not in expected)  # how our own lines begin, which no engine may write
    if expected and not expected.endswith(b"\n"):
        expected += b"\n"
    written, seen, _ = pump(*chunks)
    assert written == expected
    assert seen == expected.split(b"\n")[:-1]


@settings(max_examples=examples(30))
@given(st.lists(st.integers(1, len(KEY)), max_size=4))
def test_a_key_is_hidden_wherever_the_writer_pauses(sizes: list[int]) -> None:
    data, chunks = f"key={KEY!r}, again {KEY}".encode(), []
    for size in sizes:
        chunks.append(data[:size])
        data = data[size:]
    written, _, tail = pump(*filter(None, [*chunks, data]))
    assert written.decode() == tail
    assert b"very" not in written
    assert written.endswith(b", again ***\n")


@pytest.mark.parametrize("before", [0, 1, PIPE_BYTES - 40, PIPE_BYTES - 5, PIPE_BYTES, 2 * PIPE_BYTES - 10])
def test_a_key_is_hidden_across_the_pieces_of_a_long_line(tmp_path: Path, before: int) -> None:
    code = f"""{START}
    child = start('''if 1:
        import os, sys
        key = os.environ["KEY"]
        sys.stdout.write("x" * {before} + key + "y" * 200000 + key * 3 + "z" * 100000)
    ''', os.environ["KEY"])
    child.wait()
    child.kill()
    """
    with container(tmp_path, code, KEY=KEY) as one:
        assert one.wait() == 0
        assert one.output() == "x" * before + "***" + "y" * 200000 + "***" * 3 + "z" * 100000 + "\n"


def test_what_is_kept_and_shown_is_bounded() -> None:
    # More than a pipe holds: the writer waits for the pump.
    lines = [b"%d " % number + b"x" * 5000 for number in range(TAIL_LINES + 10)]
    written, seen, tail = pump(*(line + b"\n" for line in lines))
    assert written.splitlines() == lines
    assert seen == [line[:SEEN_BYTES] for line in lines]
    assert tail.splitlines() == [line[-TAIL_LINE_BYTES:].decode() for line in lines[-TAIL_LINES:]]


def test_200_megabytes_without_a_line_break_in_little_memory(tmp_path: Path) -> None:
    code = f"""{START}
    seen = []
    child = start('''if 1:
        import sys
        for _ in range(200):
            sys.stdout.write("x" * 1000000)
        print()
        print("end")
    ''', "sk-0123456789", see=seen.append)
    child.wait()
    child.kill()
    assert [len(line) for line in seen] == [{SEEN_BYTES}, 3], list(map(len, seen))
    assert len(child.tail()) == {TAIL_LINE_BYTES} + len("\\n" + "end" + "\\n")
    with open("memory", "w") as file:
        # Not getrusage(), which counts the process that started this one.
        [peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
        print(peak, file=file)
    """
    with container(tmp_path, code) as one:
        assert one.wait() == 0, one.output()[-2000:]
        assert one.log.stat().st_size == 200_000_000 + len("\nend\n")
        assert int((tmp_path / "memory").read_text()) < 60_000  # KiB; Python with these modules takes 15,000


@pytest.mark.parametrize("locale", [ASCII, {}])
@pytest.mark.parametrize("buffering", [{"PYTHONUNBUFFERED": "1"}, {}])
def test_any_byte_under_any_locale(tmp_path: Path, locale: dict[str, str], buffering: dict[str, str]) -> None:
    code = f"""{START}
    text = "'gr\\\\xfcn \\\\U0001f511'"
    child = start(f"import sys; sys.stdout.buffer.write(bytes(range(256)) + {{text}}.encode()); print()")
    child.wait()
    child.kill()
    say("f\\xfcr immer \\udcff")
    """
    with container(tmp_path, code, **locale, **buffering) as one:
        assert one.wait() == 0
        every = bytes(range(256)).replace(b"\r", b"\n")
        assert one.log.read_bytes() == every + "grün 🔑\nfür immer \\udcff\n".encode()


@pytest.mark.parametrize("breaking", ["os.close(1)", "sys.stdout.close()", "sys.stdout = None", "os.dup2(broken, 1)"])
def test_an_engine_outlives_whoever_reads_its_output(tmp_path: Path, breaking: str) -> None:
    code = f"""{START}
    read, broken = os.pipe()
    os.close(read)
    {breaking}
    child = start("for number in range(20000): print('line', number)", see=lambda line: None)
    code = child.wait()
    child.kill()
    say("unheard")
    print(code, child.tail().splitlines()[-1], file=sys.stderr)
    os._exit(7)
    """
    with container(tmp_path, code) as one:
        assert one.wait() == 7
        assert one.output().endswith("0 line 19999\n")


def test_a_reader_that_does_not_block_loses_nothing(tmp_path: Path) -> None:
    code = f"""{START}
    read, write = os.pipe()
    os.set_blocking(write, False)
    os.dup2(write, 1)
    os.close(write)
    got = []
    def slowly():
        while data := os.read(read, 1000):
            got.append(data)
            time.sleep(0.001)
    reader = threading.Thread(target=slowly)
    reader.start()
    child = start("for number in range(20000): print('line', number)")
    child.wait()
    child.kill()
    os.close(1)
    reader.join()
    assert b"".join(got) == b"".join(b"line %d\\n" % number for number in range(20000))
    """
    with container(tmp_path, code) as one:
        assert one.wait() == 0, one.output()


def test_a_process_that_holds_the_pipe_open_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """One that is beyond reach: a child of another container."""
    code = f"""{START}
    import glmdeploy.runtime.processes as processes
    child = start("import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True); print('last words')")
    child.wait()
    child._members = lambda: []
    child.kill()
    say("done")
    os._exit(0)
    """
    with container(tmp_path, code) as one:
        assert one.wait() == 0
        assert one.output() == "last words\ndone\n"


def test_whoever_looks_on_ends_nothing(tmp_path: Path) -> None:
    code = f"""{START}
    def see(line):
        raise RuntimeError("cannot see")
    child = start("print('one'); print('two')", see=see)
    child.wait()
    child.kill()
    """
    with container(tmp_path, code) as one:
        assert one.wait() == 0
        assert one.output() == "one\ntwo\n"


def test_say_writes_to_what_stands_for_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("a line")
    assert capsys.readouterr().out == "a line\n"
    assert sys.stdout is not None
