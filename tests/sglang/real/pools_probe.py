"""Let the real SGLang size and allocate its KV pools, on a CPU; run by path in a venv that is not ours.

Usage: ``python pools_probe.py NAMES GPU`` with the unpacked wheel on ``PYTHONPATH``; as ``oracle_probe.py``, which it
builds on. Requests and answers are JSON, a line each.

A request is an object with the ``argv`` of a server, and is answered with its ``resolved`` values. With ``total`` and
``weights``, bytes of one GPU, the answer also has how many ``tokens`` the memory holds, and the ``pools`` of ``rows``
tokens of the model and of its draft model. SGLang's own code resolves the arguments, reads the model's configuration,
divides the memory, and chooses, shapes and allocates the pools. Replaced are how much memory a GPU has free, the
other ranks, the pools' device, and a kernel that warms up.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

# Instead of this folder, which no foreign package shall find.
sys.path[0] = str(Path(__file__).parents[3] / "glmdeploy" / "sglang" / "real")
import oracle_probe  # noqa: E402

if TYPE_CHECKING:
    import argparse

GIB = 2**30
WORLD = SimpleNamespace(world_size=1, cpu_group=None)
RUNNER = "sglang.srt.model_executor.model_runner_kv_cache_mixin"
"""Until 0.5.15 the pools are the business of a part of ``ModelRunner``; then they have a class of their own."""


class Rank:
    """One rank of a server, as far as its pools go: what ``ModelRunner`` would know when the weights are loaded."""

    def __init__(self, args: Any, request: dict[str, Any]) -> None:
        self.args = args
        self.total = request["total"] / GIB
        self.free = (request["total"] - request["weights"]) / GIB
        self.rows = request["rows"]
        algorithms = importlib.import_module("sglang.srt.speculative.spec_info").SpeculativeAlgorithm
        self.algorithm = algorithms.from_string(args.speculative_algorithm)
        self.attention_ranks = args.tp_size // (args.dp_size if args.enable_dp_attention else 1)

    def knowledge(self, *, draft: bool) -> dict[str, Any]:
        """Of the model, or of its draft model."""
        model_config = importlib.import_module("sglang.srt.configs.model_config").ModelConfig
        config = model_config.from_server_args(self.args, is_draft_model=draft)
        torch = importlib.import_module("torch")
        types = {"auto": config.dtype, "bf16": torch.bfloat16, "fp8_e4m3": torch.float8_e4m3fn}
        name = self.args.kv_cache_dtype
        return {
            "device": "cpu",
            "gpu_id": 0,
            "pp_group": SimpleNamespace(world_size=1),
            "model": SimpleNamespace(),
            "model_config": config,
            "server_args": self.args,
            "kv_cache_dtype": types[name] if name in types else getattr(torch, name),
            "page_size": self.args.page_size,
            "sliding_window_size": None,
            "spec_algorithm": self.algorithm,
            "is_draft_worker": draft,
            "is_hybrid_swa": False,
            "is_hybrid_swa_compress": False,
            "use_mla_backend": config.attention_arch.name == "MLA",
            "forward_stream": None,
            "req_to_token_pool": None,
            "token_to_kv_pool_allocator": None,
            "memory_pool_config": None,
        }

    def free_memory(self, *args: object, **kwargs: object) -> float:
        return self.free


def from_runner(rank: Rank) -> tuple[int, list[Any]]:
    """Tokens and pools, until 0.5.15."""
    mixin = importlib.import_module(RUNNER)
    sizes = "sglang.srt.model_executor.pool_configurator"
    replaced = {
        "get_available_gpu_memory": rank.free_memory,
        "get_world_group": lambda: WORLD,
        "get_attention_tp_size": lambda: rank.attention_ranks,
    }
    for module in (mixin, importlib.import_module(sizes) if importlib.util.find_spec(sizes) else mixin):
        vars(module).update({name: value for name, value in replaced.items() if hasattr(module, name)})

    speculates = not rank.algorithm.is_none()

    def runner(*, draft: bool) -> Any:
        one = type("Runner", (mixin.ModelRunnerKVCacheMixin,), {})()
        vars(one).update(rank.knowledge(draft=draft))
        layers = one.model_config.num_nextn_predict_layers if draft else one.model_config.num_hidden_layers
        vars(one).update(start_layer=0, end_layer=layers, num_effective_layers=layers)
        vars(one).update(dp_size=rank.args.dp_size, pp_size=1, mem_fraction_static=rank.args.mem_fraction_static)
        vars(one).update(mambaish_config=None, hybrid_gdn_config=None, enable_hisparse=False, dcp_size=1)
        vars(one).update(max_total_num_tokens=rank.rows, max_running_requests=1)
        if speculates and not draft:
            # From 0.5.14 on, ModelRunner reads it of the draft model's configuration.
            one.eagle_draft_num_layers = rank.knowledge(draft=True)["model_config"].num_nextn_predict_layers
        return one

    target = runner(draft=False)
    tokens = target._resolve_memory_pool_config(rank.total).max_total_num_tokens
    target._init_pools()
    pools = [target.token_to_kv_pool]
    if speculates:
        draft = runner(draft=True)
        draft.req_to_token_pool = target.req_to_token_pool
        draft.token_to_kv_pool_allocator = target.token_to_kv_pool_allocator
        draft._init_pools()
        pools.append(draft.token_to_kv_pool)
    return tokens, pools


def readable(parallel: Any, name: str) -> bool:
    """Until 0.5.19 SGLang asks its other processes for what it later tells from the arguments."""
    try:
        getattr(parallel, name)
    except Exception:
        return False
    return True


def from_configurator(rank: Rank) -> tuple[int, list[Any]]:
    """Tokens and pools, from 0.5.16 on."""
    module = importlib.import_module("sglang.srt.mem_cache.kv_cache_configurator")
    module.get_available_gpu_memory = rank.free_memory
    parts = "sglang.srt.model_executor.model_runner_components"
    layers = importlib.import_module(f"{parts}.layer_setup")
    auxiliary = importlib.import_module(f"{parts}.spec_aux_hidden_state")
    context = importlib.import_module("sglang.srt.runtime_context")
    if hasattr(module, "get_world_group"):
        module.get_world_group = lambda: WORLD
    if hasattr(context, "publish"):
        context.publish(rank.args, role="scheduler")
    else:
        context.get_context().set_server_args(rank.args)
    parallel = context.get_parallel()
    ranks = {"attn_tp_size": rank.attention_ranks, "attn_cp_size": 1, "attn_dcp_size": 1, "world_group": WORLD}

    def configurator(*, draft: bool) -> Any:
        known = rank.knowledge(draft=draft)
        shared = {"model_config": known["model_config"], "is_draft_worker": draft}
        fields = module.KVCacheConfigurator.__dataclass_fields__
        algorithm = {"spec_algorithm": rank.algorithm}
        layer_info = {"model": known["model"], **shared} | (algorithm if "ps" in fields else {})
        known |= {
            "model_dtype": known["model_config"].dtype,
            "post_capture_kv_active": False,
            "layer_info": layers.resolve_layer_indices(**layer_info),
            "spec_aux_config": auxiliary.resolve_spec_aux_hidden_state_config(
                server_args=rank.args, **algorithm, **shared
            ),
            "ps": SimpleNamespace(attn_dp_size=1),
            "attn_dp_size": 1,
            "pp_size": 1,
            "kv_cache_dtype_str": rank.args.kv_cache_dtype,
        }
        return module.KVCacheConfigurator(**{name: value for name, value in known.items() if name in fields})

    with parallel.override(**{name: value for name, value in ranks.items() if not readable(parallel, name)}):
        target = configurator(draft=False)
        config = target._resolve_memory_pool_config(rank.total)
        tokens = config.max_total_num_tokens
        config.max_total_num_tokens, config.max_running_requests = rank.rows, 1
        sizes = target._derive_pool_sizes(config=config)
        first = target._init_pools(sizes=sizes, req_to_token_pool=None, token_to_kv_pool_allocator=None)
        pools = [first.token_to_kv_pool]
        if not rank.algorithm.is_none():
            drafted = configurator(draft=True)._init_pools(
                sizes=sizes,
                req_to_token_pool=first.req_to_token_pool,
                token_to_kv_pool_allocator=first.token_to_kv_pool_allocator,
            )
            pools.append(drafted.token_to_kv_pool)
    return tokens, pools


def described(pool: Any) -> dict[str, Any]:
    """The pool's class, and the bytes that its tensors take and that it says it takes."""
    torch = importlib.import_module("torch")
    # 0.5.23 keeps the index keys of sparse attention in an object of their own.
    holders = (pool, getattr(pool, "index_key_cache", pool))
    lists = [value for holder in holders for value in vars(holder).values() if isinstance(value, list)]
    storages = [one.untyped_storage() for value in lists for one in value if isinstance(one, torch.Tensor)]
    said = pool.get_kv_size_bytes()
    return {
        "class": type(pool).__name__,
        "layers": pool.layer_num,
        # Keys and values may be views of one storage.
        "bytes": sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values()),
        "said": int(sum(said) if isinstance(said, tuple) else said),
    }


def answer(module: Any, parser: argparse.ArgumentParser, request: dict[str, Any]) -> dict[str, Any]:
    if "rows" not in request:
        return oracle_probe.resolve(module, parser, request["argv"])
    try:
        args = module.prepare_server_args(request["argv"])
        if hasattr(args, "resolve_once"):
            args.resolve_once()
        memory_pool = importlib.import_module("sglang.srt.mem_cache.memory_pool")
        memory_pool.MHATokenToKVPool._init_kv_copy_and_warmup = lambda self: None
        found = from_runner if importlib.util.find_spec(RUNNER) else from_configurator
        tokens, pools = found(Rank(args, request))
    except Exception:
        return {"error": traceback.format_exc()}
    return {"error": None, "tokens": int(tokens), "pools": [described(pool) for pool in pools]}


def main(names: str, gpu: str) -> None:
    oracle_probe.serve(
        names,
        json.loads(gpu),
        lambda module, parser, request: oracle_probe.apart(functools.partial(answer, module, parser, request)),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
