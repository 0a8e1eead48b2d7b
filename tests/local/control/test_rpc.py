"""The handlers against the SDK's own definition of its service: a release that changes an RPC fails here first."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from grpclib.const import Cardinality

from glmdeploy.local.control.plane import HANDLERS
from glmdeploy.local.control.rpc import Caller, assemble

SERVICE = assemble(
    [], authenticate=lambda _: Caller(task_id="", client_version=""), home=Path("/nonexistent"), observer=None
)
DEFINED = {path.rpartition("/")[2]: definition for path, definition in SERVICE.__mapping__().items()}
METHODS = [
    method
    for handler in HANDLERS
    for name, method in inspect.getmembers(handler, inspect.isfunction)
    if not name.startswith("_")
]


def message(annotation: str) -> str:
    """The name of the message that an annotation names."""
    return annotation.removeprefix("AsyncIterator[").removesuffix("]").removeprefix("api_pb2.")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_a_handler_takes_and_answers_the_messages_of_its_rpc(method: Any) -> None:
    definition = DEFINED["".join(part.capitalize() for part in method.__name__.split("_"))]
    assert message(method.__annotations__["request"]) == definition.request_type.__name__
    assert message(method.__annotations__["return"]) == definition.reply_type.__name__
    streams = definition.cardinality is Cardinality.UNARY_STREAM
    assert (definition.cardinality is Cardinality.UNARY_UNARY) != streams
    assert inspect.isasyncgenfunction(method) == streams


def test_a_method_that_is_no_rpc_is_refused() -> None:
    class Stranger:
        async def no_such_call(self) -> None: ...

    with pytest.raises(TypeError, match="not RPCs of Modal's API: NoSuchCall"):
        assemble([Stranger()], authenticate=lambda _: Caller(task_id="", client_version=""), home=Path(), observer=None)
