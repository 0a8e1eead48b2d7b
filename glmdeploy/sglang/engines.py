"""Other engines that people serve models with: how their launches show, and what their options are called in SGLang."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """An engine that is not SGLang. ``commands`` start it, ``modules`` with ``python -m``, ``images`` begin so."""

    name: str
    commands: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Equivalent:
    """What an option of another engine is in SGLang: ``option`` without its dashes, None where there is none.

    ``note`` says what differs, or why nothing is needed.
    """

    option: str | None
    note: str | None = None


ENGINES: tuple[Engine, ...] = (
    Engine(
        name="vLLM",
        commands=("vllm",),
        modules=("vllm.entrypoints.openai.api_server",),
        images=("vllm/vllm-openai",),
    ),
)

EQUIVALENTS: Mapping[str, Equivalent] = {
    "gpu-memory-utilization": Equivalent(option="mem-fraction-static"),
}
"""By the option's name in the other engine, without its dashes, with hyphens."""


def by_command(words: Sequence[str]) -> Engine | None:
    """The engine that a simple command starts: ``vllm serve``, ``python3 -m vllm.entrypoints.openai.api_server``."""
    name = words[0].rpartition("/")[2] if words else ""
    module = words[words.index("-m") + 1] if "-m" in words[:-1] and name.startswith("python") else ""
    return next((each for each in ENGINES if name in each.commands or (module and module in each.modules)), None)


def by_image(image: str) -> Engine | None:
    """The engine that an image holds, by its name."""
    return next((each for each in ENGINES if image.startswith(each.images)), None)


def equivalent(option: str) -> Equivalent | None:
    """What an option of another engine, with or without dashes, is in SGLang; None where no engine known has it."""
    return EQUIVALENTS.get(option.lstrip("-").replace("_", "-"))
