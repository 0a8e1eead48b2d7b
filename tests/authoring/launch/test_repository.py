"""Which repository a launch serves: the organisation in a path is respected, and none is invented."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.authoring.launch.imported import Imported, import_script
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.findings import Severity


def imported(path: str, before: str = "", options: str = "", repo: str | None = None) -> Imported:
    text = f"{before}python3 -m sglang.launch_server --model-path {path} {options}\n"
    wanted = ImportOptions(gpu="H200:1", sglang_version="0.5.16", repo=repo)
    return import_script(Script(file="x.sh", text=text), wanted)


@pytest.mark.parametrize(
    ("path", "repo", "mount"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct", "/model-cache"),
        ("/data/models/nvidia/GLM-5.2-NVFP4", "nvidia/GLM-5.2-NVFP4", "/data/models/nvidia"),
        ("/models/meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B", "/models/meta-llama"),
        ("models/meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B", "/model-cache"),
        ("./zai-org/GLM-4.6", "zai-org/GLM-4.6", "/model-cache"),
        ("/mnt/models/acme/Llama-3-acme", "acme/Llama-3-acme", "/mnt/models/acme"),
        ("/models/embed/gte-Qwen2-7B-instruct", "Alibaba-NLP/gte-Qwen2-7B-instruct", "/models/embed"),
        ("/models/Qwen3-8B-AWQ", "Qwen/Qwen3-8B-AWQ", "/models"),
        ("models/Qwen3-8B", "Qwen/Qwen3-8B", "/model-cache"),
        ("/data/GLM-5.1-FP8/", "zai-org/GLM-5.1-FP8", "/data"),
        ("/hub/models--acme--X-1B/snapshots/" + "0123456789" * 4, "acme/X-1B", "/model-cache"),
        ("~/.cache/huggingface/hub/models--acme--X-1B", "acme/X-1B", "/model-cache"),
    ],
)
def test_the_path_tells(path: str, repo: str, mount: str) -> None:
    result = imported(path)
    assert result.data is not None
    assert result.data["model"]["repo"] == repo
    assert result.data["volumes"]["weights"]["mount"] == mount
    assert result.complete


@pytest.mark.parametrize(
    "path",
    [
        "models/DeepSeek-V3.2-AWQ",
        "/home/u/models/GLM-4.5-Air-AWQ-4bit",
        "/models/GLM-5.1-NVFP4",
        "data/GLM-5-finetuned",
        "huggingface/some-model",
        "hub/some-model",
        "/home/me/some-model",
        "/mnt/data/open_source/QwQ-32B/Qwen__QwQ-32B/",
        "/llm/model/google/gemma-3-27b-it-Q4_K_M.gguf",
        "/",
        ".",
    ],
)
def test_no_repository_is_invented(path: str) -> None:
    result = imported(path)
    assert not result.complete
    [note] = [note for note in result.notes if note.severity is Severity.ERROR]
    assert note.fix is not None
    assert "--repo" in note.fix
    assert result.data is None or "repo" not in result.data["model"]
    told = imported(path, repo="me/mine")
    assert told.complete
    assert told.data is not None
    assert told.data["model"]["repo"] == "me/mine"


@pytest.mark.parametrize(
    ("before", "options"),
    [
        ("hf download QuantTrio/DeepSeek-V3.2-AWQ --local-dir /w/DeepSeek-V3.2-AWQ\n", ""),
        ("", "--served-model-name QuantTrio/DeepSeek-V3.2-AWQ"),
        ("# see https://huggingface.co/x, QuantTrio/DeepSeek-V3.2-AWQ.\n", ""),
        ("MODEL=QuantTrio/DeepSeek-V3.2-AWQ\n", ""),
    ],
)
def test_what_the_text_names_elsewhere_is_taken(before: str, options: str) -> None:
    result = imported("/w/DeepSeek-V3.2-AWQ", before, options)
    assert result.complete
    assert result.data is not None
    assert result.data["model"]["repo"] == "QuantTrio/DeepSeek-V3.2-AWQ"


def test_two_of_that_name_decide_nothing() -> None:
    result = imported("/w/DeepSeek-V3.2-AWQ", "# one/DeepSeek-V3.2-AWQ two/DeepSeek-V3.2-AWQ\n")
    assert not result.complete


PART = st.text("abcXYZ019._-", min_size=1, max_size=10).map("m{}".format)


@settings(deadline=None, max_examples=examples(60))
@given(folders=st.lists(PART | st.sampled_from(["models", "data", "nvidia", "hub"]), max_size=4), name=PART)
def test_every_repository_is_in_the_path(folders: list[str], name: str) -> None:
    result = imported("/" + "/".join([*folders, name]))
    repo = result.data["model"].get("repo") if result.data else None
    assert repo is None or [*folders, name][-2:] == repo.split("/")


def test_the_model_s_own_tokenizer_is_no_matter() -> None:
    result = imported("moonshotai/Kimi-K2-Instruct", options="--tokenizer-path moonshotai/Kimi-K2-Instruct")
    assert result.data is not None
    assert "args" not in result.data["sglang"]
    assert {note.severity for note in result.notes if "tokenizer" in note.message} == {Severity.INFO}


def test_adapters_are_told_once() -> None:
    result = imported("meta-llama/Llama-3.1-8B", options="--enable-lora --lora-paths a=o/a b=o/b")
    assert not [note for note in result.notes if "o/a" in note.message]
