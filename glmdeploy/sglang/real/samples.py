"""Recordings as samples to learn from: what was asked, what the real SGLang made of it, and how that may be had."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.sglang import catalog
from glmdeploy.sglang.decisions import recorded
from glmdeploy.sglang.decisions.formulas import FORMULAS, OF
from glmdeploy.sglang.decisions.inputs import inputs
from glmdeploy.sglang.decisions.situation import Situation
from glmdeploy.sglang.effective import RAW, REPORTED, asked, resolved
from glmdeploy.sglang.real.checkpoints import CHECKPOINTS
from glmdeploy.sglang.real.record import OWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from glmdeploy.sglang.catalog import Catalog

HELD_OUT = 18
"""Percent of the recordings."""

SAME = {
    "speculative_moe_runner_backend": ("moe_runner_backend",),
    "speculative_draft_model_path": ("model_path",),
    "speculative_draft_model_quantization": ("quantization",),
    "ep_size": ("tp_size",),
}
"""Names whose value may be that of another, as it was resolved."""

FIRST = ("quantization", "moe_a2a_backend", "kv_cache_dtype", "attention_backend", "page_size", "moe_runner_backend")
"""Names that others follow from, in SGLang's own order as far as it has one."""

LEFT_OUT = {
    *("cuda_graph_config", "cuda_graph_bs", "piecewise_cuda_graph_tokens", "piecewise_cuda_graph_max_tokens"),
    *("cuda_graph_max_bs_decode", "device", "mm_process_config", "custom_weight_loader"),
    *("dp_size", "attn_dp_size", "host", "port", "tokenizer_path", "served_model_name", "model_path"),
}
"""Fields that are reported under another name, or by nobody."""


@dataclass
class Sample:
    """A recording. ``labels`` has by name how its value can be had: each way is a leaf without its places."""

    line: Mapping[str, Any]
    now: Situation
    asked: Mapping[str, Any]
    resolved: Mapping[str, Any]
    known: dict[str, Any]
    place: int = 0
    ways: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)


def held_out(line: Mapping[str, Any]) -> bool:
    """Whether a recording is kept for measuring. By its own text: so it stays what it is."""
    text = json.dumps([line[name] for name in ("version", "gpu", "arch", "n")])
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % 100 < HELD_OUT


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """The recordings in a folder, with their release and GPU."""
    for path in sorted(folder.glob("*.jsonl")):
        version, gpu = path.name.split(" ")[:2]
        for text in path.read_text(encoding="utf-8").splitlines():
            yield {"version": version, "gpu": gpu, **json.loads(text)}


def given(args: Mapping[str, Any], release: Catalog) -> dict[str, Any]:
    """The values of options by destination, as the release's argparse stores them."""
    by_name = {flag[2:]: option for option in release.options for flag in option.flags}
    return {
        by_name[name].dest: value if by_name[name].takes_value else by_name[name].const for name, value in args.items()
    }


def sample(line: Mapping[str, Any]) -> Sample:
    """A recording that was no refusal."""
    version, quantization = line["version"], line["quant"]
    release = catalog.load(version)
    values = release.defaults() | given(line["args"], release)
    values["model_path"] = "/model"
    everything = values | asked(values)
    final = values | line["set"]
    final |= resolved(final)
    final["speculative_draft_model_path"] = _draft(final["speculative_draft_model_path"])
    now = Situation(
        version=version,
        gpu=gpus.parse(f"{line['gpu']}:8"),
        quantization=quantization,
        env=line.get("env", {}),
        values=everything,
        vision=recorded.vision(CHECKPOINTS[line["arch"]].config),
    )
    return Sample(line=line, now=now, asked=everything, resolved=final, known=inputs(now))


def _draft(path: str | None) -> str | None:
    return "/model" if path and path.startswith("/models/") else path


def names(samples: Sequence[Sample]) -> list[str]:
    """What is learnt: everything that SGLang decided in some recording, in the order in which it follows."""
    raw = {name for each in RAW.values() for name in each} - set(RAW)
    found = {name for each in samples for name in each.line["set"]}
    options = {
        option.dest for version in {each.now.version for each in samples} for option in catalog.load(version).options
    }
    more = sorted((found & options) - set(REPORTED) - raw - OWN - LEFT_OUT - set(FIRST))
    return [*FIRST, *(name for name in REPORTED if name not in FIRST), "cuda_graph_max_bs", *more]


def ways(each: Sample, name: str) -> list[tuple[str, Any]]:
    """How the value of a name can be had in a recording."""
    value, before = each.resolved.get(name), each.asked.get(name)
    found: list[tuple[str, Any]] = []
    if value == before and isinstance(value, bool) == isinstance(before, bool):
        found.append(("keep", None))
    others = SAME.get(name, ()) if value is not None else ()
    found += [("same", other) for other in others if each.resolved.get(other) == value]
    for formula in OF.get(name, ()):
        if before is None or name == "chunked_prefill_size" or name[:4] == "spec":
            computed = FORMULAS[formula](each.now)
            # Where a formula computes nothing, what is asked for stands.
            told = before if computed is None else computed
            if told is not None and told == value:
                found.append(("formula", formula))
    if not (name == "mem_fraction_static" or isinstance(value, dict)):
        found.append(("const", value))
    return found


SPARSE = {"GlmMoeDsaForCausalLM", "DeepseekV32ForCausalLM"}
LATENT = {
    *SPARSE,
    *("DeepseekV3ForCausalLM", "Glm4MoeLiteForCausalLM", "KimiK25ForConditionalGeneration"),
    "Glm5NextForConditionalGeneration",
}
HYBRID = {"Qwen3NextForCausalLM", "Qwen3_5ForConditionalGeneration", "Qwen3_5MoeForConditionalGeneration"}
EXPERTS = {
    *LATENT,
    *("Glm4MoeForCausalLM", "Glm4vMoeForConditionalGeneration", "Qwen3MoeForCausalLM", "Qwen3NextForCausalLM"),
    *("Qwen3VLMoeForConditionalGeneration", "Qwen3_5MoeForConditionalGeneration", "GptOssForCausalLM"),
    *("Llama4ForConditionalGeneration", "MiniMaxM2ForCausalLM"),
}
"""The architectures by what they share, for trees to ask for."""


def traits(architecture: str) -> dict[str, Any]:
    """What an architecture is, as inputs; answered once and for all in its own trees."""
    return {
        "architecture": architecture,
        "sparse": architecture in SPARSE,
        "latent": architecture in LATENT,
        "hybrid": architecture in HYBRID,
        "sees": architecture.endswith("ForConditionalGeneration"),
        "experts": architecture in EXPERTS,
    }
