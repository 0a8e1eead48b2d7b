"""What the containers of a cluster tell each other: who is ready, that all serve, and why all of them end.

SGLang's ranks do not tell each other why one of them ended: the others hang, or fail in whatever they were waiting for
(measured on two GPUs: with rank 1 stopped rank 0 answered 503 for 92 s, and then ended without a reason). So each
container keeps a connection to that of rank 0, which decides: the first reason that reaches it is the one that all are
told and end with. A rank that lost the connection to another may fail before the container of that one notices: its
reason waits for a better one.

A message is a line of JSON, an object with one key. From a rank: ``hello``, ``ready``, ``failed``. From rank 0:
``serving``, ``end``, ``told``, ``done``. From both: ``leaving``, and ``alive`` every few seconds. Whoever does not
begin with the id of the cluster is not listened to; the network is private (Modal's guide to clusters).
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from glmdeploy.runtime.cluster import Place
from glmdeploy.runtime.hosting import LINK_PORT
from glmdeploy.runtime.output import say

ALIVE_SECONDS = 5.0
"""Between two messages at most."""

SILENT_SECONDS = 60.0
"""Without a message, after which a container counts as gone. One that ends closes its connection, and shows at once."""

VERDICT_SECONDS = 5.0
"""How long a rank waits to be told which reason counts, after it told its own."""

CAUSE_SECONDS = 10.0
"""How long another reason is waited for where a rank seems to have failed for another's end. SGLang above rank 0 took 2
to 5 s to end once its scheduler was killed, and rank 0 a tenth of a second to lose it (0.5.11 on a GPU)."""

TOLD_SECONDS = 20.0
"""How long a rank whose start failed waits until rank 0 has said so: its end would be rank 0's too, before a word. Rank
0 ends its engine first, and writes the failure down, which may take 8 s (``failures.VOLUME_SECONDS``)."""

LATE_SECONDS = 5.0
"""How long rank 0 waits after a failed start for ranks that have not come yet: they would try to reach it for long."""

MESSAGE_BYTES = 256 * 1024
END_CHARACTERS = 8000
"""Of a reason with the engine's last lines; JSON has 12 bytes for some characters."""
ALL_CHARACTERS = 4000
"""Of all reasons in a sentence each: more is not shown (``verdict.REASONS_CHARACTERS``)."""

AGAIN_SECONDS = 0.2


@dataclass(frozen=True)
class End:
    """Why a cluster ends: ``says`` with the engine's last lines, and ``reasons`` in a sentence each."""

    says: str
    reasons: tuple[str, ...]


class NotMet(RuntimeError):
    """The ranks of a cluster do not come together; the message says why."""


