"""The estimates of `glmdeploy size` beside every figure that was measured, by us and in logs of others.

    python benchmarks/estimates.py

What was measured, where, and how far the estimate may be off, stands in ``tests/sizing/measured.json``; a test holds
each row to that. Needs neither GPU nor network, and says the same each time. Prints three tables in Markdown: figures,
answers, and what cannot be compared.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import markdown

from glmdeploy import gpus
from glmdeploy.sglang import models
from glmdeploy.sizing.memory import GIB, Memory, memory
from glmdeploy.sizing.model import from_config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEASURED = Path(__file__).parents[1] / "tests" / "sizing" / "measured.json"


def layers(row: Mapping[str, Any]) -> int:
    return int(row["layers"])


def draft(row: Mapping[str, Any], found: Memory) -> float:
    """GiB of the pool of the one draft layer, which has the same tokens."""
    return found.pool.bytes / (layers(row) + 1) / GIB


FIGURES = {
    "layer_bytes": ("bytes of a token and layer", lambda row, it: it.pool.bytes_per_token / layers(row)),
    "token_bytes": ("bytes of a token", lambda _, it: it.pool.bytes_per_token),
    "pool_tokens": ("tokens of the KV pool", lambda _, it: it.pool.tokens),
    "pool_gib": ("KV pool, GiB", lambda _, it: it.pool.bytes / GIB),
    "target_gib": ("KV pool without the draft layer's, GiB", lambda row, it: it.pool.bytes / GIB - draft(row, it)),
    "draft_gib": ("KV pool of the draft layer, GiB", draft),
    "weights_gib": ("weights, GiB", lambda _, it: it.weights / GIB),
    "states_gib": ("states of linear attention, GiB", lambda _, it: it.states / GIB),
    "free_gib": ("free after the start, GiB", lambda _, it: it.left / GIB),
}
"""What a row measures, and what the estimate says of it."""

FREE = "free_gib"
"""The one figure that is held in GiB and not in percent: what is left is a small difference of large numbers."""

SMALL = {
    "n_routed_experts": 8,
    "moe_intermediate_size": 64,
    "intermediate_size": 64,
    "first_k_dense_replace": 1,
    "hidden_size": 512,
    "vocab_size": 1024,
}
"""What is small in the models that were measured on one GPU; their attention is GLM-5.1's."""


def measured() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """``rows``, ``answers`` and ``uncompared``."""
    found: Mapping[str, Sequence[Mapping[str, Any]]] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return found


def sized(row: Mapping[str, Any]) -> Memory:
    """The estimate for what a row was measured of: the model whole, with what is ``kept`` of it, or small."""
    config = models.known(row["repo"])
    assert config, row["repo"]
    if "layers" in row:
        plain = {key: value for key, value in config.items() if key != "quantization_config"}
        config = plain | SMALL | {"num_hidden_layers": row["layers"]}
    config = config | row.get("kept", {})
    found = memory(from_config(config), gpus.parse(row["gpu"]), row["values"].get, version=row["version"])
    # A GPU that the weights do not fit on has no pool, and its bytes of a token all the same.
    assert found
    return found


def estimated(row: Mapping[str, Any]) -> float:
    """What the estimate says of a row's figure, in its unit."""
    return float(FIGURES[row["figure"]][1](row, sized(row)))


def off(row: Mapping[str, Any]) -> float:
    """By how much the estimate is off: percent of what was measured; GiB of :data:`FREE`."""
    difference = estimated(row) - row["measured"]
    return difference if row["figure"] == FREE else difference / row["measured"] * 100


def answer(row: Mapping[str, Any]) -> str:
    """``fits``, ``tight`` or ``does not fit``, as ``size`` says it."""
    found = sized(row)
    if not found.fits:
        return "does not fit"
    return "fits" if found.left >= found.working else "tight"


def tables() -> str:
    """All of it in Markdown."""
    found = measured()
    figures = [
        [
            source(row["where"]),
            f"{row['case']} ({row['why']})" if "why" in row else row["case"],
            FIGURES[row["figure"]][0],
            number(row["measured"]),
            number(estimated(row), like=row["measured"]),
            f"{off(row):+.2f} GiB" if row["figure"] == FREE else percent(off(row)),
            f"{row['within']:g} GiB" if row["figure"] == FREE else f"{row['within']:g} %",
        ]
        for row in found["rows"]
    ]
    answers = [
        [source(row["where"]), row["case"], row["happened"], answer(row), f"{sized(row).left / GIB:.1f}"]
        for row in found["answers"]
    ]
    rest = [[source(row["where"]), row["figure"], row["why"]] for row in found["uncompared"]]
    return "\n\n".join(
        (
            markdown(["measured by", "of", "figure", "measured", "estimated", "off", "held within"], figures),
            markdown(["where", "of", "what happened", "`size` says", "GiB left by weights and pool"], answers),
            "Not compared:\n\n" + markdown(["where", "figure", "why not"], rest),
        )
    )


def source(where: str) -> str:
    """A link for an address, with the repository and the number in it."""
    if not where.startswith("https://github.com/"):
        return where
    _, name, _, count = where.removeprefix("https://github.com/").split("/")
    return f"[{name} #{count}]({where})"


def number(value: float, like: float | None = None) -> str:
    """With as many decimals as were measured."""
    digits = len(str(value if like is None else like).partition(".")[2])
    return f"{value:,.{digits}f}"


def percent(value: float) -> str:
    text = f"{value:+.2f} %"
    return "0" if text in ("+0.00 %", "-0.00 %") else text


if __name__ == "__main__":
    print(tables())
