"""The options of TensorRT-LLM's ``trtllm-serve`` in SGLang.

Source: tensorrt_llm/commands/serve.py of github.com/NVIDIA/TensorRT-LLM (``serve``, 2026).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.sglang.dialects.equivalent import TWO_ROLES, called, none, same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.sglang.dialects.equivalent import Equivalent

_FRACTION = called(
    "mem-fraction-static",
    "it counts the weights too, and of all memory: TensorRT-LLM's is of what the weights leave, so the same number"
    " means less",
)
_EXTRA = none("what that file sets are options of SGLang's, each by its own name")
_UNSET = "nothing of the kind can be set in SGLang"

OPTIONS: Mapping[str, Equivalent] = {
    **same("trust-remote-code", "revision", "log-level", "chat-template", "otlp-traces-endpoint"),
    "model": called("model-path", "in a profile `model.repo`; an engine that was built for TensorRT is none"),
    "model-path": called("model-path", "in a profile `model.repo`; an engine that was built for TensorRT is none"),
    "tokenizer": called("tokenizer-path"),
    "custom-tokenizer": called("tokenizer-path"),
    "custom-module-dirs": none(_UNSET),
    "host": called("host", "a profile sets it by itself"),
    "port": called("port", "in a profile `server.port`"),
    "backend": none("SGLang has one engine; `attention-backend` names its kernels"),
    "max-beam-width": none("SGLang has no beam search that an option switches on"),
    "max-batch-size": called("max-running-requests"),
    "max-num-tokens": called("chunked-prefill-size", "tokens of prefill alone; decoding does not count"),
    "max-seq-len": called("context-length"),
    "max-input-len": none("SGLang bounds prompt and answer together, by `context-length`"),
    "tensor-parallel-size": called("tp-size"),
    "tp-size": called("tp-size"),
    "pipeline-parallel-size": called("pp-size"),
    "pp-size": called("pp-size"),
    "context-parallel-size": called("attn-cp-size", "with `enable-prefill-cp`"),
    "cp-size": called("attn-cp-size", "with `enable-prefill-cp`"),
    "moe-expert-parallel-size": called("ep-size"),
    "ep-size": called("ep-size"),
    "moe-cluster-parallel-size": none(_UNSET),
    "cluster-size": none(_UNSET),
    "gpus-per-node": none("`gpu` of a profile says how many GPUs a container has"),
    "free-gpu-memory-fraction": _FRACTION,
    "kv-cache-free-gpu-memory-fraction": _FRACTION,
    "kv-cache-dtype": called("kv-cache-dtype", "TensorRT-LLM's `fp8` is `fp8_e4m3`"),
    "num-postprocess-workers": called("detokenizer-worker-num"),
    "config": _EXTRA,
    "extra-llm-api-options": _EXTRA,
    "reasoning-parser": called("reasoning-parser", "some of its names are others"),
    "tool-parser": called("tool-call-parser", "some of its names are others"),
    "metadata-server-config-file": TWO_ROLES,
    "server-role": TWO_ROLES,
    "disagg-cluster-uri": TWO_ROLES,
    "fail-fast-on-attention-window-too-large": none(_UNSET),
    "enable-chunked-prefill": none(
        "SGLang prefills in chunks by default; `chunked-prefill-size` is their size, and -1 switches them off"
    ),
    "media-io-kwargs": called("mm-process-config", "its keys are `image`, `video` and `audio`"),
    "enable-attention-dp": called("enable-dp-attention"),
    "enable-block-reuse": none("SGLang keeps prefixes unless `disable-radix-cache` is set"),
    "use-cuda-graph": none("SGLang captures CUDA graphs unless they are disabled"),
    "disable-overlap-scheduler": called("disable-overlap-schedule"),
}
"""By the option's name in TensorRT-LLM, without its dashes, with hyphens."""