class Link:
    """One container's side of it. ``end`` is why the cluster ends, once that is decided."""

    def __init__(
        self, place: Place, *, port: int = LINK_PORT, silent: float = SILENT_SECONDS, cause: float = CAUSE_SECONDS
    ) -> None:
        self.place = place
        self.end: End | None = None
        self.lost = False
        """Whether rank 0 cannot be told anything (any more): then this rank speaks for itself."""
        self._port = port
        self._silent = silent
        self._cause = cause
        self._changed = threading.Condition()
        self._peers: dict[int, socket.socket] = {}
        self._ready = {0} if place.leads else set[int]()
        self._serving = self._told = self._done = self._leaving = False
        self._endings: list[Callable[[str], None]] = []
        self._listener: socket.socket | None = None
        self._sending = threading.Lock()

    # Coming together

    def open(self, deadline: float) -> None:
        """Rank 0 listens; another rank connects, until ``time.monotonic()`` reaches ``deadline``.

        :raises NotMet:
        """
        if self.place.leads:
            self._listener = self._listening()
            self._run(self._accept)
        else:
            self._peers[0] = self._connected(deadline)
            self._send(0, hello=[self.place.rank, self.place.cluster])
            self._run(self._hear, 0, self._peers[0])
        self._run(self._keep_alive)

    def meet(self, deadline: float) -> None:
        """Say that this rank is ready. Rank 0 returns when all of them are.

        :raises NotMet: also when the cluster ends.
        """
        if not self.place.leads:
            self._send(0, ready=True)
            return
        everyone = set(range(self.place.nodes))
        self._wait(lambda: self._ready == everyone, deadline)
        if missing := everyone - self._ready:
            heard = [f"{'' if rank in self._peers else 'never heard of '}rank {rank}" for rank in sorted(missing)]
            raise NotMet(f"not all ranks were ready in time: {', '.join(heard)}")

    def serve(self, deadline: float) -> None:
        """Rank 0 tells that the cluster has proved itself; another rank returns when it is told.

        :raises NotMet: also when the cluster ends.
        """
        if self.place.leads:
            self._tell_all(serving=True)
            return
        if not self._wait(lambda: self._serving, deadline):
            raise NotMet("rank 0 did not say in time that the cluster serves")

    # Ending

    def ends(self, call: Callable[[str], None]) -> None:
        """Have ``call`` called with the reason when the cluster ends for one that this rank did not give."""
        with self._changed:
            self._endings.append(call)
            end = self.end
        if end is not None:
            call(end.says)

    def fail(self, says: str, reasons: tuple[str, ...] = (), *, follows: bool = False) -> End:
        """Tell that this rank fails. Returns why the cluster ends: that, or what came first.

        ``follows``: it seems to fail because another rank did, whose container may notice that later.
        """
        whose = f"rank {self.place.rank}: "
        own = End(
            shortened(f"{whose}{says}"), tuple(_few(f"{whose}{each}" for each in reasons or (says.partition("\n")[0],)))
        )
        self._endings.clear()
        if self.place.leads:
            if follows:
                self._await_cause()
            return self._decide(own)
        if self._send(0, failed={**_in_message(own), "follows": follows}):
            with self._changed:
                seconds = VERDICT_SECONDS + (self._cause if follows else 0)
                self._changed.wait_for(lambda: self.end is not None, seconds)
        with self._changed:
            self.lost = self.lost or self.end is None
            self.end = self.end or own
        return self.end

    def leave(self, seconds: float) -> None:
        """This container was asked to end. A rank above 0 returns when rank 0 needs it no more, or after so long."""
        self._endings.clear()
        if self.place.leads:
            self._tell_all(leaving=True)
        elif self._send(0, leaving=True):
            with self._changed:
                self._changed.wait_for(lambda: self._done or self.end is not None, seconds)

    def told(self) -> None:
        """Rank 0 has said how the start failed: the others may end, also those that come late. They wait for that."""
        if self.place.leads:
            with self._changed:
                self._changed.wait_for(lambda: len(self._peers) == self.place.nodes - 1, LATE_SECONDS)
            self._tell_all(told=True)
            return
        with self._changed:
            self._changed.wait_for(lambda: self._told or self.lost, TOLD_SECONDS)

    def left(self) -> bool:
        """Wait until another container was asked to end; False where the cluster has ended otherwise."""
        with self._changed:
            self._changed.wait_for(lambda: self._leaving or self._done or self.end is not None)
            return self._leaving

    def done(self) -> None:
        """Rank 0 has ended its engine in the orderly way: the others may."""
        with self._changed:
            self._endings.clear()
            self._done = True
            self._changed.notify_all()
        self._tell_all(done=True)

    # Inside

    def _listening(self) -> socket.socket:
        family, wanted = socket.AF_INET, self.place.addresses[0]
        for address in (wanted, "0.0.0.0"):  # no interface may have the address, if it is translated
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address, self._port))
                listener.listen(self.place.nodes)
                return listener
            except OSError as error:
                listener.close()
                fault = error
        raise NotMet(f"it cannot listen at {wanted}:{self._port}: {fault}")

    def _connected(self, deadline: float) -> socket.socket:
        where = (self.place.addresses[0], self._port)
        while True:
            try:
                return socket.create_connection(where, timeout=ALIVE_SECONDS)
            except OSError as error:
                if time.monotonic() + AGAIN_SECONDS > deadline:
                    self.lost = True
                    raise NotMet(f"rank 0 is not there at {where[0]}:{where[1]}: {error}") from None
            time.sleep(AGAIN_SECONDS)

    def _accept(self) -> None:
        assert self._listener is not None
        said = False
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError as error:  # of a connection that ended at once, or of too many files
                if not said:
                    say(f"the link of the cluster could not take a connection: {error}")
                said = True
                time.sleep(AGAIN_SECONDS)
                continue
            self._run(self._greet, peer)

    def _greet(self, peer: socket.socket) -> None:
        """Listen to who is of this cluster, once for each rank."""
        peer.settimeout(self._silent)
        reader = _Reader(peer)
        heard: socket.socket | None = None
        match reader.next().get("hello"):
            case [int(rank), self.place.cluster] if 0 < rank < self.place.nodes:
                with self._changed:
                    heard = self._peers.setdefault(rank, peer)
                    self._changed.notify_all()
        if heard is not peer:
            peer.close()
            return
        if self.end is not None:  # it came after that was told to all
            self._send(rank, end=_in_message(self.end))
        self._hear(rank, peer, reader)

    def _hear(self, rank: int, peer: socket.socket, reader: _Reader | None = None) -> None:
        """Take what a rank says, until it is gone."""
        peer.settimeout(self._silent)
        reader = reader or _Reader(peer)
        gone = "its container is gone"
        while message := reader.next():
            self._take(rank, message)
        if reader.silent:
            gone = f"its container gave no sign of life for {self._silent:g} s"
        self._lose(rank, f"rank {rank}: {gone}")

    def _take(self, rank: int, message: Mapping[str, Any]) -> None:
        if told := message.get("failed") or message.get("end"):
            end = _end_of(told, rank)
            if isinstance(told, dict) and told.get("follows"):
                self._run(self._decide_later, end)
            else:
                self._decide(end)
            return
        with self._changed:
            if "ready" in message:
                self._ready.add(rank)
            self._serving = self._serving or "serving" in message
            self._told = self._told or "told" in message
            self._done = self._done or "done" in message
            self._leaving = self._leaving or "leaving" in message
            self._changed.notify_all()

    def _lose(self, rank: int, says: str) -> None:
        with self._changed:
            expected = self._done or (self._leaving and self.place.leads)
            self.lost = self.lost or not (self.place.leads or self.end)
            self._told = self._told or not self.place.leads  # nobody tells it any more
            self._changed.notify_all()
        if not expected:
            self._decide(End(says, (says,)))

    def _await_cause(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.end is not None, self._cause)

    def _decide_later(self, end: End) -> None:
        self._await_cause()
        self._decide(end)

    def _decide(self, end: End) -> End:
        """The first reason counts; rank 0 tells it to all."""
        with self._changed:
            first = self.end is None
            self.end = decided = self.end or end
            endings = list(self._endings) if first else []
            self._changed.notify_all()
        if first and self.place.leads:
            self._tell_all(end=_in_message(decided))
        for call in endings:
            call(decided.says)
        return decided

    def _tell_all(self, **message: Any) -> None:
        for rank in list(self._peers):
            self._send(rank, **message)

    def _send(self, rank: int, **message: Any) -> bool:
        """Whether it could be sent. Who cannot be reached is found gone by who listens to it."""
        line = json.dumps(message, ensure_ascii=True).encode() + b"\n"
        with contextlib.suppress(OSError, KeyError), self._sending:
            self._peers[rank].sendall(line)
            return True
        return False

    def _keep_alive(self) -> None:
        while True:
            time.sleep(min(ALIVE_SECONDS, self._silent / 4))
            self._tell_all(alive=True)

    def _wait(self, holds: Callable[[], bool], deadline: float) -> bool:
        """Whether it holds in time. :raises NotMet: when the cluster ends first."""
        with self._changed:
            while not holds():
                if self.end is not None:
                    raise NotMet(self.end.says)
                if not self._changed.wait(max(deadline - time.monotonic(), 0)) and time.monotonic() >= deadline:
                    return holds()
            return True

    def _run(self, call: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=call, args=arguments, name=f"link {call.__name__}", daemon=True).start()


