"""A model's tensors, counted from its dimensions: how many numbers, in how many bytes, and how SGLang divides them.

Sources: ``sglang/srt/models/deepseek_v2.py``, ``deepseek_nextn.py``, ``glm4_moe.py``, ``glm4_moe_nextn.py`` and
``llama.py``, ``sglang/srt/layers/attention/nsa/nsa_indexer.py`` (0.5.11), ``gpt_oss.py``, ``llama4.py``,
``qwen3_next.py``, ``qwen3_5.py`` (0.5.23). Biases and the norms of heads are not
counted; together they are less than a thousandth of a large model.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from glmdeploy.records import record
from glmdeploy.sizing.checkpoint import UnknownModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.sizing.checkpoint import Fields, Format
    from glmdeploy.sizing.layers import Layers, LinearAttention

MOST_LAYERS = 10_000
"""Far above any model's; a bound for foreign input."""

_GATED = ("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text")
"""Those whose full attention has a gate, which makes its queries twice as wide."""

_NO_COPIES = ("glm_moe_dsa", *_GATED)
"""Each ``model_type`` whose draft layer comes without copies of the embedding and the head.

With copies, GLM-4.5-Air counts to the 110B parameters that its model page tells; without them, GLM-5.1 to its 754B.
"""

_ENCODERS = ("bert", "roberta", "xlm-roberta")
"""Those whose layers have two matrices beside their attention, and no head (``sglang/srt/models/bert.py``, 0.5.23)."""

_LLAMA4 = ("llama4", "llama4_text")
"""Those with a shared expert in each layer of experts, as large as one of the others."""


class Spread(Enum):
    """What divides tensors among the GPUs of a replica."""

    REPLICATED = auto()
    """Nothing: every GPU holds them whole."""
    ATTENTION = auto()
    """Attention's tensor parallelism."""
    DENSE = auto()
    """Tensor parallelism, unless ``moe_dense_tp_size`` says otherwise."""
    SHARED = auto()
    """Tensor parallelism, unless GPUs exchange tokens instead of partial sums (``moe_a2a_backend``)."""
    EXPERTS = auto()
    """Tensor and expert parallelism, which together are as many parts."""
    EMBEDDING = auto()
    """Attention's tensor parallelism, by the vocabulary; on the first pipeline stage."""
    HEAD = auto()
    """Tensor parallelism, by the vocabulary; on the last pipeline stage."""
    NOWHERE = auto()
    """Not loaded: a copy of what the main model has."""


@record
class Tensors:
    """The tensors of one kind, in all layers.

    ``stored`` are their bytes in the checkpoint, 0 for what SGLang makes of others. ``parts`` is the largest number of
    parts that they divide into, None for any: every GPU has at least one key and value head.
    """

    name: str
    values: int
    stored: int
    quantised: bool
    spread: Spread
    parts: int | None = None
    draft: bool = False
    within: tuple[int, ...] | None = None
    """The layers that have them, where not all do; None also where they are spread over the layers evenly."""


@record
class _Kind:
    """Tensors of one layer. ``name`` is that of the checkpoint, below ``model.layers.N``."""

    name: str
    values: int
    spread: Spread = Spread.REPLICATED
    parts: int | None = None
    derived: bool = False


