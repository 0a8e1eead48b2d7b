"""How many containers a function or a Server may have, how many it should have now, and what each may take."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import ceil, inf

from modal_proto import api_pb2

DEFAULT_MAX_CONTAINERS = max(2, os.cpu_count() or 2)
"""Where the function sets no limit. Modal would start hundreds; here each is a process of this machine."""
MOST_CONTAINERS = 100
"""That a function may keep waiting for work."""
DEFAULT_SCALEDOWN_WINDOW = 60
"""Seconds an idle container is kept (Modal's own default)."""
DEFAULT_TIMEOUT = 300
"""Seconds an input may take (modal/app.py, 1.6.4: ``timeout``)."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times in seconds. ``target`` is the load per container at which more are started; both may be infinite.

    Of a Server in clusters a container is a whole cluster, of ``size`` containers: Modal counts these, in multiples of
    the size (modal 1.6.4, ``_functions.py``). ``timeout`` is None where a request may take as long as it likes: a Server's. ``scaleup_window`` is how long more
    must be wanted until more are started, ``exit_grace`` what requests get that run when their container has to go.
    """

    per_container: float
    target: float
    minimum: int
    maximum: int
    buffer: int
    scaledown_window: float
    startup_timeout: float
    timeout: float | None
    scaleup_window: float = 0.0
    exit_grace: float = 0.0
    size: int = 1

    def wanted(self, load: int) -> int:
        """Containers for ``load`` inputs and requests, waiting or running."""
        # With a target that is infinite, one container is enough for any load; none is not.
        needed = max(ceil(min(load / self.target, self.maximum)), 1) + self.buffer if load else 0
        return min(max(needed, self.minimum), self.maximum)


def defaults(*, is_server: bool) -> api_pb2.AutoscalerSettings:
    """What holds where a function says nothing, as Modal's client writes it: 0 is no limit."""
    settings = api_pb2.AutoscalerSettings(
        min_containers=0, max_containers=0, buffer_containers=0, scaledown_window=DEFAULT_SCALEDOWN_WINDOW
    )
    if is_server:
        settings.scaleup_window = 0
        settings.target_concurrency_float = 0.0
    return settings


def limits(function: api_pb2.Function, override: api_pb2.AutoscalerSettings) -> Limits:
    """The function's own settings, where ``override`` does not replace them."""
    settings = type(override)()
    settings.CopyFrom(function.autoscaler_settings)
    settings.MergeFrom(override)
    minimum = settings.min_containers if settings.HasField("min_containers") else function.warm_pool_size
    # An override may be 0: no limit of the function's own (modal 1.6.4, _server.py, ``autoscaler.update``).
    maximum = settings.max_containers if settings.HasField("max_containers") else function.concurrency_limit
    size = cluster_size(function)
    timeout = function.timeout_secs or DEFAULT_TIMEOUT
    slots = function.max_concurrent_inputs
    if function.is_server:
        # Unset, or 0: no upper bound, and no autoscaling (modal 1.6.4, app.py, ``App.server``).
        per_container = float(slots or inf)
        target = settings.target_concurrency_float or float(settings.target_concurrency) or inf
    else:
        per_container = float(slots or 1)
        target = min(function.target_concurrent_inputs or per_container, per_container)
    return Limits(
        per_container=per_container,
        target=target,
        minimum=minimum // size,
        maximum=max(maximum // size or DEFAULT_MAX_CONTAINERS, minimum // size),
        buffer=settings.buffer_containers // size,
        scaledown_window=settings.scaledown_window or function.task_idle_timeout_secs or DEFAULT_SCALEDOWN_WINDOW,
        startup_timeout=function.http_config.startup_timeout or function.startup_timeout_secs or timeout,
        timeout=None if function.is_server else timeout,
        scaleup_window=settings.scaleup_window if function.is_server else 0.0,
        exit_grace=function.http_config.exit_grace_period,
        size=size,
    )


def cluster_size(function: api_pb2.Function) -> int:
    """Containers of one replica; 1 for what is in no cluster."""
    return max(function._experimental_group_size, 1)
