"""Runs the download stage's work in a process of its own, which a test can kill; says at the end what came of it."""

from __future__ import annotations

import json
import os
import pickle
import resource
import sys
import time
from pathlib import Path
from typing import Any

from glmdeploy.runtime.download import download_weights, free_bytes
from glmdeploy.runtime.transfer import DownloadFailed


def main(options: dict[str, Any]) -> int:
    volume = Path(options.pop("volume"))
    volume.mkdir(parents=True, exist_ok=True)
    room: int | None = options.pop("room", None)
    commits: Path | None = Path(options.pop("commits")) if "commits" in options else None
    if limit := options.pop("largest_file", None):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    die_in_commit = options.pop("die_in_commit", False)
    fail_in_commit = options.pop("fail_in_commit", False)

    alive = Path(options.pop("alive")) if "alive" in options else None

    def commit() -> None:
        if alive:  # another machine lives, and Modal shows it
            alive.write_text(json.dumps({**json.loads(alive.read_text("utf-8")), "at": time.time()}), "utf-8")
        if die_in_commit:
            os._exit(9)
        if fail_in_commit:
            raise RuntimeError("the volume is gone")
        if commits:
            with commits.open("a", encoding="utf-8") as file:
                file.write("commit\n")

    options.setdefault("token", None)
    free = free_bytes if room is None else lambda volume: room
    try:
        manifest = download_weights(volume=volume, commit_volume=commit, free=free, **options)
    except DownloadFailed as failure:
        copy = pickle.loads(pickle.dumps(failure))  # as Modal does on the way to the client
        print("FAILURE", json.dumps(str(copy)), flush=True)
        return 1
    print("MANIFEST", json.dumps(manifest), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
