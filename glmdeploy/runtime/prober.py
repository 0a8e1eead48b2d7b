"""Asks a running engine over HTTP whether it lives: ``/health``, one request at a time, and ``/v1/loads`` between."""

from __future__ import annotations

import errno
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from glmdeploy.runtime.loopback import StayHere

LOADS_PATH = "/v1/loads?include=core"
"""Shared memory from SGLang 0.5.13.post1 on, so that no message of it reaches the HTTP process, which ``/health`` would
take for a sign of life; before, it went through the scheduler. It waits for a lock that a stopped scheduler can hold,
and then no other route answers either (0.5.23 ``managers/load_snapshot.py``): no answer to it proves nothing."""

PROBE_BYTES = 2**20

OUR_OWN = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EPERM})
"""Errors for which the asking machine is to blame, not the engine: no files, memory, ports or permission."""


@dataclass(frozen=True)
class Signs:
    """What the engine answered last, times on the prober's clock.

    ``answered``: when ``/health`` last answered 200. ``asked``: whether the last request could be made at all.
    ``loads``: how often ``/v1/loads`` has answered; ``ranks``: the timestamps of its last answer by rank; ``decoded``:
    the passes of decoding, of all ranks, None if no answer has said them.
    """

    answered: float | None = None
    asked: bool = True
    loads: int = 0
    ranks: Mapping[int, float] | None = None
    decoded: float | None = None


class Prober:
    """Asks the engine at ``url``, and again ``interval`` seconds after each answer, for which it waits ``timeout``."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        interval: float,
        timeout: float,
        loads: bool = False,
        clock: Callable[[], float] = time.monotonic,
        ask: Callable[[urllib.request.Request, float], bytes] | None = None,
    ) -> None:
        """``loads``: whether to ask ``/v1/loads`` too. ``ask`` makes a request with a timeout; it raises if not 200."""
        self.signs = Signs()
        self._health = urllib.request.Request(f"{url}/health")
        # The key goes to no route that needs none.
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._loads = urllib.request.Request(f"{url}{LOADS_PATH}", headers=headers) if loads else None
        self._interval = interval
        self._timeout = timeout
        self._clock = clock
        self._ask = ask or ask_directly

    def run(self, ended: threading.Event) -> None:
        """Ask until ``ended`` is set."""
        while not ended.is_set():
            self.once(ended.wait)

    def once(self, pause: Callable[[float], object]) -> None:
        """Ask once, and pause. It never raises: what fails is a request without an answer."""
        self._ask_health()
        began = self._clock()
        if self._loads is not None:
            self._ask_loads(self._loads)
        pause(max(self._interval - (self._clock() - began), 0.01))

    def _ask_health(self) -> None:
        try:
            self._ask(self._health, self._timeout)
        except Exception as error:
            self.signs = replace(self.signs, asked=not is_our_own(error))
        else:
            self.signs = replace(self.signs, answered=self._clock(), asked=True)

    def _ask_loads(self, request: urllib.request.Request) -> None:
        try:
            ranks, decoded = loads_told(json.loads(self._ask(request, self._interval)))
        except Exception:
            return
        self.signs = replace(self.signs, loads=self.signs.loads + 1, ranks=ranks, decoded=decoded)


def ask_directly(request: urllib.request.Request, timeout: float) -> bytes:
    """The body of an answer 200, not by way of any proxy that the environment names, nor redirected elsewhere.

    :raises OSError: for anything else, within ``timeout`` seconds for each step.
    :raises http.client.HTTPException: if the answer is not HTTP.
    """
    with urllib.request.build_opener(urllib.request.ProxyHandler({}), StayHere()).open(
        request, timeout=timeout
    ) as answer:
        body: bytes = answer.read(PROBE_BYTES)
        if answer.status != http.client.OK:
            raise OSError(f"answered {answer.status}")
    return body


def is_our_own(error: BaseException) -> bool:
    """Whether a request failed here, and not for want of the engine's answer."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return False
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, OSError):
        return reason.errno in OUR_OWN
    return not isinstance(reason, http.client.HTTPException)


def loads_told(answer: Any) -> tuple[dict[int, float], float | None]:
    """The timestamp of each data parallel rank in an answer of ``/v1/loads``, and the passes of decoding of all.

    ``decode_moments`` exists from SGLang 0.5.17 on, its first number counts passes, and it is null before the first.

    :raises KeyError, TypeError, ValueError: when the answer is of another shape.
    """
    loads = answer["loads"]
    ranks = {int(one["dp_rank"]): float(one["timestamp"]) for one in loads}
    if not all("decode_moments" in one for one in loads):
        return ranks, None
    return ranks, sum(float((one["decode_moments"] or [0])[0]) for one in loads)
