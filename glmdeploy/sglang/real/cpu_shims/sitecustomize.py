"""Lets SGLang start on a CPU without the GPU packages that it imports: every Python with this folder on its path.

A package of :data:`ABSENT` that is not installed can be imported, and its names may be used while modules are being
imported, as decorators, base classes and constants. Whoever calls one later gets a RuntimeError that names it, so
nothing is computed with what is not there.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    import types
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec

    from glmdeploy.sglang.real import catalog_probe
else:
    # The interpreter is not ours and has no glmdeploy.
    spec = importlib.util.spec_from_file_location(
        "glmdeploy_catalog_probe", Path(__file__).parents[1] / "catalog_probe.py"
    )
    catalog_probe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(catalog_probe)

ABSENT = frozenset({"torchvision", "triton", "vllm"})
"""What SGLang 0.5.23 imports on a CPU and does not use there."""

DISPENSABLE = frozenset({"triton.knobs", "vllm.distributed", "vllm.logger"})
"""Parts of those that it would use, and does without where the import fails."""


class Absent(catalog_probe.Placeholder):
    """A name in an absent package: harmless at import, an error when called."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Absent:
        return attribute(self._name, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not importing():
            raise RuntimeError(f"{self._name} was called, which is not installed")
        # A bare decorator must hand the function back, or the module under it loses its own functions.
        return args[0] if len(args) == 1 and not kwargs and callable(args[0]) else self

    def __getitem__(self, key: object) -> Absent:
        return self

    def __or__(self, other: object) -> Any:
        # PyTorch compares what a union of types consists of; and `|` would come back here.
        return Union[self, other]  # noqa: UP007

    def __ror__(self, other: object) -> Any:
        return Union[other, self]  # noqa: UP007

    def __instancecheck__(self, instance: object) -> bool:
        return False


def attribute(owner: str, name: str) -> Absent:
    """What an absent package, or something in it, has under the name.

    :raises AttributeError: for the names that :func:`catalog_probe.placeholder_for` refuses.
    """
    catalog_probe.placeholder_for(name)
    return Absent(f"{owner}.{name}")


def importing() -> bool:
    """Whether the import system is at work further up the stack."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False


class AbsentModule(catalog_probe.PlaceholderModule):
    """A package in which every name and every submodule exists."""

    def __getattr__(self, name: str) -> Absent:
        return attribute(self.__name__, name)


class AbsentPackages(catalog_probe.AbsentPackages):
    """Answers for the absent packages, except for the parts that SGLang does without."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        return None if fullname in DISPENSABLE else super().find_spec(fullname, path, target)

    def create_module(self, spec: ModuleSpec) -> AbsentModule:
        return AbsentModule(spec.name)


def fork_instead_of_spawn() -> None:
    """Let SGLang's processes share what is imported: half the start-up time. It spawns them for CUDA's sake."""
    real = multiprocessing.set_start_method

    def set_start_method(method: str | None, force: bool = False) -> None:
        real("fork" if method == "spawn" else method, force)

    multiprocessing.set_start_method = set_start_method


AbsentPackages(ABSENT).install()
fork_instead_of_spawn()
