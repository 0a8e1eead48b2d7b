"""Stage 1: the model's files into the weights volume, exactly the pinned commit, with a mark at the end.

Each commit has a folder of its own, which is complete before it has its name: the files of a live deployment are never
touched. Xet is asked first, because it is fast; where it fails, plain HTTP. Both are watched from here
(:mod:`glmdeploy.runtime.transfer` says why). What the volume already has is copied, not fetched.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from glmdeploy.runtime.hub import Hub, Listing
from glmdeploy.runtime.output import say
from glmdeploy.runtime.progress import COMMIT_SECONDS, PROGRESS_SECONDS, DownloadReport, commits, repeatedly
from glmdeploy.runtime.transfer import (
    KEPT,
    NO_ROOM,
    Broken,
    DownloadFailed,
    Part,
    Patience,
    StoppedTransfer,
    copy_into,
    fetch_file,
    patience_of,
)
from glmdeploy.runtime.weights import READERS, is_right, missing, sub_path, verify, weights_mark
from glmdeploy.runtime.work import (
    Work,
    begin_work,
    clean_leftovers,
    copies_of,
    deserted,
    install_version,
    other_works,
    place_files,
    take_up,
)
from glmdeploy.runtime.xet import xet_bytes, xet_session

XET_FAILURES = 3
"""Files that Xet failed to send after which it is not asked any more."""

SAID_FILES = 10
"""Files that are said one by one."""

SIGN_SECONDS = 90.0
"""Seconds without a sign of life after which work that another machine began is taken up. It gives one every 15 s, and
others see it with the commits that Modal makes by itself every few seconds; so whoever follows a container that was
killed goes on at once."""

TAKEN_TRIES = 3
"""Times that a file is begun anew because another machine has taken its part for a dead one's."""

LAST_WORDS_SECONDS = 5.0
"""Seconds that threads have to end after a failure. One that waits for the network is left behind."""


def free_bytes(volume: Path) -> int | None:
    """Bytes that the volume has room for; None where its file system does not know."""
    try:
        usage = shutil.disk_usage(volume)
    except OSError:
        return None
    return usage.free if usage.total else None


def download_weights(
    repo: str,
    revision: str,
    commit: str | None,
    name: str,
    volume: Path,
    token: str | None,
    *,
    token_place: str | None = None,
    verify: bool = False,
    commit_volume: Callable[[], object],
    free: Callable[[Path], int | None] = free_bytes,
    commit_seconds: float = COMMIT_SECONDS,
    sign_seconds: float = SIGN_SECONDS,
) -> dict[str, Any]:
    """Bring ``repo`` at ``commit`` into its folder of the volume whose root is ``volume``; skip when it is complete.

    ``commit`` is None where nobody asked the hub yet what ``revision`` is. ``name`` is the model's folder in its
    version's. ``token_place`` says where the token comes from, None where no secret is named. With ``verify`` every
    byte of a complete version is read and compared; what is wrong is fetched anew. ``commit_volume`` makes durable what
    was written, and shows what others wrote; it is called now and then, from one thread at a time.

    Returns the manifest (:mod:`glmdeploy.runtime.weights`).

    :raises DownloadFailed: said in the log before.
    """
    stopping = threading.Event()
    try:
        limits = patience_of(os.environ)
        version = volume / sub_path(repo, commit or revision)
        mark = weights_mark(version)
        known = commit or (revision if re.fullmatch(r"[0-9a-f]{40}", revision) else None)
        hub = None
        if not known:
            hub = Hub(repo, token, token_place, limits, stopping)
            known = hub.commit(revision)
        there = (mark.get("repo"), mark.get("commit")) == (repo, known)
        wrong = _wrong(mark, version / name, every_byte=verify) if there else []
        if there and not wrong:
            clean_leftovers(volume, name)
            say(f"{repo} at {revision} ({known}) is complete, nothing to download")
            return mark

        hub = hub or Hub(repo, token, token_place, limits, stopping)
        listing = hub.listing(known)
        manifest = {"repo": repo, "revision": revision, "commit": known, "files": listing.files}
        if not mark and (version / name).is_dir():  # a folder whose mark was lost, or cannot be read
            there, wrong = True, _wrong(manifest, version / name, every_byte=True)
        wanted = {path: listing.files[path] for path in wrong} if there else listing.files
        work = begin_work(volume, {**manifest, "files": wanted}, name)
        try:
            download = _Download(hub, listing, work, volume, limits, stopping)
            abandoned = deserted(other_works(volume, work.root), sign_seconds, commit_volume)
            with commits(commit_volume, commit_seconds):
                download.run(free, abandoned)
            if there:
                place_files(work, version, manifest)
            elif not install_version(work, version):
                say("another machine has completed it meanwhile")
            shutil.rmtree(work.root, ignore_errors=True)
        finally:
            stopping.set()
            with suppress(OSError):
                if work.root.exists():
                    work.beat(ended=True)
        clean_leftovers(volume, name)
        _commit(commit_volume)
    except OSError as fault:
        failure = _unwritable("the volume", fault)
        say(f"the download failed: {failure}")
        raise failure from None
    except DownloadFailed as failure:
        say(f"the download failed: {failure}")
        raise DownloadFailed(str(failure)) from None  # without the frames, which Modal prints below the text
    say(f"{repo} at {known} is complete")
    return manifest