def count(fields: Fields, form: Format, kinds: Layers) -> tuple[Tensors, ...]:
    """All tensors of the language model, whose layers are of these ``kinds``.

    :raises UnknownModel: for dimensions that are missing or make no sense.
    """
    layers, drafts, hidden = layer_count(fields), draft_layers(fields), fields.count("hidden_size")
    sparse = _sparse_layers(fields, layers)
    others = tuple(sorted({*range(layers)} - {*sparse}))
    attention, norms = list(_attention(fields, hidden)), [_Kind(name="layernorms", values=2 * hidden)]
    every = [*attention, *norms]
    experts_of = list(_experts(fields, hidden)) if sparse else []
    inner = dense_size(fields, layers)
    encodes = fields.text("model_type") in _ENCODERS
    dense = [_mlp("mlp", hidden, inner, Spread.DENSE, matrices=2 if encodes else 3)] if inner else []
    linear = kinds.linear.layers if kinds.linear else 0
    found = [_tensors(kind, form, layers - 1, layers - linear) for kind in attention]
    found += [_tensors(kind, form, 0, linear) for kind in _delta_net(kinds.linear, hidden)]
    found += [_tensors(kind, form, layers - 1, layers) for kind in norms]
    found += [_tensors(kind, form, 0, len(others), within=others) for kind in dense]
    found += [_tensors(kind, form, layers - 1, len(sparse), within=sparse) for kind in experts_of]
    size = fields.count("vocab_size") * hidden
    ends = [("embed_tokens", Spread.EMBEDDING), ("lm_head", Spread.HEAD)]
    for name, spread in ends[: 1 if encodes or fields.flag("tie_word_embeddings") else 2]:
        found.append(Tensors(name=name, values=size, stored=size * form.plain, quantised=False, spread=spread))
    if drafts:
        draft = [*every, *(experts_of or dense), _Kind(name="eh_proj", values=2 * hidden * hidden)]
        if fields.text("model_type") not in _NO_COPIES:
            draft.append(_Kind(name="embed_tokens", values=2 * size, spread=Spread.NOWHERE))
        found += [_tensors(kind, form, layers, drafts, draft=True) for kind in draft]
    return tuple(found)


def layer_count(fields: Fields) -> int:
    """Layers of the model, without its draft model's."""
    return fields.count("num_hidden_layers", most=MOST_LAYERS)


def draft_layers(fields: Fields) -> int:
    """Layers of the checkpoint's own draft model, 0 for none; Qwen3-Next has one and does not say so."""
    default = 1 if fields.text("model_type") == "qwen3_next" else 0
    names = ("num_nextn_predict_layers", "mtp_num_hidden_layers")
    return fields.count(*names, default=default, least=0, most=MOST_LAYERS)


def experts(fields: Fields) -> int:
    """Routed experts of a layer, 0 for a dense model."""
    return fields.count("n_routed_experts", "num_local_experts", "num_experts", default=0, least=0)


def expert_size(fields: Fields) -> int:
    """The inner size of one expert."""
    return fields.count("moe_intermediate_size", "intermediate_size")


def shared_size(fields: Fields) -> int:
    """The inner size of the shared experts of a layer together, 0 for none."""
    if fields.text("model_type") in _LLAMA4:
        return expert_size(fields)
    shared = fields.count("n_shared_experts", default=0, least=0) * expert_size(fields)
    return shared or fields.count("shared_expert_intermediate_size", "shared_intermediate_size", default=0, least=0)


def dense_size(fields: Fields, layers: int) -> int:
    """The inner size of the dense layers among ``layers``, 0 where all have experts."""
    if len(_sparse_layers(fields, layers)) == layers:
        return 0
    return fields.count("intermediate_size_mlp", "intermediate_size")


def _tensors(
    kind: _Kind, form: Format, layer: int, times: int, *, draft: bool = False, within: tuple[int, ...] | None = None
) -> Tensors:
    name = f"model.layers.{layer}.{kind.name}"
    return Tensors(
        name=kind.name,
        values=kind.values * times,
        stored=0 if kind.derived else round(kind.values * times * form.width(name)),
        quantised=not kind.derived and form.quantises(name),
        spread=kind.spread,
        parts=kind.parts,
        draft=draft,
        within=within,
    )


def _attention(fields: Fields, hidden: int) -> Iterator[_Kind]:
    heads = fields.count("num_attention_heads")
    if not fields.has("kv_lora_rank"):
        yield from _grouped(fields, hidden, heads)
        return
    rank, rope = fields.count("kv_lora_rank"), fields.count("qk_rope_head_dim")
    nope, value = fields.count("qk_nope_head_dim"), fields.count("v_head_dim")
    query = heads * (nope + rope)
    if fields.has("q_lora_rank"):
        low = fields.count("q_lora_rank")
        yield _Kind(name="self_attn.q_a_proj", values=hidden * low)
        yield _Kind(name="self_attn.q_b_proj", values=low * query, spread=Spread.ATTENTION)
        if fields.has("index_head_dim"):
            yield from _index(fields, hidden, low)
    else:
        yield _Kind(name="self_attn.q_proj", values=hidden * query, spread=Spread.ATTENTION)
    yield _Kind(name="self_attn.kv_a_proj_with_mqa", values=hidden * (rank + rope))
    both = heads * rank * (nope + value)
    yield _Kind(name="self_attn.kv_b_proj", values=both, spread=Spread.ATTENTION)
    # Decoding multiplies by the halves of kv_b_proj, of which SGLang makes copies that are not quantised.
    yield _Kind(name="self_attn.w_kc and w_vc", values=both, spread=Spread.ATTENTION, derived=True)
    yield _Kind(name="self_attn.o_proj", values=heads * value * hidden, spread=Spread.ATTENTION)


