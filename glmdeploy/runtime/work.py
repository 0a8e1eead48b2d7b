"""Folders of downloads under way: each machine has one of its own, and takes up what a dead one has left.

No file lock reaches across Modal's containers, and each sees the volume as it was when it looked last. So nobody writes
into a folder that another may write to, or that is complete: ``.glmdeploy/work/HOLDER`` becomes the folder of a version
by being renamed. What is taken from elsewhere counts only after its hash was computed, so no race can do harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glmdeploy.runtime.markers import FOLDER, read_json, sync_folder, write_json, write_marker
from glmdeploy.runtime.output import say
from glmdeploy.runtime.weights import WEIGHTS_MARK, is_manifest, shortcoming, size_of, weights_mark

STALE_SECONDS = 600
"""Age of the last sign of life after which the holder of a folder is taken to be dead. A sign is given every 15 s;
other containers of Modal see it with the commits of the volume."""

FORGOTTEN_SECONDS = 86400
"""Age after which a part that huggingface_hub left is taken for one that nobody writes any more."""


@dataclass(frozen=True)
class Work:
    """A folder of work: ``tree`` becomes the version's folder, ``parts`` has what there is of its files, ``manifest``
    says which they are to be."""

    root: Path
    manifest: dict[str, Any]
    name: str

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    @property
    def model(self) -> Path:
        return self.tree / self.name

    def part(self, path: str) -> Path:
        """Where the beginning of the file lies."""
        return self.root / "parts" / hashlib.sha256(path.encode()).hexdigest()[:32]

    def beat(self, *, ended: bool = False) -> None:
        """Give a sign of life, or say that there will be none any more.

        :raises OSError:
        """
        write_json(self.root / "alive.json", {**_this_process(), "at": time.time(), "ended": ended})

    def is_dead(self) -> bool | None:
        """Whether nobody works here any more; None where that cannot be known from here."""
        alive = read_json(self.root / "alive.json")
        at = alive.get("at")
        if alive.get("ended") is True:
            return True
        if not isinstance(at, int | float):
            return True if _file_age(self.root) > STALE_SECONDS else None  # its holder writes a sign at once
        machine = _this_process()["machine"]
        if machine and alive.get("machine") == machine:
            return bool(alive.get("started") != _process_start(alive.get("pid")))
        return True if time.time() - at > STALE_SECONDS else None

    def sign(self) -> object:
        """The last sign of life."""
        return read_json(self.root / "alive.json").get("at")


def begin_work(volume: Path, manifest: dict[str, Any], name: str) -> Work:
    """A new folder of work for the version that the manifest describes, in the volume's root.

    :raises OSError:
    """
    work = Work(_works_folder(volume) / secrets.token_hex(8), manifest, name)
    work.root.mkdir(parents=True)
    work.beat()
    write_json(work.root / "manifest.json", {**manifest, "name": name})
    work.model.mkdir(parents=True)
    return work


def other_works(volume: Path, own: Path | None) -> list[Work]:
    """The folders of work in the volume, but one's own."""
    found = []
    with contextlib.suppress(OSError):
        for root in sorted(_works_folder(volume).iterdir()):
            if root != own:
                manifest = read_json(root / "manifest.json")
                known = is_manifest(manifest) and isinstance(manifest.get("name"), str)
                found.append(Work(root, manifest if known else {"files": {}}, manifest["name"] if known else "unknown"))
    return found


def deserted(works: list[Work], seconds: float, look: Callable[[], object]) -> list[Work]:
    """Those of the folders whose holder is dead, or gives no sign of life for so many seconds. ``look`` brings news."""
    dead = [work for work in works if work.is_dead()]
    silent = [(work, work.sign()) for work in works if work.is_dead() is None]
    if not silent or seconds <= 0:
        return dead
    say(f"another machine may be at work here; looking for signs of life for {seconds:.3g} s")
    limit = time.monotonic() + seconds
    while silent and time.monotonic() < limit:
        time.sleep(seconds / 10)
        with contextlib.suppress(Exception):
            look()
        silent = [(work, sign) for work, sign in silent if work.sign() == sign]
    return [*dead, *(work for work, _ in silent)]


def take_up(work: Work, dead: Work) -> None:
    """Move into ``work`` what a dead process has left of the same files. Another may do the same at the same time."""
    left: dict[tuple[str, ...], str] = {content_key(entry): path for path, entry in dead.manifest["files"].items()}
    for path, entry in work.manifest["files"].items():
        theirs = left.get(content_key(entry))
        if theirs is None or (work.model / path).exists():
            continue
        with contextlib.suppress(OSError):
            (work.model / path).parent.mkdir(parents=True, exist_ok=True)
            (dead.model / theirs).rename(work.model / path)
            continue
        with contextlib.suppress(OSError):
            if size_of(dead.part(theirs)) > size_of(work.part(path)):
                work.part(path).parent.mkdir(parents=True, exist_ok=True)
                dead.part(theirs).rename(work.part(path))
    with contextlib.suppress(OSError):
        dead.beat(ended=True)  # whoever lives all the same says so again


