"""A launch of another engine becomes no profile; each of its options is told by its name in SGLang, at its place."""

from __future__ import annotations

import pytest

from glmdeploy.authoring.launch.imported import import_script
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Finding, Severity
from glmdeploy.sglang import engines


def findings(text: str) -> list[Finding]:
    with pytest.raises(ProfileError) as error:
        import_script(Script(file="launch.sh", text=text), ImportOptions())
    return list(error.value.findings)


def at(text: str, finding: Finding) -> str:
    """The text from the finding's place on."""
    lines = text.split("\n")
    return lines[finding.location.line - 1][finding.location.column - 1 :]


LAUNCHES = [
    ("vLLM", "docker run --gpus all -p 8000:8000 vllm/vllm-openai:v0.11.0 --model a/b --max-model-len 8192"),
    ("vLLM", "numactl -N 0 vllm serve a/b --max-model-len=8192"),
    ("vLLM", "$PYTHON -m vllm.entrypoints.openai.api_server --model a/b --max_model_len 8192"),
    ("vLLM", "exec python3 -u -m vllm.entrypoints.openai.api_server \\\n  --model a/b \\\n  --max-model-len 8192"),
    ("vLLM", "bash -c 'vllm serve a/b --max-model-len 8192'"),
    ("TensorRT-LLM", "mpirun -n 2 trtllm-serve a/b --max_seq_len 8192"),
    ("TensorRT-LLM", "docker run nvcr.io/nvidia/tensorrt-llm/release:1.1.0 trtllm-serve a/b --max_seq_len 8192"),
    ("TGI", "docker run ghcr.io/huggingface/text-generation-inference:3.3.5 --model-id a/b --max-total-tokens 8192"),
    ("llama.cpp", "docker run ghcr.io/ggml-org/llama.cpp:server-cuda -m /m/x.gguf -ngl 99 -c 8192"),
    ("llama.cpp", "./llama-server -hf a/b:Q4_K_M -c 8192"),
    ("LMDeploy", "lmdeploy serve api_server a/b --session-len 8192"),
]


@pytest.mark.parametrize(("engine", "text"), LAUNCHES)
def test_refused_with_its_options(engine: str, text: str) -> None:
    first, *others = findings(text)
    assert first.severity is Severity.ERROR
    assert first.message == f"this launches {engine}, not SGLang: nothing of it was imported"
    assert all(found.severity is Severity.INFO for found in others)
    (context,) = [found for found in others if "`--context-length` in SGLang" in found.message]
    assert at(text, context).startswith(context.message.split()[0])
    assert len({(found.location.line, found.location.column) for found in others}) == len(others)


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("Ollama", "ollama serve"),
        ("Ollama", "docker run ollama/ollama"),
        ("NIM", "docker run nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8"),
        ("Triton Inference Server", "tritonserver --model-repository=/models"),
    ],
)
def test_refused_without_options(engine: str, text: str) -> None:
    assert findings(text)[0].message.startswith(f"this launches {engine}, not SGLang")


def test_the_words_of_each_option() -> None:
    told = {
        found.message.split()[0]: found.message
        for found in findings(
            "vllm serve a/b -tp 2 --enforce-eager --kv-cache-dtype fp8 --tool-call-parser=llama3_json --my-own 1"
            " --revision main --tensor-parallel-size 2 -tp 4"
        )
    }
    assert told["-tp"] == "-tp is `--tp-size` in SGLang"
    assert "`--cuda-graph-backend-decode disabled` with `--cuda-graph-backend-prefill" in told["--enforce-eager"]
    assert told["--kv-cache-dtype"].endswith("(`fp8_e4m3` is what fp8 is there)")
    assert told["--tool-call-parser"].endswith("(`llama3` is what llama3_json is there)")
    assert told["--revision"] == "--revision is called `--revision` in SGLang too"
    assert told["--tensor-parallel-size"] == (
        "--tensor-parallel-size is called `--tensor-parallel-size` in SGLang too (`tp-size`)"
    )
    assert "what --my-own of vLLM is in SGLang is not known here" in told.values()


def test_where_there_is_none() -> None:
    (found,) = [each for each in findings("vllm serve a/b --swap-space 4") if "swap" in each.message]
    assert found.message.startswith("there is none in SGLang for --swap-space: ")
    assert found.fix is None


@pytest.mark.parametrize(
    "text",
    [
        "vllm serve a/b --api-key 'very secret' --max-model-len 8",
        "vllm serve a/b --api-key=very-secret",
        "vllm serve a/b --api_key very-secret",
        "lmdeploy serve api_server a/b --api-keys one-thing very-secret --tp 2",
        "MY_API_TOKEN=very-secret vllm serve a/b",
        "docker run -e HF_TOKEN=very-secret vllm/vllm-openai --model a/b",
        "docker run ghcr.io/huggingface/text-generation-inference:3 --model-id a/b --ngrok-authtoken very-secret",
    ],
)
def test_no_secret_is_shown(text: str) -> None:
    for found in findings(text):
        for shown in (found.message, found.location.text, found.fix or "", found.expected or ""):
            assert "very" not in shown
            assert "secret" not in shown.replace("secrets", "").replace("a secret", "")


def test_what_counts_tokens_is_no_secret() -> None:
    text = "vllm serve a/b --max-num-batched-tokens 8192 --max-model-len 8192"
    assert findings(text)[0].location.text == text


def test_a_launch_of_sglang_beside_it_is_taken() -> None:
    script = Script(file="x.sh", text="vllm serve a/b\npython3 -m sglang.launch_server --model-path a/b --tp 2\n")
    result = import_script(script, ImportOptions(gpu="H200:2"))
    assert result.complete
    assert any("starts vLLM, which was left out" in note.message for note in result.notes)


@pytest.mark.parametrize("engine", engines.ENGINES, ids=lambda each: each.name)
def test_every_option_has_a_sentence(engine: engines.Engine) -> None:
    if not engine.options or not engine.commands:
        return
    words = " ".join(f"--{name}" for name in engine.options)
    told = findings(f"{engine.commands[0]} {words}")
    assert len(told) == 1 + len(engine.options)
    assert not any("not known here" in found.message for found in told)
