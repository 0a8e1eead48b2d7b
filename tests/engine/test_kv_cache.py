"""Sizing against the KV pool of the real SGLang engine, which serves tiny models on this CPU."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy.local import tiny_model
from glmdeploy.sglang import environment
from glmdeploy.sizing import memory
from glmdeploy.sizing.memory import GIB, Pool
from glmdeploy.sizing.model import from_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

CASES: dict[str, dict[str, Any]] = {
    "zai-org/GLM-4-9B-0414": {"dtype": "float32", "max-total-tokens": 2_000_003, "page-size": 1},
    "zai-org/GLM-4.5-Air": {"dtype": "bfloat16", "max-total-tokens": 10_007, "page-size": 64},
}
"""A repository, whose architecture the tiny model has, and options."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """What sizing says, and what the engine said while it served."""

    expected: Pool
    log: str
    info: dict[str, Any]
    metrics: str

    def metric(self, name: str) -> float:
        found = re.search(rf"^sglang:{name}{{.*}} (\S+)$", self.metrics, re.MULTILINE)
        assert found, name
        return float(found[1])


@pytest.fixture(scope="module", params=CASES, ids=lambda repo: repo.partition("/")[2])
def served(
    request: pytest.FixtureRequest,
    engine: Callable[..., AbstractContextManager[Any]],
    tmp_path_factory: pytest.TempPathFactory,
    record_testsuite_property: Callable[[str, Any], None],
) -> Served:
    repo, options = request.param, CASES[request.param]
    scratch = tmp_path_factory.mktemp("engine")
    tiny_model.write(scratch / "model", repo)
    with engine(scratch / "model", scratch, **options) as running:
        info = json.loads(running.get("/server_info"))
        metrics = running.get("/metrics")
        log = running.log.read_text(errors="replace")
    model = from_config(json.loads((scratch / "model" / "config.json").read_text()))
    shards = memory.read(info.get)
    assert shards
    kind = memory.Kind(sharding=shards, drafts=0, trtllm=False, version=environment.VERSION)
    page = options["page-size"]
    tokens = options["max-total-tokens"] // page * page
    expected = Pool(bytes_per_token=memory.cell(model, options["dtype"], kind).takes, tokens=tokens, page=page)
    record_testsuite_property(f"bytes of the KV pool of {model.architecture}", expected.bytes)
    return Served(expected=expected, log=log, info=info, metrics=metrics)


def test_the_pool_holds_the_tokens_that_were_asked_for(served: Served) -> None:
    [state] = served.info["internal_states"]
    assert served.info["max_total_num_tokens"] == served.expected.tokens
    assert state["memory_usage"]["token_capacity"] == served.expected.tokens
    assert served.metric("max_total_num_tokens") == served.expected.tokens


def test_the_pool_takes_the_bytes_that_sizing_says(served: Served) -> None:
    assert served.metric("kv_cache_memory_usage_gb") * GIB == served.expected.bytes


def test_the_log_says_so_too(served: Served) -> None:
    found = re.search(r"KV Cache is allocated\..* #tokens: (\d+), K size: (\S+) GB, V size: (\S+) GB", served.log)
    assert found
    # Keys and values are equally wide in these models.
    half = f"{served.expected.bytes / 2 / GIB:.2f}"
    assert found.groups() == (str(served.expected.tokens), half, half)
