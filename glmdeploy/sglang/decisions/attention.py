"""Attention: backend, pages, the KV cache's data type, and the kernels of sparse attention (DSA)."""

from __future__ import annotations

from glmdeploy.gpus import BLACKWELL, HOPPER
from glmdeploy.sglang.decisions.situation import MODEL, OVERRIDES, Decision

ROWS = (
    Decision(
        name="attention_backend",
        value="nsa",
        until="0.5.12.post1",
        why="the backend for sparse attention (DSA)",
        files=MODEL,
    ),
    Decision(
        name="attention_backend",
        value="dsa",
        since="0.5.13.post1",
        why="the backend for sparse attention (DSA)",
        files=MODEL,
    ),
    Decision(
        name="page_size",
        when=lambda now: True,
        value=64,
        why="sparse attention (DSA) has pages of 64 tokens, whatever is asked for",
        files=MODEL,
    ),
    Decision(
        name="kv_cache_dtype",
        gpu=BLACKWELL,
        value="fp8_e4m3",
        why="sparse attention (DSA) on Blackwell: FP8 when the KV cache dtype is auto",
        files=OVERRIDES,
    ),
    Decision(
        name="kv_cache_dtype",
        gpu=HOPPER,
        value="bfloat16",
        why="sparse attention (DSA) on Hopper: BF16 when the KV cache dtype is auto",
        files=OVERRIDES,
    ),
    Decision(
        name="kv_cache_dtype",
        when=lambda now: bool(now["kv_cache_dtype"] == "bf16"),
        value="bfloat16",
        why="bf16 is short for bfloat16",
        files=OVERRIDES,
    ),
    *(
        Decision(
            name=name,
            gpu=BLACKWELL,
            when=lambda now: bool(now["kv_cache_dtype"] == "fp8_e4m3"),
            value="trtllm",
            until="0.5.10.post1",
            why="with an FP8 KV cache on Blackwell always trtllm, whatever is asked for (honoured from 0.5.11 on)",
            files=OVERRIDES,
        )
        for name in ("dsa_prefill_backend", "dsa_decode_backend")
    ),
    Decision(
        name="dsa_prefill_backend",
        gpu=BLACKWELL,
        value=lambda now: "trtllm" if now["kv_cache_dtype"] == "fp8_e4m3" else "flashmla_sparse",
        why="on Blackwell trtllm for an FP8 KV cache, flashmla_sparse for BF16",
        files=OVERRIDES,
    ),
    Decision(
        name="dsa_decode_backend",
        gpu=BLACKWELL,
        value="trtllm",
        why="on Blackwell trtllm for any KV cache",
        files=OVERRIDES,
    ),
    Decision(
        name="dsa_prefill_backend",
        gpu=HOPPER,
        when=lambda now: now["dsa_prefill_backend"] is None and now["kv_cache_dtype"] == "fp8_e4m3",
        value="flashmla_auto",
        until="0.5.10.post1",
        why="on Hopper flashmla_auto for an FP8 KV cache",
        files=OVERRIDES,
    ),
    Decision(
        name="dsa_prefill_backend",
        gpu=HOPPER,
        value=lambda now: "flashmla_kv" if now["kv_cache_dtype"] == "fp8_e4m3" else "flashmla_sparse",
        why="on Hopper flashmla_kv for an FP8 KV cache, flashmla_sparse for BF16",
        files=OVERRIDES,
    ),
    Decision(
        name="dsa_decode_backend",
        gpu=HOPPER,
        value=lambda now: "flashmla_kv" if now["kv_cache_dtype"] == "fp8_e4m3" else "fa3",
        why="on Hopper flashmla_kv for an FP8 KV cache, fa3 for BF16",
        files=OVERRIDES,
    ),
)
