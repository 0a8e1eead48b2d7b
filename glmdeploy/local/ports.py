"""The three ports of an embedded cloud. They stay the same over restarts, where they are still free."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from glmdeploy.errors import LocalCloudError
from glmdeploy.local.home import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def listen(
    settings: Path, gateway_port: int | None
) -> tuple[socket.socket, socket.socket, socket.socket, tuple[str, ...]]:
    """Listening sockets of the gateway, the control plane and the hub, and what the user should know of them.

    ``settings`` remembers the ports. Raises LocalCloudError for a ``gateway_port`` that is taken.
    """
    saved = _saved(settings)
    notes: list[str] = []
    listeners: dict[str, socket.socket] = {}
    for name in ("gateway", "control", "hub"):
        wanted = saved.get(name, 0)
        if name == "gateway" and gateway_port is not None:
            listeners[name] = _asked_for(gateway_port)
            continue
        try:
            listeners[name] = _listen(wanted)
        except OSError:
            listeners[name] = _listen(0)
            if name != "hub":
                notes.append(_moved(name, wanted, url(listeners[name])))
    write_atomically(settings, json.dumps({name: port(each) for name, each in listeners.items()}).encode())
    return listeners["gateway"], listeners["control"], listeners["hub"], tuple(notes)


def url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{port(listener)}"


def port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _moved(name: str, before: int, now: str) -> str:
    what = {
        "gateway": "web URLs of functions that were deployed before",
        "control": "environment variables of shells that were set up before",
    }
    return f"port {before} is taken, {now} is used instead: {what[name]} do not work any more"


def _asked_for(number: int) -> socket.socket:
    try:
        return _listen(number)
    except OSError as fault:
        raise LocalCloudError(
            f"port {number} is not available: {fault.strerror}", advice="choose another port, or none at all"
        ) from fault


def _saved(settings: Path) -> dict[str, int]:
    try:
        return {name: int(number) for name, number in json.loads(settings.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _listen(number: int) -> socket.socket:
    # With the protocol named, or asyncio does not turn Nagle's algorithm off: 40 ms for every answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", number))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
