"""Values of a ``config.json``, which is foreign input: every one is checked for what it must be."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from glmdeploy.errors import GlmdeployError
from glmdeploy.records import record

_MOST = 10**9
"""No dimension of a model is larger; a bound keeps the arithmetic of foreign numbers small."""


class UnknownModel(Exception):
    """A configuration that sizing cannot read; the message says why."""


@record
class Fields:
    """The keys of a ``config.json``. A key that is null counts as absent. All methods raise UnknownModel."""

    data: Mapping[str, Any]

    def has(self, name: str) -> bool:
        return self.data.get(name) is not None

    def count(self, *names: str, default: int | None = None, least: int = 1, most: int = _MOST) -> int:
        """The integer of the first of ``names`` that is there, else ``default``."""
        for name in names:
            value = self.data.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise UnknownModel(f"`{name}` is {_shown(value)}, not an integer from {least} to {most}")
            return value
        if default is None:
            raise UnknownModel(f"`{names[0]}` is missing")
        return default

    def flag(self, name: str) -> bool:
        """The switch under ``name``, off where there is none."""
        value = self.data.get(name)
        if not isinstance(value, bool | None):
            raise UnknownModel(f"`{name}` is {_shown(value)}, neither true nor false")
        return bool(value)

    def text(self, name: str) -> str:
        """The text under ``name``, empty where there is none."""
        value = self.data.get(name)
        if not isinstance(value, str | None):
            raise UnknownModel(f"`{name}` is {_shown(value)}, not a text")
        return value or ""

    def items(self, name: str) -> list[Any]:
        """The list under ``name``, empty where there is none."""
        value = self.data.get(name)
        if not isinstance(value, list | None):
            raise UnknownModel(f"`{name}` is {_shown(value)}, not a list")
        return value or []

    def inner(self, name: str) -> Fields | None:
        """The mapping under ``name``, None where there is none."""
        value = self.data.get(name)
        if not isinstance(value, Mapping | None):
            raise UnknownModel(f"`{name}` is {_shown(value)}, not a mapping")
        return None if value is None else Fields(data=value)


def _shown(value: object) -> str:
    if not isinstance(value, int | float | str | bool):
        return f"a {type(value).__name__}"
    # Python refuses to write integers of thousands of digits.
    text = "a very large number" if isinstance(value, int) and abs(value) > 10**30 else repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


_PLAIN = {"bfloat16": 2, "float16": 2, "float32": 4}

_NEVER = ("embed_tokens", "gate", "layernorms", "weights_proj", "eh_proj", "experts_biases", "vision_tower")
"""Last parts of the names of tensors that SGLang does not hold quantised (0.5.11, ``deepseek_v2.py``)."""

_MOST_PATTERNS = 1000
"""Far above any checkpoint's; a bound for foreign input."""

_LONGEST_NAME = 500
"""Characters."""

_ALTERNATIVES = re.compile(r"(re:[^()|]*)\(([\w|]+)\)([^()|]*)")

_SCALE_FP32, _SCALE_16, _SCALE_8 = 4, 2, 1


@record
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
        # What is left out by the name of a whole part, such as `model.layers.*.self_attn`, is left out with all in it.
        wholes = [".".join(parts[:end]) for end in ends]
        return not any(fnmatchcase(whole, pattern) for pattern in self.patterns for whole in wholes)

    def width(self, name: str) -> float:
        """Bytes that a number of this tensor takes, its share of the scales included."""
        return self.quantised if self.quantises(name) else self.plain


def read(fields: Fields) -> Format:
    """The format of a checkpoint.

    :raises UnknownModel: for one whose size is not known.
    """
    dtype = fields.text("dtype") or fields.text("torch_dtype") or "bfloat16"
    if dtype not in _PLAIN:
        raise UnknownModel(f"`dtype` {dtype[:40]} is none of {', '.join(_PLAIN)}")
    plain, quantization = _PLAIN[dtype], fields.inner("quantization_config")
    if quantization is None:
        return Format(method="none", plain=plain, quantised=plain)
    method, size = _quantised(quantization)
    keys = ("ignore", "ignored_layers", "modules_to_not_convert", "exclude_modules")
    names = {one for key in keys for name in quantization.items(key) for one in map(_pattern, _spread(name))}
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
    if method == "mxfp4":
        return method, 1 / 2 + _SCALE_8 / 32
    if method in ("modelopt", "modelopt_fp4", "modelopt_fp8"):
        algorithm = config.text("quant_algo").upper()
        if algorithm == "NVFP4":
            return "modelopt_fp4", 1 / 2 + _SCALE_8 / 16
        if algorithm == "FP8":
            return "modelopt_fp8", 1
        raise UnknownModel(f"sizing does not know the quantisation `{method}` with `{algorithm[:40]}`")
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


