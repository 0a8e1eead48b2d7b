"""What SGLang will run with, value by value, and whether the real SGLang agrees. Returns data; only ``cli`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.errors import GlmdeployError
from glmdeploy.records import record
from glmdeploy.sglang.command import SERVER
from glmdeploy.sglang.effective import RAW, REPORTED, Effective, Origin, resolved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from glmdeploy.gpus import Gpu
    from glmdeploy.sglang.real.environment import Environment
    from glmdeploy.sglang.real.oracle import Answers, Resolved


UNTOLD = (
    *("cuda_graph_bs", "cuda_graph_bs_decode", "cuda_graph_bs_prefill", "cuda_graph_max_bs_prefill"),
    *("piecewise_cuda_graph_tokens", "piecewise_cuda_graph_max_tokens", "tokenizer_path", "random_seed"),
    "device",
)
"""What SGLang works out, or draws by chance, for whoever does not set it, and what is not told here."""


@record
class Row:
    """One value. ``real`` is what the real SGLang resolved, where it was asked: (value,), else ()."""

    name: str
    effective: Effective
    real: tuple[Any, ...] = ()

    @property
    def agrees(self) -> bool | None:
        """None where there is nothing to compare: SGLang was not asked, or the value is not known."""
        return self.effective.value == self.real[0] if self.real and self.effective.known else None


def rows(table: Mapping[str, Effective], *, everything: bool = False) -> list[Row]:
    """The effective values that matter most, or all that the release has.

    Speculation's are among the former where there is any, and the number of nodes where there are several.
    """
    raw = {name for names in RAW.values() for name in names} - set(RAW)
    if everything:
        names = [*REPORTED, *sorted(set(table) - set(REPORTED) - raw)]
    else:
        speculates = table["speculative_algorithm"].value is not None
        several = ["nnodes"] if table["nnodes"].value not in (None, 1) else []
        names = several + [name for name in REPORTED if speculates or name[:12] != "speculative_"]
    return [Row(name=name, effective=_told(name, table[name])) for name in names]


def _told(name: str, one: Effective) -> Effective:
    """The value as it is told: what SGLang works out for whoever does not set it is not its default."""
    if name in UNTOLD and one == Effective(value=None, origin=Origin.DEFAULT):
        return Effective(value=None, origin=Origin.SGLANG, why="SGLang works it out at start", known=False)
    return one


def ask(
    real: Answers,
    words: Sequence[str],
    *,
    repo: str,
    gpu: Gpu,
    env: Mapping[str, str],
    config: Mapping[str, Any] | None = None,
    nodes: int = 1,
) -> Resolved:
    """What ``real``, the oracle of a release, resolves for the command ``words``, with the GPUs simulated.

    ``config`` is the checkpoint's ``config.json``, for models that glmdeploy does not know by ``repo``. Of several
    ``nodes``, each with ``gpu``, the first is asked, with what its container adds to the command.

    :raises GlmdeployError: if the GPU cannot be simulated, the model is not known, or SGLang's code cannot be run.
    """
    from glmdeploy import gpus
    from glmdeploy.sglang import models

    simulated = [name for name, each in gpus.TYPES.items() if each.simulation]
    if gpu.type not in simulated:
        raise GlmdeployError(
            f"{gpu.type} is not among the GPUs that can be simulated",
            advice=f"choose one of {', '.join(simulated)} with `--gpu`",
        )
    config = config or models.known(repo)
    if config is None:
        raise GlmdeployError(
            f"the configuration of {repo} is not known here",
            advice="give the checkpoint's config.json with `--model-config`",
        )
    return real.resolve(
        [*words[len(SERVER) :], *of_the_first(nodes)], gpu=gpu.type, count=gpu.count, config=config, env=env
    )


def of_the_first(nodes: int) -> tuple[str, ...]:
    """What the first container of so many adds to SGLang's command; nothing where there is only one."""
    return ("--nnodes", str(nodes), "--node-rank", "0", "--dist-init-addr", "127.0.0.1:20000") if nodes > 1 else ()


def compared(some: Sequence[Row], answer: Resolved) -> list[Row]:
    """The rows with the real values beside them."""
    values = {**answer.values, **resolved(answer.values)}
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
        advice=f"add `--build` to make an environment for it in {cache}: minutes and 1.5 GB the first time, then half "
        f"a minute a release; or install glmdeploy's extra `sglang` with sglang=={version}",
    )
