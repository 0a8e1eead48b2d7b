"""A small Hugging Face Hub: the HTTP endpoints that ``huggingface_hub`` uses to find and download models.

Checked against huggingface_hub 1.0 and 2.4 (``HF_ENDPOINT`` points them here). Every repository exists and
holds the tiny model of the architecture that its name suggests, except that

- in the organization ``nonexistent`` there is none: 404, RepoNotFound;
- the files of the organization ``gated`` want a token, any token: 403, GatedRepo.

Files are sent over plain HTTP: no header names Xet storage, so clients do not ask for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs, web

from glmdeploy.local import tiny_model

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path


SERVER = "glmdeploy-embedded-hub"

_WHOLE = slice(None, None, 1)
"""What aiohttp makes of a request without a Range header."""

# One part of `org/name`, as huggingface_hub's validate_repo_id has it.
_NAME = re.compile(r"(?!.*(--|\.\.))\w([\w.-]{0,94}\w)?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def application(root: Path) -> web.Application:
    """The hub, which keeps its repositories under the directory ``root``."""
    hub = _Hub(root)
    app = web.Application(middlewares=[_error_answers])
    app.on_response_prepare.append(_sign)
    model = "/api/models/{organization}/{name}"
    app.add_routes(
        [
            web.get("/api/whoami-v2", _whoami),
            web.get(model, hub.info),
            web.get(model + "/revision/{revision}", hub.info),
            web.get(model + "/tree/{revision}", hub.tree),
            web.get(model + "/tree/{revision}/{path:.+}", hub.tree),
            web.post(model + "/paths-info/{revision}", hub.paths_info),
            web.get("/{organization}/{name}/resolve/{revision}/{path:.+}", hub.resolve),
        ]
    )
    return app


class _HubError(Exception):
    """An error answer; ``code`` goes into X-Error-Code, by which clients choose their exception."""

    def __init__(self, status: int, code: str | None, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


class _Hub:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._repositories: dict[tuple[str, str], Repository] = {}

    async def info(self, request: web.Request) -> web.Response:
        repository, commit = await self._commit(request)
        organization = request.match_info["organization"]
        modified = _timestamp(repository)
        blobs = request.query.get("blobs") == "true"
        return web.json_response(
            {
                "id": repository.id,
                "modelId": repository.id,
                "author": organization,
                "sha": commit,
                "createdAt": modified,
                "lastModified": modified,
                "private": False,
                "gated": "manual" if organization == "gated" else False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": ["transformers", "safetensors", "text-generation"],
                "pipeline_tag": "text-generation",
                "library_name": "transformers",
                "config": json.loads(repository.files["config.json"].location.read_bytes()),
                "siblings": [_sibling(file, blobs=blobs) for file in repository.files.values()],
                "usedStorage": sum(file.size for file in repository.files.values()),
            }
        )

    async def tree(self, request: web.Request) -> web.Response:
        repository, commit = await self._commit(request)
        if path := request.match_info.get("path", "").strip("/"):
            # No repository here has folders.
            raise _no_entry(path)
        expand = request.query.get("expand") == "true"
        return web.json_response(
            [_entry(repository, file, commit, expand=expand) for file in repository.files.values()]
        )

    async def paths_info(self, request: web.Request) -> web.Response:
        repository, commit = await self._commit(request)
        form = await request.post()
        expand = form.get("expand") == "true"
        files = (repository.files.get(str(path)) for path in form.getall("paths", []))
        return web.json_response(
            [_entry(repository, file, commit, expand=expand) for file in files if file is not None]
        )

    async def resolve(self, request: web.Request) -> web.Response:
        repository, commit = await self._commit(request)
        if request.match_info["organization"] == "gated" and not _token(request):
            raise _HubError(
                403,
                "GatedRepo",
                f"Access to model {repository.id} is restricted. You must have access to it and be "
                "authenticated to access it. Please log in.",
            )
        path = request.match_info["path"]
        if path not in repository.files:
            raise _no_entry(path)
        return await _content(request, repository.files[path], commit)

    async def _commit(self, request: web.Request) -> tuple[Repository, str]:
        """The repository and the commit that the request's path names."""
        organization, name = key = request.match_info["organization"], request.match_info["name"]
        valid = valid_name(organization) and valid_name(name)
        if organization == "nonexistent" or not valid:
            raise _HubError(404, "RepoNotFound", "Repository not found")
        if key not in self._repositories:
            loaded = await asyncio.to_thread(load_repository, self._root, organization, name)
            self._repositories[key] = loaded
        repository = self._repositories[key]
        revision = request.match_info.get("revision", "main")
        commit = repository.commit(revision)
        if commit is None:
            raise _HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repository, commit


async def _whoami(request: web.Request) -> web.Response:
    if not _token(request):
        raise _HubError(401, None, "Invalid username or password.")
    return web.json_response(
        {
            "type": "user",
            "id": "0" * 24,
            "name": "local",
            "fullname": "A user of glmdeploy's embedded hub",
            "orgs": [],
            "auth": {"type": "access_token", "accessToken": {"displayName": "local", "role": "read"}},
        }
    )


