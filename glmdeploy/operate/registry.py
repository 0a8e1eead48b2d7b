"""The digest that an image's tag means today, asked of its registry: the distribution API's manifests over HTTPS.

Nobody signs in: a registry that hands out tokens to everyone (Docker Hub, ghcr.io, nvcr.io, quay.io) is asked for one.
Of an image for several platforms the digest is the index's, which holds for all of them. Sources: the OCI Distribution
Specification 1.1, "Pulling manifests"; the token protocol of the distribution project ("Token Authentication
Specification").
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from glmdeploy.errors import DeployError
from glmdeploy.operate.asking import Question, plainly
from glmdeploy.sglang.image import DOCKER_HUB, is_digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPResponse

    from glmdeploy.sglang.image import ImageReference

REQUEST_SECONDS = 15
"""The longest wait for a byte of an answer."""
SECONDS = 60
"""The longest wait for all of it: three requests at most."""
MOST_BYTES = 4 * 2**20
"""A manifest is not larger (the specification's recommended limit)."""

_HOSTS = {DOCKER_HUB: "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_ACCEPTED = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_PAIR = re.compile(r'([a-zA-Z_]+)="([^"]*)"')


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def image_digest(image: ImageReference) -> str:
    """The digest of the image's tag (``latest`` where it has none), as ``sha256:`` and 64 hexadecimal digits.

    :raises DeployError: when the registry does not tell.
    """
    if not image.askable:
        raise DeployError(f"{image} is no image that a registry can be asked for", advice="check `sglang.image`")
    try:
        question = Question(lambda: plainly(lambda: _digest(image)))
        if not question.answered(SECONDS):
            raise TimeoutError
        return question.answer()
    except DeployError:
        raise
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        why = f"no answer within {REQUEST_SECONDS} s" if isinstance(reason, TimeoutError) else _words(reason)
        raise DeployError(
            f"the registry {image.registry} did not tell the digest of {image.at(None)}: {why}",
            advice="it is asked from this machine, over the network: try again where it can be reached",
        ) from None


def _words(reason: object) -> str:
    return (getattr(reason, "strerror", None) or str(reason) or type(reason).__name__).splitlines()[0]


def _digest(image: ImageReference) -> str:
    host = _HOSTS.get(image.registry, image.registry)
    url = f"{'http' if _is_near(host) else 'https'}://{host}/v2/{image.repository}/manifests/{image.tag or 'latest'}"
    headers = {"Accept": _ACCEPTED}
    answer = _ask("HEAD", url, headers)
    if answer.status == 401:
        headers |= _authorization(answer, image, url)
        answer = _ask("HEAD", url, headers)
    if answer.status == 200 and is_digest(told := answer.headers.get("docker-content-digest", "")):
        return told
    if answer.status in (200, 405):  # the header is optional, and so is HEAD for some
        answer = _ask("GET", url, headers)
    if answer.status != 200:
        raise _refused(answer, image)
    return f"sha256:{hashlib.sha256(answer.body).hexdigest()}"


def _authorization(refusal: _Answer, image: ImageReference, url: str) -> dict[str, str]:
    """A token for everyone, of the server that the refusal names. :raises DeployError: where there is none."""
    scheme, _, rest = refusal.headers.get("www-authenticate", "").partition(" ")
    challenge = dict(_PAIR.findall(rest))
    realm = challenge.get("realm", "")
    secure = urlsplit(realm).scheme == "https" or _is_near(urlsplit(url).netloc)
    if scheme.lower() != "bearer" or not secure or urlsplit(realm).scheme not in ("http", "https"):
        raise _refused(refusal, image)
    asked = {"service": challenge.get("service"), "scope": f"repository:{image.repository}:pull"}
    query = urlencode({name: value for name, value in asked.items() if value})
    answer = _ask("GET", f"{realm}{'&' if '?' in realm else '?'}{query}", {})
    if answer.status != 200:
        raise _refused(answer, image)
    data: Any = json.loads(answer.body)
    token = (data.get("token") or data.get("access_token")) if isinstance(data, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise DeployError(f"the registry {image.registry} answered without the token that it asks for")
    return {"Authorization": f"Bearer {token}"}


def _refused(answer: _Answer, image: ImageReference) -> DeployError:
    what = image.at(None)
    match answer.status:
        case 401 | 403:
            return DeployError(
                f"the registry {image.registry} does not show {what} to everyone, or has no such image",
                advice="check `sglang.image`; of a private image write the digest by hand: "
                f"`docker buildx imagetools inspect {what}` shows it",
            )
        case 404:
            return DeployError(f"the registry {image.registry} has no image {what}", advice="check `sglang.image`")
        case 429:
            return DeployError(
                f"the registry {image.registry} takes no more requests from here for now", advice="try again later"
            )
        case status:
            return DeployError(
                f"the registry {image.registry} answered with status {status} for {what}", advice="try again later"
            )


def _ask(method: str, url: str, headers: Mapping[str, str]) -> _Answer:
    """One request. A token is not sent on to where a redirect leads.

    :raises OSError: where there is no answer.
    """
    request = Request(url, method=method)
    for name, value in headers.items():
        request.add_unredirected_header(name, value) if name == "Authorization" else request.add_header(name, value)
    near = _is_near(urlsplit(url).netloc)
    opener = build_opener(ProxyHandler({})) if near else build_opener()
    try:
        with opener.open(request, timeout=REQUEST_SECONDS) as response:
            return _read(response)
    except HTTPError as refusal:
        with refusal:
            return _Answer(status=refusal.code, headers=_lower(refusal.headers), body=b"")


def _read(response: HTTPResponse) -> _Answer:
    body = response.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise ValueError(f"an answer of more than {MOST_BYTES} bytes")
    return _Answer(status=response.status, headers=_lower(response.headers), body=body)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _is_near(netloc: str) -> bool:
    """Whether it is this machine, which, as for Docker, is spoken to without encryption and without proxies."""
    host = (urlsplit(f"//{netloc}").hostname or "").lower()
    return host in ("localhost", "::1") or re.fullmatch(r"127(?:\.\d{1,3}){3}", host) is not None
