"""Stage 1: the model's files into the weights volume, exactly the pinned revision, with a mark at the end."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

from glmdeploy.runtime.markers import read_marker, write_marker
from glmdeploy.runtime.weights import MARK

PROGRESS_SECONDS = 15


def download_weights(repo: str, revision: str, path: Path, volume: Path, token: str | None) -> dict[str, Any]:
    """Bring ``repo`` at ``revision`` into the folder ``path`` of the volume at ``volume``; skip when it is complete.

    Returns the mark: ``repo``, ``revision``, ``commit`` and the size in bytes of every file. Raises what
    ``huggingface_hub`` raises, and RuntimeError when a file has not the size that the hub names.
    """
    from huggingface_hub import HfApi, snapshot_download

    name = MARK
    marker = read_marker(volume, name)
    pinned = re.fullmatch(r"[0-9a-f]{40}", revision) is not None
    if pinned and _is_complete(marker, repo, revision, path):
        print(f"{repo} at {revision} is complete, nothing to download", flush=True)
        return marker

    info = HfApi(token=token).model_info(repo, revision=revision, files_metadata=True)
    files = {sibling.rfilename: sibling.size or 0 for sibling in info.siblings or ()}
    commit = info.sha or revision
    if _is_complete(marker, repo, commit, path):
        print(f"{repo} at {revision} ({commit}) is complete, nothing to download", flush=True)
        return marker

    total = sum(files.values())
    print(f"downloading {repo} at {commit}: {len(files)} files, {total / 2**30:.1f} GiB", flush=True)
    done = threading.Event()
    threading.Thread(target=_report, args=(path, total, done), daemon=True).start()
    try:
        snapshot_download(repo, revision=commit, local_dir=path, token=token)
    finally:
        done.set()
    for stale in marker.get("files", {}).keys() - files.keys():
        (path / stale).unlink(missing_ok=True)
    wrong = [file for file, size in files.items() if _size(path / file) != size]
    if wrong:
        raise RuntimeError(f"incomplete after the download: {', '.join(wrong[:5])} ({len(wrong)} files)")
    marker = {"repo": repo, "revision": revision, "commit": commit, "files": files}
    write_marker(volume, name, marker)
    print(f"{repo} at {commit} is complete", flush=True)
    return marker


def _is_complete(marker: dict[str, Any], repo: str, commit: str, path: Path) -> bool:
    return (
        marker.get("repo") == repo
        and marker.get("commit") == commit
        and all(_size(path / file) == size for file, size in marker["files"].items())
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _report(path: Path, total: int, done: threading.Event) -> None:
    started = time.monotonic()
    while not done.wait(PROGRESS_SECONDS):
        have = sum(max(_size(file), 0) for file in path.rglob("*") if file.is_file())
        rate = have / (time.monotonic() - started) / 2**20
        print(f"{have / 2**30:.1f} of {total / 2**30:.1f} GiB, {rate:.0f} MiB/s on average", flush=True)
