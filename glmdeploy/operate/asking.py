"""Asks Modal, or the embedded cloud: no question waits without a limit, and what the SDK raises is told as what it is.

The SDK waits as long as it takes (modal 1.6.4: RPCs have no limit of time), and on Ctrl-C for its own clean-up. So each
question runs in a thread of its own, and the thread that asks waits for it: with a limit, and for Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import modal

from glmdeploy import redaction
from glmdeploy.errors import DeployError, GlmdeployError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.operate.target import Target

T = TypeVar("T")
SDK = version("modal")
Ask: TypeAlias = Callable[[], Coroutine[Any, Any, T]]

ANSWER_SECONDS = 60.0
"""The longest wait for one answer. The SDK tries again by itself meanwhile, for some seconds at most."""
BEAT_SECONDS = 15.0
"""How often the target is asked for a sign of life beside something that may take hours."""
SILENCE_SECONDS = 60.0
"""Without a sign of life for so long, the target is taken to be gone."""
CANCEL_SECONDS = 2.0
"""What the SDK gets to clean up when a question is given up: it tells the target so."""


class Question(Generic[T]):
    """A coroutine that runs in a thread of its own, which keeps no process from ending."""

    def __init__(self, ask: Ask[T]) -> None:
        self._ask = ask
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[T] | None = None
        self._value: list[T] = []
        self._fault: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        # Made here, where no Ctrl-C strikes: a loop that is half made complains when it goes.
        self._loop = loop = asyncio.new_event_loop()
        try:
            self._task = loop.create_task(self._ask())
            self._value.append(loop.run_until_complete(self._task))
        except BaseException as fault:
            self._fault = fault
        finally:
            loop.close()
            self._ended.set()

    def answered(self, seconds: float) -> bool:
        """Whether it has ended, after a wait of ``seconds`` at most."""
        return self._ended.wait(seconds)

    def answer(self) -> T:
        """What came of it, an exception included."""
        if self._fault is not None:
            raise self._fault
        return self._value[0]

    def give_up(self) -> None:
        """Cancel it; returns when the SDK has cleaned up, or does not seem to manage."""
        with contextlib.suppress(RuntimeError):  # its loop has just ended
            if self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)
        if not self._ended.wait(CANCEL_SECONDS):
            _left.append(self)


_left: list[Question[Any]] = []


def left() -> bool:
    """Whether a question that was given up still runs: at the end of the process the SDK would wait for it."""
    return any(not question.answered(0) for question in _left)


async def plainly(call: Callable[[], T]) -> T:
    """What a function returns that waits by itself. When this coroutine is cancelled, the function is left alone."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    found: list[T] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as fault:
            faults.append(fault)
        with contextlib.suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(ended.set_result, None)

    threading.Thread(target=run, daemon=True).start()
    await ended
    if faults:
        raise faults[0]
    return found[0]


@contextlib.contextmanager
def _given_up_if_left(question: Question[T]) -> Iterator[None]:
    try:
        yield
    finally:
        if not question.answered(0):
            question.give_up()


def together(*calls: Callable[[], Any]) -> list[Any]:
    """What the functions return, each of which asks and waits in a thread of its own; the first fault of the first.

    For questions of which none needs another's answer: they take as long as the slowest, and not as all in a row.
    """
    questions: list[Question[Any]] = [Question(partial(plainly, call)) for call in calls]
    try:
        for question in questions:
            while not question.answered(BEAT_SECONDS):
                pass  # each has a limit of its own
    except BaseException:
        _left.extend(question for question in questions if not question.answered(0))
        raise
    return [question.answer() for question in questions]


def within(target: Target, what: str, ask: Ask[T], *, seconds: float | None = None) -> T:
    """The answer to a question that takes no longer than ``seconds`` (a minute); ``what`` says what it is for.

    :raises DeployError: "could not ``what``", and why.
    """
    limit = ANSWER_SECONDS if seconds is None else seconds
    with modal_errors(target, what):
        question = Question(ask)
        with _given_up_if_left(question):
            if not question.answered(limit):
                target.check_alive()
                raise DeployError(f"could not {what}: {target} did not answer within {limit:.0f} s")
        return question.answer()


