"""The model architectures that SGLang runs, as far as this package knows them: what the class name alone decides.

Sources: the classes in ``sglang/srt/models`` of the wheels and ``sglang/srt/configs/model_config.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Attention(StrEnum):
    """How a model's layers look back."""

    LATENT = "latent"
    """MLA: a compressed vector for each token, the same on each tensor-parallel rank."""
    SPARSE = "sparse"
    """MLA with DeepSeek's sparse attention (DSA, NSA) and its index keys."""
    GROUPED = "grouped"
    """Multi-head or grouped-query attention."""
    WINDOWED = "windowed"
    """Grouped-query attention of which some layers see a sliding window (gpt-oss, Gemma 3, Llama 4)."""
    HYBRID = "hybrid"
    """Grouped-query or latent attention in some layers, linear attention (Gated DeltaNet, Mamba) in the others."""


class Task(StrEnum):
    """What a model answers with."""

    GENERATE = "generate"
    EMBED = "embed"
    RERANK = "rerank"


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """What the class name in ``config.json`` (``architectures[0]``) decides.

    ``experts``: a mixture of experts. ``sees``: takes images, video or sound. ``since`` is the first release that has
    it, None for all that are known here.
    """

    name: str
    attention: Attention
    experts: bool = False
    sees: bool = False
    task: Task = Task.GENERATE
    since: str | None = None

    @property
    def latent(self) -> bool:
        """Whether attention is MLA, sparse or not."""
        return self.attention in (Attention.LATENT, Attention.SPARSE)


_ALL = (
    Architecture(name="GlmMoeDsaForCausalLM", attention=Attention.SPARSE, experts=True, since="0.5.9"),
    Architecture(name="Glm4MoeForCausalLM", attention=Attention.GROUPED, experts=True),
    Architecture(name="DeepseekV3ForCausalLM", attention=Attention.LATENT, experts=True),
    Architecture(name="DeepseekV32ForCausalLM", attention=Attention.SPARSE, experts=True),
    Architecture(name="Qwen3ForCausalLM", attention=Attention.GROUPED),
    Architecture(name="Qwen3MoeForCausalLM", attention=Attention.GROUPED, experts=True),
    Architecture(name="LlamaForCausalLM", attention=Attention.GROUPED),
    Architecture(name="GptOssForCausalLM", attention=Attention.WINDOWED, experts=True),
)

ARCHITECTURES: Mapping[str, Architecture] = {each.name: each for each in _ALL}
"""By class name. What is not here is not known: nothing may be concluded of it."""