def _commit(commit_volume: Callable[[], object]) -> None:
    try:
        commit_volume()
    except Exception as fault:  # whatever Modal raises
        raise DownloadFailed(f"the volume cannot be committed: {type(fault).__name__}: {fault}.\n{KEPT}") from None


def _wrong(manifest: dict[str, Any], folder: Path, *, every_byte: bool) -> list[str]:
    """The files of a version that are missing or wrong, which are said. Content is read with ``every_byte`` alone."""
    if not every_byte:
        wrong = missing(manifest, folder)
    else:
        at: dict[str, int] = {}
        total = sum(entry["size"] for entry in manifest["files"].values())
        say(f"reading {total / 2**30:.1f} GiB of {manifest['repo']} to compare them with their hashes")
        with repeatedly(PROGRESS_SECONDS, DownloadReport(at, total).say):
            wrong = verify(manifest, folder, at.__setitem__)
    for path in wrong[:SAID_FILES]:
        say(f"{path}: is missing or not as the hub has it; fetching it anew")
    if len(wrong) > SAID_FILES:
        say(f"and {len(wrong) - SAID_FILES} files more")
    return wrong


def _unwritable(what: str, fault: OSError) -> DownloadFailed:
    if fault.errno in NO_ROOM:
        return DownloadFailed(f"{what} cannot be written: there is no room left ({fault.strerror}).\n{KEPT}")
    return DownloadFailed(f"{what} cannot be written or read: {fault.strerror or type(fault).__name__}.\n{KEPT}")


