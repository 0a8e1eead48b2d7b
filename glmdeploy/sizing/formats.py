"""How many bytes a checkpoint's numbers take: ``dtype`` and ``quantization_config`` of its ``config.json``."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from glmdeploy.sizing.fields import Fields, UnknownModel

_PLAIN = {"bfloat16": 2, "float16": 2, "float32": 4}

_NEVER = ("embed_tokens", "gate", "layernorms", "weights_proj", "eh_proj")
"""Last parts of the names of tensors that SGLang does not hold quantised (0.5.11, ``deepseek_v2.py``)."""

_MOST_PATTERNS = 1000
"""Far above any checkpoint's; a bound for foreign input."""

_SCALE_FP32, _SCALE_16, _SCALE_8 = 4, 2, 1


@dataclass(frozen=True, kw_only=True)
class Format:
    """``plain`` bytes a number, or ``quantised`` bytes, scales included, where a tensor is quantised.

    ``method`` is the checkpoint's ``quant_method`` in SGLang's words (``fp8``, ``modelopt_fp4``), ``none`` for none.
    ``ignored`` are names, or parts of names, of tensors that are not quantised after all; ``patterns`` stand for more.
    """

    method: str
    plain: int
    quantised: float
    ignored: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()

    def quantises(self, name: str) -> bool:
        """Whether the tensor with this name, such as ``model.layers.3.self_attn.o_proj``, is quantised."""
        parts = name.split(".")
        if self.method == "none" or parts[-1] in _NEVER:
            return False
        ends = range(1, len(parts) + 1)
        if any(".".join(parts[start:end]) in self.ignored for end in ends for start in range(end)):
            return False
        return not any(fnmatchcase(name, pattern) for pattern in self.patterns)

    def width(self, name: str) -> float:
        """Bytes that a number of this tensor takes, its share of the scales included."""
        return self.quantised if self.quantises(name) else self.plain


def read(fields: Fields) -> Format:
    """The format of a checkpoint. Raises UnknownModel for one whose size is not known."""
    dtype = fields.text("dtype") or fields.text("torch_dtype") or "bfloat16"
    if dtype not in _PLAIN:
        raise UnknownModel(f"`dtype` {dtype[:40]} is none of {', '.join(_PLAIN)}")
    plain, quantization = _PLAIN[dtype], fields.inner("quantization_config")
    if quantization is None:
        return Format(method="none", plain=plain, quantised=plain)
    method, size = _quantised(quantization)
    keys = ("ignore", "ignored_layers", "modules_to_not_convert", "exclude_modules")
    names = {_pattern(name) for key in keys for name in quantization.items(key)}
    patterns = {name for name in names if set(name) & set("*?[")}
    if len(patterns) > _MOST_PATTERNS:
        raise UnknownModel(f"`quantization_config` leaves out names by {len(patterns)} patterns")
    ignored, globs = frozenset(names - patterns), tuple(sorted(patterns))
    return Format(method=method, plain=plain, quantised=size, ignored=ignored, patterns=globs)


def _quantised(config: Fields) -> tuple[str, float]:
    """The method, and bytes that a quantised number takes with its share of the scales."""
    method = config.text("quant_method")
    if method == "fp8":
        block = config.items("weight_block_size")
        if any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in block):
            raise UnknownModel("`weight_block_size` does not hold two sizes")
        return method, 1 + (_SCALE_FP32 / (block[0] * block[1]) if len(block) == 2 else 0)
    if method in ("modelopt", "modelopt_fp4", "modelopt_fp8"):
        algorithm = config.text("quant_algo").upper()
        if algorithm == "NVFP4":
            return "modelopt_fp4", 1 / 2 + _SCALE_8 / 16
        if algorithm == "FP8":
            return "modelopt_fp8", 1
    if method == "compressed-tensors":
        return method, _compressed(config)
    if method in ("awq", "gptq"):
        bits, group = config.count("bits"), config.count("group_size", default=128, least=-1)
        return method, bits / 8 + ((_SCALE_16 + bits / 8) / group if group > 0 else 0)
    raise UnknownModel(f"sizing does not know the quantisation `{method[:40]}`")


def _compressed(config: Fields) -> float:
    sizes = set()
    groups = config.inner("config_groups")
    for name in groups.data if groups else ():
        group = groups.inner(name) if groups else None
        weights = group.inner("weights") if group else None
        if weights is None:
            raise UnknownModel("a group of `quantization_config` has no `weights`")
        bits, size = weights.count("num_bits"), weights.count("group_size", default=-1, least=-1)
        scale = _SCALE_8 if bits == 4 and weights.text("type") == "float" else _SCALE_16
        sizes.add(bits / 8 + (scale / size if size > 0 else 0))
    if len(sizes) != 1:
        raise UnknownModel("`quantization_config` has not one number format for all weights")
    return sizes.pop()


def _pattern(value: object) -> str:
    """A pattern for ``fnmatch``; one that is a regular expression (``re:.*self_attn.*``) is translated."""
    if not isinstance(value, str) or len(value) > 500:
        raise UnknownModel("`quantization_config` lists names that are no texts")
    if not value.startswith("re:"):
        return value
    expression = value.removeprefix("re:")
    pattern = expression.removesuffix("$").replace(r"\.", "\0").replace(".*", "*").replace("\0", ".")
    if set(pattern) & set("\\[](){}|+?$^"):
        # A foreign regular expression is not run: some take for ever.
        raise UnknownModel(f"`quantization_config` leaves out names by `{expression[:40]}`, which sizing does not read")
    return pattern if expression.endswith("$") else pattern + "*"
