"""What the search promises: its order, and that asking for more never gives more."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy import cli, gpus
from glmdeploy.authoring.first.candidates import COUNTS, Candidate, Found, Wanted, search
from glmdeploy.authoring.first.nowhere import nowhere, smaller
from glmdeploy.authoring.first.subject import repository, subject
from glmdeploy.authoring.first.written import written
from glmdeploy.errors import GlmdeployError, UsageError
from glmdeploy.gpus import PRICES, TYPES, Price
from glmdeploy.profile.text.load import load
from glmdeploy.sglang import models

if TYPE_CHECKING:
    from glmdeploy.authoring.first.subject import Subject

REPOS = ("Qwen/Qwen3-8B", "Qwen/Qwen3-32B", "deepseek-ai/DeepSeek-V3", "openai/gpt-oss-120b", "Qwen/Qwen3-0.6B")
CONTEXTS = (1024, 8192, 32_768)


@cache
def known(repo: str) -> Subject:
    return subject(repo, config=None, ask_hub=False, tell=print)


@cache
def found(repo: str, **values: Any) -> Found:
    asked: dict[str, Any] = {"context": 8192, "running": 8, "release": "0.5.23", "name": "mine", "app": "mine"}
    return search(known(repo), Wanted(**asked | values), prices=PRICES)


def same(one: Candidate, found: Found) -> Candidate | None:
    """The candidate on the same GPUs with the same KV cache."""
    place = (one.draft.rented, one.draft.kv)
    return next((each for each in found.candidates if (each.draft.rented, each.draft.kv) == place), None)


@settings(max_examples=examples(5))
@given(st.sampled_from(REPOS[:3]), st.integers(1, 40), st.sampled_from((0.5, 4, 30)))
def test_more_money_never_gives_a_worse_best(repo: str, budget: int, more: float) -> None:
    less, rich = found(repo, budget=budget), found(repo, budget=budget + more)
    assert all(each.dollars <= budget for each in less.candidates)
    if less.candidates:
        assert rich.candidates[0].rank <= less.candidates[0].rank
        assert rich.candidates[0].lacking <= less.candidates[0].lacking


@settings(max_examples=examples(5))
@given(st.sampled_from(REPOS[:3]), st.sampled_from(CONTEXTS), st.sampled_from(CONTEXTS), st.sampled_from((8, 24)))
def test_a_longer_context_never_gives_more_requests(repo: str, one: int, other: int, running: int) -> None:
    short, long = (found(repo, context=each, running=running) for each in sorted((one, other)))
    for each in long.candidates:
        before = same(each, short)
        assert before is None or before.requests >= each.requests
    if long.candidates and not long.candidates[0].lacking:
        # What is enough for the longer one is enough for the shorter, so that its best costs no more.
        assert short.candidates[0].rank <= long.candidates[0].rank


@pytest.mark.parametrize("repo", REPOS)
def test_the_order_and_the_words_are_those_of_the_numbers(repo: str) -> None:
    all_ = found(repo)
    ranks = [each.rank for each in all_.candidates]
    assert ranks == sorted(ranks)
    enough = [each for each in all_.candidates if not each.lacking]
    plain = [each for each in enough if not each.halved and not each.apart]
    assert all_.candidates[0] == min(plain, key=lambda each: (each.dollars, each.draft.count, each.draft.gpu))
    for each in all_.candidates:
        gpu = TYPES[each.draft.gpu]
        assert gpu.capability[0] >= gpus.AMPERE
        assert each.draft.count in COUNTS
        assert each.dollars == pytest.approx(PRICES[each.draft.gpu].dollars * each.draft.count)
        assert not each.halved or gpu.capability >= (8, 9)
        assert each.requests == each.size.memory.pool.tokens // 8192
    tried = {each.draft.gpu for each in all_.candidates} | {each.gpu for each in all_.refused}
    assert tried == {
        name
        for name, each in TYPES.items()
        if each.memory_mib and each.capability[0] >= gpus.AMPERE and name not in ("A100", "H100!")
    }


def test_nvfp4_is_blackwells() -> None:
    nvfp4 = found("nvidia/GLM-5.1-NVFP4")
    assert {each.draft.gpu for each in nvfp4.candidates} == {"B200", "B300"}
    assert any("no FP4" in each.why for each in nvfp4.refused)


def test_blocks_of_fp8_are_not_cut_through() -> None:
    """MiniMax's experts of 1,536 in eight parts: with expert parallelism they stay whole."""
    eight = found("MiniMaxAI/MiniMax-M2", gpu="H100", count=8).candidates[0]
    assert eight.draft.arguments()["ep"] == 8
    assert found("MiniMaxAI/MiniMax-M2", gpu="H200", count=4).candidates[0].draft.whole_experts is False


