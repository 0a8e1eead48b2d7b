"""Learn what SGLang decides from recordings: ``python -m glmdeploy.sglang.real.fit FOLDER``.

For each architecture and name, a tree of questions whose leaves hold for all recordings in them
(:mod:`glmdeploy.sglang.decisions.trees` has the form). Recordings that are held out (:func:`held_out`) are not looked
at: the tests measure on them how often what was learnt is right.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.resources import schemas_dir
from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.decisions.formulas import FORMULAS, OF
from glmdeploy.sglang.decisions.inputs import inputs
from glmdeploy.sglang.decisions.situation import Situation
from glmdeploy.sglang.effective import RAW, REPORTED, asked, resolved
from glmdeploy.sglang.real.record import OWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HELD_OUT = 18
"""Percent of the recordings."""

SAME = {
    "speculative_moe_runner_backend": ("moe_runner_backend",),
    "speculative_draft_model_path": ("model_path",),
    "speculative_draft_model_quantization": ("quantization",),
    "speculative_attention_mode": (),
    "ep_size": ("tp_size",),
    "attn_dp_size": ("dp_size",),
    "dp_size": ("attn_dp_size",),
    "quantization": (),
}
"""Names whose value may be that of another."""

FIRST = ("quantization", "moe_a2a_backend", "kv_cache_dtype", "attention_backend", "page_size", "moe_runner_backend")
"""Names that others follow from, in SGLang's own order as far as it has one."""

LEFT_OUT = {
    *("cuda_graph_config", "cuda_graph_bs", "piecewise_cuda_graph_tokens", "piecewise_cuda_graph_max_tokens"),
    *("cuda_graph_max_bs_decode", "device", "mm_process_config", "custom_weight_loader"),
    *("host", "port", "tokenizer_path", "served_model_name", "model_path"),
}
"""Fields that are reported under another name, or by nobody."""

NUMBERS = {"release", "memory", "tp_size", "pp_size", "dp_size", "ep_size", "attention_dp", "speculative_eagle_topk"}
NUMBERS |= {"chunked_prefill_size", "cuda_graph_max_bs", "max_running_requests", "speculative_num_draft_tokens"}
NUMBERS |= {"page_size", "=page_size", "speculative_num_steps", "max_total_tokens", "context_length"}
"""Inputs that a question may compare, rather than only tell apart."""


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


def sample(line: Mapping[str, Any]) -> Sample:
    """A recording that was no refusal."""
    version, quantization = line["version"], line["quant"]
    release = catalog.load(version)
    by_name = {flag[2:]: option.dest for option in release.options for flag in option.flags}
    values = release.defaults() | {by_name[name]: value for name, value in line["args"].items()}
    values["model_path"] = "/model"
    everything = values | asked(values)
    final = values | line["set"]
    final |= resolved(final)
    final["speculative_draft_model_path"] = _draft(final["speculative_draft_model_path"])
    graphs = final.get("cuda_graph_config")
    largest = graphs["decode"]["max_bs"] if isinstance(graphs, dict) else final.get("cuda_graph_max_bs")
    everything["cuda_graph_max_bs"] = values.get("cuda_graph_max_bs_decode") or values.get("cuda_graph_max_bs")
    final["cuda_graph_max_bs"] = largest
    now = Situation(
        version=version,
        gpu=gpus.parse(f"{line['gpu']}:8"),
        quantization=quantization,
        env=line.get("env", {}),
        values=everything,
        vision=VISION.get(line["arch"]),
    )
    return Sample(line=line, now=now, asked=everything, resolved=final, known=inputs(now))


VISION = {
    "Glm4vMoeForConditionalGeneration": (24, 1536),
    "Qwen3VLForConditionalGeneration": (24, 1152),
    "Qwen3VLMoeForConditionalGeneration": (24, 1152),
    "Qwen3_5ForConditionalGeneration": (24, 1152),
    "Qwen3_5MoeForConditionalGeneration": (24, 1152),
    "KimiK25ForConditionalGeneration": (27, 1152),
    "Llama4ForConditionalGeneration": (34, 768),
    "Mistral3ForConditionalGeneration": (24, 1024),
    "Gemma3ForConditionalGeneration": (12, 768),
    "Qwen2_5_VLForConditionalGeneration": (24, 3584),
}


