"""What of Modal's SDK glmdeploy uses beyond its public interface, and whether the SDK that is installed has it.

The embedded cloud answers the SDK's private protocol, its containers run the SDK's private entrypoint, and ``operate``
asks what the SDK has no function for: any release may change all that. Those that were tried are let pass without a
look. Of another one the first command that needs it looks for each part, and says what is gone, in the place of a
traceback, or of an embedded cloud that hangs.

It reads the SDK's files and does not import them: the SDK reads its configuration when it is first imported, and the
target is not known yet.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmdeploy.errors import SdkError

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIED = ("1.6.4",)
"""The releases of modal that all tests pass with, the last one at the end."""

PROTOCOL = Path(__file__).with_name("sdk_protocol.json")
"""The RPCs, with the types of their requests and answers, and the fields and constants of the protocol that are used.
``python tests/sdk_uses.py`` writes it from the types of this package's own expressions."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a module of the SDK must have: a name, dotted below a class; as a function with ``takes`` parameters.

    ``value`` is what the name is bound to; ``texts`` are literals, ``mentions`` is an attribute of a name.
    """

    module: str
    name: str = ""
    takes: int | None = None
    value: int | None = None
    texts: tuple[str, ...] = ()
    mentions: str = ""


PARTS = (
    # operate.control_plane
    Part(module="modal._utils.async_utils", name="synchronizer"),
    Part(module="modal.client", name="_Client.from_env"),
    Part(module="modal.client", name="_Client._stub"),
    Part(module="modal.client", name="_Client._set_env_client", takes=1),
    # operate.autoscaler
    Part(module="modal._server", name="_Server._get_service_function", takes=0),
    # operate.target, local.containers.launch and zygote
    Part(module="modal.config", name="config"),
    Part(module="modal.config", name="user_config_path"),
    Part(
        module="modal.config",
        texts=(
            *("MODAL_CONFIG_PATH", "server_url", "token_id", "token_secret", "oauth_refresh_token", "environment"),
            *("disable_api_proxy", "override_headers"),
        ),
    ),
    # local.containers.bootstrap and launch: the container's program, and where its web server listens
    Part(module="modal._container_entrypoint", texts=("MODAL_CONTAINER_ARGUMENTS_PATH", "__main__")),
    Part(module="modal._runtime.asgi", name="get_ip_address", takes=1),
    Part(module="modal._runtime.user_code_imports", mentions="asgi.get_ip_address"),
    # local.containers.bootstrap and launch: a cluster's container asks for its own address
    Part(module="modal._cluster", texts=("i6pn.modal.local", "MODAL_CLOUD_PROVIDER")),
    # local.state.files
    Part(module="modal._utils.blob_utils", name="BLOCK_SIZE", value=8 * 1024 * 1024),
)


@cache
def check_sdk() -> None:
    """Look whether the SDK has all that is used, unless it is one that was tried.

    :raises SdkError: naming what it lacks.
    """
    version = installed()
    if version in TRIED:
        return
    advice = (
        f"glmdeploy was tried with modal {', '.join(TRIED)}; "
        f"where glmdeploy is installed, run `pip install 'modal=={TRIED[-1]}'`"
    )
    if version is None:
        raise SdkError("modal is not installed, or not whole", advice=advice)
    if lacks := missing():
        more = f", and {len(lacks) - 1} more" if len(lacks) > 1 else ""
        raise SdkError(
            f"modal {version} does not have what glmdeploy uses of it: {lacks[0]}{more}",
            advice="\n".join([*(f"gone too: {each}" for each in lacks[1:8]), advice]),
        )


def installed() -> str | None:
    """The version of the SDK; None where there is none, or it does not say."""
    try:
        from modal_version import __version__  # type: ignore[import-untyped]

        return str(__version__)
    except ImportError:
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("modal")
        except PackageNotFoundError:
            return None


def missing() -> list[str]:
    """What the installed SDK lacks, in words; the parts of its code first."""
    return [*(lack for part in PARTS for lack in _lacks(part)), *_lacks_of_protocol()]


def _lacks(part: Part) -> Iterator[str]:
    tree = _tree(part.module)
    if tree is None:
        yield f"the module `{part.module}`"
        return
    if part.name:
        found = _find(tree, part.name)
        said = f"`{part.module}.{part.name}`"
        if found is None:
            yield said
        elif part.takes is not None and isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
            if not _takes(found, part.takes, method="." in part.name):
                yield f"{said} with {part.takes} argument{'' if part.takes == 1 else 's'}"
        elif part.value is not None and _value(getattr(found, "value", None)) != part.value:
            yield f"{said} with the value {part.value}"
    if part.texts:
        known = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        yield from (f"`{text}` in `{part.module}`" for text in part.texts if text not in known)
    if part.mentions and not any(_is(node, part.mentions) for node in ast.walk(tree)):
        yield f"`{part.mentions}` in `{part.module}`"


@cache
def _tree(module: str) -> ast.Module | None:
    """A module's source, read; None where there is none, or Python does not read it."""
    try:
        source = _source(module)
        return None if source is None else ast.parse(source)
    except (SyntaxError, ValueError):
        return None


