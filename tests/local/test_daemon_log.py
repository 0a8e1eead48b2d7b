"""The daemon's log: bounded, private, and not to be filled by what strangers send."""

from __future__ import annotations

import logging
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp.http_exceptions import BadHttpMessage
from support import PATIENCE

from glmdeploy.local import cloud, daemon_log

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

GARBAGE = [
    b"GARBAGE\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    b"\0" * 1000,
    b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
]
FORMS = [
    b"Content-Type: multipart/form-data\r\nContent-Length: 3\r\n\r\nabc",
    b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 3\r\n\r\nabc",
    b"Content-Type: application/x-www-form-urlencoded; charset=nope\r\nContent-Length: 7\r\n\r\npaths=a",
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\npaths=a",
]


def send(url: str, data: bytes) -> bytes:
    """The first line of the answer."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=PATIENCE) as connection:
        connection.sendall(data)
        return connection.recv(4096).partition(b"\r\n")[0]


def test_malformed_requests_leave_a_line_or_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLMDEPLOY_HOME", str(tmp_path / "home"))
    running = cloud.start()
    try:
        log = tmp_path / "home" / "daemon.log"
        before = log.stat().st_size
        for url in (running.gateway_url, running.hub_url):
            for garbage in GARBAGE:
                # aiohttp 3.11 hangs up without a word where an address has no end.
                assert send(url, garbage).endswith(b"400 Bad Request") or send(url, garbage) == b""
        host = urlsplit(running.hub_url).netloc.encode()
        for form in FORMS:
            head = b"POST /api/models/a/b/paths-info/main HTTP/1.1\r\nHost: " + host + b"\r\n"
            assert send(running.hub_url, head + form).endswith(b"400 Bad Request")
        for garbage in GARBAGE:
            send(running.server_url, garbage)
        said = log.read_text()[before:]
        assert "Traceback" not in said
        assert len(said.splitlines()) == 1
        assert "a request was not understood: " in said
        assert cloud.status() == running
    finally:
        cloud.stop()


def test_a_flood_is_counted() -> None:
    now = 0.0
    strangers = daemon_log.Strangers(clock=lambda: now)

    def bad() -> str | None:
        fault = BadHttpMessage("x")
        record = logging.LogRecord("aiohttp.server", logging.ERROR, "", 0, "Error", (), (type(fault), fault, None))
        return record.getMessage() if strangers.filter(record) else None

    assert bad() == "a request was not understood: BadHttpMessage"
    assert [bad(), bad()] == [None, None]
    now = 61.0
    assert bad() == "a request was not understood: BadHttpMessage (and 2 more since the last such line)"
    own = ValueError("a bug")
    record = logging.LogRecord("aiohttp.server", logging.ERROR, "", 0, "Error", (), (ValueError, own, None))
    assert strangers.filter(record)
    assert record.exc_info is not None


def test_it_is_rotated_while_it_runs_with_all_that_is_printed(tmp_path: Path) -> None:
    script = (
        "import logging, os, sys\n"
        "from pathlib import Path\n"
        "from glmdeploy.local.daemon_log import log_to\n"
        "os.umask(0o022)\n"
        "log_to(Path(sys.argv[1]))\n"
        "for number in range(40):\n"
        "    logging.info('%d %s', number, 'x' * 100_000)\n"
        "    print('printed', number, flush=True)\n"
        "os.write(2, b'last words')\n"
    )
    log = tmp_path / "daemon.log"
    with log.open("ab") as output:
        subprocess.run([sys.executable, "-c", script, str(log)], stdout=output, stderr=output, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["daemon.log", "daemon.log.old"]
    for path in tmp_path.iterdir():
        assert path.stat().st_size < 1.2 * daemon_log.LOG_SIZE
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    text = log.read_text()
    assert "39 xxx" in text
    assert "printed 39" in text
    assert text.endswith("last words")