def _draft(path: str | None) -> str | None:
    return "/model" if path and path.startswith("/models/") else path


def names(samples: Sequence[Sample]) -> list[str]:
    """What is learnt: everything that SGLang decided in some recording, in the order in which it follows."""
    raw = {name for each in RAW.values() for name in each} - set(RAW)
    found = {name for each in samples for name in each.line["set"]}
    options = {option.dest for version in {each.now.version for each in samples} for option in catalog.load(version).options}
    more = sorted((found & options) - set(REPORTED) - raw - OWN - LEFT_OUT - set(FIRST))
    return [*FIRST, *(name for name in REPORTED if name not in FIRST), "cuda_graph_max_bs", *more]


def ways(each: Sample, name: str) -> list[tuple[str, Any]]:
    """How the value of a name can be had in a recording."""
    value, before = each.resolved.get(name), each.asked.get(name)
    found: list[tuple[str, Any]] = []
    if value == before and isinstance(value, bool) == isinstance(before, bool):
        found.append(("keep", None))
    for other in SAME.get(name, ()):
        if value is not None and each.resolved.get(other) == value:
            found.append(("same", other))
    for formula in OF.get(name, ()):
        if before is None or name == "chunked_prefill_size" or name[:4] == "spec":
            computed = FORMULAS[formula](each.now)
            if computed is not None and computed == value:
                found.append(("formula", formula))
    if not (name == "mem_fraction_static" or isinstance(value, dict)):
        found.append(("const", value))
    return found


class Grower:
    """Grows the tree of one name from samples, as bits of whole numbers: sample ``i`` is bit ``i``."""

    def __init__(self, samples: Sequence[Sample], name: str, questions: Sequence[tuple[str, str, Any, int]]) -> None:
        self.samples = samples
        self.name = name
        self.questions = questions
        self.near = RELEVANT[name] | ANYWHERE | {name} if name in RELEVANT else None
        masks: dict[str, int] = defaultdict(int)
        self.way: dict[str, tuple[str, Any]] = {}
        for bit, each in enumerate(samples):
            for way in each.ways[name]:
                key = json.dumps(way)
                self.way[key] = way
                masks[key] |= 1 << bit
        self.masks = dict(masks)

    def grow(self, node: int) -> list[Any]:
        """The tree for the samples in ``node``."""
        parts = self._parts(node)
        if len(parts) == 1:
            return self._leaf(parts[0][0], node)
        best: tuple[float, tuple[str, str, Any, int]] | None = None
        total = node.bit_count()
        before = _entropy([mask.bit_count() for _, mask in parts], total)
        for question in self.questions:
            yes = node & question[3]
            if not yes or yes == node:
                continue
            no = node & ~yes
            after = self._cost(yes, parts) + self._cost(no, parts)
            gain = before * total - after
            if self.near is not None and question[0] not in self.near:
                if gain < FAR_GAIN:
                    continue
                gain *= 0.7
            if best is None or gain > best[0] + 1e-9:
                best = (gain, question)
        if best is None or best[0] <= LEAST_GAIN:
            return self._unsettled(parts, node)
        name, test, value, mask = best[1]
        yes, no = self.grow(node & mask), self.grow(node & ~mask)
        if yes[:-1] == no[:-1] and len(yes) == 3 == len(no):
            return [*yes[:-1], f"{int(yes[2], 16) | int(no[2], 16):x}"]
        return [name, test, value, yes, no]

    def _parts(self, node: int) -> list[tuple[str, int]]:
        """The fewest ways that cover the samples, the most common first, each with the samples that it stands for."""
        left, parts = node, []
        while left:
            key, mask = max(
                ((key, mask & left) for key, mask in self.masks.items()),
                key=lambda pair: (pair[1].bit_count(), KINDS.index(self.way[pair[0]][0])),
            )
            if not mask:
                parts.append((json.dumps(("open", None)), left))
                break
            parts.append((key, mask))
            left &= ~mask
        return parts

    def _cost(self, node: int, parts: Sequence[tuple[str, int]]) -> float:
        # Samples that a more common way of this side covers count for that one.
        counts, left = [], node
        for key, mask in parts:
            mine = left & (self.masks.get(key, mask))
            if mine:
                counts.append(mine.bit_count())
                left &= ~mine
        return _entropy(counts, node.bit_count()) * node.bit_count()

    def _unsettled(self, parts: Sequence[tuple[str, int]], node: int) -> list[Any]:
        return self._leaf(json.dumps(("open", None)), node)

    def _leaf(self, key: str, node: int) -> list[Any]:
        kind, value = self.way.get(key, ("open", None))
        places = 0
        for bit, each in enumerate(self.samples):
            if node >> bit & 1:
                places |= 1 << each.place
        return [kind, value, f"{places:x}"]


