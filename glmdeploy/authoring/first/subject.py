"""The model of a first profile: what its name tells, else what its configuration does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.errors import GlmdeployError, UsageError
from glmdeploy.profile.text.characters import shown
from glmdeploy.sglang import models
from glmdeploy.sglang.architectures import ARCHITECTURES, Task
from glmdeploy.sglang.spelling import nearest
from glmdeploy.sizing import checkpoint, model, size

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from glmdeploy.sglang.models import Family
    from glmdeploy.sizing.checkpoint import Checkpoint
    from glmdeploy.sizing.model import Model

REVISION = "main"

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_PAGE = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([^/]+/[^/?#]+)(?:[/?#].*)?")

_GIVE = "give its config.json with --model-config FILE"

_LETS_IN = ("meta-llama/", "google/gemma")
"""Beginnings of repositories whose owners let in who has agreed to their terms (their pages on the Hub)."""

_ENCODERS = ("BertModel", "XLMRobertaModel", "XLMRobertaForSequenceClassification", "BertForSequenceClassification")
"""Models that look at a text as a whole. SGLang's documentation of embedding and rerank models starts them with triton
attention, without a cache of prefixes, and without cutting a text into chunks."""

_PAD = 2
"""Places that RoBERTa's positions begin after, so that a text has as many fewer (``xlm-roberta`` of transformers)."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """``checkpoint`` is the configuration that was given or asked for; None where all of it ships with glmdeploy."""

    repo: str
    dimensions: size.Dimensions
    checkpoint: Checkpoint | None
    family: Family | None

    @property
    def model(self) -> Model:
        return self.dimensions.model

    @property
    def name(self) -> str:
        """The repository without who publishes it."""
        return self.repo.rpartition("/")[2]

    @property
    def task(self) -> Task:
        """What it answers with; text, where nothing tells."""
        return models.task(self.repo, self.model.architecture) or Task.GENERATE

    @property
    def embeds(self) -> bool:
        """Whether SGLang has to be told that it generates nothing.

        Qwen3's rerankers generate: they say yes or no, and SGLang scores by that (``serving_rerank.py``, 0.5.23).
        """
        kind = ARCHITECTURES.get(self.model.architecture)
        return self.task is Task.EMBED or (kind is not None and kind.task is not Task.GENERATE)

    @property
    def encodes(self) -> bool:
        """Whether it is an encoder, which looks at a text as a whole."""
        return self.model.architecture in _ENCODERS

    @property
    def context(self) -> int:
        """The tokens of the longest text that it was made for."""
        return self.model.context - (_PAD if self.model.architecture.startswith("XLMRoberta") else 0)

    @property
    def gated(self) -> bool:
        """Whether its files are for those alone whom its owner let in, as far as the name tells."""
        return self.repo.startswith(_LETS_IN)

    @property
    def sparse(self) -> bool:
        """Whether it has sparse attention, with which SGLang decides about the KV cache's type by the GPU."""
        attention = self.model.attention
        return isinstance(attention, model.LatentAttention) and attention.index is not None

    @property
    def blocks(self) -> bool:
        """Whether its weights are FP8 in blocks, which SGLang multiplies with DeepGEMM on Hopper and Blackwell."""
        config = self.model.config
        inner = config.get("text_config") or {}
        stored = config.get("quantization_config") or inner.get("quantization_config") or {}
        return self.model.quantization == "fp8" and bool(stored.get("weight_block_size"))


def subject(named: str, *, config: Path | None, ask_hub: bool, tell: Callable[[str], None]) -> Subject:
    """The model that a user names, by its repository, the address of its page, or a known name alone.

    ``config`` is a ``config.json`` on this machine. Without it, the Hub is asked for that of a model which is not
    known, unless ``ask_hub`` is False; ``tell`` hears of that, and of a name that was completed.

    :raises UsageError: for what names no repository.
    :raises GlmdeployError: where its configuration cannot be had, or not be understood.
    """
    repo = repository(named)
    if repo != named:
        tell(f"{shown(named)} is {repo}")
    stored, ships = None, model.known(repo)
    if config is not None:
        stored = checkpoint.from_folder(config / checkpoint.CONFIG if config.is_dir() else config)
        dimensions = size.understood(stored, str(config))
    elif ships is not None and (ships.uncounted is None or not ask_hub):
        dimensions = size.Dimensions(model=ships, told_by=size.SHIPPED, weights_told_by=size.COUNTED)
    elif ships is None and (known := models.known(repo)) is not None:
        # What ships cannot be counted; the checkpoint's own file would say the same.
        dimensions = size.understood(checkpoint.Checkpoint(config=known, weights=None), f"the configuration of {repo}")
    else:
        stored = _asked(repo, tell, ask_hub=ask_hub)
        dimensions = size.understood(stored, f"{checkpoint.CONFIG} of {repo} on the Hugging Face Hub")
    if (uncounted := dimensions.model.uncounted) is not None:
        raise GlmdeployError(
            f"the size of {repo} is not known here: it has {uncounted}",
            advice="give its config.json with the index beside it to `--model-config`, or let the Hub be asked",
        )
    return Subject(repo=repo, dimensions=dimensions, checkpoint=stored, family=models.family(repo))


def repository(named: str) -> str:
    """The repository that is meant.

    :raises UsageError: for what names none.
    """
    page = _PAGE.fullmatch(named.strip())
    text = page[1] if page else named.strip().strip("/")
    known = models.published()
    _, slash, name = text.rpartition("/")
    found = known.get(name.lower())
    if found and (not slash or found.lower() == text.lower()):
        return found
    if not slash:
        near = nearest(name, known)
        hint = f"did you mean {known[near[0]]}? " if near else ""
        raise UsageError(
            f"{shown(text)} names no model that is known here",
            advice=f"{hint}name the repository on the Hugging Face Hub, such as Qwen/Qwen3-8B",
        )
    if not _REPOSITORY.fullmatch(text):
        raise UsageError(
            f"{shown(text)} is no repository of the Hugging Face Hub",
            advice="name it as ORG/NAME, such as Qwen/Qwen3-8B; of a folder on this machine, its config.json with "
            "`--model-config`",
        )
    return text


def _asked(repo: str, tell: Callable[[str], None], *, ask_hub: bool) -> Checkpoint:
    if not ask_hub:
        raise GlmdeployError(f"{repo} is not known here", advice=_advice(repo, f"leave --no-ask-hub out, or {_GIVE}"))
    tell(f"{repo} is not known here: asking the Hugging Face Hub for its {checkpoint.CONFIG}")
    try:
        return checkpoint.from_hub(repo, REVISION)
    except GlmdeployError as error:
        raise GlmdeployError(error.message, advice=_advice(repo, error.advice or _GIVE)) from None


def _advice(repo: str, rest: str) -> str:
    known = models.published()
    near = nearest(repo.rpartition("/")[2], known)
    meant = f"did you mean {known[near[0]]}? " if near and known[near[0]] != repo else ""
    return f"{meant}{rest}"
