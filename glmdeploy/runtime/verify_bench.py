"""SGLang's own benchmark, ``sglang.bench_serving`` of the server's image, against a deployed endpoint.

Its options are the same in 0.5.8 to 0.5.23 (from 0.5.15 the module only passes on to ``sglang.benchmark.serving``).
``random-ids`` is its data set that needs no download; ``sglang-oai-chat`` asks as users do. It takes the key from
``OPENAI_API_KEY``, and a proxy token as ``--header``. Both go to it through a pipe: its arguments can be seen.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glmdeploy.runtime.hosting import local_engine, local_path, local_root
from glmdeploy.runtime.masking import Mask
from glmdeploy.runtime.output import say
from glmdeploy.runtime.public import TOKEN_HEADERS
from glmdeploy.runtime.stages import engine_env, mounts, plan, proxy_token

BENCH_MODULE = "sglang.bench_serving"
BENCH_PROGRAM = (
    "import json, os, runpy, sys\n"
    "told = json.load(sys.stdin)\n"
    "os.environ.update(told['environ'])\n"
    "sys.argv[1:] = told['arguments']\n"
    f"runpy.run_module({BENCH_MODULE!r}, run_name='__main__', alter_sys=True)\n"
)
BENCH_INPUT, BENCH_OUTPUT = 512, 128
"""Tokens of each prompt and of each answer."""
BENCH_SECONDS = 3600.0
"""The longest that one level may take."""
BENCH_CHARACTERS = 200
"""What is shown of the last line of one that failed."""

MEASURED: Mapping[str, Mapping[str, str]] = {
    "time_to_first_token_ms": {"avg": "mean_ttft_ms", "p50": "median_ttft_ms", "p99": "p99_ttft_ms"},
    "inter_token_latency_ms": {"avg": "mean_tpot_ms", "p50": "median_tpot_ms", "p99": "p99_tpot_ms"},
    "request_latency_ms": {
        "avg": "mean_e2e_latency_ms",
        "p50": "median_e2e_latency_ms",
        "p90": "p90_e2e_latency_ms",
        "p99": "p99_e2e_latency_ms",
    },
}
"""Ours by the benchmark's: what aiperf calls the latency between tokens is its time per output token."""
COUNTED: Mapping[str, str] = {
    "request_throughput_requests_per_s": "request_throughput",
    "output_token_throughput_tokens_per_s": "output_throughput",
    "acceptance_length_tokens": "accept_length",
}


def bench_serving(subject: Mapping[str, Any]) -> dict[str, Any]:
    """``load``: the figures of each level, as ``verify``'s own; or ``skipped``: why there are none; or ``fault``."""
    interpreter, variables = plan()["server"]["command"][0], engine_env("server")
    if local_root():
        engine = local_engine(plan()["sglang"])
        if engine is None or subject["stand_in"]:
            return {"skipped": f"the stand-in has no {BENCH_MODULE}"}
        interpreter, variables["PYTHONPATH"] = engine
    secret = plan().get("api_key")
    key = os.environ.get(secret["keys"][0], "") if secret else ""
    token = proxy_token()
    mask = Mask((), keys=[value for value in (key, *token) if value])
    levels: list[dict[str, Any]] = []
    for clients in subject["concurrency"]:
        requests = subject.get("requests") or clients * 3
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder) / "results.jsonl"
            arguments = bench_arguments(
                subject["url"], plan()["model"], clients=clients, requests=requests, results=str(results)
            )
            said = _run_bench(interpreter, variables, [*arguments, *header_arguments(token)], key)
            if said is not None or not results.exists():
                fault = mask(said or "it wrote no results")
                if local_root() and "ModuleNotFoundError" in fault:  # the engine here has less than an image
                    return {"skipped": f"{BENCH_MODULE} does not run with this engine: {fault}"}
                return {"fault": fault, "load": levels}
            levels.append(measured(json.loads(results.read_text().splitlines()[-1]), clients, requests))
        say(f"{BENCH_MODULE}: {requests} requests, {clients} at a time")
    return {"load": levels}


def bench_arguments(url: str, model: Mapping[str, Any], *, clients: int, requests: int, results: str) -> list[str]:
    """The arguments of the benchmark, but for those that hold a secret."""
    return [
        *("--backend", "sglang-oai-chat", "--base-url", url),
        *("--model", model["served_name"], "--served-model-name", model["served_name"]),
        *("--tokenizer", local_path(model["path"], mounts())),
        *("--dataset-name", "random-ids", "--random-range-ratio", "1.0"),
        *("--random-input-len", str(BENCH_INPUT), "--random-output-len", str(BENCH_OUTPUT)),
        *("--num-prompts", str(requests), "--max-concurrency", str(clients)),
        *("--output-file", results, "--disable-tqdm"),
    ]


def header_arguments(token: Sequence[str]) -> list[str]:
    """Those that pass Modal's proxy."""
    pairs = [f"{name}={value}" for name, value in zip(TOKEN_HEADERS, token, strict=False)]
    return ["--header", *pairs] if pairs else []


def measured(result: Mapping[str, Any], clients: int, requests: int) -> dict[str, Any]:
    """A level's figures of a line of results, and nothing else: the line holds the key, for ``/server_info`` does."""

    def number(name: str) -> float | None:
        value = result.get(name)
        return round(value, 3) if isinstance(value, int | float) and not isinstance(value, bool) else None

    found: dict[str, Any] = {
        "concurrency": clients,
        "requests": requests,
        "failed": requests - int(result.get("completed") or 0),
        "retried": 0,
    }
    for ours, theirs in MEASURED.items():
        found[ours] = {name: value for name, their in theirs.items() if (value := number(their)) is not None}
    counted = {ours: value for ours, their in COUNTED.items() if (value := number(their)) is not None}
    return {**found, **counted}


def _run_bench(interpreter: str, variables: Mapping[str, str], arguments: Sequence[str], key: str) -> str | None:
    """Why it failed; None where it did not."""
    told = {"arguments": list(arguments), "environ": {"OPENAI_API_KEY": key} if key else {}}
    try:
        done = subprocess.run(
            [interpreter, "-c", BENCH_PROGRAM],
            input=json.dumps(told),
            env=dict(variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=BENCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {BENCH_SECONDS:.0f} s"
    except OSError as fault:
        return f"it could not be started: {fault.strerror}"
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()] or ["it said nothing"]
    return f"it ended with exit code {done.returncode}: {lines[-1][:BENCH_CHARACTERS]}"
