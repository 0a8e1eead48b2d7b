"""A tiny random model, as the files of a real Hugging Face repository.

Less than a megabyte: few layers, a tokenizer of single bytes. The files are what a loader expects: SGLang on
a CPU serves all but GLM-5. What such a model generates is noise.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from glmdeploy.local import tiny_weights

if TYPE_CHECKING:
    from pathlib import Path

_SPECIAL = (
    *("<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>"),
    *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"),
    *("<|begin_of_audio|>", "<|end_of_audio|>", "<|begin_of_transcription|>", "<|end_of_transcription|>"),
    *("<|code_prefix|>", "<|code_middle|>", "<|code_suffix|>"),
)
_MARKUP = (
    *("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"),
    *("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "/nothink"),
)
_TOKENS = {token: 256 + index for index, token in enumerate(_SPECIAL + _MARKUP)}
"""The tokens after the 256 bytes, in GLM-4.5's order."""

_CHAT_TEMPLATE = """\
[gMASK]<sop>
{%- if tools %}<|system|>
# Tools
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}{% endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}<|observation|>
<tool_response>
{{ message.content }}
</tool_response>
{%- else %}<|{{ message.role }}|>
{% if message.content is string %}{{ message.content }}
{%- else %}{% for part in message.content or [] %}{{ part.text }}{% endfor %}{% endif %}
{%- for call in message.tool_calls or [] %}
<tool_call>{{ call.function.name }}
{% for key, value in call.function.arguments.items() %}<arg_key>{{ key }}</arg_key>
<arg_value>{{ value if value is string else value | tojson }}</arg_value>
{% endfor %}</tool_call>
{%- endfor %}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|assistant|>
{% if enable_thinking is defined and not enable_thinking %}<think></think>
{% endif %}{% endif %}"""

_COMMON: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "vocab_size": 256 + len(_TOKENS),
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "eos_token_id": [_TOKENS[token] for token in ("<|endoftext|>", "<|user|>", "<|observation|>")],
    "pad_token_id": _TOKENS["<|endoftext|>"],
}
_EXPERTS: dict[str, Any] = {
    "moe_intermediate_size": 32,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "norm_topk_prob": True,
    "first_k_dense_replace": 1,
    "num_nextn_predict_layers": 1,
}
_HEADS: dict[str, Any] = {
    "attention_bias": True,
    "attention_dropout": 0.0,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "partial_rotary_factor": 0.5,
    "rope_theta": 10000.0,
    "torch_dtype": "bfloat16",
}
_CONFIGS: dict[str, dict[str, Any]] = {
    "GlmMoeDsaForCausalLM": {
        "model_type": "glm_moe_dsa",
        "num_hidden_layers": 3,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "kv_lora_rank": 32,
        "q_lora_rank": 32,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 8,
        "qk_head_dim": 24,
        "v_head_dim": 16,
        "head_dim": 8,
        "index_head_dim": 32,
        "index_n_heads": 8,
        "index_topk": 64,
        "max_position_embeddings": 202752,
        "rope_parameters": {"rope_theta": 1000000, "rope_type": "default"},
        "routed_scaling_factor": 2.5,
        "scoring_func": "sigmoid",
        "topk_method": "noaux_tc",
        "dtype": "bfloat16",
        **_EXPERTS,
    },
    "Glm4MoeForCausalLM": {
        "model_type": "glm4_moe",
        "num_hidden_layers": 3,
        "use_qk_norm": True,
        "max_position_embeddings": 131072,
        "routed_scaling_factor": 1.0,
        **_HEADS,
        **_EXPERTS,
    },
    "Glm4ForCausalLM": {
        "model_type": "glm4",
        "num_hidden_layers": 2,
        "max_position_embeddings": 32768,
        **_HEADS,
    },
    **{
        kind: {
            "model_type": "qwen3",
            "num_hidden_layers": 2,
            "max_position_embeddings": 32768,
            "use_qk_norm": True,
            **{key: value for key, value in _HEADS.items() if key != "partial_rotary_factor"},
            "attention_bias": False,
            **labels,
        }
        for kind, labels in (
            ("Qwen3ForCausalLM", {}),
            ("Qwen3ForSequenceClassification", {"num_labels": 1, "id2label": {"0": "LABEL_0"}}),
            ("Qwen3ForRewardModel", {"num_labels": 1}),
        )
    },
}
_FP8 = {
    "activation_scheme": "dynamic",
    "fmt": "e4m3",
    "quant_method": "fp8",
    "weight_block_size": [128, 128],
}


