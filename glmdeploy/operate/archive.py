"""The plans that were deployed, and the container sides that they had, in one volume of the Environment.

A file's name is what it holds: ``plans/<first digits of the plan's digest>.json`` and ``runtime/<digest>.zip``, so that
it is written once and never changed. It is written before the deployment is published, and read without a container.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import modal

from glmdeploy.errors import DeployError
from glmdeploy.operate.asking import together, within
from glmdeploy.operate.history import DIGITS
from glmdeploy.operate.volumes import content
from glmdeploy.plan import source
from glmdeploy.plan.body import BodyError, body, read_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

VOLUME = "glmdeploy-plans"


def plan_path(digits: str) -> str:
    return f"plans/{digits}.json"


def runtime_path(digest: str) -> str:
    return f"runtime/{digest}.zip"


def archive(plan: Plan, target: Target) -> None:
    """Keep a plan of this release, and this release's container side, where they are not kept yet.

    :raises DeployError:
    """
    volume = modal.Volume.from_name(VOLUME, environment_name=target.environment, create_if_missing=True)
    place, runtime = plan_path(plan.digest[:DIGITS]), runtime_path(plan.runtime)
    text, own = body(plan).encode(), plan.runtime == source.digest()
    kept, packed = together(
        lambda: content(VOLUME, place, target, volume),
        lambda: content(VOLUME, runtime, target, volume) if own else None,
    )
    missing = {} if kept == text else {place: text}
    if own and not _is_packed(packed, plan.runtime):
        missing[runtime] = source.packed()
    if not missing:
        return

    async def write() -> None:
        async with volume.batch_upload(force=True) as batch:
            for path, text in missing.items():
                batch.put_file(io.BytesIO(text), path)

    within(target, f"keep the plan in the volume {VOLUME}", write)


def _is_packed(content: bytes | None, digest: str) -> bool:
    """Whether it is the container side of this digest: unpacked and hashed, which is cheaper than to pack it anew."""
    try:
        return content is not None and bool(source.unpacked(content, digest))
    except source.SourceError:
        return False


def archived(digits: str, target: Target) -> Plan | None:
    """The plan whose digest begins with these digits; None where it is not kept.

    :raises DeployError: also where what is kept is not it.
    """
    text = content(VOLUME, plan_path(digits), target)
    if text is None:
        return None
    try:
        plan = read_body(text)
        if not plan.digest.startswith(digits):
            raise BodyError("it has another digest")
    except BodyError as fault:
        raise DeployError(
            f"{plan_path(digits)} in the volume {VOLUME} cannot be used: {fault}",
            advice="it may be of a newer glmdeploy: upgrade; or remove the file",
        ) from None
    return plan


def archived_runtime(plan: Plan, target: Target) -> Mapping[str, bytes]:
    """The container side that the plan was deployed with.

    :raises DeployError: where it is not kept.
    """
    if plan.runtime == source.digest():
        return source.files()
    path = runtime_path(plan.runtime)
    packed = content(VOLUME, path, target)
    try:
        if packed is None:
            raise source.SourceError("it is not there")
        return source.unpacked(packed, plan.runtime)
    except source.SourceError as fault:
        raise DeployError(
            f"the container side of the plan {plan.digest[:DIGITS]}, {path} in the volume {VOLUME}, cannot be used: "
            f"{fault}",
            advice="apply the profile with this glmdeploy instead",
        ) from None
