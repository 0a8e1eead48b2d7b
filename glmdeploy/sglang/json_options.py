"""Options whose text is JSON: those that argparse reads as such, and those that SGLang reads only once it starts.

A text that is none passes argparse there, and ends the start minutes later.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.sglang.catalog import Option


@record
class Later:
    """How SGLang reads an option's text after argparse.

    ``strict``: without NaN and Infinity. ``or_path``: what is no JSON may be the name of a file. ``at_file``: a text
    that begins with ``@`` names a file. ``or_empty``: an empty text is as none.
    """

    source: str
    strict: bool = False
    or_path: bool = False
    at_file: bool = False
    or_empty: bool = False


_SPARSITY = "sglang/srt/mem_cache/sparsity/factory.py"

LATER: Mapping[str, Later] = {
    "json_model_override_args": Later(source="sglang/srt/configs/model_config.py (json.loads)"),
    "model_loader_extra_config": Later(
        source="sglang/srt/configs/load_config.py (orjson.loads)", strict=True, or_empty=True
    ),
    "kv_events_config": Later(
        source="sglang/srt/disaggregation/kv_events.py (KVEventsConfig.from_cli)", strict=True, or_empty=True
    ),
    "hierarchical_sparse_attention_extra_config": Later(source=_SPARSITY),
    "hisparse_config": Later(source=_SPARSITY),
    "hicache_storage_backend_extra_config": Later(
        source="sglang/srt/mem_cache/hybrid_cache/hybrid_cache_controller.py", at_file=True, or_empty=True
    ),
    "modelexpress_config": Later(source="sglang/srt/arg_groups/overrides.py (modelexpress_config_of)"),
    "deepep_config": Later(
        source="sglang/srt/layers/moe/token_dispatcher/deepep.py (load_json_config)", or_path=True, or_empty=True
    ),
    "watermark_config": Later(
        source="sglang/srt/sampling/watermarking/config.py (load_watermark_config)", or_path=True, or_empty=True
    ),
}
"""By field of ``ServerArgs``; all of them want an object. The same from 0.5.8 to 0.5.23, where a release has them."""

_AT_ONCE = ("json", "json_strict", "cuda_graph_config", "cuda_graph_config_checked")
"""The types of options that argparse itself reads as JSON."""

_KINDS = {
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
_EXCERPT = 20


def is_json(option: Option) -> bool:
    """Whether SGLang reads the option's text as JSON, at once or later."""
    return option.type in _AT_ONCE or option.dest in LATER


def fault(option: Option, text: str) -> str | None:
    """What is wrong with a text as JSON, as the end of a sentence, with the place in it; None where nothing is."""
    later = LATER.get(option.dest)
    if option.type in _AT_ONCE or later is None:
        return None if option.type not in _AT_ONCE else _no_json(text, strict=option.type == "json_strict")
    if (later.or_empty and not text) or (later.at_file and text.startswith("@")):
        return None
    if later.or_path and not text.lstrip().startswith(("{", "[")):
        return None
    if reason := _no_json(text, strict=later.strict):
        return reason
    value = json.loads(text)
    return None if isinstance(value, dict) else f"an object is expected, not {_KINDS[type(value)]}"


def _no_json(text: str, *, strict: bool) -> str | None:
    try:
        json.loads(text, parse_constant=_refuse if strict else None)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        rest = text[error.pos : error.pos + _EXCERPT].partition("\n")[0]
        before = f", before `{rest}`" if rest else ", at its end"
        return f"{error.msg[0].lower()}{error.msg[1:]} ({where}{before})"
    except ValueError as error:
        return str(error)
    except RecursionError:
        return "it is nested too deeply"
    return None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
