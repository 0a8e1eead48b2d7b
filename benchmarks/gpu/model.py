"""A model's folder without weights: SGLang makes those at random (``--load-format dummy``).

All dimensions are those of the published model, but for the number of layers and the vocabulary, which is that of the
embedded cloud's tokenizer of single bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from glmdeploy.local import tiny_model
from glmdeploy.sglang import models

if TYPE_CHECKING:
    from pathlib import Path

UNSAID = {"moe_layer_freq": 1, "topk_method": "noaux_tc", "scoring_func": "sigmoid", "ep_size": 1}
"""What SGLang reads of GLM-5's configuration (0.5.11, ``models/deepseek_v2.py``), and sizes do not depend on."""

OF_THE_TOKENIZER = ("vocab_size", "eos_token_id", "pad_token_id")


def write(folder: Path, repo: str, layers: int | None) -> None:
    """Write ``config.json`` and a tokenizer for ``repo``; ``layers`` of its layers, None for all.

    :raises ValueError: if the repository's dimensions do not ship.
    """
    config = models.known(repo)
    if config is None:
        raise ValueError(f"the dimensions of {repo} do not ship with glmdeploy")
    files = tiny_model.files(repo, tiny_model.head(repo))
    tiny = json.loads(files["config.json"])
    folder.mkdir(parents=True)
    for name, content in files.items():
        if "token" in name or name in {"generation_config.json", "chat_template.jinja"}:
            (folder / name).write_bytes(content)
    (folder / "config.json").write_text(json.dumps(_cut(config, tiny, layers), indent=2))


def _cut(config: dict[str, Any], tiny: dict[str, Any], layers: int | None) -> dict[str, Any]:
    cut = {**UNSAID, **config, **{name: tiny[name] for name in OF_THE_TOKENIZER}}
    if layers is not None:
        cut["num_hidden_layers"] = layers
    for name, value in cut.items():  # one entry a layer: `indexer_types`, `mlp_layer_types`
        if layers is not None and isinstance(value, list) and len(value) == config["num_hidden_layers"]:
            cut[name] = value[:layers]
    return cut
