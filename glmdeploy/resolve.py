"""From a document to a Plan: schema, models, options, guard rules, and then the plan itself. No IO but the catalog."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy import plan
from glmdeploy.errors import ProfileError
from glmdeploy.rules.check import check
from glmdeploy.sglang import command

if TYPE_CHECKING:
    from datetime import date

    from glmdeploy.findings import Finding
    from glmdeploy.profile import Profile
    from glmdeploy.rules.facts import Facts
    from glmdeploy.source import Document

DOWNLOAD_PYTHON = "3.12"
DOWNLOAD_PACKAGES = ("huggingface_hub==2.4.0", "hf-xet==1.8.0")
"""The download image: pinned, so that the same plan always builds the same image."""


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """All findings, and the plan when none of them is an error that still stands.

    ``subject`` is what the rules judged: None where the document is no profile or its release is not known.
    """

    findings: tuple[Finding, ...]
    plan: plan.Plan | None
    subject: Facts | None = None


def resolve(document: Document, *, today: date | None = None) -> Resolution:
    """Check the document from its shape to the guard rules, and plan it. ``today`` (UTC) decides about waivers."""
    checked = check(document, today=today)
    planned = None if checked.facts is None or checked.failed else _plan(checked.facts)
    return Resolution(findings=checked.findings, plan=planned, subject=checked.facts)


def plan_of(document: Document) -> tuple[plan.Plan, tuple[Finding, ...]]:
    """The plan, and the findings that are no errors. Raises ProfileError with all findings when there is an error."""
    resolution = resolve(document)
    if resolution.plan is None:
        raise ProfileError(resolution.findings)
    return resolution.plan, resolution.findings


def _plan(facts: Facts) -> plan.Plan:
    profile = facts.profile
    weights = plan.Volume(name=profile.volumes.weights.name, mount=profile.volumes.weights.mount)
    kernels = profile.volumes.kernels
    server = profile.server
    return plan.Plan(
        profile=profile.name,
        app=profile.app,
        environment=profile.environment,
        tags=dict(profile.tags),
        gpu=str(facts.gpu),
        sglang=facts.catalog.version,
        model=plan.Model(
            repo=profile.model.repo,
            revision=profile.model.revision,
            served_name=profile.model.served_name,
            path=facts.model_path,
        ),
        weights=weights,
        kernels=plan.Volume(name=kernels.name, mount=kernels.mount) if kernels else None,
        huggingface=_secret(profile, "huggingface"),
        api_key=_secret(profile, "api_key"),
        download=plan.Download(
            image=plan.Image(python=DOWNLOAD_PYTHON, pip=DOWNLOAD_PACKAGES, env=dict(profile.download.env)),
            timeout=profile.download.timeout,
            cpu=profile.download.cpu,
            memory=profile.download.memory,
        ),
        compile=_compile(facts),
        server=plan.Server(
            image=plan.Image(registry=profile.sglang.image, env=dict(profile.sglang.env)),
            command=facts.command,
            env=dict(server.env),
            port=server.port,
            min_containers=server.min_containers,
            max_containers=server.max_containers,
            scaledown_window=server.scaledown_window,
            timeout=server.timeout,
            startup_timeout=server.startup_timeout,
            max_inputs=server.max_inputs,
            cpu=server.cpu,
            memory=server.memory,
        ),
        keepalive=plan.Keepalive(schedule=profile.keepalive.schedule, url=profile.keepalive.url)
        if profile.keepalive.enabled
        else None,
    )


def _secret(profile: Profile, role: str) -> plan.Secret | None:
    secret = getattr(profile.secrets, role)
    return plan.Secret(name=secret.name, keys=tuple(secret.keys)) if secret else None


def _compile(facts: Facts) -> plan.Compile | None:
    profile, seconds = facts.profile, facts.compiler_gives_up_after
    if profile.compile is None or seconds is None:
        return None
    words = command.compile_command(facts.settings, facts.catalog, model_path=facts.model_path, seconds=seconds)
    # What decides the kernels; not the time limit, which ends the command.
    decides = [
        profile.gpu,
        facts.catalog.version,
        profile.sglang.image,
        profile.model.repo,
        profile.model.revision,
        dict(sorted(profile.sglang.env.items())),
        words[:-1],
    ]
    return plan.Compile(
        timeout=profile.compile.timeout,
        command=words,
        key=hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16],
    )