def attended(target: Target, what: str, ask: Ask[T]) -> T:
    """The answer to a question that may take hours, as long as the target shows signs of life beside it.

    :raises DeployError: as :func:`within`.
    """
    with modal_errors(target, what):
        question = Question(ask)
        with _given_up_if_left(question):
            heard = time.monotonic()
            while not question.answered(BEAT_SECONDS):
                target.check_alive()
                if _lives(question):
                    heard = time.monotonic()
                elif (silence := time.monotonic() - heard) > SILENCE_SECONDS:
                    raise DeployError(f"could not {what}: {target} has not answered for {silence:.0f} s")
        return question.answer()


def _lives(beside: Question[Any]) -> bool:
    """Whether the control plane says anything, be it a refusal, before ``beside`` ends or it is taken to be gone."""
    hello = Question(_hello)
    started = time.monotonic()
    with _given_up_if_left(hello):
        while not hello.answered(0.2):
            if beside.answered(0):
                return True
            if time.monotonic() - started > SILENCE_SECONDS:
                return False
    try:
        hello.answer()
    except (modal.exception.ConnectionError, modal.exception.ClientClosed, OSError):
        return False
    except Exception:
        return True
    return True


async def _hello() -> None:
    client = await modal.Client.from_env.aio()
    await client.hello.aio()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def modal_errors(target: Target, what: str) -> Iterator[None]:
    """Turn whatever the SDK raises into a DeployError; ``what`` could not be done."""
    try:
        yield
    except GlmdeployError:
        raise
    except (Exception, asyncio.CancelledError) as error:
        if _is_of_the_way(error):
            target.check_alive()
        why, advice = _words(error, target)
        first, *more = redaction.mask(_text(error)).splitlines() or [type(error).__name__]
        raise DeployError(f"could not {what}: {why}: {first}", advice="\n".join([*more, *advice]) or None) from None


def _is_of_the_way(error: BaseException) -> bool:
    """Whether the question, or its answer, may have been lost on the way."""
    lost = (OSError, modal.exception.ConnectionError, modal.exception.ServiceError, modal.exception.InternalError)
    return isinstance(error, lost) or not isinstance(error, modal.exception.Error)


def _text(error: BaseException) -> str:
    return str(error).strip() or type(error).__name__


def _words(error: BaseException, target: Target) -> tuple[str, list[str]]:
    """What the exception means, and what can be done: Modal's types by gRPC's status (modal/exception.py, 1.6.4)."""
    again = ["try again: what is done already is kept"]
    match error:
        case modal.exception.AuthError():
            return f"{target} refused the credentials", ["sign in again with `modal setup`"]
        case modal.exception.PermissionDeniedError():
            return f"{target} does not permit it", [
                "ask an owner of the workspace for the right, or use another token or Environment (-e)"
            ]
        case modal.exception.ResourceExhaustedError():
            return f"a limit of {target} is reached", ["make room or raise the limit, then apply again"]
        case modal.exception.ConflictError():
            return f"its state in {target} does not allow it", ["somebody else may be at it: try again"]
        case modal.exception.UnimplementedError():
            return f"{target} does not know what this version of the Modal SDK asks", [f"modal is {version('modal')}"]
        case modal.exception.VersionError():
            return f"{target} refuses this version of the Modal SDK, {version('modal')}", ["install a newer `modal`"]
        case modal.exception.ConnectionError() | modal.exception.ClientClosed() | OSError() | asyncio.CancelledError():
            return f"the connection to {target} failed", again
        case modal.exception.ServiceError() | modal.exception.InternalError() | modal.exception.InternalFailure():
            return f"{target} failed", again
        case modal.exception.DataLossError():
            return f"{target} has lost data", []
        case modal.exception.Error():
            return f"{target} answered", []
        case _:
            return f"the Modal SDK failed with {type(error).__name__}", again