async def _content(request: web.Request, file: File, commit: str) -> web.Response:
    """The file, or the one range of it that the request asks for, as a download that resumes does."""
    headers = {
        "X-Repo-Commit": commit,
        hdrs.ETAG: f'"{file.etag}"',
        hdrs.ACCEPT_RANGES: "bytes",
        hdrs.CONTENT_DISPOSITION: f'inline; filename="{file.path}";',
    }
    if file.sha256 is not None:
        headers |= {"X-Linked-ETag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
    try:
        wanted = request.http_range
    except ValueError:
        # Malformed, or several ranges at once: RFC 9110 lets a server ignore the header then.
        wanted = _WHOLE
    part = range(file.size)[wanted]
    status = 200
    if wanted != _WHOLE:
        if not part:
            headers[hdrs.CONTENT_RANGE] = f"bytes */{file.size}"
            raise _HubError(416, None, "Requested range not satisfiable", headers)
        headers[hdrs.CONTENT_RANGE] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
        status = 206
    return web.Response(
        status=status,
        body=await asyncio.to_thread(file.read, part),
        headers=headers,
        content_type="text/plain" if file.sha256 is None else "application/octet-stream",
    )


def _entry(repository: Repository, file: File, commit: str, *, expand: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.blob_id, "size": file.size, "path": file.path}
    if file.sha256 is not None:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    if expand:
        entry["lastCommit"] = {"id": commit, "title": "Tiny model", "date": _timestamp(repository)}
    return entry


def _sibling(file: File, *, blobs: bool) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": file.path}
    if blobs:
        sibling |= {"size": file.size, "blobId": file.blob_id}
        if file.sha256 is not None:
            sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    return sibling


def _timestamp(repository: Repository) -> str:
    return repository.modified.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _token(request: web.Request) -> str:
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _no_entry(path: str) -> _HubError:
    return _HubError(404, "EntryNotFound", f"{path} does not exist on this revision")


@web.middleware
async def _error_answers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except _HubError as error:
        return _error(error)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        unsupported = f"glmdeploy's embedded hub does not support {request.method} {request.path}"
        return _error(_HubError(404, None, unsupported))


def _error(error: _HubError) -> web.Response:
    headers = {**error.headers, "X-Error-Message": error.message.encode("unicode_escape").decode()}
    if error.code is not None:
        headers["X-Error-Code"] = error.code
    return web.json_response({"error": error.message}, status=error.status, headers=headers)


async def _sign(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = SERVER


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of a repository.

    ``blob_id`` is what Git calls the file: the SHA-1 of its content, or of its pointer where Git LFS stores
    the content, which is then known by ``sha256``. ``pointer_size`` is that pointer's size in bytes.
    """

    path: str
    location: Path
    size: int
    blob_id: str
    sha256: str | None = None
    pointer_size: int | None = None

    @property
    def etag(self) -> str:
        return self.sha256 or self.blob_id

    def read(self, part: range) -> bytes:
        """The bytes of the file whose offsets are in ``part``, a range without steps."""
        with self.location.open("rb") as file:
            file.seek(part.start)
            return file.read(len(part))


@dataclass(frozen=True, kw_only=True)
class Repository:
    """The files of a tiny model, with their hashes as Git has them; ``head`` is the commit of the branch main."""

    id: str
    head: str
    files: dict[str, File]
    modified: datetime

    def commit(self, revision: str) -> str | None:
        """The commit that ``revision`` names, None if there is no such revision.

        Any commit hash is a commit of this repository, and all have the same content: the embedded hub cannot
        know the real ones, and a profile that pins one must work with it.
        """
        if revision == "main":
            return self.head
        return revision if _COMMIT.fullmatch(revision) else None


def valid_name(name: str) -> bool:
    """Whether ``name`` may be the organization or the name in a repository's id."""
    return _NAME.fullmatch(name) is not None


def load_repository(root: Path, organization: str, name: str) -> Repository:
    """The repository ``organization/name``, whose files lie under ``root``; they are written on first use.

    Both names must be valid (:func:`valid_name`).

    :raises OSError:
    """
    repo = f"{organization}/{name}"
    directory = root / organization / name
    if not directory.is_dir():
        directory.parent.mkdir(parents=True, exist_ok=True)
        tiny_model.write(directory, repo)
    files = {path.name: _file(path) for path in sorted(directory.iterdir())}
    listing = "".join(f"{file.blob_id} {file.path}\n" for file in files.values())
    return Repository(
        id=repo,
        head=hashlib.sha1(f"{repo}\n{listing}".encode(), usedforsecurity=False).hexdigest(),
        files=files,
        modified=datetime.fromtimestamp(directory.stat().st_mtime, UTC),
    )


def _file(path: Path) -> File:
    content = path.read_bytes()
    if path.suffix != ".safetensors":
        return File(path=path.name, location=path, size=len(content), blob_id=_blob_id(content))
    digest = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n".encode()
    return File(
        path=path.name,
        location=path,
        size=len(content),
        blob_id=_blob_id(pointer),
        sha256=digest,
        pointer_size=len(pointer),
    )


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()