class _Reader:
    """The messages of a connection; what is none is taken for its end."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._rest = b""
        self.silent = False

    def next(self) -> Mapping[str, Any]:
        """The next one; empty when there is no more."""
        while b"\n" not in self._rest:
            try:
                found = self._peer.recv(4096)
            except TimeoutError:
                self.silent = True
                return {}
            except OSError:
                return {}
            self._rest += found
            if not found or len(self._rest) > MESSAGE_BYTES:
                return {}
        line, _, self._rest = self._rest.partition(b"\n")
        with contextlib.suppress(ValueError, RecursionError):
            message = json.loads(line)
            return message if isinstance(message, dict) else {}
        return {}


def shortened(says: str) -> str:
    """A reason whose last lines are too many: its first line, and the end of the last ones, which tell most."""
    if len(says) <= END_CHARACTERS:
        return says
    first = says.partition("\n")[0][: END_CHARACTERS // 4]
    return f"{first}\n...\n{says[len(first) + 5 - END_CHARACTERS :]}"


def _few(reasons: Iterable[str]) -> Iterator[str]:
    left = ALL_CHARACTERS
    for each in reasons:
        if left > 0:
            yield each[:left]
        left -= len(each)


def _in_message(end: End) -> dict[str, Any]:
    return {"says": end.says, "reasons": end.reasons}


def _end_of(told: Any, rank: int) -> End:
    """What a rank told as an end, whatever it was."""
    says = told.get("says") if isinstance(told, dict) else None
    reasons = told.get("reasons") if isinstance(told, dict) else None
    if not isinstance(says, str) or not isinstance(reasons, list):
        return End(f"rank {rank}: it failed", (f"rank {rank}: it failed",))
    return End(says, tuple(map(str, reasons)) or (says.partition("\n")[0],))
