"""Options and variables that decide no compiled kernel: what may change without compiling anew.

Everything that is not named here counts as deciding: a compilation too many costs minutes, one too few a cold start
that nobody expects. What the stage `compile` makes was read in the sources: DeepGEMM's kernels follow from the shapes
of the weights' shards, the checkpoint's number format, the backends, and a list of batch sizes that
``chunked-prefill-size`` alone decides (``update_deep_gemm_config`` in ``sglang/srt/layers/deep_gemm_wrapper/
compile_utils.py``, 0.5.8 to 0.5.23); the tool switches CUDA graphs and torch.compile off
(``sglang/compile_deep_gemm.py``, the same releases) and sends two requests of four tokens, whose Triton, FlashInfer and
JIT kernels follow from the same.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMPILE_UTILS = "sglang/srt/layers/deep_gemm_wrapper/compile_utils.py (0.5.8 to 0.5.23)"
_TOOL = "sglang/compile_deep_gemm.py (0.5.8 to 0.5.23)"


@record
class Indifferent:
    """Destinations of options, or names of variables, with the reason why no kernel depends on them."""

    reason: str
    source: str
    names: tuple[str, ...]


OPTIONS = (
    Indifferent(
        reason="they decide which requests run together and when; the batch sizes that are compiled follow from "
        "`chunked-prefill-size` alone",
        source=_COMPILE_UTILS,
        names=(
            *("max_running_requests", "max_queued_requests", "max_prefill_tokens", "prefill_max_requests"),
            *("schedule_policy", "schedule_conservativeness", "scheduler_recv_interval", "stream_interval"),
            *("enable_priority_scheduling", "priority_scheduling_preemption_threshold", "default_priority_value"),
            *("disable_priority_preemption", "schedule_low_priority_values_first", "abort_on_priority_when_disabled"),
            *("enable_prefill_delayer", "prefill_delayer_max_delay_passes", "prefill_delayer_max_delay_ms"),
            *("prefill_delayer_token_usage_low_watermark", "prefill_delayer_queue_min_ratio", "min_free_slots_delay"),
            *("retraction_policy", "sleep_on_idle", "gc_threshold"),
        ),
    ),
    Indifferent(
        reason="they size pools, and no matrix. Where too little memory is left, the tool leaves out the largest batch "
        "sizes, which a server with more room then compiles: few kernels, since many sizes share one",
        source=_COMPILE_UTILS,
        names=("mem_fraction_static", "max_total_tokens", "swa_full_tokens_ratio", "radix_eviction_policy"),
    ),
    Indifferent(
        reason="the tool captures no CUDA graphs and compiles no PyTorch",
        source=_TOOL,
        names=(
            *("disable_cuda_graph", "enable_torch_compile", "warmups"),
            *("cuda_graph_max_bs", "cuda_graph_bs", "cuda_graph_max_bs_decode", "cuda_graph_bs_decode"),
            *("disable_cuda_graph_padding", "enable_profile_cuda_graph", "enable_cudagraph_gc"),
        ),
    ),
    Indifferent(
        reason="they decide how files are read, and not what is in them",
        source="sglang/srt/model_loader/loader.py (0.5.10 to 0.5.23)",
        names=(
            *("weight_loader_disable_mmap", "weight_loader_prefetch_checkpoints", "weight_loader_prefetch_num_threads"),
            *("weight_loader_drop_cache_after_load", "startup_weight_load_mode", "model_checksum", "download_dir"),
        ),
    ),
    Indifferent(
        reason="they are for the processes before the scheduler, and for the answers",
        source="sglang/srt/server_args.py (0.5.10 to 0.5.22), sglang/srt/arg_groups/fields (0.5.23)",
        names=(
            *("served_model_name", "host", "port", "fastapi_root_path", "weight_version", "random_seed"),
            *("chat_template", "completion_template", "hf_chat_template_name", "default_chat_template_kwargs"),
            *("trust_request_chat_template", "reasoning_parser", "tool_call_parser", "tool_server"),
            *("sampling_defaults", "preferred_sampling_params", "enable_cache_report", "incremental_streaming_output"),
            *("stream_response_default_include_usage", "file_storage_path", "allow_auto_truncate"),
            *("constrained_json_whitespace_pattern", "constrained_json_disable_any_whitespace"),
            *("tokenizer_worker_num", "detokenizer_worker_num", "enable_tokenizer_batch_encode"),
            *("disable_tokenizer_batch_decode", "enable_dynamic_batch_tokenizer", "batch_notify_size"),
            *("dynamic_batch_tokenizer_batch_size", "dynamic_batch_tokenizer_batch_timeout", "load_balance_method"),
            *("ssl_keyfile", "ssl_certfile", "ssl_ca_certs", "ssl_keyfile_password", "enable_ssl_refresh"),
        ),
    ),
    Indifferent(
        reason="they write logs and count",
        source="sglang/srt/server_args.py (0.5.10 to 0.5.22), sglang/srt/arg_groups/fields (0.5.23)",
        names=(
            *("log_level", "log_level_http", "log_requests", "log_requests_level", "log_requests_format"),
            *("log_requests_target", "uvicorn_access_log_exclude_prefixes", "show_time_cost", "decode_log_interval"),
            *("enable_metrics", "enable_metrics_for_all_schedulers", "collect_tokens_histogram"),
            *("bucket_time_to_first_token", "bucket_inter_token_latency", "bucket_e2e_request_latency"),
            *("prompt_tokens_buckets", "generation_tokens_buckets", "extra_metric_labels"),
            *("tokenizer_metrics_custom_labels_header", "tokenizer_metrics_allowed_custom_labels"),
            *("enable_request_time_stats_logging", "export_metrics_to_file", "export_metrics_to_file_dir"),
            *("crash_dump_folder", "gc_warning_threshold_secs", "kv_events_config"),
            *("enable_trace", "otlp_traces_endpoint", "otlp_service_name", "trace_modules"),
        ),
    ),
    Indifferent(
        reason="they limit how long something may take",
        source="sglang/srt/server_args.py (0.5.10 to 0.5.22), sglang/srt/arg_groups/fields (0.5.23)",
        names=("watchdog_timeout", "soft_watchdog_timeout", "dist_timeout"),
    ),
)

VARIABLES = (
    Indifferent(
        reason="they are about the hub, which the kernels do not know",
        source="https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables",
        names=(
            *("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_XET_HIGH_PERFORMANCE", "HF_HUB_DISABLE_TELEMETRY"),
            *("HF_HUB_ENABLE_HF_TRANSFER", "HF_ENDPOINT", "HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"),
        ),
    ),
    Indifferent(
        reason="they limit how long something may take, or say what is done with what fails",
        source="sglang/srt/environ.py (0.5.10 to 0.5.23)",
        names=(
            *("SGLANG_WARMUP_TIMEOUT", "SGLANG_HEALTH_CHECK_TIMEOUT", "SGLANG_CUDA_COREDUMP_BEFORE_CRASH"),
            *("SGLANG_CRASH_ON_JIT_COMPILE", "SGLANG_REQUEST_STATE_WAIT_TIMEOUT", "SGLANG_QUEUED_TIMEOUT_MS"),
            *("SGLANG_JIT_DEEPGEMM_COMPILE_WORKERS", "SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION"),
        ),
    ),
    Indifferent(
        reason="they write logs",
        source="sglang/srt/environ.py (0.5.10 to 0.5.23)",
        names=("PYTHONUNBUFFERED", "NCCL_DEBUG", "SGLANG_LOGGING_CONFIG_PATH", "SGLANG_LOG_GC", "SGLANG_LOG_MS"),
    ),
)

VALUES: Mapping[str, frozenset[str]] = {
    # The same tensors of the same files, by other readers (0.5.10 to 0.5.23, model_loader/loader.py).
    "load_format": frozenset({"auto", "safetensors", "fastsafetensors", "runai_streamer", "instanttensor"}),
}
"""Options of which only some values decide nothing."""

KEYS: Mapping[str, frozenset[str]] = {
    # Threads of the reader (0.5.10 to 0.5.23, DefaultModelLoader.__init__).
    "model_loader_extra_config": frozenset({"enable_multithread_load", "num_threads"}),
}
"""Options whose value is a mapping, of which only some keys decide nothing."""

_OPTIONS = frozenset(name for entry in OPTIONS for name in entry.names)
_VARIABLES = frozenset(name for entry in VARIABLES for name in entry.names)


def option(dest: str, value: Any) -> bool:
    """Whether no compiled kernel depends on the option having this value."""
    if dest in KEYS:
        return isinstance(found := _mapping(value), dict) and found.keys() <= KEYS[dest]
    return dest in _OPTIONS or (dest in VALUES and value in VALUES[dest])


def _mapping(value: Any) -> Any:
    """What SGLang's parser leaves as JSON text (``model-loader-extra-config`` is a string to it)."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def variable(name: str) -> bool:
    """Whether no compiled kernel depends on the variable of SGLang's process."""
    return name in _VARIABLES
