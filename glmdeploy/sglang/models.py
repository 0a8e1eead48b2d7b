"""Model families: which model a repository holds, where its name tells, and what is known of that model.

The data are files of their own (``schemas/models/*.json``), each entry with its source: the ``config.json`` of public
checkpoints, as far as sizing and SGLang's own resolution read it, and the parsers that SGLang has for them. They are
read when the first question is asked. A name counts with any organisation before it, because quantisers keep it; what
a suffix such as ``-FP8`` means for the weights depends on who published it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from glmdeploy.records import record
from glmdeploy.resources import schemas_dir
from glmdeploy.sglang.architectures import ARCHITECTURES, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GLM_DSA = "GlmMoeDsaForCausalLM"
"""GLM-5 to 5.3: mixture of experts, latent attention (MLA) with DeepSeek's sparse attention (DSA)."""

GLM4_MOE = "Glm4MoeForCausalLM"

_TUNED = ("-Instruct", "-Thinking")

NONE = "none"
"""The quantization of weights that are stored as they were trained."""


@record
class Family:
    """A family of models that go by one name. ``organisation`` publishes it on the Hugging Face Hub.

    The parsers are SGLang's choices of ``--reasoning-parser`` and ``--tool-call-parser``, None for none or not known.
    ``since`` is the first SGLang release that runs it from its own pins, None where all known ones do. ``task`` is what
    its models answer with, which the class does not tell of those that embed. ``source`` says where all that is known
    from.
    """

    name: str
    organisation: str
    architecture: str
    reasoning_parser: str | None = None
    tool_call_parser: str | None = None
    since: str | None = None
    task: Task = Task.GENERATE
    source: str


class _Format(NamedTuple):
    """How a checkpoint's weights are stored, as its suffix tells: ``config`` is a ``quantization_config``.

    ``method`` is None where the suffix tells only that they are quantised; ``config`` is None where it is not known.
    """

    method: str | None
    config: Mapping[str, Any] | None


class _Found(NamedTuple):
    family: Family
    config: Mapping[str, Any] | None
    """The model's own ``config.json``, None where its dimensions are not known."""
    form: _Format | None
    """Of a suffix, None for the checkpoint as it was published."""


@record
class _Library:
    """All that ships: by name in lower case."""

    families: Mapping[str, Family]
    patterns: tuple[tuple[str, str], ...]
    entries: Mapping[str, Mapping[str, Any]]
    names: Mapping[str, str]
    formats: Mapping[str, Mapping[str, Any]]
    quantisers: tuple[tuple[str, frozenset[str], _Format], ...]


@cache
def _library() -> _Library:
    folder = schemas_dir() / "models"
    common = json.loads((folder / "formats.json").read_text(encoding="utf-8"))
    families: dict[str, Family] = {}
    patterns: list[tuple[str, str]] = []
    entries: dict[str, Mapping[str, Any]] = {}
    names: dict[str, str] = {}
    for file in sorted(folder.glob("*.json")):
        data = json.loads(file.read_text(encoding="utf-8"))
        for name, each in data.get("families", {}).items():
            pattern = each.pop("pattern", None)
            task = Task(each.pop("task", Task.GENERATE))
            told = "; ".join(common["sources"].get(one, one) for one in each.pop("source").split(", "))
            families[name] = Family(name=name, task=task, source=told, **each)
            if pattern:
                patterns.append((pattern, name))
        for name, each in data.get("models", {}).items():
            entries[name] = each
            names |= dict.fromkeys((one.lower() for one in (name, *each.get("names", ()))), name)
    formats = common["formats"]
    quantisers = tuple(
        (each["suffix"].lower(), frozenset(map(str.lower, each["organisations"])), _form(each, formats))
        for each in common["quantisers"]
    )
    return _Library(
        families=families,
        patterns=tuple(patterns),
        entries=entries,
        names=names,
        formats=formats,
        quantisers=quantisers,
    )


def _form(each: Mapping[str, Any], formats: Mapping[str, Mapping[str, Any]]) -> _Format:
    config = formats[each["format"]] if "format" in each else None
    return _Format(method_of(config) if config else each["method"], config)


def method_of(quantization: Mapping[str, Any] | None) -> str | None:
    """SGLang's name for what a ``quantization_config`` says, ``none`` without one; None for one that says nothing.

    Source: ``ModelConfig._parse_modelopt_quant_config`` (0.5.23).
    """
    if not quantization:
        return NONE
    method, algorithm = quantization.get("quant_method"), str(quantization.get("quant_algo") or "").upper()
    if method == "modelopt":
        kinds = {"NVFP4": "modelopt_fp4", "FP8": "modelopt_fp8", "MIXED_PRECISION": "modelopt_mixed"}
        return kinds.get(algorithm)
    return method if isinstance(method, str) else None


