"""The bytes of a file out of Hugging Face's Xet storage, in order, from any offset, with an end to silence.

hf_xet is what huggingface_hub downloads with, and what makes 700 GB a matter of minutes. huggingface_hub lets it write
the file by itself: nothing passes by to be hashed, nothing is resumed, and where it hangs (xet-core #883, #898) nobody
notices. Its stream of bytes (hf_xet 1.8, ``XetDownloadStreamGroup``) can be watched, hashed and begun in the middle.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from glmdeploy.runtime.transfer import Broken

XET_AHEAD = 1
"""Pieces that may wait to be written. They are large: five for 256 MiB out of a local store (hf_xet 1.8)."""


def xet_session() -> Any:
    """What all streams of this process share; None where hf_xet is not there, or older than its streams."""
    try:
        from hf_xet import XetSession  # type: ignore[import-untyped]
    except ImportError:
        return None
    return XetSession() if hasattr(XetSession, "new_download_stream_group") else None


def xet_bytes(
    session: Any, token_url: str, headers: dict[str, str], content: str, size: int, stall: float
) -> Callable[[int], Iterator[bytes]]:
    """A source of the file that Xet knows by the hash ``content``, of ``size`` bytes.

    ``token_url`` is where the hub hands out tokens for its storage, with ``headers``. The source raises Broken when no
    byte came for ``stall`` seconds.
    """

    def source(begin: int) -> Iterator[bytes]:
        from hf_xet import XetFileInfo

        came: queue.Queue[bytes | None] = queue.Queue(XET_AHEAD)
        groups: list[Any] = []
        ended = threading.Event()
        failure = ""

        def read() -> None:
            nonlocal failure
            try:
                # A group for each file, so that one that hangs can be aborted alone.
                group = session.new_download_stream_group(token_refresh_url=token_url, token_refresh_headers=headers)
                groups.append(group)
                for data in group.download_stream(XetFileInfo(content, size), start=begin):
                    while not ended.is_set():
                        try:
                            came.put(data, timeout=1)
                            break
                        except queue.Full:
                            continue
                    if ended.is_set():
                        return
            except Exception as fault:  # whatever Rust says; its text may name addresses with signatures
                failure = f" ({type(fault).__name__})"
            if not ended.is_set():
                came.put(None)

        # A thread of its own, which is left behind where it never comes back: Rust cannot be interrupted.
        threading.Thread(target=read, daemon=True).start()
        at = begin
        try:
            while data := came.get(timeout=stall):
                at += len(data)
                yield data
        except queue.Empty:
            raise Broken(f"Xet sent no byte for {stall:.3g} s") from None
        finally:
            ended.set()
            for group in groups if at < size else ():
                group.abort()
        if at != size:
            raise Broken(f"Xet ended after {at:,} of {size:,} bytes{failure}")

    return source
