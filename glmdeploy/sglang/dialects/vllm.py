"""vLLM's options in SGLang.

Sources: vllm/engine/arg_utils.py (``EngineArgs.add_cli_args``) and vllm/entrypoints/openai/cli_args.py of
github.com/vllm-project/vllm in 2025 and 2026, the former for what was removed since, too; SGLang's names are those of
its 0.5.23 catalog, and what is said of them is in its help texts and in the files of its wheel that a note names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.sglang.dialects.equivalent import ADDRESS, NODE_RANK, NODES, called, none, same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.sglang.dialects.equivalent import Equivalent

_BY_ITSELF = "SGLang starts the processes of a container's GPUs, and `cluster` of a profile several containers"
_REMOVED = "vLLM itself has no such option any more, and SGLang needs none"
_JSON_DRAFT = (
    "its `model` is `speculative-draft-model-path`, `num_speculative_tokens` is `speculative-num-steps` (with"
    " `speculative-eagle-topk: 1` and one more for `speculative-num-draft-tokens`), and the methods `eagle`, `eagle3`,"
    " `mtp`, `ngram` and `draft_model` are `EAGLE`, `EAGLE3`, `NEXTN`, `NGRAM` and `STANDALONE`"
)
_CACHED = "SGLang keeps prefixes unless `disable-radix-cache` is set"
_LOGS_NONE = "SGLang logs no requests unless `log-requests` is set"
_CHUNKED = "SGLang prefills in chunks by default; `chunked-prefill-size` is their size, and -1 switches them off"
_OVERLAP = "SGLang schedules ahead by default; `disable-overlap-schedule` switches that off"
_BY_MODALITY = "its keys are `image`, `video` and `audio`, each with the arguments of that processor"
_CORS = "SGLang answers requests from all origins (sglang/srt/entrypoints/http_server.py)"
_UNSET = "nothing of the kind can be set in SGLang"
_STATS = "SGLang measures nothing of the kind; `enable-metrics` gives what it measures"

_MODEL: Mapping[str, Equivalent] = {
    **same("trust-remote-code", "revision", "dtype", "quantization", "skip-tokenizer-init", "model-impl"),
    **same("enable-return-routed-experts"),
    "model": called("model-path", "in a profile `model.repo`"),
    "q": called("quantization"),
    "task": none("`is-embedding` serves a model for embeddings; other tasks follow from the model"),
    "runner": none("`is-embedding` serves a model for embeddings; other tasks follow from the model"),
    "convert": none("`is-embedding` serves a model for embeddings; other tasks follow from the model"),
    "tokenizer": called("tokenizer-path"),
    "tokenizer-mode": called("tokenizer-mode", "it knows `auto` and `slow`"),
    "tokenizer-revision": none("SGLang takes the tokenizer's files at `revision`, or those of `tokenizer-path`"),
    "tokenizer-pool-size": called("tokenizer-worker-num"),
    "code-revision": none("SGLang takes a model's code from the revision of its weights"),
    "hf-token": none("Hugging Face's token is a secret: `secrets.huggingface` in a profile"),
    "hf-config-path": none("SGLang reads the configuration beside the weights; `json-model-override-args` changes it"),
    "hf-overrides": called("json-model-override-args"),
    "rope-scaling": called("json-model-override-args", 'as `{"rope_scaling": {...}}`'),
    "rope-theta": called("json-model-override-args", 'as `{"rope_theta": ...}`'),
    "config-format": called("model-config-parser"),
    "seed": called("random-seed"),
    "max-model-len": called("context-length", "64Ki where vLLM takes 64K; k is a thousand in both"),
    "max-logprobs": none("SGLang sets no limit to the logprobs of a request"),
    "logprobs-mode": none(_UNSET),
    "enforce-eager": called("disable-cuda-graph"),
    "max-seq-len-to-capture": none("SGLang captures graphs by the size of a batch: `cuda-graph-max-bs-decode`"),
    "served-model-name": called("served-model-name", "it takes one name; in a profile `model.served_name`"),
    "allowed-local-media-path": none("SGLang has no list of folders that requests may name"),
    "allowed-media-domains": called("allowed-media-domains"),
    "disable-sliding-window": none("SGLang keeps to the window that the model has"),
    "disable-cascade-attn": none("SGLang has no cascade attention to switch off"),
    "enable-prompt-embeds": none("SGLang takes `input_embeds` in requests where `disable-radix-cache` is set"),
    "generation-config": called("sampling-defaults", "`auto` is `model`, and `vllm` is `openai`"),
    "override-generation-config": none(
        "SGLang takes a model's own defaults (`sampling-defaults: model`); others are for each request to say"
    ),
    "enable-sleep-mode": called("enable-memory-saver"),
    "logits-processors": called("enable-custom-logit-processor", "requests bring the processor"),
    "logits-processor-pattern": called("enable-custom-logit-processor", "requests bring the processor"),
    "override-pooler-config": none(_UNSET),
    "pooler-config": none(_UNSET),
    "io-processor-plugin": none(_UNSET),
    "override-attention-dtype": none(_UNSET),
    "allow-deprecated-quantization": none(_UNSET),
    "device": called("device"),
}

_LOADING: Mapping[str, Equivalent] = {
    **same("download-dir", "model-loader-extra-config"),
    "load-format": called("load-format", "not all of its names are the same"),
    "safetensors-load-strategy": none("`weight-loader-disable-mmap` reads whole files instead of mapping them"),
    "ignore-patterns": none(_UNSET),
    "use-tqdm-on-load": none(_UNSET),
    "pt-load-map-location": none(_UNSET),
    "max-parallel-loading-workers": none(_UNSET),
    "weight-transfer-config": none("SGLang takes new weights by its own routes, without an option"),
}

_PARALLEL: Mapping[str, Equivalent] = {
    "nnodes": NODES,
    "node-rank": NODE_RANK,
    **same("disable-custom-all-reduce", "enable-eplb", "dcp-comm-backend"),
    "tensor-parallel-size": called("tp-size"),
    "tp": called("tp-size"),
    "pipeline-parallel-size": called("pp-size"),
    "pp": called("pp-size"),
    "data-parallel-size": called(
        "dp-size", "it counts copies of the whole model; attention alone is split by DP attention (`attn-dp-size`)"
    ),
    "dp": called("dp-size", "it counts copies of the whole model; attention alone is split by `attn-dp-size`"),
    "n": NODES,
    "r": NODE_RANK,
    **dict.fromkeys(("dpn", "dpr", "dpl", "dpa", "dpp", "dpb", "dph", "dpe"), none(_BY_ITSELF)),
    "asc": called("tokenizer-worker-num", "SGLang has one HTTP server, and several tokenizers behind it"),
    "data-parallel-size-local": none(_BY_ITSELF),
    "data-parallel-rank": none(_BY_ITSELF),
    "data-parallel-start-rank": none(_BY_ITSELF),
    "data-parallel-address": none(_BY_ITSELF),
    "data-parallel-rpc-port": none(_BY_ITSELF),
    "data-parallel-backend": none(_BY_ITSELF),
    "data-parallel-hybrid-lb": none(_BY_ITSELF),
    "data-parallel-external-lb": none(_BY_ITSELF),
    "data-parallel-supervisor-port": none(_BY_ITSELF),
    "headless": none(_BY_ITSELF),
    "api-server-count": called("tokenizer-worker-num", "SGLang has one HTTP server, and several tokenizers behind it"),
    "enable-expert-parallel": called("ep-size", "it takes a number: that of `tp-size` for experts on all GPUs"),
    "ep": called("ep-size", "vLLM's is a switch; SGLang's takes a number, that of `tp-size` for experts on all GPUs"),
    "all2all-backend": called(
        "moe-a2a-backend", "`deepep_low_latency` is `deepep` with `deepep-mode: low_latency`, the other one `normal`"
    ),
    "enable-dbo": called("enable-two-batch-overlap"),
    "dbo-decode-token-threshold": none("`tbo-token-distribution-threshold` decides how SGLang divides a batch"),
    "dbo-prefill-token-threshold": none("`tbo-token-distribution-threshold` decides how SGLang divides a batch"),
    "ubatch-size": none(_UNSET),
    "eplb-config": none("its keys are options of their own: `ep-num-redundant-experts`, `eplb-algorithm` and others"),
    "expert-placement-strategy": called("init-expert-location", "`linear` is `trivial`, its default"),
    "enable-elastic-ep": called("elastic-ep-backend", "it takes the name of a backend"),
    "num-redundant-experts": called("ep-num-redundant-experts"),
    "decode-context-parallel-size": called("dcp-size"),
    "dcp": called("dcp-size"),
    "prefill-context-parallel-size": called("attn-cp-size", "with `enable-prefill-cp`"),
    "pcp": called("attn-cp-size", "with `enable-prefill-cp`"),
    "dcp-kv-cache-interleave-size": none(_UNSET),
    "cp-kv-cache-interleave-size": called("cp-strategy", "it names a way, no size"),
    "distributed-executor-backend": none("SGLang starts its processes by itself; `use-ray` has Ray do it"),
    "distributed-timeout-seconds": called("dist-timeout"),
    "master-addr": ADDRESS,
    "master-port": ADDRESS,
    "disable-nccl-for-dp-synchronization": none(_UNSET),
    "ray-workers-use-nsight": none(_UNSET),
    "worker-cls": none("SGLang's workers cannot be replaced by an option"),
    "worker-extension-cls": none("SGLang's workers cannot be extended by an option"),
    "worker-use-ray": called("use-ray"),
}

_CACHE: Mapping[str, Equivalent] = {
    **same("cpu-offload-gb", "offload-group-size", "offload-num-in-group", "offload-prefetch-step"),
    "gpu-memory-utilization": called(
        "mem-fraction-static",
        "it counts weights and KV cache alone; activations and CUDA graphs need what is left, so it is often lower",
    ),
    "kv-cache-memory-bytes": called("max-total-tokens", "it counts tokens, not bytes"),
    "num-gpu-blocks-override": called("max-total-tokens", "it counts tokens: blocks times the tokens of one"),
    "kv-cache-dtype": called("kv-cache-dtype"),
    "block-size": called("page-size"),
    "swap-space": none("SGLang drops requests that lack room, and computes them again; it swaps none to the CPU"),
    "preemption-mode": none("SGLang drops requests that lack room, and computes them again"),
    "enable-prefix-caching": none(_CACHED),
    "no-enable-prefix-caching": called("disable-radix-cache"),
    "prefix-caching-hash-algo": none("SGLang's cache is a tree of tokens, without hashes"),
    "calculate-kv-scales": none("SGLang takes scales from the checkpoint, or from `quantization-param-path`"),
    "kv-sharing-fast-prefill": none(_UNSET),
    "mamba-cache-dtype": none(_UNSET),
    "mamba-ssm-cache-dtype": called("mamba-ssm-dtype"),
    "mamba-block-size": none("SGLang keeps states by `mamba-radix-cache-strategy` and `mamba-track-interval`"),
    "mamba-cache-mode": called("mamba-radix-cache-strategy", "its names are others"),
    "kv-offloading-size": called(
        "hicache-size", "gigabytes of each process, with `enable-hierarchical-cache`; vLLM's are of all together"
    ),
    "kv-offloading-backend": called("hicache-storage-backend", "host memory needs none: `enable-hierarchical-cache`"),
    "offload-backend": called("offload-mode"),
    "offload-params": none(_UNSET),
    "cpu-offload-params": none(_UNSET),
    "disable-hybrid-kv-cache-manager": called("disable-hybrid-swa-memory"),
    "kv-transfer-config": called(
        "disaggregation-mode",
        "`prefill` or `decode`, with `disaggregation-transfer-backend`; LMCache alone is `enable-lmcache`",
    ),
    "kv-events-config": called("kv-events-config", "JSON as well; hold its keys against SGLang's"),
    "ec-transfer-config": called("encoder-transfer-backend", "with `encoder-only` and `language-only`"),
    "use-v2-block-manager": none(_REMOVED),
}

_VISUAL: Mapping[str, Equivalent] = {
    **same("language-model-only"),
    "limit-mm-per-prompt": called("limit-mm-data-per-request", 'as JSON: `{"image": 4}`'),
    "mm-processor-kwargs": called("mm-process-config", _BY_MODALITY),
    "media-io-kwargs": called("mm-process-config", _BY_MODALITY),
    "mm-processor-cache-gb": called("mm-preprocess-cache-size-mb", "megabytes instead of gigabytes"),
    "mm-processor-cache-type": none(_UNSET),
    "mm-shm-cache-max-object-size-mb": none(_UNSET),
    "disable-mm-preprocessor-cache": called("mm-preprocess-cache-size-mb", "0 switches it off"),
    "mm-encoder-only": called("encoder-only"),
    "mm-encoder-tp-mode": called("mm-enable-dp-encoder", "a switch: vLLM's `data`"),
    "mm-encoder-attn-backend": called("mm-attention-backend", "its names are others"),
    "enable-mm-embeds": none(_UNSET),
    "interleave-mm-strings": none(_UNSET),
    "skip-mm-profiling": none(_UNSET),
    "video-pruning-rate": none(_UNSET),
    "disable-chunked-mm-input": none(_UNSET),
}

_ADAPTERS: Mapping[str, Equivalent] = {
    **same("enable-lora", "max-lora-rank"),
    "lora-modules": called("lora-paths", "`NAME=PATH` as well; in JSON the keys are `lora_name` and `lora_path`"),
    "max-loras": called("max-loras-per-batch", "requests without an adapter count as one"),
    "max-cpu-loras": called("max-loaded-loras"),
    "lora-dtype": none(_UNSET),
    "fully-sharded-loras": none(_UNSET),
    "lora-extra-vocab-size": none(_REMOVED),
    "long-lora-scaling-factors": none(_REMOVED),
    "enable-lora-bias": none(_REMOVED),
    "default-mm-loras": none(_UNSET),
    "enable-tower-connector-lora": none("`lora-target-modules` says where SGLang's adapters are"),
    "specialize-active-lora": none(_UNSET),
    "qlora-adapter-name-or-path": called("lora-paths"),
    "enable-prompt-adapter": none("SGLang has no prompt adapters"),
    "max-prompt-adapters": none("SGLang has no prompt adapters"),
    "max-prompt-adapter-token": none("SGLang has no prompt adapters"),
}

_SCHEDULING: Mapping[str, Equivalent] = {
    **same("stream-interval"),
    "max-num-seqs": called("max-running-requests", "with DP attention its groups share them"),
    "max-num-batched-tokens": called("chunked-prefill-size", "tokens of prefill alone; decoding does not count"),
    "max-num-partial-prefills": none("SGLang cuts one prompt at a time"),
    "max-long-partial-prefills": none("SGLang cuts one prompt at a time"),
    "long-prefill-token-threshold": none("SGLang cuts one prompt at a time"),
    "scheduling-policy": called("schedule-policy", "`priority` is `enable-priority-scheduling`"),
    "enable-chunked-prefill": none(_CHUNKED),
    "no-enable-chunked-prefill": called("chunked-prefill-size", "-1 switches chunks off"),
    "scheduler-cls": none("SGLang's scheduler cannot be replaced by an option"),
    "async-scheduling": none(_OVERLAP),
    "no-async-scheduling": called("disable-overlap-schedule"),
    "disable-async-output-proc": called("disable-overlap-schedule"),
    "num-scheduler-steps": none(f"{_OVERLAP}, which took the place of several steps at once"),
    "multi-step-stream-outputs": none(_REMOVED),
    "scheduler-delay-factor": none(_REMOVED),
    "num-lookahead-slots": none(_REMOVED),
}

_SPECULATION: Mapping[str, Equivalent] = {
    "speculative-config": called("speculative-algorithm", _JSON_DRAFT),
    "speculative-model": called("speculative-draft-model-path", "with `speculative-algorithm`"),
    "speculative-model-quantization": called("speculative-draft-model-quantization"),
    "num-speculative-tokens": called(
        "speculative-num-draft-tokens", "which counts one more; with `speculative-num-steps`"
    ),
    "speculative-draft-tensor-parallel-size": none("SGLang's draft model is split as the other one is"),
    "speculative-max-model-len": none(_UNSET),
    "speculative-disable-by-batch-size": none("`speculative-adaptive` changes the number of steps by itself"),
    "speculative-disable-mqa-scorer": none(_REMOVED),
    "ngram-prompt-lookup-max": called("speculative-ngram-max-trie-depth", "the depth of its tree of n-grams"),
    "ngram-prompt-lookup-min": none(_UNSET),
    "spec-decoding-acceptance-method": called("speculative-accept-threshold-single", "a number; 1.0 is exact"),
    "typical-acceptance-sampler-posterior-threshold": called("speculative-accept-threshold-single"),
    "typical-acceptance-sampler-posterior-alpha": called("speculative-accept-threshold-acc"),
    "disable-logprobs-during-spec-decoding": none(_REMOVED),
}

_KERNELS: Mapping[str, Equivalent] = {
    "attention-backend": called("attention-backend", "its names are others: `FLASH_ATTN` is `fa3`"),
    "attention-config": called("attention-backend", "the other keys have no options"),
    "ac": called("attention-backend", "the other keys have no options"),
    "moe-backend": called("moe-runner-backend"),
    "kernel-config": called("moe-runner-backend", "for `moe_backend`; the other keys have no options"),
    "enable-flashinfer-autotune": none("SGLang does so unless `disable-flashinfer-autotune` is set"),
    "no-enable-flashinfer-autotune": called("disable-flashinfer-autotune"),
    "compilation-config": none("SGLang captures CUDA graphs by default; `enable-torch-compile` compiles as well"),
    "cc": none("SGLang captures CUDA graphs by default; `enable-torch-compile` compiles as well"),
    "cudagraph-capture-sizes": called("cuda-graph-bs-decode"),
    "cuda-graph-sizes": called("cuda-graph-bs-decode"),
    "max-cudagraph-capture-size": called("cuda-graph-max-bs-decode"),
    "optimization-level": none(_UNSET),
    "performance-mode": none(_UNSET),
    "guided-decoding-backend": called("grammar-backend", "vLLM's `guidance` is `llguidance`"),
    "structured-outputs-config": called("grammar-backend", "its `backend`; vLLM's `guidance` is `llguidance`"),
    "additional-config": none(_UNSET),
    "override-neuron-config": none("SGLang has no Neuron backend"),
    "profiler-config": none("SGLang profiles when its route /start_profile is asked"),
}

_PARSERS: Mapping[str, Equivalent] = {
    **same("tool-server", "trust-request-chat-template", "default-chat-template-kwargs"),
    "enable-auto-tool-choice": none("SGLang finds tool calls by itself wherever `tool-call-parser` is set"),
    "tool-call-parser": called("tool-call-parser", "some of its names are others"),
    "tool-parser-plugin": none("SGLang takes its own parsers alone"),
    "exclude-tools-when-tool-choice-none": none(_UNSET),
    "enable-reasoning": none("SGLang finds reasoning by itself wherever `reasoning-parser` is set"),
    "reasoning-parser": called("reasoning-parser", "some of its names are others: `deepseek_r1` is `deepseek-r1`"),
    "reasoning-parser-plugin": none("SGLang takes its own parsers alone"),
    "chat-template": called("chat-template", "a file, or one of SGLang's own names; no text of a template"),
    "chat-template-content-format": none("SGLang finds out by the template"),
    "response-role": none(_UNSET),
    "return-tokens-as-token-ids": called("return-output-ids"),
}

_SERVER: Mapping[str, Equivalent] = {
    **same("ssl-keyfile", "ssl-certfile", "ssl-ca-certs", "enable-ssl-refresh", "otlp-traces-endpoint"),
    **same("enable-mfu-metrics"),
    "host": called("host", "a profile sets it by itself"),
    "port": called("port", "in a profile `server.port`"),
    "api-key": called("api-key", "in a profile a secret: `secrets.api_key`"),
    "uds": none("SGLang listens on a port"),
    "root-path": called("fastapi-root-path"),
    "uvicorn-log-level": called("log-level-http"),
    "disable-uvicorn-access-log": called("log-level-http", "`warning` leaves out the lines of requests"),
    "disable-access-log-for-endpoints": called("uvicorn-access-log-exclude-prefixes"),
    "allowed-origins": none(_CORS),
    "allowed-methods": none(_CORS),
    "allowed-headers": none(_CORS),
    "allow-credentials": none(_CORS),
    "ssl-cert-reqs": none(_UNSET),
    "ssl-ciphers": none(_UNSET),
    "middleware": none("SGLang takes no middleware by an option"),
    "disable-log-requests": none(_LOGS_NONE),
    "no-enable-log-requests": none(_LOGS_NONE),
    "enable-log-requests": called("log-requests"),
    "max-log-len": called("log-requests-level", "0 to 3: how much of a request is logged"),
    "enable-log-outputs": called("log-requests-level", "3, with `log-requests`"),
    "enable-log-deltas": called("log-requests-level", "3, with `log-requests`"),
    "log-config-file": none("SGLang's logs follow `log-level`"),
    "log-error-stack": none(_UNSET),
    "disable-log-stats": none("SGLang's line comes each `decode-log-interval` steps, and cannot be left out"),
    "aggregate-engine-logging": none(_UNSET),
    "enable-logging-iteration-details": called("decode-log-interval", "1 logs every step"),
    "collect-detailed-traces": called("trace-modules", "with `enable-trace`; its modules are others"),
    "enable-layerwise-nvtx-tracing": called("enable-layerwise-nvtx-marker"),
    "show-hidden-metrics-for-version": none(_STATS),
    "kv-cache-metrics": none(_STATS),
    "kv-cache-metrics-sample": none(_STATS),
    "cudagraph-metrics": none(_STATS),
    "enable-per-request-metrics": called("enable-request-time-stats-logging", "in the log, not in the answer"),
    "enable-prompt-tokens-details": called("enable-cache-report"),
    "enable-force-include-usage": called("stream-response-default-include-usage"),
    "enable-server-load-tracking": none("SGLang's metrics tell its load: `enable-metrics`"),
    "enable-tokenizer-info-endpoint": none(_UNSET),
    "enable-request-id-headers": none(_UNSET),
    "disable-fastapi-docs": none(_UNSET),
    "enable-offline-docs": none(_UNSET),
    "h11-max-incomplete-event-size": none(_UNSET),
    "h11-max-header-count": none(_UNSET),
    "fingerprint-mode": none(_UNSET),
    "fingerprint-value": none(_UNSET),
    "tokens-only": called("skip-tokenizer-init"),
    "fail-on-environ-validation": none("`glmdeploy validate` judges the variables of a profile"),
    "shutdown-timeout": none(_UNSET),
    "config": none("a profile is that file"),
}

OPTIONS: Mapping[str, Equivalent] = {
    **_MODEL,
    **_LOADING,
    **_PARALLEL,
    **_CACHE,
    **_VISUAL,
    **_ADAPTERS,
    **_SCHEDULING,
    **_SPECULATION,
    **_KERNELS,
    **_PARSERS,
    **_SERVER,
}
"""By the option's name in vLLM, without its dashes, with hyphens."""
