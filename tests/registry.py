"""A small image registry on this machine: the distribution API's manifests, behind tokens for everyone."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web
from support import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

INDEX = "application/vnd.oci.image.index.v1+json"
TOKEN = "token-for-everyone"


def manifest(text: str) -> bytes:
    """An index of two platforms, other for each text."""
    platforms = [{"platform": {"architecture": each, "os": "linux"}} for each in ("amd64", "arm64")]
    return json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": platforms, "annotations": {"a": text}}
    ).encode()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Registry:
    """``images`` are manifests by repository and tag. ``private`` hands out no tokens, ``open`` asks for none.

    ``says`` is whether it names the digest in a header, ``heads`` whether it takes HEAD; ``status`` is its answer
    whatever is asked, where it is set.
    """

    images: dict[tuple[str, str], bytes] = field(default_factory=dict)
    private: bool = False
    open: bool = False
    says: bool = True
    heads: bool = True
    status: int | None = None
    host: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and authorization of each request."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        authorization = request.headers.get("Authorization", "")
        self.asked.append((request.method, request.path_qs, authorization))
        if self.status:
            return web.Response(status=self.status)
        if request.path == "/token":
            return web.Response(status=401) if self.private else web.json_response({"token": TOKEN})
        if not self.open and authorization != f"Bearer {TOKEN}":
            challenge = f'Bearer realm="http://{self.host}/token",service="registry.test",scope="repository:x:pull"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        if request.method == "HEAD" and not self.heads:
            return web.Response(status=405)
        name, _, tag = request.path.removeprefix("/v2/").partition("/manifests/")
        content = self.images.get((name, tag))
        if content is None:
            return web.Response(status=404)
        if INDEX not in request.headers["Accept"]:
            return web.Response(status=400)
        headers = {"Docker-Content-Digest": digest(content)} if self.says else {}
        return web.Response(body=content, headers=headers, content_type=INDEX)


@contextmanager
def registry(**options: bool | int) -> Iterator[Registry]:
    """A registry with one image, ``lmsysorg/sglang:v0.5.11-cu130``."""
    one = Registry(images={("lmsysorg/sglang", "v0.5.11-cu130"): manifest("first")}, **options)  # type: ignore[arg-type]
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", one.answer)
    with serving(app) as url:
        one.host = urlsplit(url).netloc
        yield one
