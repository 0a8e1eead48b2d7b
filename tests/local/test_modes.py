"""Nothing that the embedded cloud writes can be read by another user of the machine."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from support import wait_until

from glmdeploy.local.home import Home

if TYPE_CHECKING:
    from pathlib import Path

    from support import Shell


def open_to_others(root: Path) -> dict[Path, str]:
    """The files and folders at and under ``root`` that others than the owner may use in any way, with their modes.

    Without what is not the embedded cloud's: the locks of ``apply``, and the files that programs in containers put into
    volumes with a mode of their own, whose folder is closed.
    """
    found = {}
    for path in (root, *root.rglob("*")):
        status = path.lstat()
        foreign = path.is_relative_to(root / "locks") or (
            path.is_relative_to(root / "volumes") and path.suffix == ".lock"
        )
        if not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o077 and not foreign:
            found[path] = stat.filemode(status.st_mode)
    return found


def test_after_a_whole_apply_and_while_it_serves(warm: Shell) -> None:
    assert open_to_others(warm.home) == {}
    warm.run("apply", "b200-eagle-bf16kv", "--set", "server.min_containers=1", "--target", "local", "--yes")
    home = Home(root=warm.home)
    wait_until(lambda: any(home.containers.iterdir()))
    assert (home.database.with_name(f"{home.database.name}-wal")).exists()
    assert open_to_others(warm.home) == {}
    assert open_to_others(home.scratch.resolve()) == {}
    assert os.access(home.bin / "python3", os.X_OK)


def test_what_an_earlier_version_left_open_is_closed(tmp_path: Path) -> None:
    home = Home(root=tmp_path / "home")
    home.create()
    for path in (home.database, home.daemon_log, home.lock):
        path.touch()
        path.chmod(0o644)
    home.logs.chmod(0o755)
    home.create()
    assert open_to_others(home.root) == {}
