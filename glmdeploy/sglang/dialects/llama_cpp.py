"""llama.cpp's options in SGLang.

Source: common/arg.cpp of github.com/ggml-org/llama.cpp and the README of its server (2025 and 2026).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.sglang.dialects.equivalent import called, none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.sglang.dialects.equivalent import Equivalent

_GGUF = called(
    "model-path", "SGLang wants the checkpoint of the model in safetensors; of GGUF it takes a file with `load-format`"
)
_CONTEXT = called("context-length", "of one request: llama.cpp's is shared by its slots")
_LAYERS = none("SGLang keeps all layers on the GPUs; `cpu-offload-gb` keeps some of the weights on the CPU")
_SLOTS = called("max-running-requests")
_CHUNK = called("chunked-prefill-size")
_CPU = none("SGLang computes on GPUs, and needs no such setting")
_GPUS = called("tp-size", "all GPUs take equal parts of every layer")
_ALWAYS = "SGLang does so always"
_DRAFT = called("speculative-draft-model-path", "with `speculative-algorithm`; a draft in safetensors")
_SAMPLING = none("SGLang takes the model's own defaults (`sampling-defaults: model`); others are for each request")
_ADAPTER = called("lora-paths")
_CACHE_TYPE = called("kv-cache-dtype", "`fp8_e4m3` is the nearest to `q8_0`; keys and values have one type")
_ROPE = called("json-model-override-args", 'as `{"rope_scaling": {...}}`')
_VISION = none("the vision tower is part of the model's checkpoint")

OPTIONS: Mapping[str, Equivalent] = {
    **dict.fromkeys(("m", "model", "hf", "hfr", "hf-repo", "mu", "model-url", "hff", "hf-file"), _GGUF),
    **dict.fromkeys(("c", "ctx-size"), _CONTEXT),
    **dict.fromkeys(("ngl", "gpu-layers", "n-gpu-layers", "ncmoe", "n-cpu-moe", "cmoe", "cpu-moe", "ot"), _LAYERS),
    "override-tensor": _LAYERS,
    **dict.fromkeys(("np", "parallel"), _SLOTS),
    **dict.fromkeys(("ub", "ubatch-size"), _CHUNK),
    **dict.fromkeys(("b", "batch-size"), called("max-prefill-tokens")),
    **dict.fromkeys(("t", "threads", "tb", "threads-batch", "numa", "mlock", "no-mmap", "prio", "poll"), _CPU),
    "threads-http": none("SGLang has one HTTP server; `tokenizer-worker-num` puts several tokenizers behind it"),
    **dict.fromkeys(("sm", "split-mode", "ts", "tensor-split", "mg", "main-gpu"), _GPUS),
    **dict.fromkeys(("dev", "device"), none("`gpu` of a profile says which GPUs a container has")),
    **dict.fromkeys(("cb", "cont-batching"), none(_ALWAYS)),
    **dict.fromkeys(("fa", "flash-attn"), called("attention-backend", "SGLang chooses one by the GPU")),
    **dict.fromkeys(("ctk", "cache-type-k", "ctv", "cache-type-v"), _CACHE_TYPE),
    **dict.fromkeys(("md", "model-draft", "hfd", "hf-repo-draft"), _DRAFT),
    **dict.fromkeys(("draft", "draft-max", "draft-n"), called("speculative-num-draft-tokens")),
    **dict.fromkeys(("draft-min", "draft-n-min", "draft-p-min"), none("SGLang drafts the same number at every step")),
    **dict.fromkeys(("lora", "lora-scaled"), _ADAPTER),
    **dict.fromkeys(("rope-scaling", "rope-scale", "rope-freq-base", "rope-freq-scale", "yarn-orig-ctx"), _ROPE),
    **dict.fromkeys(("mmproj", "mmproj-url", "no-mmproj"), _VISION),
    **dict.fromkeys(("temp", "top-k", "top-p", "min-p", "repeat-penalty", "presence-penalty"), _SAMPLING),
    **dict.fromkeys(("n", "predict", "n-predict", "ignore-eos", "frequency-penalty"), _SAMPLING),
    "jinja": none("SGLang renders the model's template with Jinja always"),
    "chat-template": called("chat-template", "a file, or one of SGLang's own names"),
    "chat-template-file": called("chat-template"),
    "chat-template-kwargs": called("default-chat-template-kwargs"),
    "reasoning-format": called("reasoning-parser", "the name of the model's own"),
    "reasoning-budget": none("requests say so, by the arguments of the template"),
    "grammar": none("grammars are for each request; `grammar-backend` names who follows them"),
    "json-schema": none("schemas are for each request; `grammar-backend` names who follows them"),
    **dict.fromkeys(("embedding", "embeddings"), called("is-embedding")),
    **dict.fromkeys(("rerank", "reranking"), called("is-embedding", "reranking follows from the model")),
    "pooling": none("SGLang pools as its class of the model does"),
    "no-cache-prompt": called("disable-radix-cache"),
    "cache-reuse": none("SGLang keeps prefixes unless `disable-radix-cache` is set"),
    **dict.fromkeys(("swa-full", "no-context-shift", "context-shift", "keep"), none("nothing of the kind can be set")),
    "slots": none("SGLang has no slots"),
    "slot-save-path": none("SGLang has no slots; `enable-hierarchical-cache` keeps prefixes in host memory"),
    "metrics": called("enable-metrics"),
    "props": none("SGLang cannot be changed by a request"),
    **dict.fromkeys(("a", "alias"), called("served-model-name", "in a profile `model.served_name`")),
    "host": called("host", "a profile sets it by itself"),
    "port": called("port", "in a profile `server.port`"),
    "api-key": called("api-key", "in a profile a secret: `secrets.api_key`"),
    "api-key-file": called("api-key", "in a profile a secret: `secrets.api_key`"),
    "api-prefix": called("fastapi-root-path"),
    "ssl-key-file": called("ssl-keyfile"),
    "ssl-cert-file": called("ssl-certfile"),
    **dict.fromkeys(("no-webui", "webui", "path"), none("SGLang has no page of its own")),
    **dict.fromkeys(("to", "timeout"), none("requests may take as long as Modal lets them: `server.timeout`")),
    **dict.fromkeys(("seed", "s"), called("random-seed")),
    **dict.fromkeys(("v", "verbose", "lv", "verbosity", "log-verbosity"), called("log-level", "`debug`")),
    **dict.fromkeys(("hft", "hf-token"), none("Hugging Face's token is a secret: `secrets.huggingface`")),
    "warmup": none(_ALWAYS),
    "no-warmup": called("skip-server-warmup"),
}
"""By the option's name in llama.cpp, without its dashes, with hyphens; the short ones too."""