@cache
def _find(repo: str) -> _Found | None:
    """What is known of a repository or of a model's bare name; None where the name does not tell."""
    library, (organisation, _, name) = _library(), repo.lower().rpartition("/")
    organisation = organisation.rpartition("/")[2]
    if found := _named(name):
        return _Found(*found, form=None)
    for entry in library.entries.values():
        for suffix in entry.get("variants", {}):
            owner, _, end = suffix.lower().rpartition("/")
            base = name.removesuffix(end)
            if base == name or library.names.get(base) is None or library.entries[library.names[base]] is not entry:
                continue
            family = library.families[entry["family"]]
            # A bare name is of whoever has published one with that suffix.
            if organisation in ("", owner or family.organisation.lower()):
                stored = entry["variants"][suffix]
                config = library.formats[stored] if isinstance(stored, str) else stored
                return _Found(family, _config(library, entry), _Format(method_of(config), config))
    for end, owners, form in library.quantisers:
        if name.endswith(end) and (not owners or organisation in owners) and (found := _named(name.removesuffix(end))):
            return _Found(*found, form=form)
    return None


def _named(name: str) -> tuple[Family, Mapping[str, Any] | None] | None:
    library = _library()
    if (model := library.names.get(name)) is not None:
        entry = library.entries[model]
        return library.families[entry["family"]], _config(library, entry)
    family = next((one for pattern, one in library.patterns if re.fullmatch(pattern, name, re.IGNORECASE)), None)
    return (library.families[family], None) if family else None


def _config(library: _Library, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    base = _config(library, library.entries[entry["like"]]) if "like" in entry else {}
    return {**base, **entry["config"]}


def family(repo: str) -> Family | None:
    """The family of a repository or of a model's bare name, None where the name does not tell."""
    found = _find(repo)
    return found.family if found else None


def architecture(repo: str) -> str | None:
    """The architecture's class name, or None when the repository's name does not tell."""
    found = _find(repo)
    if found is None:
        return None
    return str(found.config["architectures"][0]) if found.config else found.family.architecture


def task(repo: str, architecture: str | None = None) -> Task | None:
    """What the model answers with, by its name, else by its class; None where neither tells."""
    if (found := _find(repo)) is not None:
        return found.family.task
    kind = ARCHITECTURES.get(architecture or "")
    return kind.task if kind else None


def quantization(repo: str) -> str | None:
    """How the weights are stored (``fp8``, ``modelopt_fp4``, ``none``), or None when the name does not tell."""
    found = _find(repo)
    if found is None:
        return None
    if found.form is not None:
        return found.form.method
    return method_of(_stored(found.config)) if found.config else None


def known(repo: str) -> dict[str, Any] | None:
    """The configuration of the repository's checkpoint; None where it is not known."""
    found = _find(repo)
    if found is None or found.config is None:
        return None
    if found.form is None:
        return dict(found.config)
    if found.form.method == NONE:
        return _without_quantization(found.config)
    if found.form.config is None:
        return None
    return _without_quantization(found.config) | {"quantization_config": dict(found.form.config)}


def source(repo: str) -> str | None:
    """Where the configuration that ships is known from, None where none does."""
    library, name = _library(), repo.rpartition("/")[2].lower()
    while name and name not in library.names:
        name = name.rpartition("-")[0]
    return str(library.entries[library.names[name]]["source"]) if name and known(repo) is not None else None


@cache
def published() -> Mapping[str, str]:
    """The repositories whose models ship with glmdeploy, in the Hub's spelling, by the model's name in lower case."""
    return {repo.rpartition("/")[2].lower(): repo for entry in _library().entries for repo in _published(entry)}


def variants(repo: str) -> tuple[str, ...]:
    """The other repositories that hold the same model, stored in fewer or more bits, as far as they are known.

    The checkpoint as it was trained comes first; of one that is fine-tuned, only those of the same tuning are meant.
    """
    for entry in _library().entries:
        for name in (entry, *_library().entries[entry].get("names", ())):
            same = tuple(_stored_as(entry, name))
            if repo in same:
                return tuple(each for each in same if each != repo)
    return ()


def _published(entry: str) -> Iterator[str]:
    for name in (entry, *_library().entries[entry].get("names", ())):
        yield from _stored_as(entry, name)


def _stored_as(entry: str, name: str) -> Iterator[str]:
    """The repositories of a model of this name: as it was published, and by each suffix of the entry.

    What is stored in fewer bits is the tuned model, where there is one beside the one that it was tuned from.
    """
    found = _library().entries[entry]
    organisation = _library().families[found["family"]].organisation
    yield f"{organisation}/{name}"
    tuned = any(each.endswith(_TUNED) for each in (entry, *found.get("names", ())))
    for suffix in found.get("variants", {}) if name.endswith(_TUNED) or (name == entry and not tuned) else ():
        owner, _, end = suffix.rpartition("/")
        yield f"{owner or organisation}/{name}{end}"


def _stored(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The ``quantization_config`` of a ``config.json``; of a model that sees it may stand with the language model."""
    inner = config.get("text_config") or {}
    return config.get("quantization_config") or inner.get("quantization_config")


def _without_quantization(config: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in config.items() if key != "quantization_config"}
    if inner := plain.get("text_config"):
        plain["text_config"] = {key: value for key, value in inner.items() if key != "quantization_config"}
    return plain