def test_kernels_are_compiled_where_there_are_some() -> None:
    assert found("Qwen/Qwen3-8B-FP8", gpu="H100").candidates[0].draft.data()["compile"] == {"timeout": 3600}
    for gpu in ("L40S", "RTX-PRO-6000", "A100-80GB"):
        first = found("Qwen/Qwen3-8B-FP8", gpu=gpu).candidates[0]
        assert "compile" not in first.draft.data()
        assert "kernels" not in {step.name for step in first.size.steps}, "DeepGEMM has none for it"
    assert "compile" not in found("Qwen/Qwen3-8B", gpu="H100").candidates[0].draft.data()


def test_secrets_are_for_who_needs_them() -> None:
    open_, gated = (found(repo, gpu="H200").candidates[0].draft.data()["secrets"] for repo in (
        "Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B-Instruct"
    ))  # fmt: skip
    assert open_ == {"api_key": {"name": "mine-api-key", "keys": ["API_KEY"]}}
    assert gated["huggingface"] == {"name": "huggingface-secret", "keys": ["HF_TOKEN"]}


def test_embedding_models_say_so() -> None:
    arguments = found("Qwen/Qwen3-Embedding-0.6B").candidates[0].draft.arguments()
    assert arguments["is-embedding"] is True
    assert not {"reasoning-parser", "tool-call-parser"} & set(arguments)
    # Qwen3's rerankers answer yes or no, as models that generate.
    assert "is-embedding" not in found("Qwen/Qwen3-Reranker-0.6B").candidates[0].draft.arguments()


def test_encoders_are_taken_whole(tmp_path: Path) -> None:
    told = json.loads((Path(__file__).parent / "configs.json").read_text(encoding="utf-8"))["BAAI/bge-m3"]["config"]
    (tmp_path / "config.json").write_text(json.dumps(told), encoding="utf-8")
    about = subject("BAAI/bge-m3", config=tmp_path, ask_hub=False, tell=print)
    # The page of BGE-M3 says 568M, with the embedding of positions, which is not counted.
    assert about.model.parameters == pytest.approx(568e6, rel=0.02)
    assert about.context == 8192
    wanted = Wanted(context=8192, running=8, release="0.5.23", name="mine", app="mine")
    arguments = search(about, wanted, prices=PRICES).candidates[0].draft.arguments()
    assert arguments["chunked-prefill-size"] == -1
    assert arguments["attention-backend"] == "triton"
    assert arguments["context-length"] == 8192


@pytest.mark.parametrize(
    ("repo", "asked", "said", "advice"),
    [
        ("zai-org/GLM-5.1-FP8", {"gpu": "H100"}, "each GPU of H100:8 is 26.4 GiB short", "leave --gpu out"),
        ("zai-org/GLM-5.1", {"gpu": "H200"}, "does not fit on H200", "2 × H200:8 would hold its weights, for $72.63"),
        ("zai-org/GLM-5.1", {"gpu": "H100"}, "does not fit on H100", "4 × H100:8 would hold its weights"),
        ("zai-org/GLM-5.1", {"gpu": "H200"}, "does not fit on H200", "zai-org/GLM-5.1-FP8"),
        ("Qwen/Qwen3-8B", {"budget": 0.1}, "$0.10 an hour is too little: L4 costs $0.80", "raise --budget"),
        ("Qwen/Qwen3-32B", {"budget": 1.0}, "on any GPU that Modal rents for $1.00 an hour", "Qwen/Qwen3-32B-FP8"),
        ("Qwen/Qwen3-32B", {"gpu": "H100", "count": 1, "context": 40_960}, "one request of 40,960", "--context 12288"),
        ("Qwen/Qwen2.5-7B-Instruct", {"gpu": "H100", "count": 8}, "28 attention heads", "leave --gpu out"),
        ("zai-org/GLM-5.2-FP8", {"release": "0.5.11"}, "0.5.13.post1", "nvidia/GLM-5.2-NVFP4"),
        ("Qwen/Qwen3-8B", {"gpu": "T4"}, "no BF16", "leave --gpu out"),
        ("Qwen/Qwen3-0.6B", {"gpu": "T4", "count": 1}, "no BF16", "leave --gpu out"),
        ("Qwen/Qwen3-8B", {"gpu": "A10"}, "how much memory A10 leaves", "leave --gpu out"),
    ],
)  # fmt: skip
def test_nothing_fits(repo: str, asked: dict[str, Any], said: str, advice: str) -> None:
    nothing = found(repo, **asked)
    assert not nothing.candidates
    error = nowhere(nothing)
    assert said in error.message.replace("`", "")
    assert advice in (error.advice or "").replace("`", "")


