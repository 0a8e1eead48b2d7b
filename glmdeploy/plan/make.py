"""From the facts of a profile to its Plan: the only way to one."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from glmdeploy.errors import ProfileError
from glmdeploy.plan import plan, source, supervision
from glmdeploy.plan.expected import checks, expected
from glmdeploy.plan.kernels import REVISION, decides, keys
from glmdeploy.profile import serving, stages
from glmdeploy.rules.check import check
from glmdeploy.runtime.weights import sub_path
from glmdeploy.sglang.command import compile_command

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from glmdeploy.findings import Finding
    from glmdeploy.profile import models
    from glmdeploy.profile.decorators import Decorator, Keyword
    from glmdeploy.profile.serving import Warmup
    from glmdeploy.profile.text.document import Document
    from glmdeploy.rules.check import Checked
    from glmdeploy.rules.facts import Facts

DOWNLOAD_PYTHON = "3.12"
DOWNLOAD_LOCK = Path(__file__).with_name("download_image.txt")
"""The download image, whole and by hash: the same plan always builds of the same bytes."""

_COMMIT = re.compile("[0-9a-f]{40}")


def make(facts: Facts) -> plan.Plan:
    """The plan of a profile that was checked: one with errors has none."""
    profile = facts.profile
    kernels = profile.volumes.kernels
    revision = profile.model.revision
    return plan.Plan(
        profile=profile.name,
        app=profile.app,
        environment=profile.environment,
        tags=dict(profile.tags),
        gpu=str(facts.gpu) if len(facts.gpus) == 1 else tuple(map(str, facts.gpus)),
        sglang=facts.catalog.version,
        model=plan.ServedModel(
            repo=profile.model.repo,
            revision=revision,
            commit=revision if _COMMIT.fullmatch(revision) else None,
            served_name=profile.model.served_name,
            path=facts.model_path,
        ),
        weights=replace(
            _volume(profile.volumes.weights),
            sub_path=sub_path(profile.model.repo, revision),
            read_only=facts.weights_read_only or None,
        ),
        kernels=_volume(kernels) if kernels else None,
        volumes=tuple(map(_further, profile.volumes.further)),
        huggingface=_secret(profile.secrets.huggingface),
        api_key=_secret(profile.secrets.api_key),
        proxy_token=_secret(profile.secrets.proxy_token),
        registry=_secret(profile.secrets.registry),
        secrets=tuple(plan.Secret(name=each.name, keys=each.keys) for each in profile.secrets.further),
        download=plan.Download(
            image=plan.Image(python=DOWNLOAD_PYTHON, pip=_download_packages(), env=dict(profile.download.env)),
            options=_options(profile.download, stages.options(stages.Download)),
        ),
        compile=_compile(facts),
        server=plan.Server(
            kind=profile.server.kind,
            image=_image(profile.sglang),
            public=profile.server.public,
            command=facts.command,
            env=dict(profile.server.env),
            defaults=supervision.defaults(facts, facts.ready_within),
            health=supervision.health(facts),
            expected=expected(facts),
            tolerate=tuple(sorted(set(profile.server.tolerate))),
            warmup=_warmup(profile.server.warmup),
            checks=checks(facts),
            gives_up_after=facts.ready_within,
            options=_options(profile.server, serving.options(profile.server.kind), facts.nodes),
        ),
        cluster=plan.Cluster(nodes=profile.cluster.nodes, rdma=profile.cluster.rdma) if profile.cluster else None,
        keepalive=_keepalive(profile.keepalive) if profile.keepalive.enabled else None,
        runtime=source.digest(),
        max_gpus=profile.workspace.max_gpus,
    )


def made(checked: Checked) -> plan.Plan | None:
    """The plan of what was checked; None where an error stands in its way."""
    return None if checked.facts is None or checked.failed else make(checked.facts)


def plan_of(document: Document) -> tuple[plan.Plan, tuple[Finding, ...]]:
    """The plan of a document, and the findings that are no errors.

    :raises ProfileError: with all findings, when one of them is an error that no waiver holds for.
    """
    checked = check(document)
    found = made(checked)
    if found is None:
        raise ProfileError(checked.findings)
    return found, checked.findings


def _options(
    section: object, declared: Mapping[str, Mapping[Decorator, Keyword]], nodes: int = 1
) -> dict[str, plan.Option]:
    """The options of a stage that the profile or a default sets, in the order of their declaration."""
    values = {name: getattr(section, name) for name in declared}
    return {
        name: plan.Option(value=values[name], keywords=keywords(values[name], decorators, nodes))
        for name, decorators in declared.items()
        if values[name] is not None
    }


def keywords(value: Any, decorators: Mapping[Decorator, Keyword], nodes: int = 1) -> dict[str, dict[str, Any]]:
    """What each decorator takes for an option of this value, where a replica has so many ``nodes``."""
    return {decorator: {keyword.name: _argument(value, keyword, nodes)} for decorator, keyword in decorators.items()}


def _argument(value: Any, keyword: Keyword, nodes: int) -> Any:
    if keyword.made:
        return plan.Made(name=keyword.made, keywords=value)
    if keyword.replicas:
        return value * nodes
    return not value if keyword.contrary else value


def _image(sglang: models.Sglang) -> plan.Image:
    return plan.Image(
        registry=sglang.image,
        python=sglang.add_python,
        steps=tuple({name: words for name, words in step if words is not None} for step in sglang.image_steps),
        env=dict(sglang.env),
    )


def _volume(volume: models.Volume) -> plan.Volume:
    return plan.Volume(name=volume.name, mount=volume.mount, version=volume.version)


def _further(volume: models.FurtherVolume) -> plan.Volume:
    return replace(_volume(volume), sub_path=volume.sub_path, read_only=volume.read_only or None)


def _keepalive(keepalive: models.Keepalive) -> plan.Keepalive:
    return plan.Keepalive(schedule=keepalive.schedule, timezone=keepalive.timezone, url=keepalive.url)


def _warmup(warmup: Warmup | str) -> dict[str, int] | None:
    return None if isinstance(warmup, str) else {name: value for name, value in warmup if value is not None}


@cache
def _download_packages() -> tuple[str, ...]:
    lines = DOWNLOAD_LOCK.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def _secret(secret: models.Secret | None) -> plan.Secret | None:
    return plan.Secret(name=secret.name, keys=tuple(secret.keys)) if secret else None


def _compile(facts: Facts) -> plan.Compile | None:
    profile, seconds, limit = facts.profile, facts.compiler_gives_up_after, facts.compile_gives_up_after
    if profile.compile is None or seconds is None or limit is None:
        return None
    words = compile_command(facts.settings, facts.catalog, model_path=facts.model_path, seconds=seconds)
    identity = {
        "sglang.version": facts.catalog.version,
        "sglang.image": profile.sglang.image,
        "model.repo": profile.model.repo,
        REVISION: profile.model.revision,
    }
    deciding = decides(identity, facts.env, facts.settings)
    return plan.Compile(
        options=_options(profile.compile, stages.options(stages.Compile)),
        command=words,
        gives_up_after=limit,
        defaults=supervision.defaults(facts, limit),
        decides=deciding,
        keys=keys(deciding, map(str, facts.gpus)),
    )
