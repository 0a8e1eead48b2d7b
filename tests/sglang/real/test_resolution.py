"""Our table of SGLang's decisions against its real checked: every shipped profile, and options that meet in it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import one_in

from glmdeploy import cli
from glmdeploy.plan.expected import expected
from glmdeploy.profile.text.load import load, read_text
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check
from glmdeploy.runtime.comparison import POOL, differences, groups_of
from glmdeploy.sglang import explain, models
from glmdeploy.sglang.catalog import version_key, versions
from glmdeploy.sglang.real import environment
from glmdeploy.sglang.real.environment import Environment
from glmdeploy.sglang.translation import translate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sglang_record import Recorder

    from glmdeploy.rules.facts import Facts
    from glmdeploy.sglang.real.oracle import Answers

# Older releases do not know GLM-5 (GLM010), and glmdeploy claims nothing of what they decide.
RELEASES = [version for version in versions() if version_key(version) >= version_key("0.5.10")]

MACHINES = (
    *((version, gpu) for version in RELEASES for gpu in ("B200", "H200")),
    *((version, "H100") for version in (RELEASES[0], RELEASES[-1])),
)
"""An H100 is to SGLang an H200 with less memory."""

SHARED = {"SGLANG_DG_CACHE_DIR": "/dg-cache"}
"""Most profiles set it. It decides nothing, but each environment costs the oracle a process of its own."""

PROFILES = sorted(profiles_dir().glob("*.yaml"))

MORE: dict[str, dict[str, Any]] = {
    "nothing": {},
    "fp8": {"kv-cache-dtype": "fp8_e4m3"},
    "fp8 with backends": {"kv-cache-dtype": "fp8_e4m3", "dsa-prefill-backend": "flashmla_sparse"},
    "bf16": {"kv-cache-dtype": "bf16"},
    "nextn": {"speculative-algorithm": "NEXTN"},
    "eagle": {
        "speculative-algorithm": "EAGLE",
        "speculative-num-steps": 2,
        "speculative-eagle-topk": 1,
        "speculative-num-draft-tokens": 8,
        "disable-overlap-schedule": True,
        "moe-runner-backend": "triton",
    },
    "data-parallel attention": {"dp-size": 8, "enable-dp-attention": True, "speculative-algorithm": "EAGLE"},
    "pipeline": {"pp-size": 2, "max-running-requests": 16},
    "other runner": {"moe-runner-backend": "flashinfer_trtllm_routed", "page-size": 1},
    "chunk": {"chunked-prefill-size": -1, "max-prefill-tokens": 32768},
    "no fusion": {"enforce-disable-flashinfer-allreduce-fusion": True, "tp-size": 4, "disable-radix-cache": True},
    "more ranks": {"tp-size": 16, "chunked-prefill-size": 4096},
}
"""Options (in the words of 0.5.23) of a GLM-5.1-FP8 that has nothing else set but tensor parallelism."""


def subjects(version: str, gpu: str) -> Iterator[tuple[str, Facts]]:
    """Every profile, written for the release, on the GPU; then the sets of options above."""
    for file in PROFILES:
        data = dict(load(str(file)).data)
        own = data["sglang"]
        if own["args"].get("device") == "cpu":
            continue  # its GPU is not used
        if "cluster" in data:
            continue  # test_nodes.py has what several nodes decide
        moved = translate(own["args"], own.get("env", {}), own["version"], version)
        assert not moved.impossible, f"{file.stem} cannot be written for {version}"
        count = data["gpu"].partition(":")[2] or 1
        env = {**SHARED, **moved.env}
        data |= {"gpu": f"{gpu}:{count}", "sglang": {**own, "version": version, "args": moved.args, "env": env}}
        yield file.stem, subject(data)
    base = dict(load("b200-nospec-bf16kv").data)
    for name, options in MORE.items():
        args = translate({"tp-size": 8, **options}, {}, "0.5.23", version).args
        release = {**base["sglang"], "version": version, "args": args, "env": SHARED}
        yield name, subject(base | {"gpu": f"{gpu}:8", "sglang": release})


def subject(data: dict[str, Any]) -> Facts:
    checked = check(read_text(json.dumps(data), "translated.json"))
    assert checked.facts, checked.findings
    assert [finding for finding in checked.findings if finding.id in ("schema", "sglang")] == []
    return checked.facts


@pytest.mark.parametrize(("version", "gpu"), one_in(3, MACHINES))
def test_the_table_agrees_with_the_real_resolution(
    oracle: Callable[[str], Answers], gpu: str, version: str, record_testsuite_property: Callable[[str, Any], None]
) -> None:
    real = oracle(version)
    wrong, compared = [], 0
    # By environment, so that the oracle starts few processes.
    for name, one in sorted(subjects(version, gpu), key=lambda pair: sorted(pair[1].profile.sglang.env.items())):
        # What is claimed for a checkpoint of an architecture that is not covered does not hang on its quantisation.
        config = models.known(one.profile.model.repo.removesuffix("-FP8"))
        resolved = explain.ask(
            real,
            one.command,
            repo=one.profile.model.repo,
            gpu=one.gpu,
            env=one.env,
            config=models.known(one.profile.model.repo) or config,
        )
        assert resolved.error is None, f"{name}: {resolved.error}\n{resolved.stderr}"
        rows = [row for row in explain.compared(explain.rows(one.effective), resolved) if row.agrees is not None]
        wrong += [(name, row.name, row.effective.value, row.real[0]) for row in rows if not row.agrees]
        compared += len(rows)
        wrong += [(name, "a start is refused", told, one.command) for told in refusals(one, resolved.values)]
    assert wrong == []
    record_testsuite_property(f"values of {version} on {gpu} that agree", compared)
    assert compared > 250, "the table claims something"


def refusals(one: Facts, values: Mapping[str, Any]) -> list[str]:
    """What a start would be refused for that runs with these ``values``, the real ones.

    What only a running scheduler knows follows from them as in 0.5.10 to 0.5.23 (``_resolve_max_num_reqs``).
    """
    plan = expected(one)
    requests, limit = values["max_running_requests"], values["max_total_tokens"]
    state = {
        **values,
        "effective_max_running_requests_per_dp": requests and requests // max(values["dp_size"], groups_of(values)),
        "memory_usage": {"token_capacity": limit // values["page_size"] * values["page_size"] if limit else None},
    }
    unknown = [] if limit else [POOL]  # without a GPU
    cards = [{"max_model_len": values["context_length"]}]
    return differences(plan, unknown, {"internal_states": [state]}, cards)


def explained(text: str) -> None:
    data = json.loads(text)
    assert {value["agrees"] for value in data["values"]} == {True}
    assert any("page size to 64" in line for line in data["log"])


def test_explain_asks_the_real_one(
    oracle: Callable[[str], Answers], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Environment(interpreter=Path("python"), source=Path("source"))
    monkeypatch.setattr(environment, "existing", lambda version, cache: place)
    monkeypatch.setattr("glmdeploy.sglang.real.oracle.Oracle", lambda version, where: nullcontext(oracle(version)))
    assert cli.run(["explain", "b200-eagle-bf16kv-0.5.23", "--sglang", "--json"]) == 0
    explained(capsys.readouterr().out)


def test_explain_starts_the_real_one(recorder: Recorder) -> None:
    if not recorder.asks:
        pytest.skip("the real SGLang is asked with --ask-sglang only")
    recorder.source("0.5.23")
    command = [sys.executable, "-m", "glmdeploy", "explain", "b200-eagle-bf16kv-0.5.23", "--sglang", "--json"]
    done = subprocess.run(
        [*command, "--cache", str(recorder.cache)], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    explained(done.stdout)
