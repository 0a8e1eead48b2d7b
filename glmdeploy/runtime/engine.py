"""Runs SGLang: starts it, waits for health, sees that its key is asked for, warms it up, watches it, ends it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glmdeploy.runtime.launcher import launch
from glmdeploy.runtime.masking import Mask
from glmdeploy.runtime.output import say
from glmdeploy.runtime.purpose import CHAT, first_request, purpose_of
from glmdeploy.runtime.watch import Watch

STOP_SECONDS = 25
"""Grace for running requests: SGLang 0.5.23 takes 7 to 9 s after SIGTERM, and Modal kills a container after 30 s."""

HEALTH_SECONDS = 65
"""Patience with one answer of /health: SGLang itself answers 503 after ``SGLANG_HEALTH_CHECK_TIMEOUT`` seconds."""

ASK_SECONDS = 60
"""Patience with an answer for which no kernel is needed."""

ENDING_SECONDS = 8
"""How long an engine may take to end after it failed: 5.5 s when its scheduler was killed (0.5.23, measured)."""

LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks this machine itself, whatever ``http_proxy`` says."""


class NoAnswer(Exception):
    """A request had no whole answer; the message may hold the key, where that is why."""


class EngineError(RuntimeError):
    """SGLang, or one of its tools, did not do what it should; the message ends with its last lines.

    Modal reports a failed start by the ``repr`` of its exception (1.6.4, ``task_lifecycle_manager.py``), which is the
    message, in lines.
    """

    def __repr__(self) -> str:
        return str(self)


