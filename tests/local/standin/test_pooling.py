"""The stand-in answers what the real engine answers: rows that tests/local/test_real_engine.py asks of the real one."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import asked
import pytest
from standin_process import KEY, start

from glmdeploy.local import tiny_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from standin_process import Engine


@pytest.fixture
def embedding(container: Path, tmp_path: Path) -> Iterator[Engine]:
    tiny_model.write(tmp_path / "model", "Qwen/Qwen3-Embedding-0.6B")
    arguments = ("--is-embedding", "--api-key", KEY, "--context-length", "100")
    engine = start(tmp_path / "model", container, tmp_path / "log", *arguments)
    try:
        engine.statuses_until_healthy()
        yield engine
    finally:
        engine.process.kill()
        engine.process.wait()


def test_other_origins(engine: Engine) -> None:
    asked.check_origins(f"http://127.0.0.1:{engine.port}", KEY)


def test_a_model_that_generates_gives_no_embeddings(engine: Engine) -> None:
    asked.check_no_embeddings(f"http://127.0.0.1:{engine.port}", KEY)


def test_a_model_that_gives_embeddings(embedding: Engine) -> None:
    url = f"http://127.0.0.1:{embedding.port}"
    asked.check_embeddings(url, KEY)
    long = asked.ask(f"{url}/v1/embeddings", KEY, {"model": "tiny", "input": "word " * 200})
    assert (long.status, "is longer than the model's context length (100 tokens)" in long.message) == (400, True)
    asked.dies_of(url, KEY, lambda: embedding.process.wait() == -signal.SIGKILL)
    assert "'LogitsProcessorOutput' object has no attribute 'embeddings'" in embedding.log.read_text()


@pytest.mark.parametrize("repo", ["BAAI/bge-reranker-v2-m3", "Skywork/Skywork-Reward-V2-Qwen3-0.6B"])
def test_a_model_that_gives_scores_needs_no_flag(container: Path, tmp_path: Path, repo: str) -> None:
    tiny_model.write(tmp_path / "model", repo)
    engine = start(tmp_path / "model", container, tmp_path / "log", "--api-key", KEY)
    try:
        engine.statuses_until_healthy()
        url = f"http://127.0.0.1:{engine.port}"
        [score] = asked.ask(f"{url}/classify", KEY, {"text": "Hello"}).data["embedding"]
        assert asked.ask(f"{url}/encode", KEY, {"text": "Hello"}).data["embedding"] == [score]
        ranked = asked.ask(f"{url}/v1/rerank", KEY, {"query": "Hello", "documents": ["a", "b"]}).data
        assert {one["index"] for one in ranked} == {0, 1}
    finally:
        engine.process.kill()
        engine.process.wait()
