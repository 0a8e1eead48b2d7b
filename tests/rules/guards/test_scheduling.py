"""Pools and requests against each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from judged import few, generated, ids


@few
@given(
    pool=st.integers(64, 900_000),
    more=st.integers(0, 900_000),
    requests=st.integers(1, 200),
    context=st.integers(1024, 202_752),
)
def test_a_larger_pool_is_never_worse(pool: int, more: int, requests: int, context: int) -> None:
    def starves(tokens: int) -> bool:
        args = {"kv-cache-dtype": "bfloat16", "context-length": context, "max-running-requests": requests}
        return "GLM030" in ids(generated({"tp-size": 8, "max-total-tokens": tokens, **args}))

    assert not starves(pool + more) or starves(pool)
    assert starves(pool) or pool >= context, "every request of the context can run"


@few
@given(inputs=st.integers(1, 1000), requests=st.integers(1, 1000))
def test_requests_are_compared(inputs: int, requests: int) -> None:
    data = generated({"tp-size": 8, "max-running-requests": requests}, server={"max_inputs": inputs})
    assert ("GLM034" in ids(data)) is (inputs != requests)
