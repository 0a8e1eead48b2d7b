"""What the Hugging Face Hub says of a revision, and the bytes of its files over plain HTTP.

Addresses are huggingface_hub's. The requests are not: its own wait without a limit (2.4: ``timeout=None``).
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import quote, urlsplit

from glmdeploy.runtime.keys import unusable
from glmdeploy.runtime.transfer import KEPT, Broken, DownloadFailed, Patience, Retries
from glmdeploy.runtime.weights import is_manifest

RECEIVED_BYTES = 2**20
"""Bytes that are taken from a connection at once, at most."""

SEGMENT_BYTES = 4 * 2**30
"""Bytes that are asked for at once: the hub's storage serves no more than 50 GB without a range (huggingface_hub 2.4,
``constants.MAX_HTTP_DOWNLOAD_SIZE``), and signed addresses expire."""

ANSWER_BYTES = 256 * 2**20
"""Size of a description at most, in bytes."""

TOKENS = "https://huggingface.co/settings/tokens"

DESCRIPTION_TRIES = 5
"""Failures in a row until the hub is taken not to answer: before the first byte nothing is lost by giving up."""


@dataclass(frozen=True)
class Listing:
    """The files of a commit, as a manifest has them, and the names that Xet knows some of them by."""

    files: dict[str, dict[str, Any]]
    xet: dict[str, str]


def token_place(secret: Mapping[str, Any] | None) -> str | None:
    """Where the token of a plan's secret comes from, for messages; None without a secret."""
    return f"key `{secret['keys'][0]}` of the Modal secret `{secret['name']}`" if secret else None


