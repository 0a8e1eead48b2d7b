"""What SGLang will run with, value by value, and whether the real SGLang agrees. Returns data; only ``cli`` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.errors import GlmdeployError
from glmdeploy.resolve import model_path
from glmdeploy.sglang import catalog, command, neutral
from glmdeploy.sglang.effective import REPORTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from glmdeploy.rules.subject import Subject
    from glmdeploy.sglang.effective import Effective
    from glmdeploy.sglang.real.environment import Environment
    from glmdeploy.sglang.real.oracle import Answers, Resolved


@dataclass(frozen=True, kw_only=True)
class Row:
    """One value. ``real`` is what the real SGLang resolved, where it was asked: (value,), else ()."""

    name: str
    effective: Effective
    real: tuple[Any, ...] = ()

    @property
    def agrees(self) -> bool | None:
        """None where there is nothing to compare: SGLang was not asked, or the value is not known."""
        return self.effective.value == self.real[0] if self.real and self.effective.known else None


def rows(subject: Subject, *, everything: bool = False) -> list[Row]:
    """The values that matter most, or all that the release has; speculation's only where there is any."""
    table = subject.effective
    raw = {name for names in neutral.RAW.values() for name in names} - set(neutral.RAW)
    if everything:
        names = [*REPORTED, *sorted(set(table) - set(REPORTED) - raw)]
    else:
        speculates = table["speculative_algorithm"].value is not None
        names = [name for name in REPORTED if speculates or name[:12] != "speculative_"]
    return [Row(name=name, effective=table[name]) for name in names]


def ask(subject: Subject, real: Answers, *, config: Mapping[str, Any] | None = None) -> Resolved:
    """What ``real``, who answers for the profile's release, resolves for the profile, with its GPUs simulated.

    ``config`` is the checkpoint's ``config.json``, for models that glmdeploy does not know.

    :raises GlmdeployError: if the GPU cannot be simulated, the model is not known, or SGLang's code cannot be run.
    """
    from glmdeploy.sglang import model_config
    from glmdeploy.sglang.real import oracle

    profile = subject.profile
    if subject.gpu.type not in oracle.GPUS:
        raise GlmdeployError(
            f"{subject.gpu.type} is not among the GPUs that can be simulated",
            advice=f"choose one of {', '.join(oracle.GPUS)} with --gpu",
        )
    config = config or model_config.known(profile.model.repo)
    if config is None:
        raise GlmdeployError(
            f"the configuration of {profile.model.repo} is not known here",
            advice="give the checkpoint's config.json with --model-config",
        )
    words = command.server_command(
        subject.settings,
        catalog.load(profile.sglang.version),
        model_path=model_path(profile),
        served_name=profile.model.served_name,
        port=profile.server.port,
    )
    return real.resolve(
        words[len(command.SERVER) :],
        gpu=subject.gpu.type,
        count=subject.gpu.count,
        config=config,
        env={**profile.sglang.env, **profile.server.env},
    )


def compared(some: Sequence[Row], resolved: Resolved) -> list[Row]:
    """The rows with the real values beside them."""
    values = {**resolved.values, **neutral.resolved(resolved.values)}
    return [
        Row(name=row.name, effective=row.effective, real=(values[row.name],) if row.name in values else ())
        for row in some
    ]


def place_of(version: str, cache: Path | None, *, build: bool) -> Environment:
    """Where the release's real code can be asked: this interpreter if it has it, else the environment in ``cache``.

    :raises GlmdeployError: if there is none and ``build`` is False, or if it cannot be built.
    """
    from glmdeploy.sglang.real import environment

    cache = cache or environment.default_cache()
    if found := environment.installed(version) or environment.existing(version, cache):
        return found
    if build:
        return environment.build(version, cache)
    raise GlmdeployError(
        f"the real SGLang {version} is not here to be asked",
        advice=f"add --build to make an environment for it in {cache}: minutes and 1.5 GB the first time, then half "
        f"a minute a release; or install glmdeploy's extra `sglang` with sglang=={version}",
    )
