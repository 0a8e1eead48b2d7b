"""Function calls and their inputs. They live in memory: a restart of the daemon loses those that run."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.local.state.store import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_REMEMBERED = 1000


class Signal:
    """Wakes everyone who waits, each time it is set."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """False where so much time passed first."""
        event = self._event
        try:
            await asyncio.wait_for(event.wait(), max(seconds, 0.0))
        except TimeoutError:
            return False
        return True


@dataclass(eq=False, kw_only=True)
class Input:
    """One call of a function with its arguments. ``output`` is set once, by what ends the input."""

    id: str
    index: int
    call: Call
    item: api_pb2.FunctionInput
    attempt: int = 0
    task_id: str = ""
    created_at: float = field(default_factory=time.time)
    started_at: float = 0.0
    output: api_pb2.FunctionGetOutputsItem | None = None
    clock: asyncio.TimerHandle | None = None
    """Runs out at the function's time limit."""
    ended: Callable[[Input], None] = lambda _: None
    """Is told once of the end."""

    def finish(self, output: api_pb2.FunctionGetOutputsItem) -> None:
        """Only the first result counts: a container may answer after it was given up."""
        self.stop_clock()
        if self.output is None:
            self.output = output
            self.item.Clear()
            self.call.finished.append(self)
            self.call.changed.set()
            self.ended(self)

    def stop_clock(self) -> None:
        if self.clock is not None:
            self.clock.cancel()
            self.clock = None

    def fail(self, status: int, message: str) -> None:
        """``status`` is a number of Modal's GenericStatus."""
        result = api_pb2.GenericResult(status=status, exception=message)  # type: ignore[arg-type]
        self.finish(self.answer(result))

    def answer(
        self, result: api_pb2.GenericResult, data_format: int = api_pb2.DATA_FORMAT_UNSPECIFIED
    ) -> api_pb2.FunctionGetOutputsItem:
        return api_pb2.FunctionGetOutputsItem(
            result=result,
            idx=self.index,
            input_id=self.id,
            data_format=data_format,  # type: ignore[arg-type]
            task_id=self.task_id,
            input_started_at=self.started_at,
            output_created_at=time.time(),
            retry_count=self.attempt,
        )


@dataclass(eq=False, kw_only=True)
class Call:
    """``finished`` is in the order in which results came; ``chunks`` is what a generator has yielded."""

    id: str
    function_id: str
    app_id: str
    invocation: int
    created_at: float
    inputs: list[Input] = field(default_factory=list)
    finished: list[Input] = field(default_factory=list)
    chunks: list[api_pb2.DataChunk] = field(default_factory=list)
    changed: Signal = field(default_factory=Signal)

    @property
    def done(self) -> bool:
        return len(self.finished) == len(self.inputs)


class Calls:
    """``ended`` is told once of each input that has ended."""

    def __init__(self, ended: Callable[[Input], None] = lambda _: None) -> None:
        self._ended = ended
        self._calls: OrderedDict[str, Call] = OrderedDict()
        self._inputs: dict[str, Input] = {}

    def create(self, function_id: str, app_id: str, invocation: int) -> Call:
        call = Call(
            id=new_id("fc"),
            function_id=function_id,
            app_id=app_id,
            invocation=invocation,
            created_at=time.time(),
        )
        self._calls[call.id] = call
        self._forget()
        return call

    def add(self, call: Call, items: Iterable[api_pb2.FunctionPutInputsItem]) -> list[Input]:
        added = [
            Input(id=new_id("in"), index=item.idx, call=call, item=item.input, ended=self._ended) for item in items
        ]
        call.inputs += added
        self._inputs.update((each.id, each) for each in added)
        return added

    def call(self, call_id: str) -> Call | None:
        return self._calls.get(call_id)

    def input(self, input_id: str) -> Input | None:
        return self._inputs.get(input_id)

    def _forget(self) -> None:
        """Drop the oldest calls that have ended."""
        surplus = len(self._calls) - _REMEMBERED
        for old in [call for call in self._calls.values() if call.done][: max(surplus, 0)]:
            del self._calls[old.id]
            for each in old.inputs:
                del self._inputs[each.id]
