"""Runs SGLang: starts it, waits for health, proves that it is what was planned, watches it, ends it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glmdeploy.runtime.comparison import differences
from glmdeploy.runtime.exits import lost_a_peer
from glmdeploy.runtime.launcher import launch
from glmdeploy.runtime.link import Link, NotMet
from glmdeploy.runtime.loopback import NoAnswer, ask_loopback
from glmdeploy.runtime.masking import Mask, unreserved
from glmdeploy.runtime.output import say
from glmdeploy.runtime.purpose import EMBEDDINGS, REWARD, ROUTES, WITHOUT_TEXT
from glmdeploy.runtime.quick_checks import fault_of, models_fault, quick_check
from glmdeploy.runtime.starting import StartLog
from glmdeploy.runtime.verdict import say_stage
from glmdeploy.runtime.warming import answers_in, warm_up
from glmdeploy.runtime.watch import Watch

STOP_SECONDS = 25
"""Grace for running requests: SGLang 0.5.23 takes 7 to 9 s after SIGTERM, and Modal kills a container after 30 s."""

HEALTH_SECONDS = 65
"""Patience with one answer of /health: SGLang itself answers 503 after ``SGLANG_HEALTH_CHECK_TIMEOUT`` seconds."""

ASK_SECONDS = 60
"""Patience with an answer for which no kernel is needed."""

ENDING_SECONDS = 8
"""How long an engine may take to end after it failed: 5.5 s when its scheduler was killed (0.5.23, measured)."""


@dataclass(frozen=True)
class Proof:
    """What an engine must show before it takes traffic; all but the name is the plan's ``server`` section."""

    served_name: str
    expected: Mapping[str, Any]
    """What it must run with (:func:`glmdeploy.runtime.comparison.differences`)."""
    tolerate: Sequence[str]
    warmup: Mapping[str, int] | None
    """Sizes of the warm-up that are not to be the default; None for no warm-up."""
    checks: Sequence[str]
    """The quick checks by name (:func:`glmdeploy.runtime.quick_checks.quick_check`)."""

    @property
    def route(self) -> str:
        """Where the warm-up goes: who does not generate is never asked to."""
        if not set(self.checks) & set(WITHOUT_TEXT):
            return "/generate"
        return ROUTES[EMBEDDINGS if EMBEDDINGS in self.checks else REWARD]