def _source(module: str) -> bytes | None:
    """A module's text, found without an import of its package; None where there is none."""
    top, *rest = module.split(".")
    with contextlib.suppress(ImportError, OSError, ValueError):
        spec = importlib.util.find_spec(top)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            place = Path(folder, *rest)
            for file in (place.with_suffix(".py"), place / "__init__.py"):
                if file.is_file():
                    return file.read_bytes()
    return None


def _find(tree: ast.Module, name: str) -> ast.stmt | None:
    """Where a dotted name is defined, assigned or imported; of several places the last."""
    body: list[ast.stmt] = tree.body
    found: ast.stmt | None = None
    for word in name.split("."):
        found = None
        for node in _statements(body):
            if word in _bound(node):
                found = node
        if found is None:
            return None
        body = getattr(found, "body", [])
    return found


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements, those below an ``if`` or a ``try`` too."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _statements([*node.body, *node.orelse])


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _is(node: ast.AST, mentioned: str) -> bool:
    """Whether it is the attribute ``NAME.ATTRIBUTE`` that is mentioned."""
    name, _, attribute = mentioned.partition(".")
    return (
        isinstance(node, ast.Attribute)
        and node.attr == attribute
        and isinstance(node.value, ast.Name)
        and node.value.id == name
    )


def _takes(function: ast.FunctionDef | ast.AsyncFunctionDef, count: int, *, method: bool) -> bool:
    """Whether it can be called with this many arguments by position, beside the object or class of a method."""
    given = function.args
    places = [*given.posonlyargs, *given.args][1 if method else 0 :]
    needed = len(places) - len(given.defaults)
    optional_only = all(default is not None for default in given.kw_defaults)
    return needed <= count and (count <= len(places) or given.vararg is not None) and optional_only


def _value(node: ast.expr | None) -> int | None:
    """The value of a number, or of a product of numbers."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = _value(node.left), _value(node.right)
        return None if left is None or right is None else left * right
    return None


def _lacks_of_protocol() -> Iterator[str]:
    used = json.loads(PROTOCOL.read_bytes())
    if b"\nclass ModalClientBase(" not in (_source("modal_proto.api_grpc") or b""):  # its hundreds of RPCs are below
        yield "`modal_proto.api_grpc.ModalClientBase`"
    try:
        api: Any = importlib.import_module("modal_proto.api_pb2")
        rpcs = rpcs_of(api)
    except Exception as fault:  # protobuf has exceptions of its own for code of another of its releases
        yield f"`modal_proto.api_pb2` cannot be imported ({type(fault).__name__}: {str(fault).splitlines()[0][:200]})"
        return
    for name, types in used["rpcs"].items():
        if name not in rpcs:
            yield f"the RPC `{name}`"
        elif rpcs[name] != types:
            yield f"the RPC `{name}` from `{types[0]}` to `{types[1]}`"
    for message, fields in used["fields"].items():
        kind = api
        for word in message.split("."):
            kind = getattr(kind, word, None)
        if kind is None:
            yield f"the message `{message}`"
            continue
        known = kind.DESCRIPTOR.fields_by_name
        yield from (f"the field `{message}.{field}`" for field in fields if field not in known)
    yield from (f"the constant `{name}`" for name in used["constants"] if not hasattr(api, name))


def rpcs_of(api: Any) -> dict[str, list[str]]:
    """The types of request and answer of each RPC, with ``stream`` before what comes in pieces."""
    found = {}
    for service in api.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            words = [("stream " if method.client_streaming else "") + method.input_type.full_name]
            words += [("stream " if method.server_streaming else "") + method.output_type.full_name]
            found[method.name] = words
    return found
