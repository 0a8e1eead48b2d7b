"""Sizing against the KV pool of the real SGLang engine, which serves tiny models on this CPU."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy.sglang.real.environment import ENGINE_VERSION
from glmdeploy.sizing import pool, sharding
from glmdeploy.sizing.memory import GIB, Pool
from glmdeploy.sizing.model import from_config

if TYPE_CHECKING:
    from collections.abc import Callable

CASES: dict[str, dict[str, Any]] = {
    "zai-org/GLM-4-9B-0414": {"dtype": "float32", "max-total-tokens": 2_000_003, "page-size": 1},
    "zai-org/GLM-4.5-Air": {"dtype": "bfloat16", "max-total-tokens": 10_007, "page-size": 64},
}
"""A repository, whose architecture the tiny model has, and options."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """What sizing says, and what the engine said while it served."""

    expected: Pool
    said: dict[str, Any]


@pytest.fixture(scope="module", params=CASES, ids=lambda repo: repo.partition("/")[2])
def served(
    request: pytest.FixtureRequest,
    engine: Callable[..., tuple[dict[str, Any], dict[str, Any]]],
    record_testsuite_property: Callable[[str, Any], None],
) -> Served:
    options = CASES[request.param]
    config, said = engine(request.param, options)
    model = from_config(config)
    shards = sharding.read(said["info"].__getitem__)
    assert shards
    kind = pool.Kind(sharding=shards, drafts=0, trtllm=False, version=ENGINE_VERSION)
    page = options["page-size"]
    tokens = options["max-total-tokens"] // page * page
    expected = Pool(bytes_per_token=pool.cell(model, options["dtype"], kind).takes, tokens=tokens, page=page)
    record_testsuite_property(f"bytes of the KV pool of {model.architecture}", expected.bytes)
    return Served(expected=expected, said=said)


def test_the_pool_holds_the_tokens_that_were_asked_for(served: Served) -> None:
    assert served.said["info"]["max_total_num_tokens"] == served.expected.tokens
    assert served.said["token_capacity"] == served.expected.tokens
    assert served.said["metrics"]["max_total_num_tokens"] == served.expected.tokens


def test_the_pool_takes_the_bytes_that_sizing_says(served: Served) -> None:
    assert served.said["metrics"]["kv_cache_memory_usage_gb"] * GIB == served.expected.bytes


def test_the_log_says_so_too(served: Served) -> None:
    [line] = served.said["allocated"]
    found = re.search(r" #tokens: (\d+), K size: (\S+) GB, V size: (\S+) GB", line)
    assert found
    # Keys and values are equally wide in these models.
    half = f"{served.expected.bytes / 2 / GIB:.2f}"
    assert found.groups() == (str(served.expected.tokens), half, half)