@pytest.mark.parametrize(
    ("repo", "asked", "nodes"),
    [
        ("zai-org/GLM-5.1", {"gpu": "H200"}, 2),
        ("zai-org/GLM-5.1", {"gpu": "H200", "count": 8}, 2),
        ("zai-org/GLM-4.6", {"gpu": "H100", "count": 8}, 2),
    ],
)
def test_several_hosts_are_a_command_away(
    repo: str, asked: dict[str, Any], nodes: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Whoever pastes what is said has a valid profile of a cluster."""
    match = re.search(r"`echo '(.*)' \| glmdeploy import - --gpu (\S+)`", nowhere(found(repo, **asked)).advice or "")
    assert match, "no command"
    launch = tmp_path / "launch.sh"
    launch.write_text(match[1])
    assert cli.run(["import", str(launch), "--gpu", match[2], "-o", str(tmp_path / "p.yaml")]) == 0
    assert cli.run(["validate", str(tmp_path / "p.yaml")]) == 0
    assert load(str(tmp_path / "p.yaml")).data["cluster"]["nodes"] == nodes
    capsys.readouterr()


def test_part_of_a_host_is_no_cluster() -> None:
    assert "import" not in (nowhere(found("zai-org/GLM-5.1", gpu="H200", count=4)).advice or "")


def test_smaller_forms_are_others_that_are_published() -> None:
    assert smaller("Qwen/Qwen3-8B") == ("Qwen/Qwen3-8B-FP8", "Qwen/Qwen3-8B-AWQ", "Qwen/Qwen3-8B-GPTQ-Int4")
    assert smaller("Qwen/Qwen3-8B-FP8") == ("Qwen/Qwen3-8B-AWQ", "Qwen/Qwen3-8B-GPTQ-Int4", "Qwen/Qwen3-8B-GPTQ-Int8")
    assert smaller("Qwen/Qwen3-8B-AWQ") == ()
    assert smaller("Qwen/Qwen2.5-7B") == (), "only the tuned model is published in fewer bits"
    assert smaller("acme/unheard-of") == ()
    for repo in models.published().values():
        assert models.family(repo), repo
        assert repo not in models.variants(repo)


@pytest.mark.parametrize(
    ("named", "repo"),
    [
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("qwen3-8b", "Qwen/Qwen3-8B"),
        ("qwen/qwen3-8b", "Qwen/Qwen3-8B"),
        ("https://huggingface.co/Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("https://huggingface.co/Qwen/Qwen3-8B/tree/main", "Qwen/Qwen3-8B"),
        ("unsloth/Qwen3-8B", "unsloth/Qwen3-8B"),
        ("acme/Own-7B", "acme/Own-7B"),
        ("GLM-5.1-NVFP4", "nvidia/GLM-5.1-NVFP4"),
    ],
)
def test_names_of_models(named: str, repo: str) -> None:
    assert repository(named) == repo


@pytest.mark.parametrize(
    "named", ["", "/", "Qwen3-9B", "a b", "x/y/z", "../etc/passwd", "acme/x y", "-", "ä/ö", "\x1b[31m"]
)
def test_what_is_no_model(named: str) -> None:
    with pytest.raises(UsageError) as failure:
        repository(named)
    assert failure.value.advice
    assert "\x1b" not in failure.value.message


def test_a_slip_is_told() -> None:
    with pytest.raises(GlmdeployError) as failure:
        subject("acme/Qwen3-80B", config=None, ask_hub=False, tell=print)
    assert "did you mean Qwen/Qwen3-8B?" in str(failure.value.advice).replace("`", "")


def test_prices_are_those_that_are_given() -> None:
    dear = {name: Price(dollars=100.0, date="2026-11-29", source="a test") for name in TYPES}
    wanted = Wanted(context=8192, running=8, release="0.5.23", name="mine", app="mine", gpu="H100")
    [candidate, *_] = search(known("Qwen/Qwen3-8B"), wanted, prices=dear).candidates
    assert candidate.dollars == 100
    assert "$100.00 an hour" in written(candidate, None).text
