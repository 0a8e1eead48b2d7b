"""Images. Their build steps are recorded, not run: containers use the Python that runs the embedded cloud."""

from __future__ import annotations

import hashlib
import platform
import time
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.local.control.rpc import invalid, not_found, unsupported
from glmdeploy.local.state.records import Image, new_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller

BUILDER_VERSION = "2025.06"
"""What the embedded workspace is set to: it decides which Dockerfile commands Modal's client writes."""

_NOTE = (
    "The embedded cloud records these build steps and does not run them; containers use the local Python "
    f"{platform.python_version()} and its packages. Files from COPY and variables from ENV take effect."
)


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


_SUCCESS = api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS)


def _metadata(image: Image) -> api_pb2.ImageMetadata:
    return api_pb2.ImageMetadata(
        python_version_info=f"Python {platform.python_version()}", image_builder_version=image.builder_version
    )