KINDS = ("const", "formula", "same", "keep")
LEAST_GAIN = 0.5
FAR_GAIN = 8.0
"""Bits that a question must tell: few of what SGLang's sources show to matter for the name, many of anything else."""

ANYWHERE = {"release", "capability", "major", "architecture", "sparse", "latent", "hybrid", "sees", "experts"}
_GRAPHS = {
    *("prefill_cuda_graph", "disable_cuda_graph", "pp_size", "enable_dp_attention", "attention_dp", "moe_a2a_backend"),
    *("=moe_a2a_backend", "enable_lora", "enable_hierarchical_cache", "cpu_offload_gb", "enable_symm_mem"),
    *("enable_eplb", "enable_deterministic_inference", "disaggregation_mode", "enable_torch_compile"),
    *("enforce_piecewise_cuda_graph", "enable_two_batch_overlap", "enable_multimodal", "is_embedding"),
    *("=moe_runner_backend", "=attention_backend", "cuda_graph_backend_prefill", "=disable_radix_cache"),
}
_SPECULATION = {
    *("algorithm", "speculative_num_steps", "speculative_eagle_topk", "speculative_num_draft_tokens", "draft"),
    *("spec_v2", "enable_deterministic_inference", "=attention_backend", "page_size"),
}
RELEVANT: dict[str, set[str]] = {
    "quantization": {"checkpoint", "moe_runner_backend"},
    "moe_a2a_backend": {"moe_runner_backend", "enable_two_batch_overlap", "=quantization", "ep_size"},
    "kv_cache_dtype": {"checkpoint", "=quantization", "attention_backend", "dtype", "algorithm"},
    "attention_backend": {
        *("algorithm", "speculative_eagle_topk", "kv_cache_dtype", "=kv_cache_dtype", "page_size", "checkpoint"),
        *("dtype", "tp_size", "enable_deterministic_inference", "disaggregation_mode", "is_embedding"),
        *("enable_multimodal", "enable_hierarchical_cache", "draft", "attention_dp", "speculative_num_steps"),
    },
    "page_size": {
        *("=attention_backend", "attention_backend", "=kv_cache_dtype", "algorithm", "speculative_eagle_topk"),
        *("mamba_strategy", "disable_radix_cache", "enable_hierarchical_cache", "disaggregation_mode"),
        *("disable_overlap_schedule", "=quantization"),
    },
    "moe_runner_backend": {
        *("=quantization", "checkpoint", "quantization", "=moe_a2a_backend", "ep_size", "algorithm", "tp_size"),
        *("dtype", "enable_lora"),
    },
    "dsa_prefill_backend": {"=kv_cache_dtype", "=attention_backend", "dsa_decode_backend", "algorithm", "pp_size"},
    "dsa_decode_backend": {"=kv_cache_dtype", "=attention_backend", "dsa_prefill_backend", "algorithm", "pp_size"},
    "disable_shared_experts_fusion": {
        *("=moe_runner_backend", "=moe_a2a_backend", "ep_size", "tp_size", "checkpoint", "=quantization"),
        *("enable_two_batch_overlap", "algorithm", "enable_eplb"),
    },
    "allreduce_fusion": {
        *("tp_size", "attention_dp", "enable_dp_attention", "enforce_disable_flashinfer_allreduce_fusion"),
        *("enable_flashinfer_allreduce_fusion", "=moe_a2a_backend", "enable_deterministic_inference", "pp_size"),
        *("ep_size", "=moe_runner_backend"),
    },
    "speculative_moe_runner_backend": {"=moe_runner_backend", "algorithm", "=quantization"},
    "disable_overlap_schedule": {
        *_SPECULATION,
        *("pp_size", "disaggregation_mode", "is_embedding", "mamba_strategy", "disable_radix_cache", "=page_size"),
        *("=mamba_radix_cache_strategy", "enable_dp_attention"),
    },
    "chunked_prefill_size": {"attention_dp", "dp_size", "enable_dp_attention", "memory", "is_embedding", "algorithm"},
    "max_running_requests": {"algorithm", "disaggregation_mode", "attention_dp"},
    "prefill_cuda_graph": _GRAPHS,
    "mem_fraction_static": {*_GRAPHS, "=prefill_cuda_graph", "memory"},
    "disable_radix_cache": {
        *("algorithm", "is_embedding", "=attention_backend", "mamba_strategy", "disaggregation_mode"),
        *("enable_hierarchical_cache", "chunked_prefill_size", "enable_multimodal"),
    },
    "cuda_graph_max_bs": {"memory", "tp_size", "max_running_requests", "disable_cuda_graph"},
    **dict.fromkeys(
        (
            *("speculative_algorithm", "speculative_num_steps", "speculative_eagle_topk"),
            *("speculative_num_draft_tokens", "speculative_draft_model_path"),
        ),
        _SPECULATION,
    ),
}
"""By name, the inputs that SGLang's sources show to matter, beside those that may matter anywhere and its own option."""


