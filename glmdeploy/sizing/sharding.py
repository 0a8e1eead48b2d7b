"""How SGLang divides a model among GPUs, and what one of them holds of its weights.

Sources: ``sglang/srt/layers/dp_attention.py``, ``sglang/srt/models/deepseek_v2.py`` (0.5.11).
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from glmdeploy.records import record
from glmdeploy.sizing.tensors import Spread

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.sizing.model import Model
    from glmdeploy.sizing.tensors import Tensors

_MOST_RATIO = 1e6
"""Far above any that makes sense; a bound for foreign numbers."""

_ENDS = (Spread.EMBEDDING, Spread.HEAD)


@record
class Sharding:
    """Into how many parts SGLang divides tensors; ``stages`` is the length of the pipeline."""

    tensor: int
    attention: int
    groups: int
    """Groups of GPUs with attention of their own (data parallelism of attention)."""
    stages: int
    dense: int
    head: int
    exchange: bool
    """GPUs send each other the tokens for their experts, and each holds the shared experts whole."""

    def parts(self, spread: Spread) -> int:
        return {
            Spread.REPLICATED: 1,
            Spread.ATTENTION: self.attention,
            Spread.EMBEDDING: self.attention,
            Spread.DENSE: self.dense,
            Spread.SHARED: 1 if self.exchange else self.tensor,
            Spread.EXPERTS: self.tensor,
            Spread.HEAD: self.head,
        }[spread]

    def layers(self, model: Model) -> int:
        """The model's layers on one GPU: of a pipeline, in its longest stage."""
        return ceil(model.layers / self.stages)

    def stage(self, model: Model, number: int) -> range:
        """The layers of a stage: what does not divide evenly makes the last stages one layer longer.

        ``get_pp_indices`` (``sglang/srt/distributed/utils.py``, 0.5.8 to 0.5.23), which SGLANG_PP_LAYER_PARTITION
        overrides; that variable is not looked at.
        """
        least, rest = divmod(model.layers, self.stages)
        longer = max(0, number - (self.stages - rest))
        start = number * least + longer
        return range(start, start + least + (number >= self.stages - rest))


def positive(value: object) -> int | None:
    """The value if it is a positive integer, else None: it is not known, or impossible."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def ratio(value: object, default: float) -> float:
    """The value if it is a positive number, else ``default``: it is left to SGLang, or impossible."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _MOST_RATIO
    return float(value) if known else default  # type: ignore[arg-type]


def read(value: Callable[[str], object]) -> Sharding | None:
    """The sharding that the options' effective values mean; None where it is not known or not possible."""
    tensor = positive(value("tp_size"))
    former = value("dp_size") if value("enable_dp_attention") else 1
    # From 0.5.22 on SGLang moves that into `attn_dp_size` when it resolves them, and leaves the switch on.
    groups = max(positive(former) or 1, positive(value("attn_dp_size")) or 1)
    if tensor is None or tensor % groups:
        return None
    attention = tensor // groups
    return Sharding(
        tensor=tensor,
        attention=attention,
        groups=groups,
        stages=positive(value("pp_size")) or 1,
        dense=positive(value("moe_dense_tp_size")) or tensor,
        head=attention if value("enable_dp_lm_head") else tensor,
        exchange=value("moe_a2a_backend") not in (None, "none"),
    )


def weights(model: Model, sharding: Sharding, *, plain: int, draft: bool) -> int:
    """Bytes on one GPU of the model's own draft model, or of all the rest; ``plain`` is the width of unquantised ones.

    Where the checkpoint's files are larger or smaller than the dimensions say, the figure is in proportion.
    """
    found = [group for group in model.tensors if group.draft == draft and group.spread is not Spread.NOWHERE]
    if draft or sharding.stages == 1:
        most = sum(_on_one(group, sharding, plain) for group in found)
    else:
        numbers = range(sharding.stages)
        most = max(sum(_on_stage(group, model, sharding, number, plain) for group in found) for number in numbers)
    return ceil(most * model.weights / model.counted)


def _on_stage(group: Tensors, model: Model, sharding: Sharding, number: int, plain: int) -> float:
    """What a GPU of one stage of a pipeline holds of the tensors: those of its layers, and at an end what is there."""
    if group.spread in _ENDS:
        end = 0 if group.spread is Spread.EMBEDDING else sharding.stages - 1
        return _on_one(group, sharding, plain) if number == end else 0
    layers = sharding.stage(model, number)
    if group.within is None:
        share = len(layers) / model.layers
    else:
        share = sum(layer in layers for layer in group.within) / max(1, len(group.within))
    return _on_one(group, sharding, plain) * share


def _on_one(group: Tensors, sharding: Sharding, plain: int) -> float:
    size = group.stored if group.quantised else group.values * plain
    return size / min(sharding.parts(group.spread), group.parts or sharding.tensor)
