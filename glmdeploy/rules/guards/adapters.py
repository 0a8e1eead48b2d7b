"""Rules about LoRA adapters: their names, and how many there are."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import AIR, Look, Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

LOOKED = Look(date="2026-11-29", release="0.5.23")

_PATHS, _TARGETS = "lora_paths", "lora_target_modules"
_LOADED, _BATCH, _OVERLAP = "max_loaded_loras", "max_loras_per_batch", "enable_lora_overlap_loading"

_NO_DRAFTS = tuple(
    f"sglang.args.speculative-{name}=null" for name in ("algorithm", "num-steps", "eagle-topk", "num-draft-tokens")
)
_TWO = (*_NO_DRAFTS, "sglang.args.lora-paths=[a=/model-cache/a, b=/model-cache/b]")


def names(facts: Facts) -> list[str]:
    """The adapters' names, as SGLang reads ``NAME=PATH``, a path alone, or an object."""
    setting = facts.settings.get(_PATHS)
    value: Any = setting.value if setting else None
    items = value if isinstance(value, list | tuple) else (value,)
    return [_name(item) for item in items if item]


def _name(item: Any) -> str:
    text = str(item).strip()
    if isinstance(item, str) and text.startswith("{") and text.endswith("}"):
        try:
            item = json.loads(text)
        except ValueError:
            return text
    if isinstance(item, dict):
        return str(item.get("lora_name"))
    return text.partition("=")[0]


def _twice(facts: Facts) -> Iterator[Violation]:
    double = [name for name, count in Counter(names(facts)).items() if count > 1] if facts.adapts else []
    if double:
        yield Violation(
            path=facts.path(_PATHS), message=f"two adapters are called `{double[0]}`, and clients choose them by name"
        )


def _numbers(facts: Facts) -> Iterator[Violation]:
    if not facts.adapts:
        return
    batch, loaded, many = facts.number(_BATCH), facts.number(_LOADED), len(names(facts))
    if batch is not None and batch < 1:
        yield Violation(path=facts.path(_BATCH), message=f"`max-loras-per-batch` is {batch}, and 1 is the least")
    elif loaded is not None and batch is not None and loaded < batch:
        default = "" if facts.setting(_BATCH) else ", SGLang's default"
        yield Violation(
            path=facts.path(_LOADED),
            message=f"`max-loaded-loras` {loaded} is less than `max-loras-per-batch` {batch}{default}",
        )
    elif loaded is not None and loaded < many:
        yield Violation(
            path=facts.path(_LOADED), message=f"`max-loaded-loras` is {loaded}, and {many} adapters are given"
        )
    if facts.value(_OVERLAP) and batch is not None and (loaded is None or loaded > 2 * batch):
        yield Violation(
            path=facts.path(_OVERLAP),
            message=f"`enable-lora-overlap-loading` wants a `max-loaded-loras` of {2 * batch} at the most, twice what "
            "a batch takes",
        )
    targets = facts.value(_TARGETS)
    if isinstance(targets, list | tuple) and "all" in targets and len(targets) > 1:
        yield Violation(
            path=facts.path(_TARGETS), message="`lora-target-modules` names `all`, which stands for itself, and others"
        )


TWICE = Rule(
    id="GLM173",
    title="two adapters of one name",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="A request chooses its adapter by name (`model:adapter`). SGLang's argument resolution takes a name twice "
    "(tried with 0.5.11 and 0.5.23); the registry of the server and the manager of its ranks raise a ValueError for "
    "the second, after the weights are loaded.",
    fix="give each adapter a name of its own: `lora-paths: [one=PATH, other=PATH]`",
    sources=(
        "sglang/srt/lora/lora_registry.py, _register_adapter (0.5.10, 0.5.16, 0.5.23)",
        "sglang/srt/lora/lora_manager.py, validate_new_adapter (0.5.23)",
    ),
    check=_twice,
    fails=(
        example(*_NO_DRAFTS, "sglang.args.lora-paths=[a=/model-cache/a, a=/model-cache/b]", profile=AIR),
        example(
            *_NO_DRAFTS,
            """sglang.args.lora-paths=[a=/model-cache/a, '{"lora_name": "a", "lora_path": "/model-cache/b"}']""",
            profile=AIR,
        ),
    ),
    passes=(example(*_TWO, profile=AIR),),
    looked=LOOKED,
)

NUMBERS = Rule(
    id="GLM174",
    title="numbers of adapters that SGLang refuses",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="SGLang keeps `max-loaded-loras` adapters in memory and mixes `max-loras-per-batch` (8 unless told otherwise) "
    "in a batch: it asserts that the former are at least the latter and at least the adapters that it is started "
    "with, and at most twice a batch's where they are loaded while others run. `all` stands alone among "
    "`lora-target-modules`. Each was tried on SGLang's own argument check, with 0.5.11 and 0.5.23.",
    fix="raise `max-loaded-loras`, or lower `max-loras-per-batch`",
    sources=(
        "sglang/srt/server_args.py, check_lora_server_args (0.5.10, 0.5.11)",
        "sglang/srt/arg_groups/lora_hook.py, check_lora_server_args (0.5.23)",
    ),
    check=_numbers,
    fails=(
        example(*_TWO, "sglang.args.max-loaded-loras=2", profile=AIR),
        example(*_TWO, "sglang.args.max-loaded-loras=1", "sglang.args.max-loras-per-batch=1", profile=AIR),
        example(*_TWO, "sglang.args.max-loras-per-batch=0", profile=AIR),
        example(*_TWO, "sglang.args.enable-lora-overlap-loading=true", profile=AIR),
        example(*_TWO, "sglang.args.lora-target-modules=[all, q_proj]", profile=AIR),
    ),
    passes=(
        example(*_TWO, "sglang.args.max-loaded-loras=8", profile=AIR),
        example(
            *(*_TWO, "sglang.args.enable-lora-overlap-loading=true", "sglang.args.max-loaded-loras=4"),
            "sglang.args.max-loras-per-batch=2",
            profile=AIR,
        ),
        example("sglang.args.max-loaded-loras=2", profile=AIR),
    ),
    looked=LOOKED,
)

RULES = (TWICE, NUMBERS)
