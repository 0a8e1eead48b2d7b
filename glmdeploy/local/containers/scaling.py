"""How many containers a function may have, and how many it should have now. Pure arithmetic."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modal_proto import api_pb2

DEFAULT_MAX_CONTAINERS = max(2, os.cpu_count() or 2)
"""Where the function sets no limit. Modal would start hundreds; here each is a process of this machine."""

DEFAULT_SCALEDOWN_WINDOW = 60
"""Seconds an idle container is kept (Modal's own default)."""

DEFAULT_TIMEOUT = 300
"""Seconds an input may take (modal/app.py, 1.6.4: ``timeout``)."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times in seconds. ``target`` is the load per container at which more are started."""

    per_container: int
    target: int
    minimum: int
    maximum: int
    buffer: int
    scaledown_window: float
    startup_timeout: float
    timeout: float

    def wanted(self, load: int) -> int:
        """Containers for ``load`` inputs and requests, waiting or running."""
        needed = ceil(load / self.target) + (self.buffer if load else 0)
        return min(max(needed, self.minimum), self.maximum)


def limits(function: api_pb2.Function, override: api_pb2.AutoscalerSettings) -> Limits:
    """The function's own settings, where ``override`` does not replace them."""
    settings = type(override)()
    settings.CopyFrom(function.autoscaler_settings)
    settings.MergeFrom(override)
    per_container = function.max_concurrent_inputs or 1
    minimum = settings.min_containers if settings.HasField("min_containers") else function.warm_pool_size
    maximum = settings.max_containers or function.concurrency_limit or DEFAULT_MAX_CONTAINERS
    timeout = function.timeout_secs or DEFAULT_TIMEOUT
    return Limits(
        per_container=per_container,
        target=min(function.target_concurrent_inputs or per_container, per_container),
        minimum=minimum,
        maximum=max(maximum, minimum),
        buffer=settings.buffer_containers,
        scaledown_window=settings.scaledown_window or function.task_idle_timeout_secs or DEFAULT_SCALEDOWN_WINDOW,
        startup_timeout=function.startup_timeout_secs or timeout,
        timeout=timeout,
    )