def _index(fields: Fields, hidden: int, low: int) -> Iterator[_Kind]:
    heads, size = fields.count("index_n_heads"), fields.count("index_head_dim")
    yield _Kind(name="self_attn.indexer.wq_b", values=low * heads * size)
    yield _Kind(name="self_attn.indexer.wk", values=hidden * size)
    yield _Kind(name="self_attn.indexer.weights_proj", values=hidden * heads)


def _grouped(fields: Fields, hidden: int, heads: int) -> Iterator[_Kind]:
    key = fields.count("head_dim", default=max(1, hidden // heads))
    kv, value = fields.count("num_key_value_heads", default=heads), fields.count("v_head_dim", default=key)
    queries = heads * key * (2 if fields.text("model_type") in _GATED else 1)
    yield _Kind(name="self_attn.q_proj", values=hidden * queries, spread=Spread.ATTENTION)
    yield _Kind(name="self_attn.k_proj", values=hidden * kv * key, spread=Spread.ATTENTION, parts=kv)
    yield _Kind(name="self_attn.v_proj", values=hidden * kv * value, spread=Spread.ATTENTION, parts=kv)
    yield _Kind(name="self_attn.o_proj", values=heads * value * hidden, spread=Spread.ATTENTION)


def _delta_net(linear: LinearAttention | None, hidden: int) -> Iterator[_Kind]:
    """A layer of linear attention: projections of queries, keys, values and the gate, and a short convolution."""
    if linear is None:
        return
    values = linear.heads * linear.value
    both, spread = hidden * (linear.channels + values), Spread.ATTENTION
    yield _Kind(name="linear_attn.in_proj_qkvz", values=both, spread=spread)
    yield _Kind(name="linear_attn.gate", values=2 * hidden * linear.heads, spread=spread)
    yield _Kind(name="linear_attn.conv1d", values=linear.channels * linear.kernel, spread=spread)
    yield _Kind(name="linear_attn.out_proj", values=values * hidden, spread=spread)


def _experts(fields: Fields, hidden: int) -> Iterator[_Kind]:
    number, size = experts(fields), expert_size(fields)
    yield _Kind(name="mlp.gate", values=hidden * number)
    yield _Kind(name="mlp.experts.0", values=number * 3 * hidden * size, spread=Spread.EXPERTS)
    if fields.text("model_type") == "gpt_oss":
        yield _Kind(name="mlp.experts_biases", values=number * (2 * size + hidden), spread=Spread.EXPERTS)
    if shared := shared_size(fields):
        yield _mlp("mlp.shared_experts", hidden, shared, Spread.SHARED)


def _mlp(name: str, hidden: int, size: int, spread: Spread, matrices: int = 3) -> _Kind:
    return _Kind(name=name, values=matrices * hidden * size, spread=spread)


def _sparse_layers(fields: Fields, layers: int) -> tuple[int, ...]:
    """The layers that have experts."""
    if not experts(fields):
        return ()
    first = fields.count("first_k_dense_replace", default=0, least=0)
    step = fields.count("decoder_sparse_step", "interleave_moe_layer_step", default=1)
    dense = {layer for layer in fields.items("mlp_only_layers") if isinstance(layer, int)}
    if isinstance(fields.data.get("moe_layer_freq"), list):
        flags = fields.items("moe_layer_freq")
        if len(flags) != layers:
            raise UnknownModel(f"`moe_layer_freq` has {len(flags)} entries for {layers} layers")
        return tuple(layer for layer, flag in enumerate(flags) if flag)
    every = fields.count("moe_layer_freq", default=1)
    return tuple(
        layer
        for layer in range(layers)
        if layer >= first and layer % every == 0 and (layer + 1) % step == 0 and layer not in dense
    )
