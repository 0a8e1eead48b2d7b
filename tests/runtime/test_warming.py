"""The warm-up: the shapes that traffic has, within what the engine holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.runtime.warming import answers_in, warm_up

STATE = {"page_size": 64, "chunked_prefill_size": 16384, "effective_max_running_requests_per_dp": 48}
INFO = {"max_total_num_tokens": 65536, "max_req_input_len": 202746, "internal_states": [STATE]}


def prompts(found: Any, key: str = "input_ids") -> list[list[list[int]]]:
    return [body[key] for _, body, _ in found.requests]


def test_the_default() -> None:
    found = warm_up({}, INFO, served_name="glm", route="/generate")
    [long], batch = prompts(found)
    assert (len(long), len(batch), len(batch[0])) == (16384, 48, 32)
    assert len({tuple(prompt[:2]) for prompt in [long, *batch]}) == 49, "none begins as another does"
    assert [(path, count) for path, _, count in found.requests] == [("/generate", 1), ("/generate", 48)]
    sampling = found.requests[0][1]["sampling_params"]
    assert sampling == {"max_new_tokens": 16, "temperature": 0, "ignore_eos": True}
    assert found.words == "a prompt of 16384 tokens, then 48 requests at a time"


def test_what_the_profile_says() -> None:
    sizes = {"prompt_tokens": 100, "batch": 3, "output_tokens": 2}
    found = warm_up(sizes, INFO, served_name="glm", route="/generate")
    assert (found.prompt_tokens, found.batch) == (100, 3)
    assert found.requests[1][1]["sampling_params"]["max_new_tokens"] == 2


def test_ranks_share_the_batch() -> None:
    found = warm_up({}, INFO | {"internal_states": [STATE] * 8}, served_name="glm", route="/generate")
    assert found.batch == 48 * 8


@pytest.mark.parametrize(("route", "key"), [("/v1/embeddings", "input"), ("/classify", "input_ids")])
def test_models_without_text_are_not_asked_for_any(route: str, key: str) -> None:
    found = warm_up({}, INFO, served_name="glm", route=route)
    assert {path for path, _, _ in found.requests} == {route}
    assert all(body.keys() == {"model", key} for _, body, _ in found.requests)
    assert len(prompts(found, key)[1]) == 48


NUMBERS = st.none() | st.integers(-1, 300_000)


@given(
    settings=st.fixed_dictionaries(
        {},
        optional={
            "prompt_tokens": st.integers(1, 10_000_000),
            "batch": st.integers(1, 4096),
            "output_tokens": st.integers(1, 4096),
        },
    ),
    pool=st.integers(20_000, 300_000),
    longest=st.integers(10_000, 300_000),
    page=st.sampled_from([1, 16, 64, 128]),
    chunk=NUMBERS,
    requests=NUMBERS,
)
def test_it_never_asks_for_more_than_the_engine_holds(
    settings: dict[str, int], pool: int, longest: int, page: int, chunk: int | None, requests: int | None
) -> None:
    state = {"page_size": page, "chunked_prefill_size": chunk, "effective_max_running_requests_per_dp": requests}
    info = {"max_total_num_tokens": pool, "max_req_input_len": longest, "internal_states": [state]}
    found = warm_up(settings, info, served_name="glm", route="/generate")
    output = settings.get("output_tokens", 16)
    for some in prompts(found):
        assert all(len(prompt) + output <= longest for prompt in some)
        pages = sum(-(-(len(prompt) + output) // page) * page for prompt in some)
        assert pages <= pool


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_whatever_the_engine_says_of_itself(info: Any) -> None:
    found = warm_up({}, info if isinstance(info, dict) else {}, served_name="glm", route="/generate")
    assert (found.prompt_tokens, found.batch) >= (1, 1)


def test_answers_are_counted() -> None:
    assert answers_in({"text": "x"}) == 1
    assert answers_in([{"text": "x"}, {"text": "y"}]) == 2
    assert answers_in({"data": [1, 2, 3]}) == 3