class Hub:
    """One repository of the hub.

    ``token`` is sent where there is one; ``place`` says where it comes from, for messages.
    """

    def __init__(
        self, repo: str, token: str | None, place: str | None, limits: Patience, stopping: threading.Event
    ) -> None:
        """:raises DownloadFailed: where the token cannot be one, or the hub is switched off."""
        from huggingface_hub import constants

        if place and (fault := unusable(token)):
            raise DownloadFailed(
                f"the token of the Hugging Face Hub {fault}: {place}.\n"
                f"Put a token with read access there, from {TOKENS} (`modal secret create`)."
            )
        if constants.HF_HUB_OFFLINE:
            raise DownloadFailed("`HF_HUB_OFFLINE` forbids the download: take it out of `download.env`.")
        self.repo = repo
        self.endpoint: str = constants.ENDPOINT.rstrip("/")
        # Not huggingface_hub's build_hf_headers: in 2.4 it asks the hub for a list of agents before it answers.
        self.headers = {"User-Agent": "glmdeploy", **({"Authorization": f"Bearer {token}"} if token else {})}
        self._token = token
        self._place = place
        self._limits = limits
        self._stopping = stopping

    def commit(self, revision: str) -> str:
        """The commit that the branch or tag names now.

        :raises DownloadFailed:
        """
        found, _ = self._describe(f"/api/models/{self.repo}/revision/{quote(revision, safe='')}", revision)
        commit = found.get("sha") if isinstance(found, dict) else None
        if not isinstance(commit, str):
            raise DownloadFailed(f"{self.endpoint} did not say which commit `{revision}` of {self.repo} is.")
        return commit

    def listing(self, commit: str) -> Listing:
        """The commit's files.

        :raises DownloadFailed:
        """
        files: dict[str, dict[str, Any]] = {}
        xet: dict[str, str] = {}
        following: str | None = f"/api/models/{self.repo}/tree/{commit}?recursive=true&expand=false"
        while following:
            found, following = self._describe(following, commit)
            try:
                for item in [item for item in found if item["type"] == "file"]:
                    path, lfs = item["path"], item.get("lfs")
                    files[path] = {"size": item["size"], "git": item["oid"]}
                    if lfs:
                        files[path] = {"size": lfs["size"], "sha256": lfs["oid"]}
                    if item.get("xetHash"):
                        xet[path] = item["xetHash"]
            except (TypeError, KeyError, AttributeError):
                files["/"] = {}
        if not files or not is_manifest({"repo": self.repo, "revision": commit, "commit": commit, "files": files}):
            raise DownloadFailed(f"the hub at {self.endpoint} does not name the files of {self.repo} at {commit}.")
        return Listing(files=files, xet=xet)

    def xet_token_url(self, commit: str) -> str:
        """Where Xet gets its tokens (huggingface_hub 2.4, ``utils/_xet.py``)."""
        return f"{self.endpoint}/api/models/{self.repo}/xet-read-token/{commit}"

    def http_bytes(self, commit: str, path: str, size: int) -> Callable[[int], Iterator[bytes]]:
        """A source of the file's bytes over plain HTTP."""
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(self.repo, path, revision=commit, endpoint=self.endpoint)

        def source(begin: int) -> Iterator[bytes]:
            at = begin
            while at < size:
                end = min(at + SEGMENT_BYTES, size)
                ranges = {"Range": f"bytes={at}-{end - 1}", "Accept-Encoding": "identity"}
                with self._opened(url, {**self.headers, **ranges}, commit) as answer:
                    unasked = 0
                    if answer.status != 206:  # it knows no ranges, and sends the whole file
                        unasked, end = at, size
                    for data in self._received(answer):
                        wanted = data[unasked:]
                        unasked = max(0, unasked - len(data))
                        at += len(wanted)
                        if wanted:
                            yield wanted
                if at != end:
                    raise Broken(f"was cut after {at:,} of {size:,} bytes")

        return source

    def _describe(self, path: str, revision: str) -> tuple[Any, str | None]:
        """An answer of the hub's API, and the path of its next page."""
        few = Patience(self._limits.stall, min(self._limits.tries, DESCRIPTION_TRIES), self._limits.pause)
        retries = Retries(f"the hub at {self.endpoint}", few, self._stopping)
        while True:
            try:
                with self._opened(self.endpoint + path, self.headers, revision) as answer:
                    limit = time.monotonic() + 10 * self._limits.stall
                    text = bytearray()
                    for data in self._received(answer):
                        text += data
                        if len(text) > ANSWER_BYTES or time.monotonic() > limit:
                            raise Broken("its answer does not end")
                    if answer.length:
                        raise Broken("its answer was cut")
                    try:
                        return json.loads(text), _next_page(answer.headers.get("Link"))
                    except ValueError:
                        raise Broken("its answer is no JSON") from None
            except Broken as fault:
                retries.failed(fault)

    def _opened(self, url: str, headers: dict[str, str], revision: str) -> http.client.HTTPResponse:
        """The answer, whose body is still to be read.

        :raises Broken: where another try may help.
        :raises DownloadFailed: where none does.
        """
        request = urllib.request.Request(url, headers=headers)
        try:
            answer: http.client.HTTPResponse = _hub_opener(url).open(request, timeout=self._limits.stall)
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error, revision)
                raise Broken(f"answered {error.code}", _retry_after(error.headers)) from None
        except (OSError, http.client.HTTPException) as fault:
            raise Broken(self._reason(fault)) from None
        except ValueError as fault:  # its text may hold a header
            raise DownloadFailed(f"the hub cannot be asked for {self.repo}: {type(fault).__name__}") from None
        return answer

    def _received(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while data := answer.read1(RECEIVED_BYTES):
                yield data
        except (OSError, http.client.HTTPException) as fault:
            raise Broken(self._reason(fault)) from None

    def _reason(self, fault: Exception) -> str:
        reason = fault.reason if isinstance(fault, urllib.error.URLError) else fault
        if isinstance(reason, TimeoutError):
            return f"sent no byte for {self._limits.stall:.3g} s"
        text = reason.strerror if isinstance(reason, OSError) else None
        return f"the connection failed ({text or type(reason).__name__})"

    def _refused(self, error: urllib.error.HTTPError, revision: str) -> None:
        """:raises DownloadFailed: where the answer is final. Storage that the hub points to has no last word: addresses
        of its files are signed for a while only.
        """
        code = error.headers.get("X-Error-Code")
        here = urlsplit(error.url or self.endpoint).netloc == urlsplit(self.endpoint).netloc
        if not here or error.code in (408, 416, 425, 429) or error.code >= 500:
            return
        page = f"https://huggingface.co/{self.repo}"
        put = (
            f"put a token with read access there: {self._place}"
            if self._place
            else (
                "name a Modal secret with a token (`secrets.huggingface: {name: huggingface-secret, keys: [HF_TOKEN]}`)"
                ", made by `modal secret create huggingface-secret HF_TOKEN=...`"
            )
        )
        if code == "GatedRepo":
            who = "the account of the token" if self._token else "your account"
            then = f", and see that the token may read it: {self._place}" if self._token else f"; then {put}"
            text = f"{self.repo} is gated.\nAccept its conditions at {page} with {who}{then}."
        elif code == "RevisionNotFound":
            text = f"{self.repo} has no revision `{revision}` (any more).\nChoose one of {page}/commits/main."
        elif code == "EntryNotFound":
            text = f"{self.repo} at {revision} names a file that the hub does not have.\n{KEPT}"
        elif error.code == 401 and self._token and code != "RepoNotFound":
            text = f"the hub does not take the token: {self._place}.\nPut one of {TOKENS} there."
        elif code == "RepoNotFound" or error.code in (401, 404):
            text = f"the hub shows no model {self.repo}.\nCorrect `model.repo`; where it is private, {put}."
        elif error.code == 403:
            text = f"the hub refuses {self.repo}.\nSee at {page} whether your account may read it, and {put}."
        else:
            text = f"the hub at {self.endpoint} answered {error.code} when asked for {self.repo}."
        raise DownloadFailed(text) from None


class HubRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects; the token goes to the hub alone, never to the storage that it points to."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request and urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            request.remove_header("Authorization")
        return request


def _hub_opener(url: str) -> urllib.request.OpenerDirector:
    """Without proxies where the hub is on this machine."""
    local = urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
    return urllib.request.build_opener(HubRedirects(), *([urllib.request.ProxyHandler({})] if local else []))


def _retry_after(headers: Message) -> float | None:
    """Seconds that the hub asks to wait: Retry-After where it is a number, or the rest of the window of its rate limit
    (``RateLimit: "api";r=0;t=55``, as huggingface_hub 2.4 reads it in ``utils/_http.py``).
    """
    if (text := headers.get("Retry-After", "").strip()).isdecimal():
        return float(text)
    rest = re.search(r'"\w+"\s*;\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d+)', headers.get("RateLimit", ""))
    return float(rest[1]) if rest else None


def _next_page(link: str | None) -> str | None:
    """Path and query of a listing's next page, out of the header that names it. A mirror may name the hub there."""
    found = re.search(r'<([^>]*)>\s*;\s*rel="next"', link or "")
    if not found:
        return None
    address = urlsplit(found[1])
    return f"{address.path}?{address.query}"
