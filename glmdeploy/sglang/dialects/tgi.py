"""The options of Hugging Face's Text Generation Inference, and of its Text Embeddings Inference, in SGLang.

Sources: launcher/src/main.rs of github.com/huggingface/text-generation-inference (January 2026, ``struct Args``), and
the command-line page of Text Embeddings Inference's documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.sglang.dialects.equivalent import called, none, same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.sglang.dialects.equivalent import Equivalent

_REQUESTS = "SGLang sets no limit of the kind to a request"
_QUEUE = "SGLang's scheduler mixes prefill and decoding by itself; `schedule-conservativeness` is what can be set"
_SHARDS = "SGLang starts the processes of its GPUs by itself"
_UNSET = "nothing of the kind can be set in SGLang"
_NGROK = "an app on Modal has an address of its own"
_CORS = "SGLang answers requests from all origins (sglang/srt/entrypoints/http_server.py)"

_BOTH: Mapping[str, Equivalent] = {
    **same("revision", "dtype"),
    "model-id": called("model-path", "in a profile `model.repo`"),
    "hostname": called("host", "a profile sets it by itself"),
    "port": called("port", "in a profile `server.port`"),
    "p": called("port", "in a profile `server.port`"),
    "prometheus-port": none("SGLang's /metrics is on its own port, with `enable-metrics`"),
    "max-concurrent-requests": called("max-queued-requests", "beside those that run (`max-running-requests`)"),
    "max-client-batch-size": none(_REQUESTS),
    "huggingface-hub-cache": called("download-dir", "in a profile the mount of `volumes.weights`"),
    "api-key": called("api-key", "in a profile a secret: `secrets.api_key`"),
    "json-output": called("log-requests-format", "`json`, with `log-requests`"),
    "otlp-endpoint": called("otlp-traces-endpoint", "with `enable-trace`"),
    "otlp-service-name": called("otlp-service-name"),
    "cors-allow-origin": none(_CORS),
    "payload-limit": none(_REQUESTS),
}

OPTIONS: Mapping[str, Equivalent] = {
    **_BOTH,
    **same("trust-remote-code", "quantization"),
    "validation-workers": called("tokenizer-worker-num"),
    "sharded": none("`tp-size` above 1 is what shards in SGLang"),
    "num-shard": called("tp-size"),
    "quantize": called("quantization", "what the checkpoint says need not be said; not all names are the same"),
    "speculate": called("speculative-num-draft-tokens", "with `speculative-algorithm`; TGI's n-grams are `NGRAM`"),
    "kv-cache-dtype": called("kv-cache-dtype", "with underscores: `fp8_e4m3`"),
    "max-best-of": none(_REQUESTS),
    "max-stop-sequences": none(_REQUESTS),
    "max-top-n-tokens": none(_REQUESTS),
    "max-input-tokens": none("SGLang bounds prompt and answer together, by `context-length`"),
    "max-input-length": none("SGLang bounds prompt and answer together, by `context-length`"),
    "max-total-tokens": called("context-length", "SGLang's own `max-total-tokens` is the size of its whole KV cache"),
    "waiting-served-ratio": none(_QUEUE),
    "max-batch-prefill-tokens": called("max-prefill-tokens", "`chunked-prefill-size` bounds one step"),
    "max-batch-total-tokens": called("max-total-tokens", "the tokens of the KV cache; left out, memory decides"),
    "max-waiting-tokens": none(_QUEUE),
    "max-batch-size": called("max-running-requests"),
    "cuda-graphs": called("cuda-graph-bs-decode", "with blanks instead of commas"),
    "shard-uds-path": none(_SHARDS),
    "master-addr": none(_SHARDS),
    "master-port": none(_SHARDS),
    "weights-cache-override": none("a profile keeps weights on `volumes.weights`"),
    "disable-custom-kernels": none(_UNSET),
    "cuda-memory-fraction": called(
        "mem-fraction-static", "it counts weights and KV cache alone; activations and CUDA graphs need what is left"
    ),
    "rope-scaling": called("json-model-override-args", 'as `{"rope_scaling": {...}}`'),
    "rope-factor": called("json-model-override-args", 'as `{"rope_scaling": {...}}`'),
    "watermark-gamma": called("watermark-config", "with `enable-watermark`; its keys are others"),
    "watermark-delta": called("watermark-config", "with `enable-watermark`; its keys are others"),
    "ngrok": none(_NGROK),
    "ngrok-authtoken": none(_NGROK),
    "ngrok-edge": none(_NGROK),
    "tokenizer-config-path": called("tokenizer-path", "a folder with all of the tokenizer's files"),
    "disable-grammar-support": called("grammar-backend", "`none`"),
    "env": none("`python3 -m sglang.check_env` shows the environment"),
    "lora-adapters": called("lora-paths", "`NAME=PATH` as well, with blanks instead of commas"),
    "usage-stats": none("SGLang sends none"),
    "enable-prefill-logprobs": none("SGLang gives the logprobs that a request asks for"),
    "graceful-termination-timeout": none(_UNSET),
}
"""By the option's name in TGI, without its dashes."""

EMBEDDINGS: Mapping[str, Equivalent] = {
    **_BOTH,
    "tokenization-workers": called("tokenizer-worker-num"),
    "served-model-name": called("served-model-name", "in a profile `model.served_name`"),
    "pooling": none("SGLang pools as its class of the model does; `is-embedding` serves it for embeddings"),
    "max-batch-tokens": called("max-prefill-tokens"),
    "max-batch-requests": called("max-running-requests"),
    "auto-truncate": called("allow-auto-truncate"),
    "default-prompt-name": none(_UNSET),
    "default-prompt": none(_UNSET),
    "dense-path": none(_UNSET),
    "hf-token": none("Hugging Face's token is a secret: `secrets.huggingface` in a profile"),
    "hf-api-token": none("Hugging Face's token is a secret: `secrets.huggingface` in a profile"),
    "uds-path": none("SGLang listens on a port"),
    "disable-spans": none("SGLang has no spans unless `enable-trace` is set"),
}
"""By the option's name in TEI, without its dashes; SGLang wants `is-embedding` with all of them."""
