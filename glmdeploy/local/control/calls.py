"""Calls, from both sides: what clients put in, get out and cancel, and what containers ask and report."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2

from glmdeploy.local.containers.member import RetiredError
from glmdeploy.local.containers.server_pool import ServerPool
from glmdeploy.local.control.rpc import conflict, invalid, not_found, patience, position, unsupported

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from glmdeploy.local.backend import Backend
    from glmdeploy.local.containers.member import Member
    from glmdeploy.local.containers.pool import Pool
    from glmdeploy.local.containers.worker import Worker
    from glmdeploy.local.control.rpc import Caller
    from glmdeploy.local.state.calls import Call, Input


_MAP_BACKLOG = 1000

_HEARTBEAT_HOLD = 12.0
"""Seconds that a heartbeat is held for a cancellation to come; containers give up after 15."""


class FunctionCalls:
    """As clients see them: arguments in, results and generated values out, cancellation."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._calls = backend.calls

    async def function_map(self, request: api_pb2.FunctionMapRequest, caller: Caller) -> api_pb2.FunctionMapResponse:
        pool = self._pool(request.function_id)
        call = self._calls.create(request.function_id, pool.app_id, request.function_call_invocation_type)
        return api_pb2.FunctionMapResponse(
            function_call_id=call.id,
            pipelined_inputs=self._submit(call, pool, list(request.pipelined_inputs)),
            # Retries happen here, for every kind of call.
            sync_client_retries_enabled=False,
            function_call_jwt=call.id,
            max_inputs_outstanding=_MAP_BACKLOG,
        )

    async def function_put_inputs(
        self, request: api_pb2.FunctionPutInputsRequest, caller: Caller
    ) -> api_pb2.FunctionPutInputsResponse:
        call = self._call(request.function_call_id)
        pool = self._pool(call.function_id)
        return api_pb2.FunctionPutInputsResponse(inputs=self._submit(call, pool, list(request.inputs)))

    async def function_finish_inputs(self, request: api_pb2.FunctionFinishInputsRequest, caller: Caller) -> Empty:
        self._call(request.function_call_id)
        return Empty()

    async def function_get_outputs(
        self, request: api_pb2.FunctionGetOutputsRequest, caller: Caller
    ) -> api_pb2.FunctionGetOutputsResponse:
        """``last_entry_id`` counts the results that the client has seen already."""
        call = self._call(request.function_call_id)
        deadline = time.monotonic() + patience(request.timeout)
        seen = position(request.last_entry_id)
        while True:
            finished = call.finished[seen:]
            if request.HasField("start_idx"):
                finished = [each for each in finished if request.start_idx <= each.index <= request.end_idx]
            if request.max_values:
                finished = finished[: request.max_values]
            if finished or not await call.changed.wait(deadline - time.monotonic()):
                break
        return api_pb2.FunctionGetOutputsResponse(
            outputs=[each.output for each in finished if each.output is not None],
            idxs=[each.index for each in finished],
            last_entry_id=f"{seen + len(finished)}-0",
            num_unfinished_inputs=len(call.inputs) - len(call.finished),
        )

    async def function_call_put_data_out(self, request: api_pb2.FunctionCallPutDataRequest, caller: Caller) -> Empty:
        call = self._call(request.function_call_id)
        call.chunks += request.data_chunks
        call.changed.set()
        return Empty()

    async def function_call_get_data_out(
        self, request: api_pb2.FunctionCallGetDataRequest, caller: Caller
    ) -> AsyncIterator[api_pb2.DataChunk]:
        call = self._call(request.function_call_id)
        index = request.last_index
        while True:
            for chunk in [chunk for chunk in call.chunks if chunk.index > index]:
                index = chunk.index
                yield chunk
            if call.done and not any(chunk.index > index for chunk in call.chunks):
                return
            await call.changed.wait(60.0)

    async def function_call_cancel(self, request: api_pb2.FunctionCallCancelRequest, caller: Caller) -> Empty:
        call = self._call(request.function_call_id)
        pool = self._backend.worker.pool(call.function_id)
        for each in [each for each in call.inputs if each.output is None]:
            member = self._backend.worker.members.get(each.task_id)
            running = member is not None and each.id in member.inputs
            if member is not None and running and not request.terminate_containers:
                # The container answers once it has given the input up.
                member.cancel(each.id)
                continue
            each.fail(api_pb2.GenericResult.GENERIC_STATUS_TERMINATED, "the call was cancelled")
            if pool is not None:
                pool.withdraw(each)
            if member is not None and running:
                del member.inputs[each.id]
                member.rescheduling = True
                member.stop(force=True)
        return Empty()

    async def function_call_from_id(
        self, request: api_pb2.FunctionCallFromIdRequest, caller: Caller
    ) -> api_pb2.FunctionCallFromIdResponse:
        call = self._call(request.function_call_id)
        return api_pb2.FunctionCallFromIdResponse(
            function_call_id=call.id,
            num_inputs=len(call.inputs),
            metadata=api_pb2.FunctionCallHandleMetadata(app_id=call.app_id, function_id=call.function_id),
        )

    async def function_call_get_info(
        self, request: api_pb2.FunctionCallGetInfoRequest, caller: Caller
    ) -> api_pb2.FunctionCallGetInfoResponse:
        call = self._call(request.function_call_id)
        statuses = [each.output.result.status for each in call.inputs if each.output is not None]

        def count(*wanted: int) -> api_pb2.InputCategoryInfo:
            return api_pb2.InputCategoryInfo(total=sum(status in wanted for status in statuses))

        result = api_pb2.GenericResult
        return api_pb2.FunctionCallGetInfoResponse(
            info=api_pb2.FunctionCallInfo(
                function_call_id=call.id,
                created_at=call.created_at,
                total_inputs=len(call.inputs),
                pending_inputs=api_pb2.InputCategoryInfo(total=len(call.inputs) - len(statuses)),
                succeeded_inputs=count(result.GENERIC_STATUS_SUCCESS),
                timeout_inputs=count(result.GENERIC_STATUS_TIMEOUT),
                cancelled_inputs=count(result.GENERIC_STATUS_TERMINATED),
                failed_inputs=count(
                    result.GENERIC_STATUS_FAILURE,
                    result.GENERIC_STATUS_INTERNAL_FAILURE,
                    result.GENERIC_STATUS_INIT_FAILURE,
                ),
            )
        )

    def _submit(
        self, call: Call, pool: Pool, items: list[api_pb2.FunctionPutInputsItem]
    ) -> list[api_pb2.FunctionPutInputsResponseItem]:
        if any(item.input.data_format == api_pb2.DATA_FORMAT_ASGI for item in items):
            raise unsupported("calling a web function other than by its URL is")
        added: list[Input] = self._calls.add(call, items)
        for each in added:
            pool.submit(each)
        return [
            api_pb2.FunctionPutInputsResponseItem(idx=each.index, input_id=each.id, input_jwt=each.id) for each in added
        ]

    def _pool(self, function_id: str) -> Pool:
        pool = self._backend.worker.pool(function_id)
        if pool is None:
            raise not_found(f"Function {function_id} is not part of a running app")
        if isinstance(pool, ServerPool):
            raise invalid("a Server cannot be called: it answers requests to its URL")
        return pool

    def _call(self, call_id: str) -> Call:
        if not call_id:
            raise invalid("a call without an id")
        call = self._calls.call(call_id)
        if call is None:
            raise not_found(
                f"Function call {call_id} is not known: calls are forgotten when the embedded cloud restarts"
            )
        return call


