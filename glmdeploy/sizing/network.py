"""What crosses the network between the hosts of a cluster while SGLang serves: bytes of a token, and waits of a step.

A lower bound, by the division of the model alone. The smallest number of bytes that each of ``h`` hosts must send so
that all have the sum of a tensor of ``S`` bytes is ``2 (h - 1) / h * S`` (Patarasuk and Yuan, "Bandwidth optimal
all-reduce algorithms", 2009); inside a host NVLink sums first. ``S`` is a token's hidden state in BF16.

- Tensor parallelism over hosts sums twice a layer, after the attention and after the experts or the dense part
  (``RowParallelLinear`` and ``tensor_model_parallel_all_reduce``, ``sglang/srt/models/deepseek_v2.py``, 0.5.11).
- With data-parallel attention whose groups lie within a host only the second is left: the tokens are gathered before
  and scattered after it, which moves the same bytes as a sum (``dp_gather_partial`` and ``dp_reduce_scatter_tensor``,
  ``sglang/srt/layers/communicator.py``, 0.5.11).
- Where the experts' ranks exchange tokens instead (``moe-a2a-backend``), each token goes to its experts and comes back,
  of which ``(h - 1) / h`` are on other hosts if they are chosen evenly: at the most, for those that share a host may be
  sent once.
- A pipeline hands on two tensors from stage to stage, the hidden state and the residual (``PPProxyTensors``).

What is not counted: the logits, draft models, the requests' texts, and messages' own size and latency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.gpus import RDMA
from glmdeploy.records import record
from glmdeploy.sizing.checkpoint import Fields, UnknownModel
from glmdeploy.sizing.pool import BF16, BYTES
from glmdeploy.sizing.sharding import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.gpus import Gpu
    from glmdeploy.sizing.model import Model

    Value = Callable[[str], object]

_CHOSEN = ("num_experts_per_tok", "moe_topk", "top_k_experts")
"""What configurations call the experts that a token goes to."""


@record
class Network:
    """Between the hosts of a cluster. ``token_bytes`` are what each host sends for one token, of all that it serves."""

    hosts: int
    token_bytes: int
    waits: int
    """How often a step of decoding waits for another host, in sums, exchanges and hand-overs."""
    why: str
    """What crosses, in words."""
    apart: bool
    """Whether a token is counted once for each of its experts on other hosts, which is more than may be sent."""
    gigabits: int | None
    """Of a host's RDMA, a second; None without RDMA, whose speed Modal does not tell."""

    def seconds(self, tokens: int) -> float | None:
        """What so many tokens take at the least, if nothing else did; None where the speed is not known."""
        return None if self.gigabits is None else tokens * self.token_bytes * 8 / (self.gigabits * 1e9)


def network(model: Model, gpu: Gpu, value: Value, *, nodes: int, rdma: bool) -> Network | None:
    """What crosses; None for one host, or where the division is not known."""
    shards, hidden = read(value), _field(model, "hidden_size")
    if nodes < 2 or shards is None or hidden is None:
        return None
    state = hidden * BYTES[BF16]
    hosts = max(nodes // shards.stages, 1)  # that divide a layer
    sent, waits, apart = 0.0, 0, False
    words: list[str] = []
    if hosts > 1:
        sums = 1 if shards.attention <= gpu.count and shards.groups > 1 else 2
        layers = shards.layers(model)
        share = (hosts - 1) / hosts
        if shards.exchange and model.experts and (chosen := _chosen(model)):
            sent += layers * (sums - 1) * 2 * share * state + layers * 2 * chosen * share * state / hosts
            waits += layers * (sums + 1)
            apart = True
            words.append(f"each token to its {chosen} experts and back in each of {layers} layers, at the most")
            if sums > 1:
                words.append("and a sum of the attention")
        else:
            sent += layers * sums * 2 * share * state
            waits += layers * sums
            words.append(f"{'two sums' if sums > 1 else 'one sum'} of {state:,} bytes in each of {layers} layers")
    if shards.stages > 1:
        between = min(shards.stages, nodes) - 1
        sent = sent + 2 * state / hosts
        waits += between
        words.append(f"{2 * state:,} bytes from stage to stage")
    return Network(
        hosts=nodes,
        token_bytes=round(sent),
        waits=waits,
        why=", ".join(words),
        apart=apart,
        gigabits=RDMA.get(gpu.type) if rdma else None,
    )


def _chosen(model: Model) -> int | None:
    return next((found for name in _CHOSEN if (found := _field(model, name))), None)


def _field(model: Model, name: str) -> int | None:
    fields = Fields(data={**model.config, **(model.config.get("text_config") or {})})
    try:
        return fields.count(name) if fields.has(name) else None
    except UnknownModel:
        return None
