"""Images, the files that go into them and into containers, and blobs: what is too large for a request.

An image's build steps are recorded, not run: containers use the Python that runs the embedded cloud.
"""

from __future__ import annotations

import hashlib
import platform
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.local.control.rpc import already_exists, invalid, not_found, unsupported
from glmdeploy.local.home import inside, require_space
from glmdeploy.local.state.store import Image, Mount, new_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller


BUILDER_VERSION = "2025.06"
"""What the embedded workspace is set to: it decides which Dockerfile commands Modal's client writes."""

_NOTE = (
    "The embedded cloud records these build steps and does not run them; containers use the local Python "
    f"{platform.python_version()} and its packages. Files from COPY and variables from ENV take effect."
)

_SUCCESS = api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS)


class Images:
    def __init__(self, backend: Backend) -> None:
        self._store = backend.store

    async def image_get_or_create(
        self, request: api_pb2.ImageGetOrCreateRequest, caller: Caller
    ) -> api_pb2.ImageGetOrCreateResponse:
        if request.build_function_id or request.image.HasField("build_function"):
            raise unsupported("Image.run_function is")
        for base in request.image.base_images:
            self._image(base.image_id)
        proto = request.image.SerializeToString(deterministic=True)
        digest = hashlib.sha256(f"{request.builder_version}\n".encode() + proto).hexdigest()
        known = self._store.images.get(digest=digest)
        if known is not None and not request.force_build:
            return api_pb2.ImageGetOrCreateResponse(image_id=known.id, result=_SUCCESS, metadata=_metadata(known))
        image = known or Image(
            id=new_id("im"),
            digest=digest,
            proto=proto,
            builder_version=request.builder_version,
            created_at=time.time(),
        )
        self._store.images.put(image)
        # Without a result the client asks for the build's log.
        return api_pb2.ImageGetOrCreateResponse(image_id=image.id)

    async def image_join_streaming(
        self, request: api_pb2.ImageJoinStreamingRequest, caller: Caller
    ) -> AsyncIterator[api_pb2.ImageJoinStreamingResponse]:
        image = self._image(request.image_id)
        commands = api_pb2.Image.FromString(image.proto).dockerfile_commands
        lines = [*(f"#> {command}" for command in commands), _NOTE]
        logs = [
            api_pb2.TaskLogs(
                data=f"{line}\n", timestamp=image.created_at, file_descriptor=api_pb2.FILE_DESCRIPTOR_STDOUT
            )
            for line in lines
        ]
        yield api_pb2.ImageJoinStreamingResponse(
            task_logs=logs, entry_id="1-0", eof=True, result=_SUCCESS, metadata=_metadata(image)
        )

    async def image_from_id(self, request: api_pb2.ImageFromIdRequest, caller: Caller) -> api_pb2.ImageFromIdResponse:
        image = self._image(request.image_id)
        return api_pb2.ImageFromIdResponse(image_id=image.id, metadata=_metadata(image))

    def _image(self, image_id: str) -> Image:
        if not image_id:
            raise invalid("an image without an id")
        image = self._store.images.get(id=image_id)
        if image is None:
            raise not_found(f"Image {image_id} not found")
        return image


def _metadata(image: Image) -> api_pb2.ImageMetadata:
    return api_pb2.ImageMetadata(
        python_version_info=f"Python {platform.python_version()}", image_builder_version=image.builder_version
    )


class Mounts:
    """Local files on their way into containers, and blobs."""

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