class Engine:
    """One SGLang server on this machine, at ``http://127.0.0.1:<port>``."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        port: int,
        api_key: str | None,
        mask: Mask,
        health: Mapping[str, Any],
        caches: Sequence[Path],
    ) -> None:
        """Start it, with ``environment`` and no other variable.

        ``health`` and ``caches`` are what ``watch.Watch`` takes as ``settings`` and ``caches``; without ``health``
        hangs are not watched for.

        :raises EngineError: when it cannot be started.
        """
        self._url = f"http://127.0.0.1:{port}"
        self._purpose = purpose_of(command)
        self._api_key = api_key
        self._mask = mask
        self._stopping = threading.Event()
        self._end = threading.Lock()  # held by whoever ends the engine
        self._watch = Watch(url=self._url, api_key=api_key, settings=health, caches=tuple(caches)) if health else None
        try:
            see = self._watch.see if self._watch else None
            self._process = launch(command, environment, api_key, mask, see)
        except (OSError, ValueError) as error:
            raise EngineError(mask(f"SGLang could not be started: {error}")) from None

    def wait_until_healthy(self, deadline: float) -> None:
        """Return when /health answers 200.

        :raises EngineError: when SGLang ends first or ``time.monotonic()`` reaches ``deadline``.
        """
        began = time.monotonic()
        while True:
            if self._process.ended() is not None:
                raise self._error("SGLang ended while starting")
            patience = min(HEALTH_SECONDS, max(deadline - time.monotonic(), 1))
            with contextlib.suppress(NoAnswer):
                if self._ask("/health", seconds=patience)[0] == 200:
                    return
            if time.monotonic() > deadline:
                raise self._error(f"SGLang was not healthy after {time.monotonic() - began:.0f} s")
            time.sleep(0.2)

    def require_key(self, deadline: float) -> None:
        """See that a request without the key, and one with another, is refused; without a key there is nothing to see.

        :raises EngineError: when SGLang answers anything but 401.
        """
        if self._api_key is None:
            return
        for said, key in (("without the API key", None), ("with a wrong API key", f"wrong-{secrets.token_hex(8)}")):
            patience = min(ASK_SECONDS, max(deadline - time.monotonic(), 1))
            code, _ = self._answer("/v1/models", key=key, seconds=patience)
            if code != 401:
                raise self._error(f"SGLang fails open: it answers {code} to GET /v1/models {said}, not 401")

    def warm_up(self, model: str, deadline: float) -> None:
        """Answer one short request of what it is for, so that the first user does not wait for kernels.

        :raises EngineError:
        """
        path, body = first_request(self._purpose, model)
        if self._purpose == CHAT:
            body["max_tokens"] = 8
        patience = max(deadline - time.monotonic(), 1)
        code, text = self._answer(path, body, key=self._api_key, seconds=patience)
        if code >= 500:
            self._process.wait(ENDING_SECONDS)
        if code != 200:
            raise self._error(f"the warm-up request was answered {code}: {text[:500]}")

    def end_container_on_failure(self) -> None:
        """From now on end this process when SGLang ends by itself or hangs: Modal starts a new container."""
        threading.Thread(target=self._end_on_crash, name="end on crash", daemon=True).start()
        if self._watch:
            threading.Thread(target=self._end_on_hang, args=(self._watch,), name="end on hang", daemon=True).start()

    def stop(self) -> None:
        """Let running requests finish, then end it and all that it started."""
        self._stopping.set()
        with self._end:
            self._process.stop(STOP_SECONDS)

    def kill(self) -> None:
        """End it and all that it started, at once."""
        self._stopping.set()
        with self._end:
            self._process.kill()

    def _end_on_crash(self) -> None:
        self._process.wait()
        with self._end:
            if not self._stopping.is_set():
                self._end_container("SGLang ended")

    def _end_on_hang(self, watch: Watch) -> None:
        verdict = watch.run(self._process.pid, self._stopping)
        if verdict is None:
            return
        with self._end:
            if not self._stopping.is_set():
                self._end_container(verdict, hung=True)

    def _end_container(self, reason: str, *, hung: bool = False) -> None:
        """End everything, print the last lines and the reason, end this process. Does not return."""
        try:
            self._process.kill()
            told = reason if hung else f"{reason} with {self._process.explained()}"
        except Exception as error:  # whatever it is, the container ends
            told = f"{reason}; ending it failed: {error!r}"
        try:
            say(self._mask(f"{told}\nending the container" if hung else f"{told}; ending the container"))
        finally:
            os._exit(1)

    def _answer(
        self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None, seconds: float
    ) -> tuple[int, str]:
        """As :meth:`_ask`, of an engine that must answer. :raises EngineError:"""
        try:
            return self._ask(path, body, key=key, seconds=seconds)
        except NoAnswer as error:
            if not isinstance(error.__cause__, TimeoutError):
                self._process.wait(ENDING_SECONDS)
            raise self._error(f"SGLang did not answer {path}: {error}") from None

    def _ask(
        self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None, seconds: float
    ) -> tuple[int, str]:
        """Status and text of an answer.

        :raises NoAnswer: when there is none within ``seconds``, or nothing for so long in the middle of it.
        """
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        data = None if body is None else json.dumps(body).encode()
        try:
            request = urllib.request.Request(f"{self._url}{path}", data=data, headers=headers)
            with LOOPBACK.open(request, timeout=seconds) as answer:
                # All of it: a read of so many bytes takes an answer that was cut short for a whole one.
                return int(answer.status), answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            with error, contextlib.suppress(OSError, http.client.HTTPException):
                return error.code, error.read(1000).decode(errors="replace")
            return error.code, ""
        except (OSError, http.client.HTTPException, ValueError) as error:
            # ValueError: a header that http.client refuses, which then stands in the message
            raise NoAnswer(str(error) or type(error).__name__) from error

    def _error(self, reason: str) -> EngineError:
        """What went wrong, with how SGLang ended where it did, and its last lines."""
        if self._process.ended() is not None:
            self._process.kill()  # what it left behind; and its last lines are there then
            reason = f"{reason}: {self._process.explained()}"
        return EngineError(self._mask(f"{reason}\n{self._process.tail()}".rstrip()))


def start_engine(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    port: int,
    api_key: str | None,
    mask: Mask,
    health: Mapping[str, Any],
    caches: Sequence[Path],
    served_name: str,
    seconds: float,
) -> Engine:
    """Start SGLang; return when it is closed to those without the key and has answered its first request.

    The arguments are those of :class:`Engine`. All of it may take ``seconds``. Where it fails nothing is left running.

    :raises EngineError:
    """
    deadline = time.monotonic() + seconds
    engine = Engine(command, environment, port=port, api_key=api_key, mask=mask, health=health, caches=caches)
    try:
        engine.wait_until_healthy(deadline)
        engine.require_key(deadline)
        engine.warm_up(served_name, deadline)
    except BaseException:
        # Nobody's request is lost, and Modal ends a container that is late within seconds.
        engine.kill()
        raise
    engine.end_container_on_failure()
    return engine
