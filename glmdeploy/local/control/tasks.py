"""What containers ask and report."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2

from glmdeploy.local.containers.member import RetiredError
from glmdeploy.local.control.rpc import not_found

if TYPE_CHECKING:
    from glmdeploy.local.backend import Backend
    from glmdeploy.local.containers.member import Member
    from glmdeploy.local.control.rpc import Caller

_HEARTBEAT_HOLD = 12.0
"""Seconds that a heartbeat is held for a cancellation to come; containers give up after 15."""


class Tasks:
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
        try:
            work = await member.pool.next_input(member)
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
                member.pool.finished(member, work, work.answer(item.result, item.data_format))
        return Empty()

    async def function_get_dynamic_concurrency(
        self, request: api_pb2.FunctionGetDynamicConcurrencyRequest, caller: Caller
    ) -> api_pb2.FunctionGetDynamicConcurrencyResponse:
        # New containers are started at the target; those that exist may take all that they can.
        return api_pb2.FunctionGetDynamicConcurrencyResponse(concurrency=request.max_concurrency)

    async def task_result(self, request: api_pb2.TaskResultRequest, caller: Caller) -> Empty:
        self._worker.report(self._member(caller).task_id, request.result)
        return Empty()

    async def container_stop(
        self, request: api_pb2.ContainerStopRequest, caller: Caller
    ) -> api_pb2.ContainerStopResponse:
        member = self._worker.members.get(request.task_id)
        if member is None:
            raise not_found(f"Container {request.task_id} is not running")
        member.rescheduling = True
        if request.graceful:
            member.drain()
        else:
            member.stop()
        member.pool.balance()
        return api_pb2.ContainerStopResponse()

    def _member(self, caller: Caller) -> Member:
        member = self._worker.members.get(caller.task_id)
        if member is None:
            raise GRPCError(Status.PERMISSION_DENIED, "only a running container may call this")
        return member