def _entropy(counts: Sequence[int], total: int) -> float:
    return -sum(count / total * math.log2(count / total) for count in counts if count)


def questions(samples: Sequence[Sample]) -> list[tuple[str, str, Any, int]]:
    """All questions that tell some samples from others: input, test, value, and the samples that answer yes."""
    found = []
    everything = (1 << len(samples)) - 1
    for name in dict.fromkeys(name for each in samples for name in each.known):
        values = Counter(_plain(each.known.get(name)) for each in samples)
        tests = []
        if name in NUMBERS:
            numbers = sorted(value for value in values if isinstance(value, (int, float, tuple)))
            tests += [("from", value) for value in numbers[1:] or numbers]
        if name not in ("release", "memory"):
            tests += [("is", value) for value in values if value is not None or len(values) > 2]
        for test, value in tests:
            mask = 0
            for bit, each in enumerate(samples):
                mine = _plain(each.known.get(name))
                yes = mine == value if test == "is" else type(mine) is not str and mine is not None and mine >= value
                mask |= yes << bit
            if mask not in (0, everything):
                found.append((name, test, _version(value) if name == "release" else value, mask))
    return found


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def _version(key: Any) -> str:
    return next(version for version in catalog.versions() if version_key(version) == key)


def grow(everything: Sequence[Sample]) -> dict[str, list[Any]]:
    """The trees for all architectures, which are an input among others."""
    trees = {}
    for name in names(everything):
        mine = [each for each in everything if name in each.resolved and name in each.asked]
        if not mine:
            continue
        for each in mine:
            each.ways[name] = ways(each, name)
        trees[name] = Grower(mine, name, questions(mine)).grow((1 << len(mine)) - 1)
        for each in everything:
            each.known[f"={name}"] = each.resolved.get(name) or None
    return trees