def _spread(value: object) -> tuple[object, ...]:
    """A regular expression with one group of alternatives, ``(gate|up)_proj``, as one for each of them."""
    found = _ALTERNATIVES.fullmatch(value) if isinstance(value, str) and len(value) <= _LONGEST_NAME else None
    return tuple(found[1] + one + found[3] for one in found[2].split("|")) if found else (value,)


def _pattern(value: object) -> str:
    """A pattern for ``fnmatch``; one that is a regular expression (``re:.*self_attn.*``) is translated."""
    if not isinstance(value, str) or len(value) > _LONGEST_NAME:
        raise UnknownModel("`quantization_config` lists names that are no texts")
    if not value.startswith("re:"):
        # The language model of one that sees is named for its place in the whole.
        return value.removeprefix("language_model.").replace("model.language_model.", "model.", 1)
    expression = value.removeprefix("re:")
    pattern = expression.removesuffix("$").replace(r"\.", "\0").replace(".*", "*").replace("\0", ".")
    if set(pattern) & set("\\[](){}|+?$^"):
        # A foreign regular expression is not run: some take for ever.
        raise UnknownModel(f"`quantization_config` leaves out names by `{expression[:40]}`, which sizing does not read")
    return pattern if expression.endswith("$") else pattern + "*"


CONFIG, INDEX, SINGLE = "config.json", "model.safetensors.index.json", "model.safetensors"

LIMITS = {CONFIG: 4 << 20, INDEX: 128 << 20}
"""Bytes that we read of each file; the index of a model of 1,000 experts has about 20 MB."""

_ADVICE = "give the checkpoint's config.json with --model-config FILE"


@record
class Checkpoint:
    """``weights`` are the bytes of the weight files, None where nothing tells; ``told_by`` names what told them."""

    config: Mapping[str, Any]
    weights: int | None
    told_by: str | None = None


def told(checkpoint: Checkpoint) -> tuple[str | None, str | None]:
    """The architecture's class name and the quantization that a ``config.json`` tells, each None where it does not."""
    fields = Fields(data=checkpoint.config)
    try:
        names, quantization = fields.items("architectures"), read(fields).method
    except UnknownModel:
        return None, None
    name = names[0] if names else None
    return (name if isinstance(name, str) and name.isidentifier() else None), quantization


def from_folder(config: Path) -> Checkpoint:
    """A ``config.json`` on this machine, or that of a folder; the weights' size from the index or file beside it.

    :raises GlmdeployError: if a file cannot be read or is not what its name says.
    """
    config = config / CONFIG if config.is_dir() else config
    index, single = config.with_name(INDEX), config.with_name(SINGLE)
    weights, told_by = _total_size(index) if index.is_file() else None, INDEX
    if weights is None and single.is_file():
        weights, told_by = single.stat().st_size, SINGLE
    return Checkpoint(config=_read(config, LIMITS[CONFIG]), weights=weights, told_by=told_by if weights else None)


def from_hub(repo: str, revision: str) -> Checkpoint:
    """The checkpoint of a repository, at a commit, tag or branch. Without a network, what the Hub's cache has.

    :raises GlmdeployError: if the repository, its revision or its configuration cannot be had; never with a token.
    """
    config = _fetched(repo, revision, CONFIG)
    if config is None:
        raise GlmdeployError(f"{repo} has no {CONFIG} at revision {revision}", advice=_ADVICE)
    index = _fetched(repo, revision, INDEX, needed=False)
    weights, told_by = _total_size(index) if index else None, INDEX
    if weights is None:
        weights, told_by = _size_of_single(repo, revision), SINGLE
    return Checkpoint(config=_read(config, LIMITS[CONFIG]), weights=weights, told_by=told_by if weights else None)


