"""What the stand-in engine does, from SGLang's arguments, the model and the environment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, deserialize

from glmdeploy.local.standin import rehearsed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


NAME = "glmdeploy-stand-in"

VERSION_VARIABLE = "GLMDEPLOY_STANDIN_SGLANG_VERSION"
"""The SGLang release to imitate; the newest one that has an option catalog unless set."""
START_VARIABLE = "GLMDEPLOY_STANDIN_START_SECONDS"
"""Seconds that a start takes, 0.5 unless set: /health answers 503 meanwhile."""
CRASH_VARIABLE = "GLMDEPLOY_STANDIN_CRASH_FILE"
"""A path: when a file appears there, the engine kills itself, to rehearse a crash."""

HANG_VARIABLE = "GLMDEPLOY_STANDIN_HANG_FILE"
"""A path: as long as a file is there nothing is answered, to rehearse a hang."""
FAIL_VARIABLE = "GLMDEPLOY_STANDIN_FAIL_START"
"""Set to 1, a start fails, with exit code 1 and some lines in the log."""
HEALTH_VARIABLE = "SGLANG_HEALTH_CHECK_TIMEOUT"
"""SGLang's own: whole seconds after which /health gives up and answers 503 (``srt/entrypoints/http_server.py``)."""

GPU_VARIABLE = "GLMDEPLOY_LOCAL_GPU"
"""The GPU of the container in Modal's syntax, which the embedded cloud sets; without it nothing is resolved."""

_MAX_RUNNING = 48
"""Without --max-running-requests: what SGLang settles on with speculative decoding."""

_INDEX = "model.safetensors.index.json"

_POOLED = frozenset(
    {
        *("BertForSequenceClassification", "BertModel", "CLIPModel", "Contriever", "EmbeddingGemma2Model"),
        *(
            "Gemma2ForSequenceClassification",
            "InternLM2ForRewardModel",
            "Lfm2BidirectionalModel",
            "LlamaEmbeddingModel",
        ),
        *("LlamaForSequenceClassification", "LlamaForSequenceClassificationWithNormal_Weights", "MistralModel"),
        *("Qwen2ForRewardModel", "Qwen2ForSequenceClassification", "Qwen3ForRewardModel", "Qwen3Model"),
        *("Qwen3ForSequenceClassification", "XLMRobertaForSequenceClassification", "XLMRobertaModel"),
    }
)
"""Architectures that generate nothing, whatever the arguments say (``srt/configs/model_config.py``, 0.5.23)."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``pool`` is the number of tokens that all requests share; ``arguments`` are all of SGLang's, with the keys.

    ``log_interval`` is the number of generated tokens between two lines in the log; ``health_timeout`` is in seconds;
    ``why`` says why it is the stand-in that answers; ``generates`` whether the model gives text, or embeddings alone.
    """

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
    generates: bool
    start_seconds: float
    crash_file: Path | None
    hang_file: Path | None
    faults_file: Path | None
    answers: Mapping[str, str]
    fails: bool
    health_timeout: int
    log_interval: int
    arguments: Mapping[str, Any]
    why: str

    @property
    def shown(self) -> dict[str, Any]:
        """The arguments without the keys."""
        return {name: _shown(name, value) for name, value in self.arguments.items()}

    @property
    def hangs(self) -> bool:
        return self.hang_file is not None and self.hang_file.exists()

    @property
    def faults(self) -> frozenset[str]:
        """Of ``rehearsed.FAULTS``, those of this moment."""
        return rehearsed.faults(self.faults_file)


def settings(
    arguments: argparse.Namespace, checkpoint: Checkpoint, version: str, environment: Mapping[str, str], why: str
) -> Settings:
    """What the stand-in goes by.

    :raises ValueError: where :data:`START_VARIABLE` or :data:`HEALTH_VARIABLE` is not a number.
    """
    context = arguments.context_length or checkpoint.config.get("max_position_embeddings", 4096)
    crash_file, hang_file = environment.get(CRASH_VARIABLE), environment.get(HANG_VARIABLE)
    faults_file = environment.get(rehearsed.FAULTS_VARIABLE)
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
        generates=not (arguments.is_embedding or _POOLED.intersection(checkpoint.config.get("architectures") or ())),
        start_seconds=float(environment.get(START_VARIABLE, "0.5")),
        crash_file=Path(crash_file) if crash_file else None,
        hang_file=Path(hang_file) if hang_file else None,
        faults_file=Path(faults_file) if faults_file else None,
        answers=json.loads(environment.get(rehearsed.ANSWERS_VARIABLE, "{}")),
        fails=environment.get(FAIL_VARIABLE) == "1",
        health_timeout=int(environment.get(HEALTH_VARIABLE, "20")),
        log_interval=arguments.decode_log_interval,
        arguments=dict(sorted(vars(arguments).items())),
        why=why,
    )


def _shown(name: str, value: object) -> object:
    secret = "api_key" in name or "password" in name
    return "***" if secret and value is not None else value


class CheckpointError(Exception):
    """A model that cannot be loaded; the message is worded as the real loaders' are."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """``config`` is config.json; ``tensors`` counts the weights of all shards."""

    config: dict[str, Any]
    tensors: int


def read_checkpoint(directory: Path) -> Checkpoint:
    """Read a model directory as an engine does at start: config.json, and shards that are whole with a valid header.

    The shards are read whole: those of a tiny model are small.

    :raises CheckpointError:
    """
    config_path = directory / "config.json"
    if not config_path.is_file():
        raise CheckpointError(f"OSError: {directory} does not appear to have a file named config.json.")
    config = _json(config_path)
    index_path = directory / _INDEX
    if index_path.is_file():
        wanted: dict[str, set[str]] = {}
        for name, file in _json(index_path).get("weight_map", {}).items():
            wanted.setdefault(file, set()).add(name)
    else:
        wanted = {path.name: set() for path in directory.glob("*.safetensors")}
    if not wanted:
        raise CheckpointError(f"RuntimeError: Cannot find any model weights with `{directory}`")
    return Checkpoint(
        config=config,
        tensors=sum(_shard(directory / file, names) for file, names in sorted(wanted.items())),
    )


def _shard(path: Path, names: set[str]) -> int:
    """Check one file, which must hold ``names`` at least; returns the number of its tensors."""
    try:
        found = {name for name, _ in deserialize(path.read_bytes())}  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise CheckpointError(f"SafetensorError: {error} ({path})") from error
    except OSError as error:
        raise CheckpointError(f"FileNotFoundError: No such file or directory: {path}") from error
    if absent := sorted(names - found):
        raise CheckpointError(f"KeyError: {path} lacks {len(absent)} weights that the index names: {absent[0]}")
    return len(found)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"OSError: {path} is not a valid JSON file: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"OSError: {path} is not a JSON object")
    return value
