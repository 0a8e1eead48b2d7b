"""Local files on their way into containers, and blobs: what is too large for a request."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.local.control.rpc import already_exists, invalid, not_found
from glmdeploy.local.home import inside, require_space
from glmdeploy.local.state.records import Mount, new_id

if TYPE_CHECKING:
    from pathlib import Path

    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller


class Mounts:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._files = backend.files

    async def mount_batched_check_existence(
        self, request: api_pb2.MountBatchedCheckExistenceRequest, caller: Caller
    ) -> api_pb2.MountBatchedCheckExistenceResponse:
        missing = [digest for digest in request.sha256_hex_hashes if not self._exists(digest)]
        return api_pb2.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    async def mount_put_file(
        self, request: api_pb2.MountPutFileRequest, caller: Caller
    ) -> api_pb2.MountPutFileResponse:
        """Without content it asks whether the file is there."""
        kind = request.WhichOneof("data_oneof")
        if not self._exists(request.sha256_hex) and kind is not None:
            try:
                if kind == "data":
                    self._files.put(request.sha256_hex, request.data)
                else:
                    self._files.adopt(request.sha256_hex, self._blob(request.data_blob_id))
            except ValueError as fault:
                raise invalid(str(fault)) from fault
        return api_pb2.MountPutFileResponse(exists=self._exists(request.sha256_hex))

    async def mount_get_or_create(
        self, request: api_pb2.MountGetOrCreateRequest, caller: Caller
    ) -> api_pb2.MountGetOrCreateResponse:
        files = api_pb2.MountGetOrCreateRequest(
            files=sorted(request.files, key=lambda file: file.filename)
        ).SerializeToString(deterministic=True)
        digest = hashlib.sha256(files).hexdigest()
        if request.deployment_name:
            # Modal's own published mounts, of its client and of Pythons: containers here have both already.
            if request.files:
                raise already_exists("mounts cannot be published to the embedded cloud")
            digest = f"{request.namespace}/{request.deployment_name}"
        for file in request.files:
            if not self._exists(file.sha256_hex):
                raise invalid(f"the content of {file.filename} was not uploaded")
            try:
                inside(PurePosixPath(file.filename))
            except ValueError as fault:
                raise invalid(str(fault)) from fault
        known = self._backend.store.mounts.get(digest=digest)
        if known is None:
            known = Mount(id=new_id("mo"), digest=digest, files=files)
            self._backend.store.mounts.insert(known)
        return api_pb2.MountGetOrCreateResponse(
            mount_id=known.id, handle_metadata=api_pb2.MountHandleMetadata(content_checksum_sha256_hex=digest)
        )

    async def blob_create(self, request: api_pb2.BlobCreateRequest, caller: Caller) -> api_pb2.BlobCreateResponse:
        require_space(self._backend.home.blobs, request.content_length)
        blob_id = new_id("bl")
        url = self._backend.links.upload(self._backend.home.blobs / blob_id)
        return api_pb2.BlobCreateResponse(
            blob_id=blob_id, blob_ids=[blob_id], upload_urls=api_pb2.UploadUrlList(items=[url])
        )

    async def blob_get(self, request: api_pb2.BlobGetRequest, caller: Caller) -> api_pb2.BlobGetResponse:
        return api_pb2.BlobGetResponse(download_url=self._backend.links.download(self._blob(request.blob_id)))

    def _exists(self, sha256_hex: str) -> bool:
        try:
            return self._files.exists(sha256_hex)
        except ValueError as fault:
            raise invalid(str(fault)) from fault

    def _blob(self, blob_id: str) -> Path:
        path = self._backend.home.blobs / blob_id
        if not blob_id.startswith("bl-") or not blob_id[3:].isalnum() or not path.is_file():
            raise not_found(f"Blob {blob_id} not found")
        return path
