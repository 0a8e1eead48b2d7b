"""The tensors of a tiny model, every name and shape that a real checkpoint of its architecture has, and their files.

Names and shapes follow the loaders of SGLang 0.5.23: ``models/glm4.py``, ``models/glm4_moe.py`` and
``models/deepseek_common/deepseek_weight_loader.py`` (for GLM-5), with one more layer after the last for
multi-token prediction, which speculative decoding (EAGLE) reads.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator

Config = dict[str, Any]
"""A model's config.json."""

_FP8_BLOCK = 128
_FP8_SCALE = 1 / 256
_ITEM_SIZES = {"F32": 4, "BF16": 2, "F8_E4M3": 1}
"""Bytes of a number."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """``data`` holds the values in row-major order, little-endian."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True, kw_only=True)
class _Weight:
    """One tensor; ``spread`` is the standard deviation of its values around ``mean``."""

    name: str
    shape: tuple[int, ...]
    mean: float = 0.0
    spread: float = 0.0
    dtype: Literal["BF16", "F32", "F8_E4M3"] = "BF16"


def tensors(config: Config, source: random.Random) -> Iterator[Tensor]:
    """The tensors of the model that ``config`` describes, layer by layer, with values from ``source``."""
    for weight in _weights(config):
        yield Tensor(name=weight.name, dtype=weight.dtype, shape=weight.shape, data=_values(weight, source))


def safetensors(weights: Iterable[Tensor]) -> bytes:
    """A file in the safetensors format: a length in 8 bytes, a JSON header of that length, the raw data.

    Not with the library of that name: without numpy it takes raw memory addresses, and until 0.8 took something else.
    """
    # Wide types first, so that every tensor starts at a multiple of its item size in a mapped file.
    ordered = sorted(weights, key=lambda tensor: (-_ITEM_SIZES[tensor.dtype], tensor.name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in ordered:
        end = offset + len(tensor.data)
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *(tensor.data for tensor in ordered)])


def _weights(config: Config) -> Iterator[_Weight]:
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    yield _Weight(name="model.embed_tokens.weight", shape=(vocabulary, hidden), spread=1.0)
    layers = config["num_hidden_layers"]
    for layer in range(layers + config.get("num_nextn_predict_layers", 0)):
        prefix = f"model.layers.{layer}"
        yield from _layer(config, prefix, layer)
        if layer >= layers:
            yield from _prediction(config, prefix)
    yield _norm("model.norm", hidden)
    yield from _head(config, hidden)


def _head(config: Config, hidden: int) -> Iterator[_Weight]:
    """What makes of the last layer the likelihood of each token, or a score."""
    [architecture] = config["architectures"]
    if architecture.endswith("ForSequenceClassification"):
        yield _linear("score", config["num_labels"], hidden)
        yield _Weight(name="score.bias", shape=(config["num_labels"],), spread=0.02)
    elif architecture.endswith("ForRewardModel"):
        for number, rows in ((0, hidden), (2, config["num_labels"])):
            yield _linear(f"score.{number}", rows, hidden)
            yield _Weight(name=f"score.{number}.bias", shape=(rows,), spread=0.02)
    else:
        yield _linear("lm_head", config["vocab_size"], hidden)


def _layer(config: Config, prefix: str, layer: int) -> Iterator[_Weight]:
    hidden = config["hidden_size"]
    yield _norm(f"{prefix}.input_layernorm", hidden)
    yield _norm(f"{prefix}.post_attention_layernorm", hidden)
    attention = _latent_attention if "kv_lora_rank" in config else _attention
    yield from attention(config, f"{prefix}.self_attn")
    if config["model_type"] == "glm4":
        yield _norm(f"{prefix}.post_self_attn_layernorm", hidden)
        yield _norm(f"{prefix}.post_mlp_layernorm", hidden)
        yield _linear(f"{prefix}.mlp.gate_up_proj", 2 * config["intermediate_size"], hidden)
        yield _linear(f"{prefix}.mlp.down_proj", hidden, config["intermediate_size"])
    elif layer < config.get("first_k_dense_replace", layer + 1):
        yield from _mlp(config, f"{prefix}.mlp", config["intermediate_size"])
    else:
        experts = config["n_routed_experts"]
        yield _linear(f"{prefix}.mlp.gate", experts, hidden)
        yield _Weight(name=f"{prefix}.mlp.gate.e_score_correction_bias", shape=(experts,), dtype="F32")
        for expert in (*(f"experts.{number}" for number in range(experts)), "shared_experts"):
            yield from _mlp(config, f"{prefix}.mlp.{expert}", config["moe_intermediate_size"])


def _attention(config: Config, prefix: str) -> Iterator[_Weight]:
    hidden, size = config["hidden_size"], config["head_dim"]
    heads, pairs = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    for name, rows in (("q_proj", heads), ("k_proj", pairs), ("v_proj", pairs)):
        yield _linear(f"{prefix}.{name}", rows, hidden)
        if config["attention_bias"]:
            yield _Weight(name=f"{prefix}.{name}.bias", shape=(rows,), spread=0.02)
    yield _linear(f"{prefix}.o_proj", hidden, heads)
    if config.get("use_qk_norm"):
        yield _norm(f"{prefix}.q_norm", size)
        yield _norm(f"{prefix}.k_norm", size)


