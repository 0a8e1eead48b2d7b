"""What SGLang's decisions depend on, what one decision is, and where they are taken upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from glmdeploy.records import record
from glmdeploy.sglang.catalog import version_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from glmdeploy.gpus import Gpu

FIRST, LAST = "0.5.10", "0.5.23"
"""The releases that decisions were read from, and all catalogued ones between."""

UNKNOWN: Final = object()
"""Stands for a value that SGLang decides and this package does not know."""

AT_START: Final = object()
"""Stands for a value that SGLang works out from what it measures when it starts."""

BY_MEMORY_LEFT = "worked out at start from the memory that is left for the KV cache"
"""Why nobody knows the number of running requests before."""

Files = tuple[tuple[str, str], ...]
"""Since which release which upstream file decides, below ``sglang/srt``."""

ARGS: Files = ((FIRST, "server_args.py"),)
OVERRIDES: Files = (*ARGS, ("0.5.15.post1", "arg_groups/overrides.py"))
MODEL: Files = (*OVERRIDES, ("0.5.19", "arg_groups/model_overrides/deepseek_v2.py"))
MEMORY: Files = (*ARGS, ("0.5.19", "arg_groups/memory_hook.py"))
GRAPHS: Files = (*ARGS, ("0.5.19", "arg_groups/cuda_graph_hook.py"))
PARALLEL: Files = (*ARGS, ("0.5.19", "arg_groups/parallel_hook.py"))
SPECULATION: Files = (*ARGS, ("0.5.13.post1", "arg_groups/speculative_hook.py"))


@record
class Situation:
    """Where a decision is taken.

    ``quantization`` is the checkpoint's (:func:`glmdeploy.sglang.models.quantization`), ``env`` are the variables of
    the server's environment, ``values`` what has been set or decided so far, by name.
    """

    version: str
    gpu: Gpu
    quantization: str | None
    env: Mapping[str, str]
    values: Mapping[str, Any]
    vision: tuple[int, int] | None = None
    """Layers and width of the model's vision tower, as SGLang counts them; None for none or not known."""

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)

    def since(self, version: str) -> bool:
        return version_key(version) <= version_key(self.version)

    def between(self, since: str, until: str) -> bool:
        return self.since(since) and version_key(self.version) <= version_key(until)

    @property
    def eagle(self) -> bool:
        """Whether EAGLE speculates, under whichever of its names."""
        return str(self["speculative_algorithm"]).upper() in ("EAGLE", "NEXTN")

    @property
    def other_algorithm(self) -> bool:
        return self["speculative_algorithm"] is not None and not self.eagle

    @property
    def several_nodes(self) -> bool:
        """Whether more than one machine serves together."""
        return int(self["nnodes"] or 1) > 1

    @property
    def attention_dp(self) -> int:
        """The data parallelism of attention, 1 for none; it has an option of its own since 0.5.22, which goes first.

        Source: ``handle_deprecated_dp_attention`` (``arg_groups/parallel_hook.py`` of 0.5.22 and 0.5.23).
        """
        own = int(self["attn_dp_size"] or 1)
        return int(self["dp_size"] or 1) if own == 1 and self["enable_dp_attention"] else own


@record
class Decision:
    """``name`` becomes ``value``, or what ``value`` computes, where ``when`` holds.

    Without ``when`` the value must be undecided: None or ``auto``. ``gpu`` is a compute capability's major number.
    """

    name: str
    value: Any
    why: str
    files: Files
    when: Callable[[Situation], bool] | None = None
    gpu: int | None = None
    since: str = FIRST
    until: str = LAST

    def applies(self, now: Situation) -> bool:
        if self.gpu not in (None, now.gpu.major) or not now.between(self.since, self.until):
            return False
        return now[self.name] in (None, "auto") if self.when is None else self.when(now)

    def decide(self, now: Situation) -> Any:
        return self.value(now) if callable(self.value) else self.value

    def file(self, version: str) -> str:
        """The upstream file in that release."""
        return "sglang/srt/" + [file for since, file in self.files if version_key(since) <= version_key(version)][-1]
