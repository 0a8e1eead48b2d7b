"""What a repository's name tells: the family, the class, the dimensions, and how the weights are stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.resources import schemas_dir
from glmdeploy.sglang import catalog, models
from glmdeploy.sglang.architectures import ARCHITECTURES, Attention, Task
from glmdeploy.sizing.model import UnknownModel, from_config

FOLDER = schemas_dir() / "models"
FILES = sorted(path for path in FOLDER.glob("*.json") if path.stem != "formats")
ENTRIES = {name: each for file in FILES for name, each in json.loads(file.read_text())["models"].items()}
FAMILIES = {name: each for file in FILES for name, each in json.loads(file.read_text())["families"].items()}

TOLD = [
    ("zai-org/GLM-4.5-Air-FP8", "GLM-4.5", "Glm4MoeForCausalLM", "compressed-tensors", True),
    ("zai-org/GLM-5.1-FP8", "GLM-5.1", "GlmMoeDsaForCausalLM", "fp8", True),
    ("nvidia/GLM-5.2-NVFP4", "GLM-5.2", "GlmMoeDsaForCausalLM", "modelopt_fp4", True),
    ("zai-org/GLM-4.7-Flash", "GLM-4.7-Flash", "Glm4MoeLiteForCausalLM", "none", True),
    ("zai-org/GLM-5.3-Flash", "GLM-5.3-Flash", "Glm5NextForConditionalGeneration", "none", True),
    ("deepseek-ai/DeepSeek-V3-0324", "DeepSeek-V3", "DeepseekV3ForCausalLM", "fp8", True),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", "DeepSeek-R1-Distill-Qwen", "Qwen2ForCausalLM", "none", True),
    ("Qwen/Qwen3-8B", "Qwen3", "Qwen3ForCausalLM", "none", True),
    ("Qwen/Qwen3-32B-AWQ", "Qwen3", "Qwen3ForCausalLM", "awq", True),
    ("Qwen/Qwen3.5-397B-A17B-FP8", "Qwen3.5-MoE", "Qwen3_5MoeForConditionalGeneration", "fp8", True),
    ("moonshotai/Kimi-K2.5", "Kimi-K2.5", "KimiK25ForConditionalGeneration", "compressed-tensors", True),
    ("openai/gpt-oss-120b", "gpt-oss", "GptOssForCausalLM", "mxfp4", True),
    ("unsloth/gpt-oss-20b-BF16", "gpt-oss", "GptOssForCausalLM", "none", True),
    ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "Llama-3.3", "LlamaForCausalLM", "compressed-tensors", True),
    ("google/gemma-3-27b-it", "Gemma-3", "Gemma3ForConditionalGeneration", "none", True),
    ("GLM-5.1-FP8", "GLM-5.1", "GlmMoeDsaForCausalLM", "fp8", True),
    ("glm-5.1-fp8", "GLM-5.1", "GlmMoeDsaForCausalLM", "fp8", True),
    # The name tells the class, and not what the weights or the dimensions are.
    ("unsloth/Qwen3-8B-GGUF", "Qwen3", "Qwen3ForCausalLM", "gguf", False),
    ("acme/Qwen3-8B-FP8", "Qwen3", "Qwen3ForCausalLM", None, False),
    ("cpatonn/GLM-4.5-Air-AWQ-4bit", "GLM-4.5", "Glm4MoeForCausalLM", None, False),
    ("zai-org/GLM-4.6V-Flash", "GLM-4.6V-Flash", "Glm4vForConditionalGeneration", None, False),
    ("BAAI/bge-m3", "bge-m3", "XLMRobertaModel", None, False),
    # Names that look like one and are none.
    ("acme/other", None, None, None, False),
    ("acme/GLM-5.1-FP8-my-tune", None, None, None, False),
    ("acme/not-GLM-5.1", None, None, None, False),
    ("", None, None, None, False),
]


@pytest.mark.parametrize(("repo", "family", "architecture", "quantization", "dimensions"), TOLD)
def test_what_a_name_tells(
    repo: str, family: str | None, architecture: str | None, quantization: str | None, dimensions: bool
) -> None:
    found = models.family(repo)
    assert (found.name if found else None) == family
    assert models.architecture(repo) == architecture
    assert models.quantization(repo) == quantization
    assert (models.known(repo) is not None) == dimensions
    assert (models.source(repo) is not None) == dimensions


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_entries_can_be_had_by_all_their_names(name: str) -> None:
    entry = ENTRIES[name]
    family = FAMILIES[entry["family"]]
    assert entry["source"]
    for one in (name, *entry.get("names", ())):
        repo = f"{family['organisation']}/{one}"
        config = models.known(repo)
        assert config
        assert config["architectures"][0] == models.architecture(repo) == family["architecture"]
    for suffix, stored in entry.get("variants", {}).items():
        owner, _, end = suffix.rpartition("/")
        repo = f"{owner or family['organisation']}/{name}{end}"
        assert models.quantization(repo) not in (None, "none")
        config = models.known(repo)
        assert config
        assert bool(config["quantization_config"]) == bool(stored)


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_entries_are_counted_or_refused_by_name(name: str) -> None:
    config = models.known(name)
    assert config
    try:
        found = from_config(config)
    except UnknownModel as error:
        assert "which sizing does not count" in str(error)
        assert name in {"GLM-5.3-Flash", "DeepSeek-V4-Flash", "DeepSeek-V4-Pro"}
        return
    assert found.architecture == models.architecture(name)
    assert found.quantization == models.quantization(name)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_families_are_of_classes_and_parsers_that_sglang_has(name: str) -> None:
    found = models.family(FAMILIES[name].get("pattern", "")) or models.Family(name=name, **_plain(FAMILIES[name]))
    kind = ARCHITECTURES.get(FAMILIES[name]["architecture"])
    # Pixtral's class is of Mistral Large 3 and others: its configuration decides.
    assert kind or FAMILIES[name]["architecture"] == "PixtralForConditionalGeneration"
    newest = catalog.load(catalog.versions()[-1])
    for option in ("reasoning_parser", "tool_call_parser"):
        parser = getattr(found, option)
        choices = next(each for each in newest.options if each.dest == option).choices
        assert parser is None or parser in choices


def _plain(each: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in each.items() if key not in ("pattern", "task")}


PARAMETERS = {
    "GLM-4.5": 358.3,
    "GLM-4.5-Air": 110.5,
    "GLM-5.1": 753.9,
    "DeepSeek-V3": 684.5,
    "Qwen3-8B": 8.19,
    "Qwen3-32B": 32.76,
    "Qwen3-235B-A22B": 235.1,
    "Qwen3-Next-80B-A3B-Instruct": 81.3,
    "Qwen3-VL-8B-Instruct": 8.77,
    "Qwen3.5-397B-A17B": 403.4,
    "Kimi-K2-Instruct": 1026.4,
    "gpt-oss-20b": 20.9,
    "gpt-oss-120b": 116.8,
    "Llama-3.1-8B": 8.03,
    "Llama-3.1-405B": 405.9,
    "MiniMax-M2": 228.7,
    "Mistral-7B-v0.3": 7.25,
    "Mistral-Small-3.1-24B-Instruct-2503": 24.0,
    "gemma-3-4b-it": 4.30,
    "gemma-3-27b-it": 27.4,
    "Qwen3-Embedding-8B": 7.57,
}
"""Billions, as the model pages and their checkpoints' metadata tell them."""


