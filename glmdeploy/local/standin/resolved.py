"""What the stand-in says it runs with: SGLang's decisions, as far as they are known, for the GPU that was asked for.

``/server_info`` has the values of the launcher, and in ``internal_states`` those of each data-parallel rank with what
only its scheduler knows (``srt/managers/scheduler.py``, from 0.5.22 ``scheduler_components/internal_state.py``).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.local.standin.settings import GPU_VARIABLE
from glmdeploy.sglang import catalog, models
from glmdeploy.sglang.command import Setting
from glmdeploy.sglang.effective import RAW, effective
from glmdeploy.sizing import memory, model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.local.standin.settings import Settings
    from glmdeploy.sglang.effective import Effective

BEHIND_VARIABLE = "GLMDEPLOY_STANDIN_BEHIND"
"""A JSON object: what the engine runs with in place of its arguments, to rehearse a change behind the plan's back."""

_INPUT_MARGIN = 6
"""By so many tokens the longest input is below the context (2042 of 2048 in 0.5.23)."""


def server_info(settings: Settings, environment: Mapping[str, str], running: int) -> dict[str, Any]:
    """The answer of ``/server_info``, without the keys, while so many requests are ``running``."""
    table = _effective(settings, environment)
    values = {**settings.shown, **_decided(settings, table)}
    values |= json.loads(environment.get(BEHIND_VARIABLE, "{}"))
    ranks = max(int(values["dp_size"]), int(values.get("attn_dp_size") or 1))
    pool = int(values["max_total_tokens"] or _pool(settings, table, environment))
    state = {
        **values,
        "effective_max_running_requests_per_dp": int(values["max_running_requests"] or settings.max_running) // ranks,
        "last_gen_throughput": 0.0,
        "num_running_reqs": running,
        "memory_usage": {"token_capacity": pool},
    }
    return {
        **values,
        "version": settings.version,
        "max_total_num_tokens": pool,
        "max_req_input_len": min(settings.context_length, pool) - _INPUT_MARGIN,
        "internal_states": [state] * ranks,
    }


def _effective(settings: Settings, environment: Mapping[str, str]) -> Mapping[str, Effective]:
    if GPU_VARIABLE not in environment:
        return {}
    release = catalog.load(settings.version)
    defaults, repo = release.defaults(), _repo(settings)
    options = {option.dest: option for option in release.options}
    given = {
        name: Setting(option=options[name], key=name, value=value, words=())
        for name, value in settings.arguments.items()
        if name in options and value != defaults.get(name)
    }
    return effective(
        given,
        release,
        gpus.parse(environment[GPU_VARIABLE]),
        models.architecture(repo),
        quantization=models.quantization(repo),
        env=environment,
        own={"model_path": str(settings.model_path)},
        config=models.known(repo),
    )


def _decided(settings: Settings, table: Mapping[str, Effective]) -> dict[str, Any]:
    """What SGLang decides by itself, by its own names in the release."""
    found = {}
    for name, one in table.items():
        for own in RAW.get(name, (name,)):
            if own in settings.arguments and name not in ("allreduce_fusion", "prefill_cuda_graph") and one.known:
                found[own] = one.value
    return {name: value for name, value in found.items() if "api_key" not in name and "password" not in name}


def _pool(settings: Settings, table: Mapping[str, Effective], environment: Mapping[str, str]) -> int:
    """Tokens of the KV pool: of the model's real dimensions, where they and the GPU are known."""
    known = model.known(_repo(settings))
    if known is None or not table:
        return settings.pool
    found = memory.memory(
        known,
        gpus.parse(environment[GPU_VARIABLE]),
        lambda name: table[name].value if name in table else None,
        version=settings.version,
    )
    return found.pool.tokens if found and found.pool.tokens else settings.pool


def _repo(settings: Settings) -> str:
    """The model's name, which is all that its folder tells of the repository."""
    return settings.model_path.name