def architecture(repo: str) -> str:
    """The architecture that a repository's name suggests.

    GLM-5 and later minor versions are ``GlmMoeDsaForCausalLM``, GLM-4.5, 4.6 and 4.7 ``Glm4MoeForCausalLM``, Qwen3
    ``Qwen3ForCausalLM``, which serves embeddings too. A name with ``rerank`` or ``reward`` in it is a Qwen3 that gives
    a score; everything else, GLM or not, is ``Glm4ForCausalLM``.
    """
    name = repo.rpartition("/")[2].lower()
    if "rerank" in name:
        return "Qwen3ForSequenceClassification"
    if "reward" in name:
        return "Qwen3ForRewardModel"
    if re.search(r"qwen-?3(?!\.?\d)", name):
        return "Qwen3ForCausalLM"
    if re.search(r"glm-?5(?!\d)", name):
        return "GlmMoeDsaForCausalLM"
    if re.search(r"glm-?4\.[567](?!\d)", name):
        return "Glm4MoeForCausalLM"
    return "Glm4ForCausalLM"


def head(repo: str) -> str:
    """The commit that the branch main of ``repo`` names, unless it was moved."""
    return hashlib.sha1(f"{repo} main".encode(), usedforsecurity=False).hexdigest()


def files(repo: str, commit: str) -> dict[str, bytes]:
    """The files of the model that stands for ``repo`` at ``commit``, by name. They depend on the two alone.

    Commits differ in README.md and in one weight, in the last shard.
    """
    config = _config(repo)
    source = random.Random(f"{repo} {config['architectures']}")
    tensors = [_stamped(tensor, commit) for tensor in tiny_weights.tensors(config, source)]
    written: dict[str, bytes] = {
        "README.md": f"# {repo}\n\nglmdeploy's tiny model in its place, at commit {commit}.\n".encode(),
        "config.json": _json(config),
        "generation_config.json": _json({key: config[key] for key in ("eos_token_id", "pad_token_id")}),
        "tokenizer.json": _json(_tokenizer()),
        "tokenizer_config.json": _json(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "clean_up_tokenization_spaces": False,
                "eos_token": "<|endoftext|>",
                "pad_token": "<|endoftext|>",
                "model_max_length": config["max_position_embeddings"],
                "additional_special_tokens": _SPECIAL,
            },
        ),
        "chat_template.jinja": _CHAT_TEMPLATE.encode(),
        **_weights(tensors),
    }
    return dict(sorted(written.items()))


def write(directory: Path, repo: str, commit: str | None = None) -> None:
    """Write :func:`files` (of main, unless told) into ``directory``, which appears whole or not at all.

    Does nothing where ``directory`` has files already; the parent directory must exist.

    :raises OSError:
    """
    draft = directory.with_name(f"{directory.name}.{uuid.uuid4().hex}.tmp")
    draft.mkdir()
    try:
        for name, content in files(repo, commit or head(repo)).items():
            (draft / name).write_bytes(content)
        draft.rename(directory)
    except OSError:
        # Whoever was first has written the same files.
        if not (directory / "config.json").is_file():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _config(repo: str) -> dict[str, Any]:
    kind = architecture(repo)
    config = {"architectures": [kind], **_COMMON, **_CONFIGS[kind]}
    # The only published FP8 layout that is modelled here is GLM-5's; the GLM-4 ones must load on a CPU.
    if kind == "GlmMoeDsaForCausalLM" and "fp8" in repo.lower():
        config["quantization_config"] = _FP8
    return config


def _stamped(tensor: tiny_weights.Tensor, commit: str) -> tiny_weights.Tensor:
    """The last norm with a weight between 1 and 1.05 in each place, chosen by the commit; others as they are."""
    if tensor.name != "model.norm.weight":
        return tensor
    # BF16, little-endian: 0x3F80 is 1, and its last three bits are 1/128 to 4/128.
    chosen = random.Random(commit).randbytes(len(tensor.data) // 2)
    return replace(tensor, data=b"".join(bytes([0x80 | byte & 7, 0x3F]) for byte in chosen))


def _weights(tensors: list[tiny_weights.Tensor]) -> dict[str, bytes]:
    half = len(tensors) // 2
    shards = (tensors[:half], tensors[half:])
    names: dict[str, str] = {}
    written: dict[str, bytes] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        written[file] = tiny_weights.safetensors(shard)
        names.update({tensor.name: file for tensor in shard})
    size = sum(len(tensor.data) for tensor in tensors)
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(names.items()))}
    return {**written, "model.safetensors.index.json": _json(index)}


def _tokenizer() -> dict[str, Any]:
    """A byte-level BPE tokenizer without merges: each byte of the UTF-8 text is a token."""
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    added = [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": token in _SPECIAL,
        }
        for token, number in _TOKENS.items()
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {character: byte for byte, character in enumerate(_byte_characters())},
            "merges": [],
        },
    }


def _byte_characters() -> list[str]:
    """The printable character that byte-level BPE writes for each byte, as GPT-2 defined it."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    unused = iter(range(256, 512))
    return [chr(byte if byte in printable else next(unused)) for byte in range(256)]


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
