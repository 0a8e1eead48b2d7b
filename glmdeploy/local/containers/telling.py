"""What a container's log says of it when it starts, and what it is remembered by when it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.local.containers.limits import cluster_size

if TYPE_CHECKING:
    from glmdeploy.local.containers.gang import Gang
    from glmdeploy.local.containers.member import Member
    from glmdeploy.local.containers.pool import Pool


def remarks(pool: Pool) -> list[str]:
    """What Modal would do for this function and the embedded cloud does not, where it need not refuse."""
    if pool.live is None:
        return []
    gpus = [
        f"{ranked.function.resources.gpu_config.gpu_type} x {ranked.function.resources.gpu_config.count}"
        for ranked in pool.live.data.ranked_functions
        if ranked.function.resources.gpu_config.count
    ]
    remarks = [f"the function asks for {' or '.join(gpus)}: there is no GPU here"] if gpus else []
    if cluster_size(pool.live.proto) > 1:
        if not gpus:
            remarks.append("Modal says that it has no clusters without GPUs: here nothing checks that")
        if any(ranked.function.resources.rdma for ranked in pool.live.data.ranked_functions):
            remarks.append("the cluster asks for RDMA: there is none here")
    methods = pool.live.proto.method_definitions.values()
    if domains := [each.name for method in methods for each in method.webhook_config.custom_domains]:
        remarks.append(f"the domains {', '.join(domains)} lead nowhere here: the function answers at its own URL")
    return remarks


def seat(gang: Gang | None, member: Member) -> list[str]:
    """Which container of a cluster it is."""
    if gang is None:
        return []
    return [f"rank {member.rank} of {member.size} in cluster {gang.id}, at {gang.network.address(member.rank)}"]


def replaced(member: Member) -> list[str]:
    names = ", ".join(member.launch.replaced)
    return [f"the embedded cloud's own values replace those of the image or its secrets: {names}"] if names else []


def failed(member: Member, result: api_pb2.GenericResult | None) -> str:
    """What has failed in a container, and why, in one line; empty where nothing has."""
    if result is not None and result.exception:
        what = "exit hooks that failed" if member.ready else "a failed start"
        return f"{what}: {member.told(result)}"
    return f"a failed call: {member.failure}" if member.failure else ""


def outcome(member: Member, code: int, result: api_pb2.GenericResult | None) -> api_pb2.GenericResult:
    """What a container is remembered by, without secrets."""
    kind = api_pb2.GenericResult
    status = kind.GENERIC_STATUS_SUCCESS if code == 0 else kind.GENERIC_STATUS_INTERNAL_FAILURE
    if result is not None:
        status = result.status
    elif code and member.stopping:
        status = kind.GENERIC_STATUS_TERMINATED
    exception = member.told(result) if result is not None and result.exception else ""
    return api_pb2.GenericResult(status=status, exitcode=code, exception=exception)


def describe(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
