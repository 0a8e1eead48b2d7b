"""The embedded hub, used by the real huggingface_hub."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from huggingface_hub import HfApi, constants, errors, hf_hub_download, snapshot_download
from support import PATIENCE, serving

from glmdeploy.local import hub, tiny_model

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

REPO = "zai-org/GLM-5.1-FP8"
SHARD = "model-00001-of-00002.safetensors"
LAST_SHARD = "model-00002-of-00002.safetensors"
PRIVATE = "private/GLM-4.6"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Served:
    """The hub on a free port. ``requests`` has what reached it; ``cuts`` shard downloads are broken off."""

    url: str
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    cuts: int = 0


def served_app(root: Path, served: Served) -> web.Application:
    @web.middleware
    async def watch(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        served.requests.append((request.method, request.path, request.headers.get("Range")))
        response = await handler(request)
        if not (served.cuts and request.method == "GET" and request.path.endswith(SHARD)):
            return response
        served.cuts -= 1
        assert isinstance(response, web.Response)
        assert isinstance(response.body, bytes)
        broken = web.StreamResponse(status=response.status, headers=response.headers)
        broken.content_length = len(response.body)
        await broken.prepare(request)
        await broken.write(response.body[: len(response.body) // 2])
        assert request.transport is not None
        request.transport.close()
        return broken

    app = hub.application(root)
    app.middlewares.insert(0, watch)
    return app


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(url="")
    with serving(served_app(tmp_path / "hub", served)) as served.url:
        yield served


@pytest.fixture
def api(served: Served) -> HfApi:
    return HfApi(endpoint=served.url, token=False)


def download(served: Served, target: Path, **options: object) -> Path:
    options = {"revision": "main", "token": False, **options}
    cache = target.parent / "cache"
    found = snapshot_download(  # type: ignore[call-overload]
        options.pop("repo", REPO), endpoint=served.url, local_dir=target, cache_dir=cache, **options
    )
    return Path(found)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def expected(repo: str, commit: str | None = None) -> dict[str, bytes]:
    return tiny_model.files(repo, commit or tiny_model.head(repo))


@pytest.mark.parametrize("repo", [REPO, "zai-org/GLM-4.6", "org/anything"])
def test_snapshot(served: Served, tmp_path: Path, repo: str) -> None:
    target = download(served, tmp_path / "model", repo=repo)
    assert contents(target) == expected(repo)


def test_snapshot_of_a_commit_through_the_cache(served: Served, tmp_path: Path) -> None:
    found = snapshot_download(REPO, revision=COMMIT, endpoint=served.url, cache_dir=tmp_path / "cache", token=False)
    assert Path(found).name == COMMIT
    assert contents(Path(found)) == expected(REPO, COMMIT)


def test_a_second_snapshot_downloads_nothing(served: Served, tmp_path: Path) -> None:
    download(served, tmp_path / "model")
    served.requests.clear()
    download(served, tmp_path / "model")
    assert [request for request in served.requests if request[0] == "GET" and "/resolve/" in request[1]] == []


def test_an_interrupted_download_resumes_where_it_stopped(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client keeps whole chunks, of 10 MB unless told: nothing of a model this small.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    served.cuts = 1
    target = tmp_path / "model"
    try:
        download(served, target, allow_patterns=[SHARD])
    except Exception:
        # huggingface_hub 1.0 gives up here and resumes when it is asked again; 2.4 resumes at once.
        download(served, target, allow_patterns=[SHARD])
    whole = expected(REPO)[SHARD]
    assert (target / SHARD).read_bytes() == whole
    ranges = [wanted for method, path, wanted in served.requests if method == "GET" and path.endswith(SHARD)]
    assert ranges == [None, f"bytes={len(whole) // 2 // 1024 * 1024}-"]


def test_offline_uses_what_was_downloaded_and_asks_nobody(served: Served, tmp_path: Path) -> None:
    target = download(served, tmp_path / "model")
    served.requests.clear()
    script = (
        "import sys, huggingface_hub as h\n"
        "print(h.snapshot_download(sys.argv[1], revision='main', local_dir=sys.argv[2]))"
    )
    environment = {
        **os.environ,
        "HF_ENDPOINT": served.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "1",
    }
    arguments = [sys.executable, "-c", script, REPO, str(target)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(target), done.stderr
    assert served.requests == []


def test_the_environment_variable_alone_points_a_client_here(served: Served, tmp_path: Path) -> None:
    script = "import sys, huggingface_hub as h\nprint(h.HfApi().model_info(sys.argv[1]).sha)"
    environment = {**os.environ, "HF_ENDPOINT": served.url, "HF_HOME": str(tmp_path / "home")}
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", script, REPO], env=environment, capture_output=True, text=True, check=True
    )
    assert len(done.stdout.strip()) == 40
    assert ("GET", f"/api/models/{REPO}", None) in served.requests


def test_model_info(api: HfApi, tmp_path: Path) -> None:
    info = api.model_info(REPO, files_metadata=True)
    files = expected(REPO)
    assert (info.id, info.author, info.private, info.gated) == (REPO, "zai-org", False, False)
    assert info.config is not None
    assert info.config["architectures"] == ["GlmMoeDsaForCausalLM"]
    assert info.siblings is not None
    assert {sibling.rfilename: sibling.size for sibling in info.siblings} == {
        name: len(content) for name, content in files.items()
    }
    shard = next(sibling for sibling in info.siblings if sibling.rfilename == SHARD)
    assert shard.lfs is not None
    assert shard.lfs.sha256 == hashlib.sha256(files[SHARD]).hexdigest()


def test_main_is_one_commit_and_another_for_another_repository(api: HfApi) -> None:
    first = api.model_info(REPO).sha
    assert first == api.model_info(REPO, revision="main").sha == tiny_model.head(REPO)
    assert first != api.model_info("someone-else/GLM-5.1-FP8").sha


def test_main_can_be_moved(api: HfApi, served: Served, tmp_path: Path) -> None:
    pinned = api.model_info(REPO).sha
    assert pinned is not None
    moved = tmp_path / "hub" / f"{REPO}.main"
    moved.parent.mkdir(parents=True)
    moved.write_text(f"{COMMIT}\n")
    assert api.model_info(REPO).sha == COMMIT
    assert contents(download(served, tmp_path / "new")) == expected(REPO, COMMIT)
    assert contents(download(served, tmp_path / "old", revision=pinned)) == expected(REPO, pinned)
    moved.write_text("v2")
    with pytest.raises(errors.HfHubHTTPError, match=r"GLM-5\.1-FP8\.main holds no commit"):
        api.model_info(REPO)


def test_any_commit_is_a_commit_with_files_of_its_own(api: HfApi) -> None:
    assert api.repo_info(REPO, revision=COMMIT).sha == COMMIT
    assert api.list_repo_files(REPO, revision=COMMIT) == api.list_repo_files(REPO)
    one, other = expected(REPO), expected(REPO, COMMIT)
    assert {name for name in one if one[name] != other[name]} == {"README.md", LAST_SHARD}
    assert [len(one[LAST_SHARD])] == [len(other[LAST_SHARD])]


@pytest.mark.parametrize("revision", ["v1", "refs/pr/1", COMMIT[:39], COMMIT.upper(), "main "])
def test_other_revisions_do_not_exist(api: HfApi, served: Served, tmp_path: Path, revision: str) -> None:
    with pytest.raises(errors.RevisionNotFoundError):
        api.model_info(REPO, revision=revision)
    with pytest.raises(errors.RevisionNotFoundError):
        download(served, tmp_path / "model", revision=revision)
    assert not api.file_exists(REPO, "config.json", revision=revision)


def git_hash(content: bytes) -> str:
    """As ``git hash-object`` computes it."""
    return hashlib.sha1(b"blob " + str(len(content)).encode() + b"\0" + content, usedforsecurity=False).hexdigest()


def test_tree_and_paths(api: HfApi, tmp_path: Path) -> None:
    files = expected(REPO)
    tree = {entry.path: entry for entry in api.list_repo_tree(REPO, recursive=True, expand=True)}
    assert set(tree) == set(files) == set(api.list_repo_files(REPO))
    assert all(entry.last_commit is not None for entry in tree.values())
    assert tree["config.json"].blob_id == git_hash(files["config.json"])  # type: ignore[union-attr]
    found = api.get_paths_info(REPO, ["config.json", SHARD, "absent.txt"])
    assert [entry.path for entry in found] == ["config.json", SHARD]
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (
        hashlib.sha256(files[SHARD]).hexdigest().encode(),
        len(files[SHARD]),
    )
    assert found[1].blob_id == git_hash(pointer)  # type: ignore[union-attr]
    with pytest.raises(errors.RemoteEntryNotFoundError):
        list(api.list_repo_tree(REPO, path_in_repo="folder"))


def test_single_files(api: HfApi, served: Served, tmp_path: Path) -> None:
    files = expected(REPO)
    path = hf_hub_download(REPO, SHARD, endpoint=served.url, cache_dir=tmp_path / "cache", token=False)
    assert Path(path).read_bytes() == files[SHARD]
    # The cache names a blob by its ETag.
    assert Path(path).resolve().name == hashlib.sha256(files[SHARD]).hexdigest()
    assert api.file_exists(REPO, "config.json")
    assert not api.file_exists(REPO, "absent.txt")
    with pytest.raises(errors.RemoteEntryNotFoundError):
        hf_hub_download(REPO, "absent.txt", endpoint=served.url, cache_dir=tmp_path / "cache", token=False)


def test_safetensors_metadata(api: HfApi, tmp_path: Path) -> None:
    metadata = api.get_safetensors_metadata(REPO)
    index = json.loads(expected(REPO)["model.safetensors.index.json"])
    assert metadata.sharded
    assert metadata.weight_map == index["weight_map"]
    assert set(metadata.parameter_count) == {"BF16", "F32", "F8_E4M3"}


def test_a_missing_repository(api: HfApi, served: Served, tmp_path: Path) -> None:
    with pytest.raises(errors.RepositoryNotFoundError):
        api.model_info("nonexistent/GLM-5.1")
    with pytest.raises(errors.RepositoryNotFoundError):
        download(served, tmp_path / "model", repo="nonexistent/GLM-5.1")
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(("token", "status"), [(False, 401), ("hf_anything", 403)])
def test_a_gated_repository_lets_nobody_in(
    api: HfApi, served: Served, tmp_path: Path, token: str | bool, status: int
) -> None:
    assert api.model_info("gated/GLM-5.1", token=token).gated == "manual"
    with pytest.raises(errors.GatedRepoError, match=r"Access to model gated/GLM-5\.1 is restricted") as refusal:
        hf_hub_download("gated/GLM-5.1", "config.json", endpoint=served.url, cache_dir=tmp_path / "cache", token=token)
    assert refusal.value.response.status_code == status
    with pytest.raises(errors.GatedRepoError):
        download(served, tmp_path / "model", repo="gated/GLM-5.1", token=token)


def test_a_private_repository_wants_a_token(api: HfApi, served: Served, tmp_path: Path) -> None:
    for attempt in (lambda: api.model_info(PRIVATE), lambda: download(served, tmp_path / "model", repo=PRIVATE)):
        with pytest.raises(errors.RepositoryNotFoundError) as refusal:
            attempt()
        assert refusal.value.response.status_code == 401
    assert api.model_info(PRIVATE, token="hf_anything").private
    target = download(served, tmp_path / "model", repo=PRIVATE, token="hf_anything")
    assert contents(target) == expected(PRIVATE)


@pytest.mark.parametrize("token", ["hf_invalid", "hf_invalid_0123", "two words"])
def test_a_bad_token_is_refused_everywhere(api: HfApi, served: Served, tmp_path: Path, token: str) -> None:
    for attempt in (
        lambda: api.model_info(REPO, token=token),
        lambda: api.whoami(token=token),
        lambda: hf_hub_download(REPO, "config.json", endpoint=served.url, cache_dir=tmp_path / "cache", token=token),
    ):
        with pytest.raises(errors.HfHubHTTPError) as refusal:
            attempt()
        assert refusal.value.response.status_code == 401
        assert not isinstance(refusal.value, errors.RepositoryNotFoundError)
        assert refusal.value.response.headers["X-Error-Message"] == "Invalid credentials in Authorization header"


def test_whoami(api: HfApi) -> None:
    assert api.whoami(token="hf_anything")["name"] == "local"


def test_whoami_without_a_token(served: Served) -> None:
    assert get(f"{served.url}/api/whoami-v2")[0] == 401


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=PATIENCE) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=5-99999999", 206, slice(5, None)),
        ("bytes=0-1,4-5", 200, slice(None)),
        ("lines=1-2", 200, slice(None)),
    ],
)
def test_ranges(served: Served, tmp_path: Path, wanted: str, status: int, part: slice) -> None:
    whole = expected(REPO)["config.json"]
    got, headers, body = get(f"{served.url}/{REPO}/resolve/main/config.json", Range=wanted)
    assert (got, body) == (status, whole[part])
    assert headers["Accept-Ranges"] == "bytes"
    if status == 206:
        start, end, _ = part.indices(len(whole))
        assert headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(whole)}"


def test_a_range_beyond_the_end(served: Served, tmp_path: Path) -> None:
    size = len(expected(REPO)["config.json"])
    status, headers, _ = get(f"{served.url}/{REPO}/resolve/main/config.json", Range=f"bytes={size}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize(
    "path", ["/api/datasets/org/name", "/api/models", "/gpt2/resolve/main/config.json", "/a%0Ab%C3%A9", "/"]
)
def test_what_is_not_supported_says_so(served: Served, path: str) -> None:
    status, headers, body = get(served.url + path)
    assert status == 404
    assert "glmdeploy's embedded hub does not support GET /" in json.loads(body)["error"]
    assert headers["Server"] == hub.SERVER


@pytest.mark.parametrize("repo", ["../secret", "org/..", "org/.hidden", "org/a--b", "org/a..b", "%2e%2e/x", "ö/ä"])
def test_names_that_the_hub_does_not_allow(served: Served, tmp_path: Path, repo: str) -> None:
    status, _, _ = get(f"{served.url}/api/models/{urllib.parse.quote(repo, safe='/%')}")
    assert status == 404
    assert not (tmp_path / "hub").exists()
