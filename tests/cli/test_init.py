"""``glmdeploy init``: what it shows, asks, and writes."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from reporting import call
from support import Shell, own_cloud

from glmdeploy.profile.text.load import load
from glmdeploy.rules.check import check
from glmdeploy.sizing import checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from snapshots import Shows

MODEL = "Qwen/Qwen3-8B"
NO_HUB = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is called by its name."""
    monkeypatch.setattr(sys, "argv", ["glmdeploy"])


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_what_fits(shows: Shows, columns: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    file = tmp_path / "mine.yaml"
    words = ("--context", "32k", "--concurrency", "16", "-o", file)
    code, out, err = shows(f"init-what-fits-{columns}", "init", "Qwen/Qwen3-32B", *words)
    assert (code, file.exists()) == (2, False)
    assert "--yes" in err
    # What cannot be broken, a repository's name, is the only reason for a longer line.
    assert all(len(line) <= columns or " " not in line.strip() for line in out.splitlines())


@pytest.mark.parametrize("columns", [80, 120])
def test_a_large_model(shows: Shows, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shows(f"init-large-{columns}", "init", "zai-org/GLM-5.1-FP8", "--all")


def test_the_first_profile(shows: Shows, tmp_path: Path) -> None:
    file = tmp_path / "qwen3-8b.yaml"
    code, out, _ = shows("init-yes", "init", MODEL, "--yes", "-o", file)
    assert code == 0
    wrote, lines = re.search(r"wrote (\S+) \((\d+) lines\): valid, 0 warnings", out).groups()  # type: ignore[union-attr]
    assert wrote == str(file)
    assert len(file.read_text().splitlines()) == int(lines) <= 40
    assert "--target local --yes --make-secrets" in out
    assert (tmp_path / ".glmdeploy").is_dir(), "the schema that its first line names"
    document = load(str(file))
    assert not [found for found in check(document).findings if found.severity != "info"]
    # The file that is there is never overwritten but with --force, and nothing is asked for nothing.
    file.write_text("mine\n")
    code, _, err = call("init", MODEL, "--yes", "-o", str(file))
    assert (code, file.read_text()) == (1, "mine\n")
    assert "--force" in err
    assert call("init", MODEL, "--yes", "--force", "-o", str(file), "--app", "other", "-q")[0] == 0
    assert load(str(file)).data["app"] == "other"


def test_the_profile_alone(snapshot: Any) -> None:
    code, out, err = call("init", "zai-org/GLM-5.1-FP8", "--choose", "2", "-o", "-", "--name", "glm", "--app", "llm")
    snapshot("init-profile", out)
    assert code == 0
    assert "H200:8" in err
    assert "gpu: H200:8 " in out
    assert "name: glm\n" in out
    code, out, err = call("init", MODEL, "--yes", "-o", "-", "-q")
    assert (code, err) == (0, "")
    assert out.startswith("# Qwen/Qwen3-8B on ")


def test_data_of_what_fits(tmp_path: Path) -> None:
    code, out, err = call("init", MODEL, "--json", "--context", "32k", "--concurrency", "16", "--budget", "7")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["wanted"] == {
        "context_tokens": 32_768,
        "requests": 16,
        "budget_hour_dollars": 7.0,
        "gpu": None,
        "count": None,
        "sglang": found["wanted"]["sglang"],
    }
    assert (found["chosen"], found["written"], found["profile"], found["throughput"]) == (None, None, None, None)
    assert all(each["container_hour_dollars"] <= 7 for each in found["candidates"])
    assert {each["reason"] for each in found["refused"]} >= {"above the budget"}
    numbers = [each["number"] for each in found["candidates"] if each["number"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) < len(found["candidates"])
    first = found["candidates"][0]
    assert first["enough"]
    assert first["whole_context_requests"] == first["pool_tokens"] // 32_768

    file = tmp_path / "x.yaml"
    words = ("--json", "--choose", "2", "-o", str(file), "--gpu", "h100")
    code, out, _ = call("init", "Qwen/Qwen3-32B", *words)
    found = json.loads(out)
    assert (code, found["chosen"], found["written"]) == (0, 2, str(file))
    assert file.read_text() == found["profile"]
    assert found["findings"]["error"] == found["findings"]["warning"] == 0
    code, out, err = call("init", "zai-org/GLM-5.1-FP8", "--gpu", "H100", "--json")
    assert (code, err) == (1, "")
    assert "26.4 GiB short" in json.loads(out)["error"]["message"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "no model is named"),
        (["Qwen3-9B"], 2, "did you mean Qwen/Qwen3-8B?"),
        ([MODEL, "--context", "64k"], 2, "has 40,960 tokens of context"),
        ([MODEL, "--context", "many"], 2, "no number of tokens"),
        ([MODEL, "--gpu", "b20"], 2, "did you mean B200?"),
        ([MODEL, "--gpu", "H100:3"], 2, "3 is no number of GPUs to try"),
        ([MODEL, "--gpu", "H100:3"], 2, "to try one of: 1, 2, 4, 8"),
        ([MODEL, "--gpu", "A10:8"], 2, "8 is no number of GPUs to try"),
        ([MODEL, "--budget", "nan"], 2, "a number is wanted"),
        ([MODEL, "--budget", "0"], 1, "is too little"),
        ([MODEL, "--release", "0.4.0"], 2, "the nearest is"),
        ([MODEL, "--choose", "99"], 2, "there is no 99"),
        ([MODEL, "--choose", "1", "--yes"], 2, "contradict"),
        ([MODEL, "--yes", "--name", "a b", "-o", "-"], 2, "--name: "),
        ([MODEL, "--yes", "-o", "."], 1, "it is a folder"),
        ([MODEL, "--yes", "-o", "/proc/x/y.yaml"], 1, "cannot write"),
        (["acme/unknown", "--no-ask-hub"], 1, "--model-config FILE"),
        (["deepseek-ai/DeepSeek-V4-Flash"], 1, "compressed attention"),
        (["zai-org/GLM-4.5V", "--no-ask-hub"], 1, "a vision tower"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], code: int, said: str) -> None:
    found, out, err = call("init", *words)
    told = " ".join(err.replace("`", "").split())
    assert (found, said in told) == (code, True), err
    assert "Traceback" not in err
    assert "wrote" not in out


def test_a_folder_with_its_config(tmp_path: Path) -> None:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "max_position_embeddings": 8192,
    }
    (tmp_path / checkpoint.CONFIG).write_text(json.dumps(config))
    for given in (tmp_path, tmp_path / checkpoint.CONFIG):
        code, out, _ = call("init", "acme/own", "--model-config", str(given), "--json")
        found = json.loads(out)
        assert (code, found["model"]["dimensions_from"]) == (0, str(given))
        assert found["model"]["parameters"] == 8_030_261_248 - 4096, "Llama 3 8B, without its last norm"
        assert found["candidates"][0]["enough"]
    (tmp_path / checkpoint.CONFIG).write_text("{")
    code, _, err = call("init", "acme/own", "--model-config", str(tmp_path))
    assert code == 1
    assert "is no JSON" in err


def test_a_person_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal: without a model for all of it, and which of the table."""
    monkeypatch.setattr("glmdeploy.cli.init.person", lambda: True)
    monkeypatch.chdir(tmp_path)
    code, out, err = call("init", stdin=f"{MODEL}\n8k\n4\n3\n\n")
    assert code == 0, err
    for question in ("Model (", "Longest request", "Requests at a time [8]", "Dollars an hour", "Which? [1]"):
        assert question in out + err
    data = load(str(tmp_path / "qwen3-8b.yaml")).data
    assert data["sglang"]["args"]["context-length"] == 8192
    assert data["server"]["max_inputs"] == 4
    code, out, err = call("init", MODEL, "-o", "two.yaml", stdin="9\nH100\n2\n")
    assert code == 0
    for wrong in ("9", "H100"):
        assert f"`{wrong}` is no line of the table: answer with a number from 1 to " in out + err
    assert load(str(tmp_path / "two.yaml")).data["gpu"] == "RTX-PRO-6000"
    code, _, err = call("init", MODEL, "-o", "three.yaml", stdin="")
    assert (code, (tmp_path / "three.yaml").exists()) == (130, False)
    code, _, err = call("init", MODEL, stdin="\n")
    assert code == 1
    assert "exists already" in err
    assert call("init", "--context", "8k", stdin="\n\n\n")[0] in (2, 130)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with own_cloud(tmp_path_factory.mktemp("cloud")) as shell:
        shell.run("local", "start")
        yield shell


class TestOnTheEmbeddedCloud:
    @pytest.mark.thorough  # docs/first-profile.md does the same in every run
    def test_from_nothing_to_an_endpoint(self, cloud: Shell, tmp_path: Path) -> None:
        """The commands that the tool itself shows, as it shows them."""
        file = tmp_path / "qwen3-8b.yaml"
        done = cloud.run("init", MODEL, "--yes", "-o", str(file))
        assert "warning" not in done.stderr
        shown = re.search(r"^next: .*? (apply \S+ .*)$", done.stdout, re.MULTILINE)
        assert shown is not None
        applied = cloud.run(*shown[1].split())
        assert "is live and verified" in applied.stdout + applied.stderr
        assert "error" not in applied.stderr
        status = cloud.json("status", "qwen3-8b", "--target", "local")
        assert status
        cloud.run("destroy", "qwen3-8b", "--target", "local", "--yes")

    def test_a_model_that_the_hub_tells(self, cloud: Shell, tmp_path: Path) -> None:
        """By the real huggingface_hub; and from its cache, where the Hub is away."""
        extra = {"HF_ENDPOINT": cloud.cloud.hub_url, "HF_HOME": str(tmp_path)}
        shell = replace(cloud, extra=extra)
        file = tmp_path / "mini.yaml"
        done = shell.run("init", "acme/GLM-4.5-mini", "--yes", "-o", str(file))
        assert "asking the Hugging Face Hub" in done.stderr
        assert "valid, 0 warnings" in done.stdout
        shell.run("validate", str(file), "--strict", "--ask-hub")
        offline = replace(shell, extra=extra | {"HF_ENDPOINT": NO_HUB})
        assert offline.json("init", "acme/GLM-4.5-mini", "--json")["candidates"]
        refused = offline.run("init", "acme/another", "--yes", code=1)
        assert "--model-config FILE" in refused.stderr
        gated = shell.run("init", "gated/Own-7B", "--yes", code=1)
        assert "is gated" in gated.stderr
        assert "HF_TOKEN" in gated.stderr
