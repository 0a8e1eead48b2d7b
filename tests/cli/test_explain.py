"""``glmdeploy explain``: what it shows, and how a disagreement with the real SGLang would look."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from glmdeploy.report.values import explain_text
from glmdeploy.profile.text.load import load
from glmdeploy.resolve import resolve
from glmdeploy.sglang import explain
from glmdeploy.sglang.effective import REPORTED
from glmdeploy.sglang.oracle import Resolved

BAD = Path(__file__).parent.parent / "examples" / "bad"


def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MODAL_", "GLMDEPLOY_"))}
    done = subprocess.run(
        [sys.executable, "-m", "glmdeploy", "explain", *arguments],
        capture_output=True,
        text=True,
        env={**env, "NO_COLOR": "1"},
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def line(text: str, name: str) -> list[str]:
    [found] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return found.split(maxsplit=3)


def test_each_value_has_its_source_and_reason() -> None:
    text = run("b200-eagle-bf16kv").stdout
    assert text.splitlines()[0] == "b200-eagle-bf16kv: SGLang 0.5.11 on B200:8, GlmMoeDsaForCausalLM"
    assert line(text, "kv-cache-dtype") == ["kv-cache-dtype", "bfloat16", "profile"]
    assert line(text, "disable-radix-cache") == ["disable-radix-cache", "false", "default"]
    name, value, origin, why = line(text, "chunked-prefill-size")
    assert (name, value, origin) == ("chunked-prefill-size", "16384", "sglang")
    assert why.endswith("(sglang/srt/server_args.py)")


def test_another_gpu() -> None:
    assert line(run("b200-eagle-bf16kv", "--gpu", "H200:8").stdout, "chunked-prefill-size")[1] == "8192"
    wrong = run("b200-eagle-bf16kv", "--gpu", "H300", code=1)
    assert "H300" in wrong.stderr


def test_what_a_rule_refuses_can_be_explained() -> None:
    text = run(str(BAD / "kv_dtype_left_out.yaml")).stdout
    assert line(text, "kv-cache-dtype")[1:3] == ["fp8_e4m3", "sglang"]


@pytest.mark.parametrize("file", ["option_unknown.yaml", "unknown_key.yaml", "release_unknown.yaml"])
def test_what_cannot_be_read_cannot_be_explained(file: str) -> None:
    done = run(str(BAD / file), code=1)
    assert done.stdout == ""
    assert file in done.stderr


def test_json() -> None:
    data = json.loads(run("b200-eagle-bf16kv", "--json").stdout)
    assert (data["sglang"], data["gpu"], data["architecture"]) == ("0.5.11", "B200:8", "GlmMoeDsaForCausalLM")
    values = {value["name"]: value for value in data["values"]}
    assert list(values) == list(REPORTED)
    pages = values["page_size"]
    assert (pages["value"], pages["source"], pages["known"]) == (64, "sglang", True)
    assert pages["file"] == "sglang/srt/server_args.py"


def test_all_has_every_option_once() -> None:
    names = [value["name"] for value in json.loads(run("b200-eagle-bf16kv", "--all", "--json").stdout)["values"]]
    assert len(names) == len(set(names)) > 300
    assert {"watchdog_timeout", "dsa_prefill_backend", "prefill_cuda_graph"} <= set(names)
    assert not {"nsa_prefill_backend", "disable_piecewise_cuda_graph"} & set(names), "these have another name"


def test_an_unknown_model_is_told_once() -> None:
    text = run("b200-eagle-bf16kv", "--set", "model.repo=someone/else").stdout
    assert line(text, "page-size") == ["page-size", "not", "known", "sglang"]
    assert text.count("what it decides for this model is not known here") == 1


def test_without_the_real_one_the_way_to_it_is_told(tmp_path: Path) -> None:
    done = run("b200-eagle-bf16kv", "--sglang", "--cache", str(tmp_path), code=1)
    assert "the real SGLang 0.5.11 is not here" in done.stderr
    assert "--build" in done.stderr
    assert list(tmp_path.iterdir()) == [], "nothing was downloaded"


def test_a_disagreement_is_shown() -> None:
    subject = resolve(load("b200-eagle-bf16kv")).subject
    assert subject
    ours: dict[str, Any] = {row.name: row.effective.value for row in explain.rows(subject.effective)}
    real = ours | {
        "page_size": 1,
        "nsa_prefill_backend": ours["dsa_prefill_backend"],
        "nsa_decode_backend": ours["dsa_decode_backend"],
        "enable_flashinfer_allreduce_fusion": True,
        "disable_piecewise_cuda_graph": True,
    }
    resolved = Resolved(code=0, error=None, parsed={}, values=real, log=(), stderr="")
    rows = explain.compared(explain.rows(subject.effective), resolved)
    assert [row.name for row in rows if row.agrees is False] == ["page_size"]
    text = explain_text(subject, rows)
    assert "  SGLang itself says 1" in text
    assert text.endswith(f"The real SGLang agrees on {len(rows) - 1} of {len(rows)} values.")
