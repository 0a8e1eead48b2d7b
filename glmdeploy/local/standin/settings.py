"""What the stand-in engine does, from SGLang's arguments, the model and the environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from glmdeploy.local.standin.checkpoint import Checkpoint

NAME = "glmdeploy-stand-in"

VERSION_VARIABLE = "GLMDEPLOY_STANDIN_SGLANG_VERSION"
"""The SGLang release to imitate; the newest one that has an option catalog unless set."""
START_VARIABLE = "GLMDEPLOY_STANDIN_START_SECONDS"
"""Seconds that a start takes, 0.5 unless set: /health answers 503 meanwhile."""
CRASH_VARIABLE = "GLMDEPLOY_STANDIN_CRASH_FILE"
"""A path: when a file appears there, the engine kills itself, to rehearse a crash."""

_MAX_RUNNING = 48
"""Without --max-running-requests: what SGLang settles on with speculative decoding."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``pool`` is the number of tokens that all requests share; ``shown`` all arguments, without secrets."""

    version: str
    host: str
    port: int
    model_path: Path
    config: Mapping[str, Any]
    served_name: str
    api_key: str | None
    admin_api_key: str | None
    metrics: bool
    context_length: int
    pool: int
    max_running: int
    reasons: bool
    start_seconds: float
    crash_file: Path | None
    shown: Mapping[str, Any]


def settings(
    arguments: argparse.Namespace, checkpoint: Checkpoint, version: str, environment: Mapping[str, str]
) -> Settings:
    """Raises ValueError where :data:`START_VARIABLE` is not a number."""
    context = arguments.context_length or checkpoint.config.get("max_position_embeddings", 4096)
    crash_file = environment.get(CRASH_VARIABLE)
    return Settings(
        version=version,
        host=arguments.host,
        port=arguments.port,
        model_path=Path(arguments.model_path),
        config=checkpoint.config,
        served_name=arguments.served_model_name or arguments.model_path,
        api_key=arguments.api_key,
        admin_api_key=arguments.admin_api_key,
        metrics=arguments.enable_metrics,
        context_length=context,
        # SGLang fills the GPU's memory, of which there is none here: room for a few of the longest requests.
        pool=arguments.max_total_tokens or 4 * context,
        max_running=arguments.max_running_requests or _MAX_RUNNING,
        reasons=arguments.reasoning_parser is not None,
        start_seconds=float(environment.get(START_VARIABLE, "0.5")),
        crash_file=Path(crash_file) if crash_file else None,
        shown={name: _shown(name, value) for name, value in sorted(vars(arguments).items())},
    )


def _shown(name: str, value: object) -> object:
    secret = "api_key" in name or "password" in name
    return "***" if secret and value is not None else value
