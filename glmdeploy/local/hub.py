"""A small Hugging Face Hub: the HTTP endpoints that ``huggingface_hub`` uses to find and download models.

Checked against huggingface_hub 1.0 and 2.4 (``HF_ENDPOINT`` points them here). Every repository exists and
holds the tiny model of the architecture that its name suggests, except that

- in the organization ``nonexistent`` there is none: 404, RepoNotFound;
- nobody was let in to the files of the organization ``gated``: GatedRepo, 401 without a token and 403 with one;
- the organization ``private`` is hidden from who has no token: 401, RepoNotFound;
- the organizations in ``hub_faults`` fail in other ways.

A token is any printable text that does not begin with ``hf_invalid``.

Files are sent over plain HTTP: no header names Xet storage, so clients do not ask for it.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs, web

from glmdeploy.local import repository
from glmdeploy.local.hub_faults import Faults, HubError
from glmdeploy.local.loopback import only_loopback

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from glmdeploy.local.repository import File, Repository


SERVER = "glmdeploy-embedded-hub"
_MODIFIED = repository.MODIFIED.strftime("%Y-%m-%dT%H:%M:%S.000Z")

_WHOLE = slice(None, None, 1)
"""What aiohttp makes of a request without a Range header."""

_USABLE = re.compile(r"(?!hf_invalid)[!-~]+")


def application(root: Path) -> web.Application:
    """The hub. Nothing is written: under ``root`` it looks for what the user has put there.

    ``<organization>/<name>.main`` moves the branch main to the commit in it; a folder ``<organization>/<name>`` is
    served as it is in place of a tiny model.
    """
    hub = _Hub(root)
    app = web.Application(middlewares=[only_loopback, _error_answers])
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


class _Hub:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._faults = Faults()

    async def info(self, request: web.Request) -> web.Response:
        found = await self._repository(request)
        organization = request.match_info["organization"]
        blobs = request.query.get("blobs") == "true"
        return web.json_response(
            {
                "id": found.id,
                "modelId": found.id,
                "author": organization,
                "sha": found.commit,
                "createdAt": _MODIFIED,
                "lastModified": _MODIFIED,
                "private": organization == "private",
                "gated": "manual" if organization == "gated" else False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": ["transformers", "safetensors", "text-generation"],
                "pipeline_tag": "text-generation",
                "library_name": "transformers",
                "config": _config(found),
                "siblings": [_sibling(file, blobs=blobs) for file in found.files.values()],
                "usedStorage": sum(file.size for file in found.files.values()),
            }
        )

    async def tree(self, request: web.Request) -> web.Response:
        found = await self._repository(request)
        if path := request.match_info.get("path", "").strip("/"):
            # No repository here has folders.
            raise _no_entry(path)
        expand = request.query.get("expand") == "true"
        return web.json_response([_entry(file, found.commit, expand=expand) for file in found.files.values()])

    async def paths_info(self, request: web.Request) -> web.Response:
        found = await self._repository(request)
        try:
            form = await request.post()
        except (ValueError, LookupError, web.RequestPayloadError) as fault:
            raise HubError(400, None, f"the body is no form: {fault}") from fault
        expand = form.get("expand") == "true"
        files = (found.files.get(str(path)) for path in form.getall("paths", []))
        return web.json_response([_entry(file, found.commit, expand=expand) for file in files if file is not None])

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        found = await self._repository(request)
        if request.match_info["organization"] == "gated":
            raise _gated(found.id, known=bool(_token(request)))
        path = request.match_info["path"]
        if path not in found.files:
            raise _no_entry(path)
        return await self._faults.send(request, _content(request, found.files[path], found.commit))

    async def _repository(self, request: web.Request) -> Repository:
        """What the request's path names, at the commit that it names."""
        await self._faults.before(request)
        organization, name = request.match_info["organization"], request.match_info["name"]
        valid = repository.valid_name(organization) and repository.valid_name(name)
        if organization == "nonexistent" or not valid:
            raise HubError(404, "RepoNotFound", "Repository not found")
        if organization == "private" and not _token(request):
            raise HubError(401, "RepoNotFound", "Repository not found")
        repo, revision = f"{organization}/{name}", request.match_info.get("revision", "main")
        try:
            commit = await asyncio.to_thread(repository.resolve, self._root, repo, revision)
        except repository.HeadError as fault:
            raise HubError(500, None, str(fault)) from fault
        if commit is None:
            raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return await asyncio.to_thread(repository.load, self._root, repo, commit)


async def _whoami(request: web.Request) -> web.Response:
    if not _token(request):
        raise HubError(401, None, "Invalid username or password.")
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


def _content(request: web.Request, file: File, commit: str) -> web.Response:
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
            raise HubError(416, None, "Requested range not satisfiable", headers)
        headers[hdrs.CONTENT_RANGE] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
        status = 206
    return web.Response(
        status=status,
        body=file.content[part.start : part.stop],
        headers=headers,
        content_type="text/plain" if file.sha256 is None else "application/octet-stream",
    )


def _entry(file: File, commit: str, *, expand: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.blob_id, "size": file.size, "path": file.path}
    if file.sha256 is not None:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    if expand:
        entry["lastCommit"] = {"id": commit, "title": "Tiny model", "date": _MODIFIED}
    return entry


def _sibling(file: File, *, blobs: bool) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": file.path}
    if blobs:
        sibling |= {"size": file.size, "blobId": file.blob_id}
        if file.sha256 is not None:
            sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    return sibling


def _config(found: Repository) -> object:
    """As the Hub shows it; of a repository without one, or with one that cannot be read, nothing."""
    try:
        return json.loads(found.files["config.json"].content)
    except (KeyError, ValueError, RecursionError):
        return None


def _gated(repo: str, *, known: bool) -> HubError:
    """The Hub's own words, which huggingface_hub prints."""
    if not known:
        message = "You must have access to it and be authenticated to access it. Please log in."
        return HubError(401, "GatedRepo", f"Access to model {repo} is restricted. {message}")
    message = f"Visit https://huggingface.co/{repo} to ask for access."
    return HubError(
        403, "GatedRepo", f"Access to model {repo} is restricted and you are not in the authorized list. {message}"
    )


def _token(request: web.Request) -> str:
    """The token of a request; empty where there is none.

    :raises HubError: for one that is none.
    """
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    token = token.strip() if scheme.lower() == "bearer" else ""
    if token and not _USABLE.fullmatch(token):
        raise HubError(401, None, "Invalid credentials in Authorization header")
    return token


def _no_entry(path: str) -> HubError:
    return HubError(404, "EntryNotFound", f"{path} does not exist on this revision")


@web.middleware
async def _error_answers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        _token(request)
        return await handler(request)
    except HubError as error:
        return _error(error)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        unsupported = f"glmdeploy's embedded hub does not support {request.method} {request.path}"
        return _error(HubError(404, None, unsupported))


def _error(error: HubError) -> web.Response:
    headers = {**error.headers, "X-Error-Message": error.message.encode("unicode_escape").decode()}
    if error.code is not None:
        headers["X-Error-Code"] = error.code
    return web.json_response({"error": error.message}, status=error.status, headers=headers)


async def _sign(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = SERVER
