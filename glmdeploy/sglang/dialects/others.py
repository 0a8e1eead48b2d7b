"""The options of LMDeploy, Aphrodite, MLC LLM and Ollama in SGLang.

Sources: lmdeploy/cli/utils.py and lmdeploy/cli/serve.py of github.com/InternLM/lmdeploy; Aphrodite has vLLM's
options, from which it was made (github.com/aphrodite-engine/aphrodite-engine); the page ``mlc_llm serve`` of MLC LLM's
documentation. Ollama's ``serve`` takes no options but variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.sglang.dialects.equivalent import NODE_RANK, NODES, TWO_ROLES, called, none, same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.sglang.dialects.equivalent import Equivalent

_UNSET = "nothing of the kind can be set in SGLang"
_CORS = "SGLang answers requests from all origins (sglang/srt/entrypoints/http_server.py)"
_SERVER: Mapping[str, Equivalent] = {
    "host": called("host", "a profile sets it by itself"),
    "server-name": called("host", "a profile sets it by itself"),
    "port": called("port", "in a profile `server.port`"),
    "server-port": called("port", "in a profile `server.port`"),
    "allow-origins": none(_CORS),
    "allow-credentials": none(_CORS),
    "allow-methods": none(_CORS),
    "allow-headers": none(_CORS),
}

LMDEPLOY: Mapping[str, Equivalent] = {
    **_SERVER,
    **same("dtype", "revision", "download-dir", "log-level", "reasoning-parser", "tool-call-parser", "chat-template"),
    **same("device", "quantization", "trust-remote-code"),
    "nnodes": NODES,
    "node-rank": NODE_RANK,
    "model-name": called("served-model-name", "in a profile `model.served_name`"),
    "backend": none("SGLang has one engine"),
    "tp": called("tp-size"),
    "dp": called("dp-size"),
    "ep": called("ep-size"),
    "session-len": called("context-length"),
    "max-batch-size": called("max-running-requests"),
    "cache-max-entry-count": called(
        "mem-fraction-static",
        "it counts the weights too, and of all memory: LMDeploy's is of what the weights leave",
    ),
    "cache-block-seq-len": called("page-size"),
    "block-size": called("page-size"),
    "num-gpu-blocks": called("max-total-tokens", "it counts tokens: blocks times the tokens of one"),
    "num-cpu-blocks": none("SGLang swaps none to the CPU"),
    "enable-prefix-caching": none("SGLang keeps prefixes unless `disable-radix-cache` is set"),
    "quant-policy": called("kv-cache-dtype", "8 is nearest to `fp8_e4m3`"),
    "model-format": called("quantization", "what the checkpoint says need not be said"),
    "rope-scaling-factor": called("json-model-override-args", 'as `{"rope_scaling": {...}}`'),
    "hf-overrides": called("json-model-override-args"),
    "use-logn-attn": none(_UNSET),
    "num-tokens-per-iter": called("chunked-prefill-size"),
    "max-prefill-token-num": called("max-prefill-tokens"),
    "max-prefill-iters": none(_UNSET),
    "eager-mode": called("disable-cuda-graph"),
    "adapters": called("lora-paths"),
    "api-keys": called("api-key", "one key; in a profile a secret: `secrets.api_key`"),
    "ssl": called("ssl-keyfile", "with `ssl-certfile`; on Modal the address has HTTPS already"),
    "proxy-url": none("an app on Modal has an address of its own"),
    "max-log-len": called("log-requests-level", "0 to 3: how much of a request is logged"),
    "disable-fastapi-docs": none(_UNSET),
    "vision-max-batch-size": none(_UNSET),
    "max-concurrent-requests": called("max-queued-requests", "beside those that run (`max-running-requests`)"),
    "role": TWO_ROLES,
    "migration-backend": called("disaggregation-transfer-backend"),
    "disable-vision-encoder": called("language-model-only"),
    "speculative-algorithm": called("speculative-algorithm", "some of its names are others"),
    "speculative-draft-model": called("speculative-draft-model-path"),
    "speculative-num-draft-tokens": called("speculative-num-draft-tokens"),
}

APHRODITE: Mapping[str, Equivalent] = {
    "launch-kobold-api": none(_UNSET),
    "single-user-mode": called("max-running-requests", "1"),
    "max-context-len-to-capture": none("SGLang captures graphs by the size of a batch: `cuda-graph-max-bs-decode`"),
}
"""What Aphrodite has beside vLLM's options."""

MLC: Mapping[str, Equivalent] = {
    **_SERVER,
    "device": none("`gpu` of a profile says which GPUs a container has"),
    "model-lib": none("SGLang compiles no library of a model"),
    "mode": none("`max-running-requests` and `mem-fraction-static` are what MLC's modes set"),
    "additional-models": called("speculative-draft-model-path"),
    "speculative-mode": called("speculative-algorithm"),
    "enable-tracing": called("enable-trace"),
    "enable-debug": none(_UNSET),
    "prefix-cache-mode": called("disable-radix-cache", "for `disable`"),
    "overrides": none("its keys are options of their own: `max-running-requests`, `context-length`, `tp-size`"),
}