class EngineError(RuntimeError):
    """SGLang, or one of its tools, did not do what it should; the message ends with its last lines.

    Modal reports a failed start by the ``repr`` of its exception (1.6.4, ``task_lifecycle_manager.py``), which is the
    message, in lines.
    """

    def __init__(self, message: str, reasons: Iterable[str] = ()) -> None:
        """``reasons`` say why in a sentence each; by default the first line of the message is the only one."""
        super().__init__(message)
        self.reasons = tuple(reasons) or (message.partition("\n")[0],)

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
        weight_bytes: int = 0,
        link: Link | None = None,
    ) -> None:
        """Start it, with ``environment`` and no other variable.

        ``health`` and ``caches`` are what ``watch.Watch`` takes as ``settings`` and ``caches``; without ``health``
        hangs are not watched for. ``weight_bytes`` is the size of the weights, 0 where that is not known. Where others
        serve with it, there is a ``link`` to them: what ends one of them ends it, and the reverse.

        :raises EngineError: when it cannot be started.
        """
        self._url = f"http://127.0.0.1:{port}"
        self._api_key = api_key
        self._mask = mask
        self._stopping = threading.Event()
        self._end = threading.Lock()  # held by whoever ends the engine
        self._watch = Watch(url=self._url, api_key=api_key, settings=health, caches=tuple(caches)) if health else None
        self._link = link
        self._serves = False
        whose = f"rank {link.place.rank}: " if link else ""
        self._tell: Callable[[str], None] = lambda text: say_stage(f"{whose}{text}")
        self._stages: StartLog | None = StartLog(weight_bytes, tell=self._tell)
        try:
            self._process = launch(command, environment, api_key, mask, self._see)
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
                    self._stages = None
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

    def prove(self, proof: Proof, deadline: float) -> None:
        """See that it runs what was planned, and answers as it should; warm it up in between.

        What is cheap comes first: an engine that differs is not warmed up, but all that is wrong with it is told.

        :raises EngineError: with every reason.
        """
        status, content = self._asked("/v1/models", deadline)
        wrong = models_fault(status, content, proof.served_name)
        found = [f"/v1/models: {wrong}"] if wrong else []
        cards = [] if wrong else json.loads(content)["data"]
        info: Mapping[str, Any] = {}
        if proof.expected or proof.warmup is not None:
            info = self._server_info(deadline)
            if not info:
                found.append("/server_info: the answer is no JSON object")
        if not found:
            found = differences(proof.expected, proof.tolerate, info, cards)
        if not found and proof.warmup is not None and (wrong := self._warm_up(proof, info, deadline)):
            found = [f"warm-up: {wrong}"]
        for name in proof.checks:
            check = quick_check(name, proof.served_name)
            fault = fault_of(check, *self._asked(check.path, deadline, check.body))
            if fault and name not in proof.tolerate:
                found.append(f"{name}: {fault}")
        if found:
            reasons = [unreserved(self._mask(reason)) for reason in found]
            raise self._error(f"the start is refused: {'; '.join(reasons)}", reasons)

    def _server_info(self, deadline: float) -> Mapping[str, Any]:
        """What it says it runs with, the key included: not to be shown. Empty where it says nothing readable."""
        status, content = self._asked("/server_info", deadline)
        with contextlib.suppress(ValueError, RecursionError):
            info = json.loads(content) if status == 200 else None
            return info if isinstance(info, dict) else {}
        return {}

    def _warm_up(self, proof: Proof, info: Mapping[str, Any], deadline: float) -> str | None:
        """Have it compile what traffic needs, so that no user waits for kernels; what is wrong with the answers.

        :raises EngineError: when there is none.
        """
        began = time.monotonic()
        warming = warm_up(proof.warmup or {}, info, served_name=proof.served_name, route=proof.route)
        for path, body, wanted in warming.requests:
            status, content = self._asked(path, deadline, body)
            if status != 200:
                return f"{wanted} requests at a time were answered {status}: {content[:200].decode(errors='replace')}"
            try:
                answers = answers_in(json.loads(content))
            except (ValueError, RecursionError):
                return "the answer is not JSON"
            if answers != wanted:
                return f"{wanted} requests at a time got {answers} answers"
        self._tell(f"warm-up took {time.monotonic() - began:.0f} s: {warming.words}")
        return None

    def end_container_on_failure(self) -> None:
        """From now on end this process when SGLang ends by itself or hangs: Modal starts a new container."""
        with self._end:
            self._serves = True
        threading.Thread(target=self._end_on_crash, name="end on crash", daemon=True).start()
        if self._watch:
            threading.Thread(target=self._end_on_hang, args=(self._watch,), name="end on hang", daemon=True).start()

        if self._link:
            threading.Thread(target=self._end_with_others, args=(self._link,), name="end", daemon=True).start()

    def stop(self) -> None:
        """Let running requests finish, then end it and all that it started.

        Above rank 0 of a cluster it goes on until rank 0 has done so: SGLang there takes no signal for an end, and
        waits for rank 0's word (``Engine._launch_subprocesses``, 0.5.23).
        """
        self._stopping.set()
        if self._link:
            self._link.leave(STOP_SECONDS)
            if not self._link.place.leads:
                self.kill()
                return
        with self._end:
            self._process.stop(STOP_SECONDS)
        if self._link:
            self._link.done()

    def kill(self) -> None:
        """End it and all that it started, at once."""
        self._stopping.set()
        with self._end:
            self._process.kill()

    def give_up(self, reason: str) -> None:
        """Another container of the cluster ends, or hangs: end it, and once it serves this process too."""
        if not self._serves:
            self.kill()
            return
        with self._end:
            if not self._stopping.is_set():
                self._end_container(reason, told=True)

    def _end_with_others(self, link: Link) -> None:
        """Let running requests finish when a container of the cluster is asked to end: without it they cannot."""
        if not link.left() or self._stopping.is_set():
            return
        say("a container of the cluster was asked to end: the requests that run are finished, and all of it ends")
        self.stop()
        time.sleep(ENDING_SECONDS)  # Modal ends this one too, with its exit hooks
        say("ending the container: its cluster is not complete")
        os._exit(1)

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

    def _end_container(self, reason: str, *, hung: bool = False, told: bool = False) -> None:
        """End everything, print the last lines and the reason, end this process. Does not return.

        ``told`` is a reason that the other containers of the cluster know.
        """
        try:
            self._process.kill()
            says = reason if hung or told else self._how_it_ended(reason)
        except Exception as error:  # whatever it is, the container ends
            says = f"{reason}; ending it failed: {error!r}"
        says = self._mask(says)
        try:
            if self._link and not told:
                says = self._link.fail(says, follows=lost_a_peer(self._process.tail())).says
            say(f"{says}\nending the container" if "\n" in says else f"{says}; ending the container")
        finally:
            os._exit(1)

    def _how_it_ended(self, reason: str) -> str:
        above = self._link is not None and not self._link.place.leads
        if above and (self._process.ended() or 0) >= 0 and not lost_a_peer(self._process.tail()):
            # ``wait_for_completion``, 0.5.11, ``block_until_scheduler_exits``, 0.5.23: it ends with its schedulers.
            return f"{reason}, as it does when one of its schedulers has: {self._process.explained()}"
        return f"{reason} with {self._process.explained()}"

    def _see(self, line: bytes) -> None:
        """Take notice of a line of its output."""
        if self._watch is not None:
            self._watch.see(line)
        if self._stages is not None:
            self._stages.see(line)

    def _asked(self, path: str, deadline: float, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        """Status and content of an answer to a request with the key. :raises EngineError:"""
        patience = max(deadline - time.monotonic(), 1)
        status, content = self._answer(path, body, key=self._api_key, seconds=patience)
        if status >= 500:
            self._process.wait(ENDING_SECONDS)
            if self._process.ended() is not None:
                raise self._error(f"SGLang answered {status} to {path}, and ended")
        return status, content

    def _answer(
        self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None, seconds: float
    ) -> tuple[int, bytes]:
        """As :func:`ask_loopback`, of an engine that must answer. :raises EngineError:"""
        try:
            return self._ask(path, body, key=key, seconds=seconds)
        except NoAnswer as error:
            if not isinstance(error.__cause__, TimeoutError):
                self._process.wait(ENDING_SECONDS)
            raise self._error(f"SGLang did not answer {path}: {error}") from None

    def _ask(
        self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None, seconds: float
    ) -> tuple[int, bytes]:
        return ask_loopback(f"{self._url}{path}", body, key=key, seconds=seconds)

    def _error(self, reason: str, reasons: Iterable[str] = ()) -> EngineError:
        """What went wrong, with how SGLang ended where it did, and its last lines."""
        if self._process.ended() is not None:
            self._process.kill()  # what it left behind; and its last lines are there then
            reason = f"{reason}: {self._process.explained()}"
        return EngineError(unreserved(self._mask(f"{reason}\n{self._process.tail()}".rstrip())), reasons)


def start_engine(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    port: int,
    api_key: str | None,
    mask: Mask,
    health: Mapping[str, Any],
    caches: Sequence[Path],
    proof: Proof,
    seconds: float,
    weight_bytes: int = 0,
    link: Link | None = None,
) -> Engine:
    """Start SGLang; return when it is closed to those without the key and has proved itself.

    Of a cluster rank 0 proves that for all, once all are ready.

    The other arguments are those of :class:`Engine`. All of it may take ``seconds``. Where it fails nothing is left
    running. No other request than those of the watch is made afterwards: beside one, /health says nothing.

    :raises EngineError:
    """
    deadline = time.monotonic() + seconds
    engine = Engine(
        command,
        environment,
        port=port,
        api_key=api_key,
        mask=mask,
        health=health,
        caches=caches,
        weight_bytes=weight_bytes,
        link=link,
    )
    try:
        if link:
            link.ends(engine.give_up)
        engine.wait_until_healthy(deadline)
        if link:
            link.meet(deadline)
        if link is None or link.place.leads:
            engine.require_key(deadline)
            engine.prove(proof, deadline)
        if link:
            link.serve(deadline)
        engine.end_container_on_failure()
        if link and link.end:
            raise EngineError(link.end.says, link.end.reasons)
    except NotMet as error:
        engine.kill()
        raise EngineError(str(error)) from None
    except BaseException:
        # Nobody's request is lost, and Modal ends a container that is late within seconds.
        engine.kill()
        raise
    return engine