def _fetched(repo: str, revision: str, name: str, *, needed: bool = True) -> Path | None:
    """The file in the Hub's cache, brought there if the Hub answers; None where the revision has no such file.

    A file that is not ``needed`` is None as well where the Hub cannot be reached and its cache does not have it.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()  # who waits is told by the command

    try:
        size, unreachable = _size_on_hub(repo, revision, name)
        if size is not None and size > LIMITS[name]:
            raise _too_large(f"{name} of {repo}", LIMITS[name])
        return Path(hf_hub_download(repo, name, revision=revision, local_files_only=unreachable is not None))
    except LocalEntryNotFoundError:
        if not needed:
            return None
        raise GlmdeployError(
            f"the Hugging Face Hub could not be asked for {name} of {repo}, and its cache here does not have it"
            f" ({unreachable or 'the connection broke'})",
            advice=f"try again with a connection, or {_ADVICE}",
        ) from None
    except EntryNotFoundError:
        return None
    except GlmdeployError:
        raise
    except Exception as error:
        # What goes wrong in a download is the HTTP library's or the system's own exception.
        why = getattr(error, "strerror", None) or type(error).__name__
        raise GlmdeployError(
            f"{name} of {repo} could not be fetched: {why}", advice=f"try again, or {_ADVICE}"
        ) from None


def _size_on_hub(repo: str, revision: str, name: str) -> tuple[int | None, str | None]:
    """The file's size in bytes, where the Hub tells it, and why the Hub could not be asked, else None.

    Asked for before a download, because that would try for half a minute to reach a Hub that cannot be reached.

    :raises GlmdeployError: where the Hub refuses.
    :raises EntryNotFoundError: huggingface_hub's, where there is no such file.
    """
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    try:
        return get_hf_file_metadata(hf_hub_url(repo, name, revision=revision)).size, None
    except errors.EntryNotFoundError:
        raise
    except errors.GatedRepoError:
        raise GlmdeployError(
            f"{repo} is gated: its owner has to let you in",
            advice=f"ask for access on the model's page and set HF_TOKEN to a token of yours; or {_ADVICE}",
        ) from None
    except errors.RepositoryNotFoundError:
        raise GlmdeployError(
            f"the Hugging Face Hub knows no repository {repo}, or hides it from you",
            advice=f"check the name; if it is private, set HF_TOKEN to a token that may read it; or {_ADVICE}",
        ) from None
    except errors.RevisionNotFoundError:
        raise GlmdeployError(
            f"{repo} has no revision {revision}", advice="check `model.revision`: a commit hash, a tag or a branch"
        ) from None
    except errors.HFValidationError:
        raise GlmdeployError(f"the Hub allows no name such as {repo}", advice="check `model.repo`") from None
    except errors.HfHubHTTPError as error:
        return None, f"it answered with status {error.response.status_code}"
    except Exception as error:
        # The HTTP library's own, which is another one in other releases of huggingface_hub. Their text is not passed
        # on: that of a refused header has the token in it.
        return None, type(error).__name__


def _size_of_single(repo: str, revision: str) -> int | None:
    """The size of the one weight file of a model without an index, in bytes; None where it is not told."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    try:
        size, unreachable = _size_on_hub(repo, revision, SINGLE)
    except EntryNotFoundError:
        return None
    cached = try_to_load_from_cache(repo, SINGLE, revision=revision) if unreachable else None
    return Path(cached).stat().st_size if isinstance(cached, str) else size


def _total_size(index: Path) -> int | None:
    """``total_size`` of a safetensors index, in bytes; None where it has none. Some tools write it as ``1e9``."""
    metadata = _read(index, LIMITS[INDEX]).get("metadata")
    size = metadata.get("total_size") if isinstance(metadata, dict) else None
    if isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size < 1 << 60:
        return None
    return int(size)


def _read(path: Path, limit: int) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(limit + 1)
        if len(text) > limit:
            raise _too_large(str(path), limit)
        data = json.loads(text)
    except OSError as error:
        raise GlmdeployError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise GlmdeployError(f"{path} is no JSON: {why}", advice=_ADVICE) from None
    if not isinstance(data, dict):
        raise GlmdeployError(f"{path} is no JSON object", advice=_ADVICE)
    return data


def _too_large(what: str, limit: int) -> GlmdeployError:
    return GlmdeployError(f"{what} has more than {limit >> 20} MiB, which no real one has", advice=_ADVICE)
