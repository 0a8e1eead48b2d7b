"""A client of yaml-language-server, as far as the tests need one: the real server, spoken to as an editor does.

The Language Server Protocol 3.17 over standard input and output: JSON behind a `Content-Length`. The server may open no
connection: what it would fetch fails (``offline.cjs``), and is told by :attr:`Server.connections`.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

OFFLINE = Path(__file__).parent / "editor" / "offline.cjs"
LIMIT = 600
"""Seconds to wait for any one answer, on a machine that is busy."""


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """What the editor underlines: ``line`` and ``column`` from 1, as glmdeploy counts them."""

    line: int
    column: int
    end_line: int
    end_column: int
    severity: int
    message: str


class Server:
    """One process of the server; documents live until it ends."""

    def __init__(self, node: str, package: Path, log: Path) -> None:
        self._log = log
        log.touch()
        environment = {**os.environ, "NODE_OPTIONS": f"--require={OFFLINE}", "GLMDEPLOY_TEST_CONNECTIONS": str(log)}
        self._process = subprocess.Popen(
            [node, str(package / "bin" / "yaml-language-server"), "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._last = 0
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._told: dict[str, queue.Queue[list[dict[str, Any]]]] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()
        capabilities = {
            "textDocument": {
                "completion": {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}},
                "hover": {"contentFormat": ["markdown"]},
                "publishDiagnostics": {},
            }
        }
        self.ask("initialize", {"processId": os.getpid(), "rootUri": None, "capabilities": capabilities})
        self.tell("initialized", {})

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    @property
    def connections(self) -> list[str]:
        """What the server tried to reach, one host a line."""
        return self._log.read_text(encoding="utf-8").splitlines()

    def opened(self, file: Path, text: str | None = None) -> None:
        """Open a file, with its text on the disk or another."""
        if text is None:
            text = file.read_text(encoding="utf-8")
        self._told[file.as_uri()] = queue.Queue()
        document = {"uri": file.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": document})

    def diagnostics(self, file: Path) -> list[Diagnostic]:
        """What the server says of a file that was opened; waited for."""
        return [_diagnostic(each) for each in self._told[file.as_uri()].get(timeout=LIMIT)]

    def hover(self, file: Path, line: int, column: int) -> str:
        """The Markdown that the editor shows at a place; empty where there is nothing to show."""
        found = self.ask("textDocument/hover", _at(file, line, column))
        return str(found["contents"]["value"]) if found else ""

    def completion(self, file: Path, line: int, column: int) -> list[dict[str, Any]]:
        """The entries that the editor offers at a place."""
        found = self.ask("textDocument/completion", _at(file, line, column)) or {"items": []}
        items: list[dict[str, Any]] = found["items"]
        return items

    def ask(self, method: str, parameters: Any) -> Any:
        """The server's answer to a request."""
        with self._lock:
            self._last += 1
            number = self._last
            self._answers[number] = queue.Queue()
        self._write({"id": number, "method": method, "params": parameters})
        answer = self._answers[number].get(timeout=LIMIT)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def tell(self, method: str, parameters: Any) -> None:
        """Send a notification, which has no answer."""
        self._write({"method": method, "params": parameters})

    def _write(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin
        with self._lock:
            self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            self._process.stdin.flush()

    def _read(self) -> None:
        for message in self._messages():
            if "method" not in message:
                self._answers[message["id"]].put(message)
            elif message["method"] == "textDocument/publishDiagnostics":
                self._told[message["params"]["uri"]].put(message["params"]["diagnostics"])
            elif "id" in message:  # a question of the server's: its settings, to which there is nothing to say
                self._write({"id": message["id"], "result": None})

    def _messages(self) -> Iterator[dict[str, Any]]:
        stream = self._process.stdout
        assert stream
        while line := stream.readline():
            length = 0
            while line.strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
                line = stream.readline()
            yield json.loads(stream.read(length))


def _at(file: Path, line: int, column: int) -> dict[str, Any]:
    return {"textDocument": {"uri": file.as_uri()}, "position": {"line": line - 1, "character": column - 1}}


def _diagnostic(raw: dict[str, Any]) -> Diagnostic:
    start, end = raw["range"]["start"], raw["range"]["end"]
    return Diagnostic(
        line=start["line"] + 1,
        column=start["character"] + 1,
        end_line=end["line"] + 1,
        end_column=end["character"] + 1,
        severity=raw.get("severity", 1),
        message=raw["message"],
    )