def specialised(tree: list[Any], traits: Mapping[str, Any], samples: Sequence[Sample], name: str) -> list[Any]:
    """The tree for one architecture: what asks for its traits is answered, and leaves have its own places."""
    if len(tree) != 5:
        places = 0
        for each in samples:
            places |= 1 << each.place
        return [*tree[:2], f"{places:x}"]
    question, test, value, yes, no = tree
    if question in traits:
        return specialised(yes if traits[question] == value else no, traits, samples, name)
    agree = [each for each in samples if answers(each.known.get(question), test, value, question)]
    differ = [each for each in samples if not answers(each.known.get(question), test, value, question)]
    left = specialised(yes, traits, agree, name)
    right = specialised(no, traits, differ, name)
    if len(left) == 3 == len(right) and left[:2] == right[:2]:
        return [*left[:2], f"{int(left[2], 16) | int(right[2], 16):x}"]
    return [question, test, value, left, right]


def answers(mine: Any, test: str, value: Any, question: str) -> bool:
    """Whether a question is answered with yes."""
    mine = _plain(mine)
    if test == "is":
        return bool(mine == value)
    if question == "release":
        value = version_key(value)
    return type(mine) is not str and mine is not None and bool(mine >= value)


def fit(everything: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """The content of each architecture's file."""
    releases = sorted({each.now.version for each in everything}, key=version_key)
    types = sorted({each.now.gpu.type for each in everything})
    by_architecture: dict[str, list[Sample]] = defaultdict(list)
    for each in everything:
        each.place = releases.index(each.now.version) * len(types) + types.index(each.now.gpu.type)
        by_architecture[each.line["arch"]].append(each)
        each.known |= traits(each.line["arch"])
    pooled = grow(everything)
    found = {}
    for architecture, mine in by_architecture.items():
        kept = {}
        for name, tree in pooled.items():
            own = [each for each in mine if name in each.resolved and name in each.asked]
            if own:
                kept[name] = specialised(tree, traits(architecture), own, name)
        tested = {name for tree in kept.values() for name in _tested(tree)}
        seen = {
            name: sorted({_plain(each.known.get(name)) for each in everything} - {None}, key=str)
            for name in sorted(tested - NUMBERS)
        }
        found[architecture] = {
            "architecture": architecture,
            "answers": len(mine),
            "releases": releases,
            "gpus": types,
            "seen": seen,
            "trees": kept,
        }
    return found


SPARSE = ("GlmMoeDsaForCausalLM", "DeepseekV32ForCausalLM")
LATENT = (*SPARSE, "DeepseekV3ForCausalLM", "Glm4MoeLiteForCausalLM", "KimiK25ForConditionalGeneration", "Glm5NextForConditionalGeneration")
HYBRID = ("Qwen3NextForCausalLM", "Qwen3_5ForConditionalGeneration", "Qwen3_5MoeForConditionalGeneration")


def traits(architecture: str) -> dict[str, Any]:
    """What an architecture is, as inputs; answered once and for all in its own trees."""
    return {
        "architecture": architecture,
        "sparse": architecture in SPARSE,
        "latent": architecture in LATENT,
        "hybrid": architecture in HYBRID,
        "sees": architecture.endswith("ForConditionalGeneration"),
        "experts": "Moe" in architecture or architecture in LATENT or architecture in ("GptOssForCausalLM", "MiniMaxM2ForCausalLM", "Llama4ForConditionalGeneration", "Qwen3NextForCausalLM"),
    }


def _tested(tree: Sequence[Any]) -> Iterator[str]:
    if len(tree) == 5:
        yield tree[0]
        yield from _tested(tree[3])
        yield from _tested(tree[4])


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m glmdeploy.sglang.real.fit", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=schemas_dir() / "sglang" / "resolved")
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    samples = [sample(line) for line in lines(chosen.folder) if "set" in line and not held_out(line)]
    for architecture, content in fit(samples).items():
        text = json.dumps(content, separators=(",", ":")) + "\n"
        (chosen.out / f"{architecture}.json").write_text(text, encoding="utf-8")
        sys.stderr.write(f"{architecture}: {content['answers']} recordings, {len(text)} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1:])
