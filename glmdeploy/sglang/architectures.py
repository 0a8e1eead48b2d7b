"""The model architectures that SGLang runs, as far as this package knows them: what the class name alone decides.

Sources: the classes in ``sglang/srt/models`` of the wheels from 0.5.8 to 0.5.23 (``EntryClass``) and
``sglang/srt/configs/model_config.py`` (0.5.23): ``_derive_model_shapes`` for MLA, ``is_deepseek_dsa``,
``is_hybrid_swa_model``, ``multimodal_model_archs``, ``is_generation_model``, and ``hybrid_arch.py`` for linear
attention. A class of which the configuration decides (Pixtral with MLA or without, Nemotron-H with experts or without)
is left out.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from glmdeploy.records import record

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
    COMPRESSED = "compressed"
    """A sliding window, and beside it keys that stand for several tokens each (DeepSeek V4)."""


class Task(StrEnum):
    """What a model answers with."""

    GENERATE = "generate"
    EMBED = "embed"
    RERANK = "rerank"


@record
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


def _each(
    attention: Attention,
    names: str,
    *,
    experts: bool = False,
    sees: bool = False,
    task: Task = Task.GENERATE,
    since: str | None = None,
) -> tuple[Architecture, ...]:
    return tuple(
        Architecture(name=name, attention=attention, experts=experts, sees=sees, task=task, since=since)
        for name in names.split()
    )


_GROUPED = """
    LlamaForCausalLM MistralForCausalLM Ministral3ForCausalLM Qwen2ForCausalLM Qwen3ForCausalLM Glm4ForCausalLM
    GemmaForCausalLM Phi3ForCausalLM PhiForCausalLM GraniteForCausalLM CohereForCausalLM StableLmForCausalLM
    OlmoForCausalLM Olmo2ForCausalLM InternLM2ForCausalLM InternLM3ForCausalLM BaichuanForCausalLM Starcoder2ForCausalLM
    Ernie4_5_ForCausalLM MiMoForCausalLM MiniCPMForCausalLM ApertusForCausalLM ArceeForCausalLM SolarForCausalLM
"""
_GROUPED_EXPERTS = """
    Glm4MoeForCausalLM Qwen2MoeForCausalLM Qwen3MoeForCausalLM MixtralForCausalLM DbrxForCausalLM OlmoeForCausalLM
    PhiMoEForCausalLM MiniMaxM2ForCausalLM GraniteMoeForCausalLM Ernie4_5_MoeForCausalLM Grok1ForCausalLM
    DeepseekForCausalLM
"""
_GROUPED_SEEING = """
    Glm4vForConditionalGeneration Qwen2VLForConditionalGeneration Qwen2_5_VLForConditionalGeneration
    Qwen3VLForConditionalGeneration Mistral3ForConditionalGeneration LlavaForConditionalGeneration
"""
_LATENT = """
    DeepseekV2ForCausalLM DeepseekV3ForCausalLM Glm4MoeLiteForCausalLM LongcatFlashForCausalLM MistralLarge3ForCausalLM
"""
_EMBEDDING = "LlamaEmbeddingModel MistralModel BertModel Contriever XLMRobertaModel"
_SCORING = """
    BertForSequenceClassification XLMRobertaForSequenceClassification Qwen2ForSequenceClassification
    Qwen3ForSequenceClassification LlamaForSequenceClassification Gemma2ForSequenceClassification Qwen2ForRewardModel
    InternLM2ForRewardModel
"""

_ALL = (
    *_each(Attention.SPARSE, "GlmMoeDsaForCausalLM", experts=True, since="0.5.9"),
    *_each(Attention.SPARSE, "DeepseekV32ForCausalLM", experts=True),
    *_each(Attention.COMPRESSED, "DeepseekV4ForCausalLM", experts=True, since="0.5.12.post1"),
    *_each(Attention.LATENT, _LATENT, experts=True),
    *_each(Attention.LATENT, "MiniCPM3ForCausalLM"),
    *_each(Attention.LATENT, "KimiVLForConditionalGeneration", experts=True, sees=True),
    *_each(Attention.LATENT, "KimiK25ForConditionalGeneration", experts=True, sees=True, since="0.5.9"),
    *_each(Attention.GROUPED, _GROUPED),
    *_each(Attention.GROUPED, _GROUPED_EXPERTS, experts=True),
    *_each(Attention.GROUPED, _GROUPED_SEEING, sees=True),
    *_each(
        Attention.GROUPED,
        "Glm4vMoeForConditionalGeneration Qwen3VLMoeForConditionalGeneration",
        experts=True,
        sees=True,
    ),
    *_each(Attention.WINDOWED, "GptOssForCausalLM MiMoV2FlashForCausalLM", experts=True),
    *_each(Attention.WINDOWED, "Step3p5ForCausalLM", experts=True, since="0.5.9"),
    *_each(Attention.WINDOWED, "Llama4ForConditionalGeneration", experts=True, sees=True),
    *_each(Attention.WINDOWED, "Gemma2ForCausalLM Gemma3ForCausalLM"),
    *_each(Attention.WINDOWED, "Gemma3ForConditionalGeneration", sees=True),
    *_each(Attention.HYBRID, "FalconH1ForCausalLM JetNemotronForCausalLM"),
    *_each(Attention.HYBRID, "Qwen3NextForCausalLM KimiLinearForCausalLM", experts=True),
    *_each(Attention.HYBRID, "Qwen3_5ForConditionalGeneration", sees=True, since="0.5.9"),
    *_each(Attention.HYBRID, "Qwen3_5MoeForConditionalGeneration", experts=True, sees=True, since="0.5.9"),
    *_each(Attention.HYBRID, "Qwen3_5ForCausalLM", since="0.5.17"),
    *_each(Attention.HYBRID, "Qwen3_5MoeForCausalLM", experts=True, since="0.5.17"),
    *_each(Attention.HYBRID, "Glm5NextForConditionalGeneration", experts=True, sees=True, since="0.5.20"),
    *_each(Attention.GROUPED, _EMBEDDING, task=Task.EMBED),
    *_each(Attention.GROUPED, "Qwen3Model", task=Task.EMBED, since="0.5.17"),
    *_each(Attention.GROUPED, _SCORING, task=Task.RERANK),
    *_each(Attention.GROUPED, "Qwen3ForRewardModel", task=Task.RERANK, since="0.5.9"),
)

ARCHITECTURES: Mapping[str, Architecture] = {each.name: each for each in _ALL}
"""By class name. What is not here is not known: nothing may be concluded of it."""
