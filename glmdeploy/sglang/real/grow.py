"""Grow a tree of questions whose leaves hold for all samples in them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import version_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from glmdeploy.sglang.real.samples import Sample

Question = tuple[str, str, Any, int]
"""Input, test, value, and the samples that answer yes."""

NUMBERS = {"release", "memory", "tp_size", "pp_size", "dp_size", "ep_size", "attention_dp", "speculative_eagle_topk"}
NUMBERS |= {"chunked_prefill_size", "cuda_graph_max_bs", "max_running_requests", "speculative_num_draft_tokens"}
NUMBERS |= {"page_size", "=page_size", "speculative_num_steps", "max_total_tokens", "context_length"}
"""Inputs that a question may compare, rather than only tell apart."""


KINDS = ("const", "formula", "same", "keep")
LEAST_GAIN = 0.5
FAR_GAIN = 8.0
"""Bits that a question must tell: few of what SGLang's sources show to matter for the name, many of anything else."""

ANYWHERE = {"release", "capability", "major", "architecture", "sparse", "latent", "hybrid", "sees", "experts"}
_GRAPHS = {
    *(
        "compiles",
        "prefill_cuda_graph",
        "disable_cuda_graph",
        "pp_size",
        "enable_dp_attention",
        "attention_dp",
        "moe_a2a_backend",
    ),
    *("=moe_a2a_backend", "lora", "algorithm", "enable_hierarchical_cache", "cpu_offload_gb", "enable_symm_mem"),
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
        *("dtype", "lora"),
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
"""By name, what SGLang's sources show to matter, beside its own option and what may matter anywhere."""


class Grower:
    """Grows the tree of one name from samples, as bits of whole numbers: sample ``i`` is bit ``i``."""

    def __init__(self, samples: Sequence[Sample], name: str, questions: Sequence[Question]) -> None:
        self.samples = samples
        self.name = name
        relevant = RELEVANT[name] | ANYWHERE | {name} if name in RELEVANT else {each[0] for each in questions}
        self.near = [each for each in questions if each[0] in relevant]
        self.far = [each for each in questions if each[0] not in relevant and each[0][0] != "="]
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
        total = node.bit_count()
        before = _entropy([mask.bit_count() for _, mask in parts], total) * total
        best = self._best(node, parts, before, self.near, LEAST_GAIN) or self._best(
            node, parts, before, self.far, FAR_GAIN
        )
        if best is None:
            return self._unsettled(parts, node)
        name, test, value, mask = best
        yes, no = self.grow(node & mask), self.grow(node & ~mask)
        if yes[:-1] == no[:-1] and len(yes) == 3 == len(no):
            return [*yes[:-1], f"{int(yes[2], 16) | int(no[2], 16):x}"]
        return [name, test, value, yes, no]

    def _best(
        self, node: int, parts: Sequence[tuple[str, int]], before: float, questions: Sequence[Question], least: float
    ) -> Question | None:
        """The question that tells most bits, at least ``least``."""
        best, most = None, least
        for question in questions:
            yes = node & question[3]
            if not yes or yes == node:
                continue
            gain = before - self._cost(yes, parts) - self._cost(node & ~yes, parts)
            if gain > most + 1e-9:
                best, most = question, gain
        return best

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


def _entropy(counts: Sequence[int], total: int) -> float:
    return -sum(count / total * math.log2(count / total) for count in counts if count)


def questions(samples: Sequence[Sample], some: Iterable[str] | None = None) -> list[Question]:
    """All questions about ``some`` inputs, or about all, that tell some samples from others."""
    found: list[Question] = []
    everything = (1 << len(samples)) - 1
    for name in some if some is not None else dict.fromkeys(name for each in samples for name in each.known):
        masks: dict[Any, int] = defaultdict(int)
        for bit, each in enumerate(samples):
            masks[plain(each.known.get(name))] |= 1 << bit
        mine: list[Question] = []
        if None in masks:
            mine.append((name, "set", None, everything & ~masks[None]))
        if name in NUMBERS:
            numbers: list[Any] = sorted(
                (each for each in masks if each is not None and not isinstance(each, str)), reverse=True
            )
            above = 0
            for value, below in zip(numbers, [*numbers[1:], None], strict=True):
                above |= masks[value]
                # What lies between two recorded values goes with the greater one: nothing (-1, top-k 1) is the least.
                limit = _version(value) if name == "release" else value if below is None else below + 1
                mine.append((name, "from", limit, above))
        if name not in ("release", "memory"):
            mine += [(name, "is", value, mask) for value, mask in masks.items() if value is not None]
        found += [question for question in mine if question[3] not in (0, everything)]
    return found


def plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def _version(key: Any) -> str:
    return next(version for version in catalog.versions() if version_key(version) == key)


def holds(mine: Any, test: str, value: Any) -> bool:
    """Whether an input answers a question with yes."""
    if test == "set":
        return mine is not None
    if test == "is":
        return bool(mine == value)
    return mine is not None and not isinstance(mine, str) and bool(mine >= value)