@pytest.mark.parametrize(("name", "billions"), sorted(PARAMETERS.items()))
def test_dimensions_count_to_the_parameters_that_are_published(name: str, billions: float) -> None:
    config = models.known(name)
    assert config
    assert from_config(config).parameters / 1e9 == pytest.approx(billions, rel=0.003)


def test_embedding_models_are_known_by_their_name() -> None:
    assert models.task("Qwen/Qwen3-Embedding-8B") is Task.EMBED
    assert models.task("Qwen/Qwen3-Reranker-4B") is Task.RERANK
    assert models.task("Qwen/Qwen3-8B") is Task.GENERATE
    assert models.task("acme/other", "BertModel") is Task.EMBED
    assert models.task("acme/other", "OtherModel") is None


def test_attention_of_the_classes() -> None:
    kinds = {
        "GlmMoeDsaForCausalLM": Attention.SPARSE,
        "DeepseekV3ForCausalLM": Attention.LATENT,
        "KimiK25ForConditionalGeneration": Attention.LATENT,
        "DeepseekV4ForCausalLM": Attention.COMPRESSED,
        "GptOssForCausalLM": Attention.WINDOWED,
        "Qwen3NextForCausalLM": Attention.HYBRID,
        "LlamaForCausalLM": Attention.GROUPED,
    }
    assert {name: ARCHITECTURES[name].attention for name in kinds} == kinds
    assert ARCHITECTURES["KimiK25ForConditionalGeneration"].latent
    assert not ARCHITECTURES["DeepseekV4ForCausalLM"].latent


def test_what_ships_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 200_000
    assert not [path for path in Path(FOLDER).iterdir() if path.suffix != ".json"]


@given(st.text(max_size=60))
def test_any_name_is_looked_up(name: str) -> None:
    assert models.family(name) is None or models.architecture(name) is not None
    if models.known(name) is not None:
        assert models.quantization(name) is not None


@given(name=st.sampled_from(sorted(ENTRIES)), end=st.text("abcXYZ019-._", min_size=1, max_size=12))
def test_a_longer_name_is_another_model(name: str, end: str) -> None:
    """A fine-tune may have anything in it: only names and suffixes that are known tell."""
    known = {one.lower() for each, entry in ENTRIES.items() for one in (each, *entry.get("names", ()))}
    longer = f"acme/{name}{end}"
    if models.known(longer) is not None:
        base = longer.partition("/")[2].lower()
        assert base in known or any(base.startswith(one) for one in known)