class Tasks:
    """What containers ask and report."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._worker = backend.worker

    async def container_hello(self, request: Empty, caller: Caller) -> Empty:
        self._member(caller)
        return Empty()

    async def container_heartbeat(
        self, request: api_pb2.ContainerHeartbeatRequest, caller: Caller
    ) -> api_pb2.ContainerHeartbeatResponse:
        member = self._member(caller)
        try:
            await asyncio.wait_for(member.cancellation.wait(), _HEARTBEAT_HOLD)
        except TimeoutError:
            return api_pb2.ContainerHeartbeatResponse()
        canceled, member.canceled = member.canceled, set()
        member.cancellation.clear()
        return api_pb2.ContainerHeartbeatResponse(
            cancel_input_event=api_pb2.CancelInputEvent(input_ids=sorted(canceled))
        )

    async def function_get_inputs(
        self, request: api_pb2.FunctionGetInputsRequest, caller: Caller
    ) -> api_pb2.FunctionGetInputsResponse:
        member = self._member(caller)
        if self._worker.server_pool(member) is not None:
            raise conflict("a Server's container takes requests, and no inputs")
        try:
            work = await self._worker.pool_of(member).next_input(member)
        except RetiredError:
            return api_pb2.FunctionGetInputsResponse(inputs=[api_pb2.FunctionGetInputsItem(kill_switch=True)])
        if work is None:
            return api_pb2.FunctionGetInputsResponse()
        item = api_pb2.FunctionGetInputsItem(
            input_id=work.id,
            input=work.item,
            function_call_id=work.call.id,
            function_call_invocation_type=work.call.invocation,  # type: ignore[arg-type]
            retry_count=work.attempt,
            function_map_idx=work.index,
        )
        return api_pb2.FunctionGetInputsResponse(inputs=[item])

    async def function_put_outputs(self, request: api_pb2.FunctionPutOutputsRequest, caller: Caller) -> Empty:
        member = self._member(caller)
        for item in request.outputs:
            work = self._backend.calls.input(item.input_id)
            if work is not None:
                self._worker.pool_of(member).finished(member, work, work.answer(item.result, item.data_format))
        return Empty()

    async def function_get_dynamic_concurrency(
        self, request: api_pb2.FunctionGetDynamicConcurrencyRequest, caller: Caller
    ) -> api_pb2.FunctionGetDynamicConcurrencyResponse:
        # New containers are started at the target; those that exist may take all that they can.
        return api_pb2.FunctionGetDynamicConcurrencyResponse(concurrency=request.max_concurrency)

    async def task_result(self, request: api_pb2.TaskResultRequest, caller: Caller) -> Empty:
        self._worker.report(self._member(caller).task_id, request.result)
        return Empty()

    async def container_server_lifecycle_ready(
        self, request: api_pb2.ContainerServerLifecycleReadyRequest, caller: Caller
    ) -> Empty:
        """A Server's enter hooks are done: before this nothing reaches it."""
        member = self._member(caller)
        pool = self._worker.server_pool(member)
        if pool is None:
            raise conflict("only the container of a Server may call this")
        self._worker.attend(pool.serves(member))
        return Empty()

    def _member(self, caller: Caller) -> Member:
        return calling(self._worker, caller)


def calling(worker: Worker, caller: Caller) -> Member:
    """The container that calls.

    :raises GRPCError: where it is none.
    """
    member = worker.members.get(caller.task_id)
    if member is None:
        raise GRPCError(Status.PERMISSION_DENIED, "only a running container may call this")
    return member
