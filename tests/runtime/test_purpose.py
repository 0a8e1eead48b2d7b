"""What a server is for, from its command as a profile has it written."""

from __future__ import annotations

import pytest

from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load
from glmdeploy.runtime.purpose import first_request, purpose_of


@pytest.mark.parametrize(
    ("repo", "embedding", "path"),
    [
        ("zai-org/GLM-4-9B-0414", False, "/v1/chat/completions"),
        ("org/some-reranker", False, "/v1/chat/completions"),
        ("Qwen/Qwen3-Embedding-0.6B", True, "/v1/embeddings"),
        ("BAAI/bge-Reranker-v2-m3", True, "/v1/rerank"),
        ("Skywork/Skywork-Reward-Llama-3.1-8B", True, "/classify"),
        ("rerank/anything", True, "/v1/embeddings"),
    ],
)
def test_the_first_request_is_of_what_the_model_is_for(repo: str, embedding: bool, path: str) -> None:
    sets = [f"model.repo={repo}", *(["sglang.args.is-embedding=true"] if embedding else [])]
    plan, _ = plan_of(load("local-cpu", sets=sets))
    asked, body = first_request(purpose_of(plan.server.command), "tiny")
    assert (asked, body["model"]) == (path, "tiny")
