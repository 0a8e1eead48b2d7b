"""Lines that are typed into a real shell, and what its completion makes of them: a pseudo-terminal, one process."""

from __future__ import annotations

import os
import pty
import sys
import time
from typing import TYPE_CHECKING

from support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ALL = "\x18a"
"""The key that inserts all that there is to choose from; a tab completes."""
SAVE = "\x18\x10"
BASH = r"""
eval "$(glmdeploy completion bash)"
PS1='$ '
save() { printf '%s\n' "$READLINE_LINE" >> SAVED; READLINE_LINE=; }
bind -x '"\C-x\C-p": save'
bind '"\C-xa": insert-completions'
bind 'set bell-style none'
"""
ZSH = r"""
autoload -U compinit
compinit -u -D
eval "$(glmdeploy completion zsh)"
PS1='$ '
save() { print -r -- "$BUFFER" >> SAVED; BUFFER= }
zle -N save
bindkey '^X^P' save
insert-all() { compstate[insert]=all }
all() { comppostfuncs=(insert-all); zle complete-word }
zle -N all
bindkey '^Xa' all
unsetopt beep
"""


def typed(shell: str, program: str, lines: Sequence[str], folder: Path, environment: Mapping[str, str]) -> list[str]:
    """What each line, with its keys, becomes in the interactive shell, whose own files are put into ``folder``."""
    folder.mkdir()
    saved = folder / "saved"
    saved.touch()
    (folder / ".zshrc").write_text(ZSH.replace("SAVED", str(saved)))
    (folder / "bashrc").write_text(BASH.replace("SAVED", str(saved)))
    start = [program, "--rcfile", str(folder / "bashrc"), "-i"] if shell == "bash" else [program, "-d", "-i"]
    process, terminal = pty.fork()
    if process == 0:
        os.execve(program, start, {**environment, "ZDOTDIR": str(folder), "TERM": "xterm", "INPUTRC": os.devnull})
    os.set_blocking(terminal, False)
    deadline = time.monotonic() + PATIENCE
    found: list[str] = []
    try:
        for count, line in enumerate(lines, start=1):
            os.write(terminal, f"{line}{SAVE}".encode())
            while len(found := saved.read_text().splitlines()) < count:
                assert time.monotonic() < deadline, found
                _drain(terminal)
                time.sleep(0.01)
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)
        os.close(terminal)
    return found


def _drain(terminal: int) -> None:
    """A shell that nobody reads waits."""
    try:
        while os.read(terminal, 65_536):
            pass
    except OSError:
        pass


def installed(folder: Path) -> str:
    """The search path with a ``glmdeploy`` that is the one under test."""
    folder.mkdir()
    program = folder / "glmdeploy"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m glmdeploy "$@"\n')
    program.chmod(0o700)
    return f"{folder}:{os.environ['PATH']}"
