"""Asks a deployed endpoint over HTTP, as a stranger would: whether it is healthy, and whether it wants a key.

A web function of Modal answers 303 after 150 s, with an address at which to go on waiting, 20 times at most (Modal's
guide, webhook-timeouts). Each request here has a limit of its own; redirects are followed one by one.
"""

from __future__ import annotations

import ast
import contextlib
import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.operate.target import Target

POLL_SECONDS = 0.5
REQUEST_SECONDS = 180.0
"""The limit of one request: Modal lets go of one that waits after 150."""
BODY_BYTES = 100_000
LINES, COLUMNS = 20, 200
"""How many of the last lines of a failed start are shown, and how much of each: SGLang prints its arguments in one."""

_PROTECTED = "/v1/models"
"""A route that SGLang protects, which costs it nothing (0.5.10 to 0.5.23)."""
_REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """``status`` is None where there was no answer; ``reason`` says why, or is the status in words."""

    status: int | None
    reason: str
    body: bytes = b""
    location: str | None = None


class _AsItIs(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """No redirect is followed: its answer is an answer."""


def ask(url: str, seconds: float) -> Answer:
    """One GET without a key, followed through redirects, which ends after ``seconds``, or little more.

    Proxies are those of the environment, never for this machine itself.
    """
    deadline = time.monotonic() + seconds
    answer = _get(url, seconds)
    while answer.location and (left := deadline - time.monotonic()) > 0:
        url = urllib.parse.urljoin(url, answer.location)
        answer = _get(url, left)
    return answer


def _get(url: str, seconds: float) -> Answer:
    try:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"}:
            return Answer(status=None, reason=f"it sends to {parts.scheme}:")
        here = parts.hostname in {"127.0.0.1", "localhost", "::1"}
        proxies = [urllib.request.ProxyHandler({})] if here else []
        opener = urllib.request.build_opener(*proxies, _AsItIs)
        with opener.open(url, timeout=min(max(seconds, 1.0), REQUEST_SECONDS)) as answer:
            return Answer(status=answer.status, reason=f"HTTP status {answer.status}", body=answer.read(BODY_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            body = b""
            with contextlib.suppress(OSError, http.client.HTTPException):
                body = error.read(BODY_BYTES)
            location = error.headers.get("Location") if error.code in _REDIRECTS else None
            return Answer(status=error.code, reason=f"HTTP status {error.code}", body=body, location=location)
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a redirect to no URL
        cause = getattr(error, "reason", None)
        return Answer(status=None, reason=str(cause or error) or type(error).__name__)


def wait_until_healthy(url: str, target: Target, seconds: float) -> float:
    """Ask ``/health`` until it answers 200; returns the seconds that took.

    The path is open even with an API key (facts of SGLang 0.5.10 to 0.5.23), so that no key is needed here.

    :raises DeployError: when it does not, or a container says why it could not start.
    """
    started = time.monotonic()
    reason = "no answer"
    while (waited := time.monotonic() - started) < seconds:
        answer = ask(f"{url}/health", seconds - waited)
        if answer.status == 200:
            return time.monotonic() - started
        if answer.status is None:
            target.check_alive()
        elif message := _message(answer.body):
            first, lines = failed_start(message)
            raise DeployError(f"the endpoint did not start: {first}", advice="\n".join(lines) or None)
        reason = _with_first_line(answer)
        time.sleep(POLL_SECONDS)
    raise DeployError(f"the endpoint {url} was not healthy after {seconds:.0f} s ({reason})")


def check_key(url: str, stop: str, seconds: float, *, pause: Callable[[float], None] = time.sleep) -> None:
    """Ask a protected route without a key: it must be refused. ``stop`` is the command that stops the app.

    :raises DeployError: when it is answered, or after ``seconds`` without an answer that tells.
    """
    deadline = time.monotonic() + seconds
    while (answer := ask(url + _PROTECTED, deadline - time.monotonic())).status != 401:
        if time.monotonic() > deadline:
            if answer.status is not None and answer.status < 300:
                break
            raise DeployError(
                f"whether {url} wants its key is not known: a request without one got {_with_first_line(answer)}",
                advice=f"ask again: curl -i {url}{_PROTECTED}\nif that answers without a key, stop it: {stop}",
            )
        pause(POLL_SECONDS)
    if answer.status != 401:
        raise DeployError(
            f"the endpoint is open: {url}{_PROTECTED} without a key got {answer.reason}, and should get 401",
            advice=f"stop it: {stop}\n"
            "then look for what takes the key away: the image's own entrypoint, a patched SGLang, a proxy before it",
        )


def _message(body: bytes) -> str | None:
    """Of an answer ``{"error": {"message": ...}}``: what the front door of the embedded cloud says."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["error"]["message"])
    return None


def _with_first_line(answer: Answer) -> str:
    first = answer.body.decode(errors="replace").strip().partition("\n")[0]
    return f"{answer.reason}: {first[:200]}" if first and first[0] not in "<{" else answer.reason


def failed_start(message: str) -> tuple[str, list[str]]:
    """What a container said when it could not start: a sentence, and the lines to show below it, each once.

    Modal tells an exception as its ``repr`` (modal 1.6.4, task_lifecycle_manager.py), with line breaks written as
    ``\\n``, followed by the end of the container's log, where it stands again with its traceback.
    """
    head, _, log = message.partition("\n")
    kind, _, fault = head.partition(": ")
    text = _spoken(fault)
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return f"{kind}: {lines[0]}", _framed(lines[1:])
    logged = log.splitlines()[1:]
    if traceback := [number for number, line in enumerate(logged) if line.startswith("Traceback (most recent call")]:
        logged = logged[: traceback[0]]
    return f"{kind}: {text}" if fault else head, _framed(logged)


def _framed(lines: list[str]) -> list[str]:
    return [f"  | {line if len(line) <= COLUMNS else line[:COLUMNS] + ' ...'}" for line in lines[-LINES:]]


def _spoken(fault: str) -> str:
    """The message of an exception that is given as its ``repr``."""
    if found := re.fullmatch(r"\w+\((?P<message>(['\"]).*\2)(, .*)?,?\)", fault, re.DOTALL):
        with contextlib.suppress(ValueError, SyntaxError):
            return str(ast.literal_eval(found["message"])).strip()
    return fault
