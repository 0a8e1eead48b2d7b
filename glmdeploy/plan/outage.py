"""What a change of a deployed app does to those who use it, beyond the replacement of containers.

Works on plans' JSON data, as :mod:`glmdeploy.plan.diff` does. What Modal does with an old version: a function that the
new one lacks goes with its containers (modal 1.6.4, ``modal/runner.py``; a web function and a Server are different
functions), and an address belongs to a function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAMES = {"web_server": "web function", "server": "Server"}


@record
class Outage:
    """What clients meet, and the value of the section ``server`` whose change is the reason."""

    field: str
    text: str


def outages(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Outage, ...]:
    """What the change from ``old`` to ``new`` (both :meth:`Plan.data`) breaks for clients; of another app nothing."""
    return () if elsewhere(old, new) else tuple(_outages(old["server"], new["server"]))


def elsewhere(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the new plan is another app's, beside which the old one goes on."""
    return any(old.get(name) != new.get(name) for name in ("app", "environment"))


def _outages(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Outage]:
    # Until there were two kinds, plans did not say theirs.
    was, now = (server.get("kind", "web_server") for server in (old, new))
    if was != now:
        yield Outage(
            field="kind",
            text=f"the {_NAMES[was]} goes with all of its containers, and its address: nobody is served until a "
            f"container of the {_NAMES[now]} is up, and then at another address",
        )
        return
    if old.get("label") != new.get("label"):
        yield Outage(field="label", text="the address changes: what clients call now is gone at once")
    if lost := [name for name in old.get("custom_domains", ()) if name not in new.get("custom_domains", ())]:
        yield Outage(field="custom_domains", text=f"nothing answers at {' and '.join(lost)} any more")
    if new.get("requires_proxy_auth") and not old.get("requires_proxy_auth"):
        yield Outage(field="requires_proxy_auth", text="clients that send no proxy token get 401 at once")
