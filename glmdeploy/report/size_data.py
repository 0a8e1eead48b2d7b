"""What ``glmdeploy size`` found, as JSON data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glmdeploy.sizing.network import Network
    from glmdeploy.sizing.size import Size
    from glmdeploy.sizing.timeline import Step


def size_data(size: Size) -> dict[str, Any]:
    """Everything, as JSON data; the names of numbers end in their unit. Bytes are those of one GPU."""
    memory, model, costs = size.memory, size.facts.model, size.spending
    return {
        "profile": size.profile,
        "sglang": size.sglang,
        "gpu": {"type": size.gpu.type, "count": size.gpu.count},
        "nodes": size.nodes,
        "model": {
            "repo": size.repo,
            "revision": size.revision,
            "architecture": model.architecture,
            "quantization": model.quantization,
            "parameters": model.parameters,
            "dimensions_from": size.facts.told_by,
            "checkpoint_bytes": model.weights,
            "checkpoint_bytes_from": size.facts.weights_told_by,
            "context_tokens": model.context,
        },
        "answer": size.answer.value,
        "fits": size.fits,
        "does_not_start": None if size.uneven is None else str(size.uneven),
        "memory": {
            "total_bytes": memory.total,
            "mem_fraction_static": size.fraction,
            "static_bytes": memory.static,
            "left_by_static_bytes": memory.total - memory.static,
            "weights_bytes": memory.weights,
            "adapters_bytes": memory.adapters,
            "linear_states_bytes": memory.states,
            "kv_pool_bytes": memory.pool.bytes,
            "kv_pool_of_draft_bytes": size.draft_bytes,
            "activations_and_graphs_bytes": memory.working,
            "free_bytes": size.free,
        },
        "kv_cache": {
            "dtype": memory.kv_dtype,
            "token_bytes": memory.pool.bytes_per_token,
            "pool_tokens": memory.pool.tokens,
            "uncapped_tokens": size.uncapped,
            "max_total_tokens": size.cap,
            "possible": {
                name: {"token_bytes": pool.bytes_per_token, "tokens": pool.tokens}
                for name, pool in memory.possible.items()
            },
        },
        "requests": {
            "replicas": size.replicas,
            "context_tokens": size.context,
            "whole_context_requests": size.whole_requests,
            "running_requests": size.running,
            "running_request_tokens": size.share,
            "max_inputs_requests": size.max_inputs,
            "max_inputs_request_tokens": size.input_share,
        },
        "network": size.network and _network_data(size.network),
        "cost": {
            "gpu_hour_dollars": costs.price.dollars,
            "region_multiplier": costs.multiplier,
            "price_source": costs.price.source,
            "price_date": costs.price.date,
            "container_hour_dollars": round(costs.container, 4),
            "replica_hour_dollars": round(costs.replica, 4),
            "min_containers": costs.min_containers,
            "min_containers_hour_dollars": round(costs.least, 4),
            "max_containers": costs.max_containers,
            "max_containers_hour_dollars": round(costs.most, 4),
            "cold_start_dollars": round(costs.cold_start, 4),
            "day": costs.day
            and {
                "container_hours": round(costs.day.hours, 4),
                "least_dollars": round(costs.day.least, 4),
                "most_dollars": round(costs.day.most, 4),
            },
        },
        "cold_start": {
            "seconds": size.cold_start,
            "least_seconds": size.cold_start_range[0],
            "most_seconds": size.cold_start_range[1],
            "startup_timeout_seconds": size.startup_timeout,
            "steps": [_step_data(step) for step in size.steps],
        },
        "before_the_first_cold_start": {"steps": [_step_data(step) for step in size.once]},
    }


def _network_data(network: Network) -> dict[str, Any]:
    return {
        "hosts": network.hosts,
        "token_bytes": network.token_bytes,
        "step_waits": network.waits,
        "rdma_gigabits_per_second": network.gigabits,
        "basis": network.why,
    }


def _step_data(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "seconds": step.seconds,
        "least_seconds": step.least,
        "most_seconds": step.most,
        "basis": step.basis,
    }
