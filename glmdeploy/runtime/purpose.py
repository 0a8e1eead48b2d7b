"""What a server is for, and the request that shows it: SGLang serves models that generate, and models that do not.

SGLang takes a model for one that does not generate by its architecture, or by ``--is-embedding``
(``is_generation_model`` of ``srt/configs/model_config.py``, 0.5.10 to 0.5.23), which its documentation writes for
embedding, reranking and reward models alike. To ask one of these for text is no harmless mistake: 0.5.23 ends itself
at the first request to generate (measured on a CPU with ``Glm4ForCausalLM``: no answer, AttributeError in the
scheduler, exit code -9 after 5 s).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

CHAT, EMBEDDINGS, RERANK, REWARD = "chat", "embeddings", "rerank", "reward"

WITHOUT_TEXT = (EMBEDDINGS, RERANK, REWARD)

ROUTES = {CHAT: "/v1/chat/completions", EMBEDDINGS: "/v1/embeddings", RERANK: "/v1/rerank", REWARD: "/classify"}
"""Where a server of each purpose is asked (0.5.10 to 0.5.23): ``/v1/rerank`` scores documents by a query, ``/classify``
gives a reward model's score."""

EMBEDDING_FLAG = "--is-embedding"


def purpose_of(command: Sequence[str]) -> str:
    """What SGLang's ``command`` serves its model for.

    Which of the three that do not generate it is, nothing tells but the model's name. Without the flag it is chat:
    that a model's architecture has no text to give is not known before its config.json is there.
    """
    if EMBEDDING_FLAG not in command:
        return CHAT
    path = command[command.index("--model-path") + 1] if "--model-path" in command[:-1] else ""
    name = path.rstrip("/").rpartition("/")[2].lower()
    return next((one for one in (RERANK, REWARD) if one in name), EMBEDDINGS)


def first_request(purpose: str, model: str) -> tuple[str, dict[str, Any]]:
    """The path and the body of a short request that a server of this purpose answers."""
    asked: dict[str, dict[str, Any]] = {
        CHAT: {"messages": [{"role": "user", "content": "Hello"}]},
        EMBEDDINGS: {"input": "Hello"},
        RERANK: {"query": "Hello", "documents": ["Good day", "Farewell"]},
        REWARD: {"text": "Hello"},
    }
    return ROUTES[purpose], {"model": model, **asked[purpose]}
