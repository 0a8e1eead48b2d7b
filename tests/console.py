"""A terminal for the blocks of a page: commands as they are typed, in a folder, with ``glmdeploy`` on the PATH.

The blocks of a page are one session: folder and exported variables stay from block to block, as in a reader's
terminal. ``glmdeploy`` there is a few lines that hand arguments, variables and descriptors to the process that commands
are forked from (``forked_command``), so that pipes and redirections work and nothing is imported anew.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support import COMMANDS, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CLIENT = """#!{python} -ISE
import json, os, socket, sys
channel = socket.socket(socket.AF_UNIX)
channel.connect({address!r})
wanted = {{"arguments": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd(), "console": True}}
socket.send_fds(channel, [b"1"], [0, 1, 2])
channel.sendall(json.dumps(wanted).encode())
channel.shutdown(socket.SHUT_WR)
code = channel.makefile().read()
if not code:
    entry = "import sys; sys.argv[0] = 'glmdeploy'; from glmdeploy.cli import entry; entry()"
    os.execv({python!r}, [{python!r}, "-c", entry, *sys.argv[1:]])
sys.exit(int(code))
"""


@dataclass
class Terminal:
    """One reader's session."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, text: str) -> tuple[int, str]:
        """The exit code of the text as a script, which ends at the first failure, and all that it printed."""
        state = self.folder.parent / "state"
        kept = f'[ ! -e "{state}" ] || . "{state}"\ntrap \'{{ export -p; echo cd "$PWD"; }} >"{state}"\' EXIT\n'
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", f"{kept}{text}"],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return done.returncode, done.stdout


@contextmanager
def command_on_path(folder: Path) -> Iterator[Path]:
    """A folder for the PATH with ``glmdeploy`` in it, which works for as long as the block lasts."""
    bin_folder, address = folder / "bin", str(folder / "commands")
    bin_folder.mkdir()
    client = bin_folder / "glmdeploy"
    client.write_text(_CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    thread = threading.Thread(target=_serve, args=(server,))
    thread.start()
    try:
        yield bin_folder
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        server.close()


def _serve(server: socket.socket) -> None:
    while True:
        try:
            channel, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(channel,)).start()


def _answer(channel: socket.socket) -> None:
    with channel:
        _, standard, _, _ = socket.recv_fds(channel, 1, 3)
        files = [open(each, "rb", buffering=0) for each in standard]  # noqa: PTH123, SIM115 (they are open already)
        try:
            wanted = json.loads(channel.makefile().read())
            code = COMMANDS.connected(wanted, (standard[0], standard[1], standard[2]), PATIENCE)
            channel.sendall(b"" if code is None else str(code).encode())
        finally:
            for file in files:
                file.close()