class _Download:
    """Completes the files of ``work``, many at a time."""

    def __init__(
        self, hub: Hub, listing: Listing, work: Work, volume: Path, limits: Patience, stopping: threading.Event
    ) -> None:
        self._hub = hub
        self._xet = listing.xet
        self._work = work
        self._volume = volume
        self._limits = limits
        self._stopping = stopping
        self._files: dict[str, dict[str, Any]] = work.manifest["files"]
        self._at: dict[str, int] = {}
        self._session: Any = None
        self._xet_failures = 0
        self._copies: dict[str, list[Path]] = {}
        self._left: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._copied: list[str] = []
        self._failures: list[BaseException] = []

    def run(self, free: Callable[[Path], int | None], abandoned: list[Work]) -> None:
        """Use what is in the ``abandoned`` folders of work too.

        :raises DownloadFailed: where one file cannot be had, or there is no room for all.
        """
        for dead in abandoned:
            take_up(self._work, dead)
        self._copies = copies_of(self._volume, self._work)
        self._check_room(free)
        if any(path in self._xet for path in self._files):
            self._session = xet_session()
        total = sum(entry["size"] for entry in self._files.values())
        say(
            f"downloading {self._hub.repo} at {self._work.manifest['commit']}: {len(self._files)} files, "
            f"{total / 2**30:.1f} GiB",
        )
        for path in sorted(self._files, key=lambda path: -self._files[path]["size"]):
            self._left.put(path)
        threads = [threading.Thread(target=self._take, daemon=True) for _ in range(min(READERS, len(self._files)))]
        with repeatedly(PROGRESS_SECONDS, DownloadReport(self._at, total).say, self._work.beat):
            for thread in threads:
                thread.start()
            try:
                while not self._failures and any(thread.is_alive() for thread in threads):
                    self._stopping.wait(0.1)
            finally:
                self._stopping.set()
                limit = time.monotonic() + LAST_WORDS_SECONDS
                for thread in threads:
                    thread.join(max(0, limit - time.monotonic()))
        for failure in self._failures:
            raise failure
        if self._copied:
            say(f"{len(self._copied)} files were copied in the volume")

    def _check_room(self, free: Callable[[Path], int | None]) -> None:
        coming = 0
        for path, entry in self._files.items():
            if not (self._work.model / path).exists():
                part = self._work.part(path)
                coming += entry["size"] - (part.stat().st_size if part.exists() else 0)
        room = free(self._volume)
        if room is None or room >= coming or os.environ.get("GLMDEPLOY_FREE_SPACE") == "unchecked":
            return
        raise DownloadFailed(
            f"there is no room: {coming / 2**30:.2f} GiB of {self._hub.repo} are to come, and the volume has "
            f"{room / 2**30:.2f} GiB.\nRemove what no deployment needs (`modal volume rm`), or name another "
            "volume; where the volume's figure is wrong, set `download.env.GLMDEPLOY_FREE_SPACE: unchecked`."
        )

    def _take(self) -> None:
        """Complete one file after another."""
        while not self._stopping.is_set():
            try:
                path = self._left.get_nowait()
            except queue.Empty:
                return
            try:
                for tries in range(TAKEN_TRIES, 0, -1):
                    try:
                        self._complete(path)
                        break
                    except FileNotFoundError:
                        if tries == 1:
                            raise
                        say(f"{path}: another machine has taken it; fetching it anew")
            except StoppedTransfer:
                return
            except OSError as fault:
                self._failures.append(_unwritable(path, fault))
                return
            except BaseException as failure:
                self._failures.append(failure)
                return

    def _complete(self, path: str) -> None:
        entry, target = self._files[path], self._work.model / path

        def seen(at: int) -> None:
            self._at[path] = at

        if target.exists():  # taken up from a dead process, whose machine may have lost what it wrote last
            if is_right(target, entry, seen):
                return
            target.unlink()
        part = Part(self._work.part(path), entry, seen)
        try:
            for file in self._copies.get(path, ()) if not part.is_right() else ():
                if copy_into(file, part, self._stopping):
                    self._copied.append(path)
                    break
            if not part.is_right():
                fetch_file(path, part, self._sources(path, entry["size"]), self._limits, self._stopping)
            part.finish(target)
        finally:
            part.close()

    def _sources(self, path: str, size: int) -> list[Callable[[int], Iterator[bytes]]]:
        commit = self._work.manifest["commit"]
        plain = self._hub.http_bytes(commit, path, size)
        if path not in self._xet or not self._session or self._xet_failures >= XET_FAILURES:
            return [plain]
        url = self._hub.xet_token_url(commit)
        fast = xet_bytes(self._session, url, self._hub.headers, self._xet[path], size, self._limits.stall)

        def counted(begin: int) -> Iterator[bytes]:
            try:
                yield from fast(begin)
            except Broken:
                self._xet_failures += 1
                raise

        return [counted, plain]
