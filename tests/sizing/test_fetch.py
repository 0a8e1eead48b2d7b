"""What a checkpoint says of itself, fetched by the real huggingface_hub from the embedded hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from support import PATIENCE, STRANGE, serving

from glmdeploy.errors import GlmdeployError
from glmdeploy.local import hub
from glmdeploy.sizing import checkpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

# huggingface_hub reads its environment when it is imported, so that each question is asked by a new process.
ASK = """
import json, sys
from glmdeploy.errors import GlmdeployError
from glmdeploy.sizing.checkpoint import from_hub
answers = []
for question in sys.argv[1:]:
    repo, _, revision = question.partition("@")
    try:
        found = from_hub(repo, revision or "main")
        answers.append([found.config.get("num_hidden_layers"), found.weights, found.told_by])
    except GlmdeployError as error:
        answers.append(f"{error.message} | {error.advice}")
print(json.dumps(answers))
"""

UNREACHABLE = "http://127.0.0.1:9"

CONFIG = '{"num_hidden_layers": 7}'


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("hub")
    for name, files in {
        "single": {"config.json": CONFIG, "model.safetensors": "x" * 1234},
        "weightless": {"config.json": CONFIG},
        "no-total": {"config.json": CONFIG, "model.safetensors.index.json": '{"metadata": {}}'},
        "no-config": {"model.safetensors": "x"},
        "broken": {"config.json": '{"num_hidden_layers": '},
        "list": {"config.json": "[1]"},
        "deep": {"config.json": "[" * 100_000},
        "huge": {"config.json": '{"a": "' + "x" * checkpoint.LIMITS["config.json"] + '"}'},
        "bad-index": {"config.json": CONFIG, "model.safetensors.index.json": "<html>"},
    }.items():
        folder = root / "made" / name
        folder.mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text)
    app = hub.application(root)
    app.middlewares.insert(0, out_of_order)
    with serving(app) as url:
        yield url


@web.middleware
async def out_of_order(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if request.path.startswith("/down/"):
        return web.Response(status=503)
    return await handler(request)


def ask(cache: Path, endpoint: str, *questions: str, **env: str) -> list[Any]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(STRANGE)}
    done = subprocess.run(
        [sys.executable, "-c", ASK, *questions],
        env={**clean, "HF_HOME": str(cache), "HF_ENDPOINT": endpoint, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert env.get("HF_TOKEN", "Traceback") not in done.stdout + done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


def test_the_hub_tells(url: str, tmp_path: Path) -> None:
    tiny, single, weightless, no_total = ask(
        tmp_path, url, "acme/GLM-4.5", "made/single", "made/weightless", "made/no-total"
    )
    layers, size, told_by = tiny
    assert (layers, told_by) == (3, "model.safetensors.index.json")
    assert size > 100_000
    assert single == [7, 1234, "model.safetensors"]
    assert weightless == no_total == [7, None, None]


def test_its_cache_tells_without_a_network(url: str, tmp_path: Path) -> None:
    online = ask(tmp_path, url, "acme/GLM-4.5", "made/single")
    tiny, single, unseen = ask(tmp_path, UNREACHABLE, "acme/GLM-4.5", "made/single", "acme/unseen")
    assert tiny == online[0]
    # The size of the one weight file is nowhere without the hub.
    assert single == [7, None, None]
    assert unseen == (
        "the Hugging Face Hub could not be asked for config.json of acme/unseen, and its cache here does not have it "
        "(ConnectError) | try again with a connection, or give the checkpoint's config.json with --model-config FILE"
    )
    assert ask(tmp_path, url, "acme/GLM-4.5", HF_HUB_OFFLINE="1") == [tiny]


def test_refusals(url: str, tmp_path: Path) -> None:
    questions = ("nonexistent/x", "gated/x", "acme/x@no-such-branch", "made/no-config", "down/x", "acme/a--b")
    missing, gated, revision, config, down, name = ask(tmp_path, url, *questions)
    assert missing.startswith("the Hugging Face Hub knows no repository nonexistent/x")
    assert gated.startswith("gated/x is gated")
    assert "HF_TOKEN" in gated
    assert revision.startswith("acme/x has no revision no-such-branch |")
    assert config.startswith("made/no-config has no config.json at revision main |")
    assert "(it answered with status 503)" in down
    assert name.startswith("the Hub allows no name such as acme/a--b |")


def test_a_token_opens_what_is_private(url: str, tmp_path: Path) -> None:
    [answer] = ask(tmp_path, url, "private/GLM-4.5", HF_TOKEN="hf_anything")
    assert answer[0] == 3


def test_a_token_that_cannot_be_sent_is_not_shown(url: str, tmp_path: Path) -> None:
    [answer] = ask(tmp_path, url, "acme/x", HF_TOKEN="hf_top\x01SECRET")
    assert answer.startswith("the Hugging Face Hub could not be asked")
    assert "SECRET" not in answer


def test_what_is_not_what_it_is_called(url: str, tmp_path: Path) -> None:
    names = ("broken", "list", "deep", "huge", "bad-index")
    broken, array, deep, huge, index = answers = ask(tmp_path, url, *(f"made/{name}" for name in names))
    assert "config.json is no JSON: Expecting value" in broken
    assert "config.json is no JSON object" in array
    assert "config.json is no JSON: it is nested too deeply" in deep
    assert "config.json of made/huge has more than 4 MiB" in huge
    assert "model.safetensors.index.json is no JSON: Expecting value" in index
    assert all(answer.endswith("--model-config FILE") for answer in answers)


class TestFolder:
    def test_alone(self, tmp_path: Path) -> None:
        config = tmp_path / "config.json"
        config.write_text(CONFIG)
        expected = checkpoint.Checkpoint(config=json.loads(CONFIG), weights=None)
        assert checkpoint.from_folder(config) == checkpoint.from_folder(tmp_path) == expected

    def test_beside_its_weights(self, tmp_path: Path) -> None:
        config = tmp_path / "config.json"
        config.write_text(CONFIG)
        (tmp_path / "model.safetensors").write_bytes(b"12345")
        assert checkpoint.from_folder(config).weights == 5
        (tmp_path / "model.safetensors.index.json").write_text('{"metadata": {"total_size": 7e3}}')
        found = checkpoint.from_folder(config)
        assert (found.weights, found.told_by) == (7000, "model.safetensors.index.json")

    @pytest.mark.parametrize("size", ["-1", "0", "true", '"7"', "null", "NaN", "1e400", "[]"])
    def test_a_size_that_is_none(self, tmp_path: Path, size: str) -> None:
        config = tmp_path / "config.json"
        config.write_text(CONFIG)
        (tmp_path / "model.safetensors.index.json").write_text(f'{{"metadata": {{"total_size": {size}}}}}')
        assert checkpoint.from_folder(config).weights is None

    @given(content=st.binary(max_size=200))
    def test_any_file(self, tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
        config = tmp_path_factory.mktemp("any") / "config.json"
        config.write_bytes(content)
        try:
            found = checkpoint.from_folder(config)
        except GlmdeployError:
            return
        assert found.config == json.loads(content)

    def test_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(GlmdeployError, match="cannot read"):
            checkpoint.from_folder(tmp_path / "absent.json")
        with pytest.raises(GlmdeployError, match=r"cannot read .*config\.json"):
            checkpoint.from_folder(tmp_path)
