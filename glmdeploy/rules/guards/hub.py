"""Rules about what a stage fetches from the Hugging Face Hub, and whether it can."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.edits import Remove
from glmdeploy.findings import Severity
from glmdeploy.rules.guards.operations import in_volume, paths
from glmdeploy.rules.rule import Rule, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.edits import Edit
    from glmdeploy.rules.facts import Facts

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Variables that cut off the hub, the first that is not empty decides (huggingface_hub 2.4.0, ``constants.py``)."""

CACHE = ("HF_HOME", "HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE")
"""Variables that say where files of the hub are kept (huggingface_hub 2.4.0, ``constants.py``)."""

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_REPOSITORY = re.compile(rf"{_PART}/{_PART}")
_FILE = re.compile(rf"{_PART}/{_PART}/{_PART}")

FETCHED: Mapping[str, re.Pattern[str]] = {
    "tokenizer_path": _REPOSITORY,
    "speculative_draft_model_path": _REPOSITORY,
    "speculative_token_map": _FILE,
    "lora_paths": _REPOSITORY,
    "model_checksum": _REPOSITORY,
}
"""Options for which SGLang asks the hub when no file is there, and what a name on the hub looks like for each."""

_OF_THE_MODEL = ("tokenizer_path", "speculative_draft_model_path")


def offline(env: Mapping[str, str]) -> str | None:
    """The variable that cuts off the hub, or None; read as huggingface_hub reads it, not as SGLang reads its own."""
    name = next((name for name in OFFLINE if env.get(name)), None)
    return name if name and env[name].upper() in ("1", "ON", "YES", "TRUE") else None


def _cut_off(facts: Facts) -> Iterator[Violation]:
    if name := offline(facts.profile.download.env):
        path = ("download", "env", name)
        yield Violation(
            path=path,
            message=f"`{name}` cuts off the hub, from which this stage is to download {facts.profile.model.repo}",
            edits=(Remove(path=path),),
        )
    name = offline(facts.env)
    if name and not _has_cache(facts):
        for dest, repo in _fetched(facts):
            yield Violation(
                path=facts.path(dest),
                message=f"`{facts.settings[dest].key}` names {repo} on the hub, which `{name}` cuts off",
                edits=_local(facts, dest, repo),
            )


def _at_start(facts: Facts) -> Iterator[Violation]:
    if offline(facts.env) or _has_cache(facts):
        return
    for dest, repo in _fetched(facts):
        yield Violation(
            path=facts.path(dest),
            message=f"every container fetches {repo} from the hub for `{facts.settings[dest].key}`, without a token",
            edits=_local(facts, dest, repo),
        )


def _fetched(facts: Facts) -> Iterator[tuple[str, str]]:
    for dest, name in FETCHED.items():
        if setting := facts.settings.get(dest):
            yield from ((dest, path) for path in paths(setting.value) if name.fullmatch(path))


def _has_cache(facts: Facts) -> bool:
    """Whether the hub's files are kept in a volume, so that an earlier start may have left them there."""
    return any(in_volume(facts, facts.env[name]) for name in CACHE if name in facts.env)


def _local(facts: Facts, dest: str, repo: str) -> tuple[Edit, ...]:
    """The edit to the model's own folder, where the option names the model that the download stage fetches."""
    path = facts.value("model_path")
    if dest in _OF_THE_MODEL and repo == facts.profile.model.repo and isinstance(path, str):
        return facts.put(dest, path)
    return ()


CUT_OFF = Rule(
    id="GLM072",
    title="hub needed where it is cut off",
    severity=Severity.ERROR,
    why="HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) makes every request to the hub an error. In `download.env` that is "
    "the end of the download stage, unless the pinned commit lies in the volume already. In the server's environment, "
    "where it belongs, it ends a start that wants a second repository: the download stage brings `model.repo` and "
    "nothing else, so that a draft model, a tokenizer, an adapter or a token map named as on the hub is nowhere. A "
    "cache in a volume (HF_HOME) may hold it, and is left alone.",
    fix="remove the variable from `download.env`; for the server, put the files into the weights volume and write "
    "their path there",
    sources=(
        "huggingface_hub/constants.py (2.4.0)",
        "glmdeploy/runtime/download.py",
        "sglang/srt/lora/lora_config.py (0.5.23)",
        "sglang/srt/speculative/spec_utils.py, load_token_map (0.5.23)",
    ),
    check=_cut_off,
    fails=(
        example("download.env.HF_HUB_OFFLINE=1"),
        example("download.env.TRANSFORMERS_OFFLINE=yes"),
        example("sglang.args.speculative-draft-model-path=zai-org/GLM-5.1-MTP"),
        example("sglang.args.tokenizer-path=zai-org/GLM-5.1-FP8"),
        example("sglang.args.lora-paths=[style=some-org/style-adapter]", profile="b200-nospec-bf16kv"),
    ),
    passes=(
        example("download.env.HF_HUB_OFFLINE=0"),
        example("sglang.args.tokenizer-path=/model-cache/GLM-5.1-FP8"),
        example("sglang.args.tokenizer-path=zai-org/GLM-5.1-FP8", "server.env.HF_HUB_OFFLINE=0"),
        example("sglang.args.tokenizer-path=zai-org/GLM-5.1-FP8", "server.env.HF_HOME=/model-cache/hub"),
    ),
)

AT_START = Rule(
    id="GLM073",
    title="second repository fetched at every start",
    severity=Severity.WARNING,
    why="The download stage brings `model.repo` into the weights volume and nothing else. A draft model, a tokenizer, "
    "an adapter or a token map named as on the hub is fetched by each new container into its own disk, at the price "
    "of its GPUs, at whatever its main branch holds, and without a token: `secrets.huggingface` goes to the download "
    "stage alone. When the hub does not answer, nothing starts. A cache in a volume (HF_HOME) keeps it after the "
    "first time.",
    fix="put the files into the weights volume and write their path there, or set HF_HOME to a folder in a volume",
    sources=(
        "huggingface_hub/constants.py (2.4.0)",
        "glmdeploy/app.py",
        "sglang/srt/lora/lora_config.py (0.5.23)",
        "sglang/srt/speculative/spec_utils.py, load_token_map (0.5.23)",
    ),
    check=_at_start,
    fails=(
        example("sglang.args.speculative-draft-model-path=zai-org/GLM-5.1-MTP", "server.env.HF_HUB_OFFLINE=null"),
        example("sglang.args.tokenizer-path=zai-org/GLM-5.1-FP8", "server.env.HF_HUB_OFFLINE=0"),
        example("sglang.args.speculative-token-map=some-org/eagle/map.pt", "server.env.HF_HUB_OFFLINE=null"),
    ),
    passes=(
        example("server.env.HF_HUB_OFFLINE=null"),
        example(
            "sglang.args.tokenizer-path=zai-org/GLM-5.1-FP8",
            "server.env={HF_HUB_OFFLINE: '0', HF_HOME: /model-cache/hub}",
        ),
    ),
)

RULES = (CUT_OFF, AT_START)