def content_key(entry: dict[str, Any]) -> tuple[str, ...]:
    """What two files with the same content have in common."""
    return (str(entry["size"]), "sha256" if "sha256" in entry else "git", entry.get("sha256") or entry["git"])


def copies_of(volume: Path, work: Work) -> dict[str, list[Path]]:
    """Files elsewhere in the volume that have, or may have, the content of a file of ``work``, by the latter's path.

    They are those of other versions, of other folders of work, and of the one folder that earlier releases of glmdeploy
    had for the model: ``NAME`` in the volume's root, whose mark has sizes alone.
    """
    there: dict[tuple[str, ...], list[Path]] = {}
    places = [(version / _model_folder(mark), mark) for version, mark in _versions(volume)]
    places += [(other.model, other.manifest) for other in other_works(volume, work.root)]
    for folder, manifest in places:
        for path, entry in manifest["files"].items():
            there.setdefault(content_key(entry), []).append(folder / path)
    old = volume / work.name
    mark = read_json(volume / FOLDER / f"weights-{work.name}.json")
    if mark.get("repo", work.manifest["repo"]) != work.manifest["repo"]:
        old = volume / FOLDER / "none"
    return {
        path: [file for file in (*there.get(content_key(entry), ()), old / path) if size_of(file) == entry["size"]]
        for path, entry in work.manifest["files"].items()
    }


def install_version(work: Work, version: Path) -> bool:
    """Make the complete ``work`` the folder ``version``. False where another machine was faster.

    :raises OSError:
    """
    write_marker(work.tree, WEIGHTS_MARK, work.manifest)
    for folder in [work.model, *(folder for folder in work.model.rglob("*") if folder.is_dir())]:
        sync_folder(folder)
    version.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(3):
        try:
            work.tree.rename(version)
        except OSError:
            if not shortcoming(version, work.manifest["repo"], work.manifest["commit"], work.name):
                return False
            # What lies there is no version, or another commit's of the same branch; it goes out of the way whole.
            with contextlib.suppress(OSError):
                version.rename(work.root / f"replaced-{secrets.token_hex(4)}")
        else:
            sync_folder(version.parent)
            return True
    place_files(work, version, work.manifest)  # a file system that renames no folders
    return True


def place_files(work: Work, version: Path, manifest: dict[str, Any]) -> None:
    """Put the files of ``work`` into the folder of a version, each in one step, and its manifest as the mark at last.

    :raises OSError:
    """
    folder = version / work.name
    for path in work.manifest["files"]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (work.model / path).replace(folder / path)
    for parent in {(folder / path).parent for path in work.manifest["files"]}:
        sync_folder(parent)
    write_marker(version, WEIGHTS_MARK, manifest)


def clean_leftovers(volume: Path, name: str) -> None:
    """Remove what dead processes have left, and huggingface_hub's parts in the folder of earlier releases."""
    for other in other_works(volume, None):
        if other.is_dead():
            shutil.rmtree(other.root, ignore_errors=True)
    for part in (volume / name / ".cache" / "huggingface").rglob("*.incomplete"):
        if _file_age(part) > FORGOTTEN_SECONDS:
            with contextlib.suppress(OSError):
                part.unlink()


def _works_folder(volume: Path) -> Path:
    return volume / FOLDER / "work"


def _versions(volume: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folders of versions with their marks. A repository's name has one part or two."""
    for pattern in ("*/*", "*/*/*"):
        for file in volume.glob(f"{pattern}/{FOLDER}/{WEIGHTS_MARK}"):
            if mark := weights_mark(file.parents[1]):
                yield file.parents[1], mark


def _model_folder(mark: dict[str, Any]) -> str:
    return str(mark["repo"]).rpartition("/")[2]


def _file_age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0


def _this_process() -> dict[str, Any]:
    """What tells a process of this machine from others. ``machine`` is None where it cannot be known.

    On Modal each container is a machine, whatever its kernel says: gVisor's has a name that all share.
    """
    machine: str | None = os.environ.get("MODAL_TASK_ID")
    if not machine or "GLMDEPLOY_LOCAL_ROOT" in os.environ:
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            machine = f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}" if boot else None
        except OSError:
            machine = None
    return {"machine": machine, "pid": os.getpid(), "started": _process_start(os.getpid())}


def _process_start(pid: object) -> str | None:
    """When the process was started, in its kernel's clock ticks; None where none runs (proc(5), field 22 of stat)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return fields[18] if state not in ("Z", "X") else None
