"""What a change breaks for clients, and how to spare them: as text and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from glmdeploy.plan.outage import elsewhere, outages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def outage_text(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """A line for each thing that breaks, and one with the way around; nothing where nothing does."""
    found = outages(old, new)
    for outage in found:
        yield f"{click.style('Outage', fg='red', bold=True)} (server.{outage.field}): {outage.text}."
    if found:
        app = new["app"]
        yield (
            f"Without one: deploy it as a second app (--set app={app}-2), move the clients, then "
            f"`modal app stop {app}`. Weights and kernels are shared; both are billed meanwhile."
        )
    elif elsewhere(old, new):
        yield f"A second app: {old['app']} goes on as it is, at its own address, until it is stopped."


def outage_data(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same as JSON data."""
    return [{"field": f"server.{outage.field}", "text": outage.text} for outage in outages(old, new)]
