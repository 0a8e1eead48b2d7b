"""From a document to a Plan: schema, models, options, guard rules, and then the plan itself. No IO but the catalog."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from glmdeploy import families, gpus, plan, schema
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Finding, Severity
from glmdeploy.profile import Profile
from glmdeploy.rules import rules
from glmdeploy.rules.facts import Facts
from glmdeploy.rules.guards.timeouts import COMPILE_MARGIN
from glmdeploy.rules.judge import judge
from glmdeploy.rules.secrecy import hide
from glmdeploy.sglang import catalog, command
from glmdeploy.sglang.effective import effective

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.gpus import Gpu
    from glmdeploy.sglang.catalog import Catalog
    from glmdeploy.sglang.command import Problem, Setting
    from glmdeploy.sglang.effective import Effective
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
    try:
        profile = Profile.model_validate(document.data)
    except ValidationError as error:
        # The schema refuses what the models refuse (a property test holds the two to agree), and explains it better.
        # That it need not run for a document that the models accept saves a third of the time of `validate`.
        found = schema.check(document) or _model_findings(error, document)
        return Resolution(findings=tuple(found), plan=None)
    try:
        release = catalog.load(profile.sglang.version)
    except catalog.UnknownVersion as error:
        return Resolution(findings=(_unknown_version(error, document),), plan=None)
    settings, problems = command.read(profile.sglang.args, release)
    # An option that holds a secret is for the rules to judge.
    findings = [_option_finding(problem, document) for problem in problems if problem.secret is None]
    gpu = gpus.parse(profile.gpu)
    architecture = families.architecture(profile.model.repo)
    quantization = families.quantization(profile.model.repo)
    subject = Facts(
        profile=profile,
        catalog=release,
        gpu=gpu,
        architecture=architecture,
        settings=settings,
        withheld={problem.secret: problem.key for problem in problems if problem.secret},
        effective=_effective(profile, settings, release, gpu, architecture, quantization),
    )
    findings = hide([*findings, *judge(rules(), subject, document, today or datetime.now(UTC).date())])
    findings.sort(key=lambda found: (found.location.file, found.location.line, found.location.column, found.id))
    failed = any(found.severity is Severity.ERROR and not found.waived for found in findings)
    planned = None if failed else _plan(profile, settings, release)
    return Resolution(findings=tuple(findings), plan=planned, subject=subject)


def recognised(subject: Facts, architecture: str, quantization: str) -> Facts:
    """The subject with what SGLang decides for the checkpoint, where only its ``config.json`` tells what it is."""
    table = _effective(subject.profile, subject.settings, subject.catalog, subject.gpu, architecture, quantization)
    return replace(subject, architecture=architecture, effective=table)


def plan_of(document: Document) -> tuple[plan.Plan, tuple[Finding, ...]]:
    """The plan, and the findings that are no errors. Raises ProfileError with all findings when there is an error."""
    resolution = resolve(document)
    if resolution.plan is None:
        raise ProfileError(resolution.findings)
    return resolution.plan, resolution.findings


def _effective(
    profile: Profile,
    settings: Mapping[str, Setting],
    release: Catalog,
    gpu: Gpu,
    architecture: str | None,
    quantization: str | None,
) -> dict[str, Effective]:
    return effective(
        settings,
        release,
        gpu,
        architecture,
        quantization=quantization,
        env={**profile.sglang.env, **profile.server.env},
        own={"model_path": model_path(profile)},
    )


def _model_findings(error: ValidationError, document: Document) -> list[Finding]:
    return [
        Finding(
            id="schema",
            severity=Severity.ERROR,
            message=detail["msg"],
            location=document.locate(detail["loc"]),
            path=detail["loc"],
        )
        for detail in error.errors(include_url=False, include_input=False)
    ]


def _unknown_version(error: catalog.UnknownVersion, document: Document) -> Finding:
    path = ("sglang", "version")
    return Finding(
        id="sglang",
        severity=Severity.ERROR,
        message=f"glmdeploy does not know SGLang {error.version}",
        location=document.locate(path),
        path=path,
        expected=f"one of: {', '.join(catalog.versions())}",
        fix="pin a release that is listed, together with its image",
    )


def _option_finding(problem: Problem, document: Document) -> Finding:
    path = ("sglang", "args", problem.key)
    return Finding(
        id="sglang",
        severity=Severity.ERROR,
        message=problem.message,
        location=document.locate(path, key=problem.at_key),
        path=path,
        expected=problem.expected,
        fix=problem.fix,
    )


def _plan(profile: Profile, settings: Mapping[str, Setting], release: Catalog) -> plan.Plan:
    weights = plan.Volume(name=profile.volumes.weights.name, mount=profile.volumes.weights.mount)
    kernels = profile.volumes.kernels
    server = profile.server
    return plan.Plan(
        profile=profile.name,
        app=profile.app,
        environment=profile.environment,
        tags=dict(profile.tags),
        gpu=str(gpus.parse(profile.gpu)),
        sglang=release.version,
        model=plan.Model(
            repo=profile.model.repo,
            revision=profile.model.revision,
            served_name=profile.model.served_name,
            path=model_path(profile),
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
        compile=_compile(profile, settings, release),
        server=plan.Server(
            image=plan.Image(registry=profile.sglang.image, env=dict(profile.sglang.env)),
            command=command.server_command(
                settings,
                release,
                model_path=model_path(profile),
                served_name=profile.model.served_name,
                port=server.port,
            ),
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


def model_path(profile: Profile) -> str:
    """Where the weights are in the container."""
    return f"{profile.volumes.weights.mount}/{profile.model.repo.rpartition('/')[2]}"


def _secret(profile: Profile, role: str) -> plan.Secret | None:
    secret = getattr(profile.secrets, role)
    return plan.Secret(name=secret.name, keys=tuple(secret.keys)) if secret else None


def _compile(profile: Profile, settings: Mapping[str, Setting], release: Catalog) -> plan.Compile | None:
    if profile.compile is None:
        return None
    limit = profile.compile.timeout
    seconds = max(limit - COMPILE_MARGIN, limit // 2, 1)
    words = command.compile_command(settings, release, model_path=model_path(profile), seconds=seconds)
    # What decides the kernels; not the time limit, which ends the command.
    decides = [
        profile.gpu,
        release.version,
        profile.sglang.image,
        profile.model.repo,
        profile.model.revision,
        dict(sorted(profile.sglang.env.items())),
        words[:-1],
    ]
    return plan.Compile(
        timeout=limit,
        command=words,
        key=hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16],
    )
