"""Volumes. What a container writes is there for all at once: commit and reload have nothing left to do."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import shutil
import stat
import time
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from glmdeploy.local.control.apps import OWNER, environment_name
from glmdeploy.local.control.rpc import already_exists, invalid, not_found
from glmdeploy.local.home import require_space
from glmdeploy.local.state.files import BLOCK, VolumeFiles
from glmdeploy.local.state.store import Volume, new_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller

_PAGE = 500
_TYPES = {
    stat.S_IFDIR: api_pb2.FileEntry.DIRECTORY,
    stat.S_IFLNK: api_pb2.FileEntry.SYMLINK,
    stat.S_IFIFO: api_pb2.FileEntry.FIFO,
    stat.S_IFSOCK: api_pb2.FileEntry.SOCKET,
}


_THE_MACHINES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE})
"""Failures of the file system that no other request would have avoided."""


class Volumes:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._table = backend.store.volumes

    async def volume_get_or_create(
        self, request: api_pb2.VolumeGetOrCreateRequest, caller: Caller
    ) -> api_pb2.VolumeGetOrCreateResponse:
        environment = environment_name(request.environment_name)
        name, how = request.deployment_name, request.object_creation_type
        known = self._table.get(name=name, environment=environment) if name else None
        if known is not None and how == api_pb2.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS:
            raise already_exists(f"Volume '{name}' already exists in environment '{environment}'")
        if known is None:
            if how == api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED:
                raise not_found(f"Volume ('{name}', '{environment}') not found")
            known = Volume(
                id=new_id("vo"),
                name=name,
                environment=environment,
                version=request.version or api_pb2.VOLUME_FS_VERSION_V1,
                created_at=time.time(),
            )
            (self._backend.home.volumes / known.id).mkdir(mode=0o700)
            self._table.insert(known)
        return api_pb2.VolumeGetOrCreateResponse(
            volume_id=known.id,
            version=known.version,  # type: ignore[arg-type]
            metadata=_metadata(known),
        )

    async def volume_get_by_id(
        self, request: api_pb2.VolumeGetByIdRequest, caller: Caller
    ) -> api_pb2.VolumeGetByIdResponse:
        volume = self._volume(request.volume_id)
        return api_pb2.VolumeGetByIdResponse(volume_id=volume.id, metadata=_metadata(volume))

    async def volume_list(self, request: api_pb2.VolumeListRequest, caller: Caller) -> api_pb2.VolumeListResponse:
        environment = environment_name(request.environment_name)
        before = request.pagination.created_before
        named = [
            volume
            for volume in self._table.all(environment=environment)
            if volume.name and (not before or volume.created_at < before)
        ]
        named.sort(key=lambda volume: volume.created_at, reverse=True)
        return api_pb2.VolumeListResponse(
            environment_name=environment,
            items=[
                api_pb2.VolumeListItem(
                    label=volume.name,
                    volume_id=volume.id,
                    created_at=volume.created_at,
                    metadata=_metadata(volume),
                )
                for volume in named[: request.pagination.max_objects or None]
            ],
        )

    async def volume_rename(self, request: api_pb2.VolumeRenameRequest, caller: Caller) -> Empty:
        volume = self._volume(request.volume_id)
        if self._table.get(name=request.name, environment=volume.environment) is not None:
            raise already_exists(f"Volume '{request.name}' already exists")
        self._table.put(replace(volume, name=request.name))
        return Empty()

    async def volume_delete(self, request: api_pb2.VolumeDeleteRequest, caller: Caller) -> Empty:
        volume = self._volume(request.volume_id)
        self._table.delete(id=volume.id)
        await asyncio.to_thread(shutil.rmtree, self._backend.home.volumes / volume.id, ignore_errors=True)
        return Empty()

    async def volume_heartbeat(self, request: api_pb2.VolumeHeartbeatRequest, caller: Caller) -> Empty:
        self._volume(request.volume_id)
        return Empty()

    async def volume_commit(self, request: api_pb2.VolumeCommitRequest, caller: Caller) -> api_pb2.VolumeCommitResponse:
        self._volume(request.volume_id)
        return api_pb2.VolumeCommitResponse(skip_reload=True)

    async def volume_reload(self, request: api_pb2.VolumeReloadRequest, caller: Caller) -> Empty:
        self._volume(request.volume_id)
        return Empty()

    async def volume_list_files(
        self, request: api_pb2.VolumeListFilesRequest, caller: Caller
    ) -> AsyncIterator[api_pb2.VolumeListFilesResponse]:
        for page in self._list(request.volume_id, request.path, recursive=request.recursive):
            yield api_pb2.VolumeListFilesResponse(entries=page)

    async def volume_list_files2(
        self, request: api_pb2.VolumeListFiles2Request, caller: Caller
    ) -> AsyncIterator[api_pb2.VolumeListFiles2Response]:
        for page in self._list(request.volume_id, request.path, recursive=request.recursive):
            yield api_pb2.VolumeListFiles2Response(entries=page)

    async def volume_get_file2(
        self, request: api_pb2.VolumeGetFile2Request, caller: Caller
    ) -> api_pb2.VolumeGetFile2Response:
        with _refusals():
            path = self._files(request.volume_id).path(request.path)
            size = path.stat().st_size
            if path.is_dir():
                raise invalid(f"{request.path} is a directory")
        start = min(request.start, size)
        end = min(start + request.len, size) if request.len else size
        # Blocks are aligned to the file's beginning, whatever range is asked for.
        edges = sorted({start, end, *range(-(-start // BLOCK) * BLOCK, end, BLOCK)})
        urls = [self._backend.links.download(path, offset=low, length=high - low) for low, high in pairwise(edges)]
        return api_pb2.VolumeGetFile2Response(get_urls=urls, size=size, start=start, len=end - start)

    async def volume_remove_file(self, request: api_pb2.VolumeRemoveFileRequest, caller: Caller) -> Empty:
        return await self._remove(request.volume_id, request.path, recursive=request.recursive)

    async def volume_remove_file2(self, request: api_pb2.VolumeRemoveFile2Request, caller: Caller) -> Empty:
        return await self._remove(request.volume_id, request.path, recursive=request.recursive)

    async def volume_copy_files(self, request: api_pb2.VolumeCopyFilesRequest, caller: Caller) -> Empty:
        return await self._copy(request.volume_id, list(request.src_paths), request.dst_path, request.recursive)

    async def volume_copy_files2(self, request: api_pb2.VolumeCopyFiles2Request, caller: Caller) -> Empty:
        return await self._copy(request.volume_id, list(request.src_paths), request.dst_path, request.recursive)

    async def volume_put_files(self, request: api_pb2.VolumePutFilesRequest, caller: Caller) -> Empty:
        """The contents have been uploaded before, as those of mounts are."""
        files = self._files(request.volume_id)

        def put() -> None:
            if request.disallow_overwrite_existing_files:
                _refuse_existing(files, [file.filename for file in request.files])
            for file in request.files:
                source = self._backend.files.path(file.sha256_hex)
                with source.open("rb") as content, files.writing(file.filename, file.mode) as target:
                    shutil.copyfileobj(content, target)

        with _refusals():
            await asyncio.to_thread(put)
        return Empty()

    async def volume_put_files2(
        self, request: api_pb2.VolumePutFiles2Request, caller: Caller
    ) -> api_pb2.VolumePutFiles2Response:
        """Asked twice: first which blocks are missing, then, with all of them uploaded, to make the files.

        A block's content comes without its trailing zero bytes, and its hash is of that.
        """
        files = self._files(request.volume_id)

        def put() -> list[tuple[int, int, Path]]:
            for file in request.files:
                if len(file.blocks) != -(-file.size // BLOCK):
                    raise ValueError(f"{file.path}: {len(file.blocks)} blocks are not those of {file.size} bytes")
            if request.disallow_overwrite_existing_files:
                _refuse_existing(files, [file.path for file in request.files])
            missing = self._missing_blocks(request)
            # Once as blocks, once as files.
            sizes = [min(BLOCK, request.files[file].size - block * BLOCK) for file, block, _ in missing]
            require_space(self._backend.home.blobs, 2 * sum(sizes))
            if not missing:
                self._assemble(request, files)
            return missing

        response = api_pb2.VolumePutFiles2Response()
        with _refusals():
            for file_index, block_index, path in await asyncio.to_thread(put):
                put_url = self._backend.links.upload(path)
                response.missing_blocks.add(file_index=file_index, block_index=block_index, put_url=put_url)
        return response

    def _missing_blocks(self, request: api_pb2.VolumePutFiles2Request) -> list[tuple[int, int, Path]]:
        """Those that were not uploaded yet, each once: the file's index, the block's, and where it belongs."""
        missing: dict[Path, tuple[int, int, Path]] = {}
        for file_index, file in enumerate(request.files):
            for block_index, block in enumerate(file.blocks):
                path = self._block(block.contents_sha256)
                if path not in missing and not _has_hash(path, block.contents_sha256):
                    missing[path] = (file_index, block_index, path)
        return list(missing.values())

    def _assemble(self, request: api_pb2.VolumePutFiles2Request, files: VolumeFiles) -> None:
        for file in request.files:
            with files.writing(file.path, file.mode) as target:
                for index, block in enumerate(file.blocks):
                    target.seek(index * BLOCK)
                    target.write(self._block(block.contents_sha256).read_bytes())
                target.truncate(file.size)
        for file in request.files:
            for block in file.blocks:
                self._block(block.contents_sha256).unlink(missing_ok=True)

    def _list(self, volume_id: str, path: str, *, recursive: bool) -> Iterator[list[api_pb2.FileEntry]]:
        with _refusals():
            entries = [
                api_pb2.FileEntry(
                    path=name,
                    type=_TYPES.get(stat.S_IFMT(status.st_mode), api_pb2.FileEntry.FILE),
                    mtime=int(status.st_mtime),
                    size=status.st_size,
                )
                for name, status in self._files(volume_id).entries(path, recursive=recursive)
            ]
        for start in range(0, len(entries), _PAGE):
            yield entries[start : start + _PAGE]

    async def _remove(self, volume_id: str, path: str, *, recursive: bool) -> Empty:
        with _refusals():
            await asyncio.to_thread(self._files(volume_id).remove, path, recursive=recursive)
        return Empty()

    async def _copy(self, volume_id: str, sources: list[str], target: str, recursive: bool) -> Empty:
        with _refusals():
            await asyncio.to_thread(self._files(volume_id).copy, sources, target, recursive=recursive)
        return Empty()

    def _block(self, sha256: bytes) -> Path:
        if len(sha256) != hashlib.sha256().digest_size:
            raise ValueError(f"{sha256.hex()[:80]!r} is not a SHA-256")
        return self._backend.home.blobs / f"block-{sha256.hex()}"

    def _files(self, volume_id: str) -> VolumeFiles:
        return VolumeFiles(self._backend.home.volumes / self._volume(volume_id).id)

    def _volume(self, volume_id: str) -> Volume:
        volume = self._table.get(id=volume_id)
        if volume is None:
            raise not_found(f"Volume {volume_id} not found")
        return volume


@contextmanager
def _refusals() -> Iterator[None]:
    """What the file system or the path refuses, as Modal's client expects to hear it."""
    try:
        yield
    except FileNotFoundError as fault:
        raise not_found(f"No such file or directory: {fault.filename}") from fault
    except FileExistsError as fault:
        raise already_exists(str(fault)) from fault
    except OSError as fault:
        if fault.errno in _THE_MACHINES:
            raise
        raise invalid(str(fault)) from fault
    except (ValueError, OverflowError) as fault:
        raise invalid(str(fault)) from fault


def _refuse_existing(files: VolumeFiles, names: list[str]) -> None:
    existing = [name for name in names if files.path(name).exists()]
    if existing:
        raise FileExistsError(f"{', '.join(existing)}: already exists; overwrite with force")


def _has_hash(path: Path, sha256: bytes) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).digest() == sha256


def _metadata(volume: Volume) -> api_pb2.VolumeMetadata:
    return api_pb2.VolumeMetadata(
        version=volume.version,  # type: ignore[arg-type]
        name=volume.name,
        creation_info=api_pb2.CreationInfo(created_at=volume.created_at, created_by=OWNER),
    )