def _latent_attention(config: Config, prefix: str) -> Iterator[_Weight]:
    """GLM-5's: queries and keys through low ranks, and an indexer that picks the tokens to attend to."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    query, latent, rope = config["q_lora_rank"], config["kv_lora_rank"], config["qk_rope_head_dim"]
    plain, value = config["qk_nope_head_dim"], config["v_head_dim"]
    yield from _quantized(config, f"{prefix}.q_a_proj", query, hidden)
    yield _norm(f"{prefix}.q_a_layernorm", query)
    yield from _quantized(config, f"{prefix}.q_b_proj", heads * (plain + rope), query)
    yield from _quantized(config, f"{prefix}.kv_a_proj_with_mqa", latent + rope, hidden)
    yield _norm(f"{prefix}.kv_a_layernorm", latent)
    yield from _quantized(config, f"{prefix}.kv_b_proj", heads * (plain + value), latent)
    yield from _quantized(config, f"{prefix}.o_proj", hidden, heads * value)
    index, index_heads = config["index_head_dim"], config["index_n_heads"]
    yield from _quantized(config, f"{prefix}.indexer.wq_b", index_heads * index, query)
    yield from _quantized(config, f"{prefix}.indexer.wk", index, hidden)
    yield _norm(f"{prefix}.indexer.k_norm", index)
    yield _Weight(name=f"{prefix}.indexer.k_norm.bias", shape=(index,))
    yield _linear(f"{prefix}.indexer.weights_proj", index_heads, hidden)


def _prediction(config: Config, prefix: str) -> Iterator[_Weight]:
    """What the multi-token prediction layer has beside a decoder layer."""
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    yield _norm(f"{prefix}.enorm", hidden)
    yield _norm(f"{prefix}.hnorm", hidden)
    yield _linear(f"{prefix}.eh_proj", hidden, 2 * hidden)
    yield _Weight(name=f"{prefix}.embed_tokens.weight", shape=(vocabulary, hidden), spread=1.0)
    yield _norm(f"{prefix}.shared_head.norm", hidden)
    yield _linear(f"{prefix}.shared_head.head", vocabulary, hidden)


def _mlp(config: Config, prefix: str, width: int) -> Iterator[_Weight]:
    yield from _quantized(config, f"{prefix}.gate_proj", width, config["hidden_size"])
    yield from _quantized(config, f"{prefix}.up_proj", width, config["hidden_size"])
    yield from _quantized(config, f"{prefix}.down_proj", config["hidden_size"], width)


def _linear(name: str, rows: int, columns: int) -> _Weight:
    return _Weight(name=f"{name}.weight", shape=(rows, columns), spread=1 / math.sqrt(columns))


def _norm(name: str, size: int) -> _Weight:
    return _Weight(name=f"{name}.weight", shape=(size,), mean=1.0)


def _quantized(config: Config, name: str, rows: int, columns: int) -> Iterator[_Weight]:
    """A matrix that an FP8 checkpoint stores in FP8, with a scale for each block of 128×128."""
    if "quantization_config" not in config:
        yield _linear(name, rows, columns)
        return
    spread = 1 / math.sqrt(columns) / _FP8_SCALE
    yield _Weight(name=f"{name}.weight", shape=(rows, columns), spread=spread, dtype="F8_E4M3")
    blocks = (math.ceil(rows / _FP8_BLOCK), math.ceil(columns / _FP8_BLOCK))
    yield _Weight(name=f"{name}.weight_scale_inv", shape=blocks, mean=_FP8_SCALE, dtype="F32")


def _values(weight: _Weight, source: random.Random) -> bytes:
    """Normally distributed values, in 256 steps: one random byte picks one of 256 quantiles."""
    encode = {"BF16": _bf16, "F32": _f32, "F8_E4M3": _fp8}[weight.dtype]
    count = math.prod(weight.shape)
    if not weight.spread:
        return encode(weight.mean) * count
    quantiles = NormalDist(weight.mean, weight.spread)
    steps = [encode(quantiles.inv_cdf((step + 0.5) / 256)) for step in range(256)]
    return b"".join([steps[byte] for byte in source.randbytes(count)])


def _f32(value: float) -> bytes:
    return struct.pack("<f", value)


def _bf16(value: float) -> bytes:
    return _f32(value)[2:]


def _fp8(value: float) -> bytes:
    """The nearest E4M3 number: 4 bits of exponent with bias 7, 3 of mantissa, no infinities, at most 448."""
    magnitude = min(abs(value), 448.0)
    exponent = max(math.frexp(magnitude)[1] - 1, -6)
    # A mantissa that rounds up to 16 carries into the exponent by the addition, as does the hidden bit.
    mantissa = round(magnitude / 2.0 ** (exponent - 3))
    code = (exponent + 6 << 3) + mantissa
    return bytes([code | (0x80 if value < 0 else 0)])
