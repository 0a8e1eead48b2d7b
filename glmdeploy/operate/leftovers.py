"""What lies in glmdeploy's volumes, told apart: what a plan needs, what none needs, and what is left alone.

Only what glmdeploy has put there, and can name, is ever taken for a leftover: a version of a model whose mark is whole,
with nothing in its folder that the mark does not name; the archive and the mark of a kernels' key, with the kernels
that no other mark names; a plan and a container side by the digest in its name. Downloads under way
(``.glmdeploy/work``) are left, dead ones too: the next download takes up or removes what they hold.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.operate.archive import plan_path, runtime_path
from glmdeploy.operate.history import DIGITS
from glmdeploy.plan.kernels import KEY_LENGTH
from glmdeploy.runtime.caches import caches_archive
from glmdeploy.runtime.kernels import KERNEL_SUFFIX, kernels_mark
from glmdeploy.runtime.markers import FOLDER
from glmdeploy.runtime.weights import WEIGHTS_MARK, is_manifest, sub_path

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from glmdeploy.plan.needs import Needs

_KEY = f"[0-9a-f]{{{KEY_LENGTH}}}"
_OF_KERNELS = re.compile(
    rf"{re.escape(FOLDER)}/(?:{kernels_mark(f'(?P<mark>{_KEY})')}|{caches_archive(f'(?P<archive>{_KEY})')})"
)
_OF_PLANS = re.compile(rf"{plan_path(f'(?P<plan>[0-9a-f]{{{DIGITS}}})')}|{runtime_path('(?P<runtime>[0-9a-f]{64})')}")
_WORK = f"{FOLDER}/work/"


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of a volume: bytes, and when it was written last, in seconds since 1970."""

    size: int
    at: float


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something that no plan needs. ``paths`` are removed in this order, each with all that is below it."""

    kind: str
    """``weights``, ``kernels``, ``plan`` or ``runtime``."""
    volume: str
    name: str
    paths: tuple[str, ...]
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Of one volume. ``kept`` are bytes that plans need, ``half`` those of downloads under way.

    ``other`` are files that glmdeploy did not put there, or does not understand, and ``other_size`` their bytes.
    """

    volume: str
    leftovers: tuple[Leftover, ...] = ()
    kept: int = 0
    half: int = 0
    other: int = 0
    other_size: int = 0


def contents(
    volume: str, files: Mapping[str, File], needed: Needs, read: Callable[[str], bytes], *, before: float
) -> Contents:
    """A volume of weights, kernels or both. ``read`` gives a file's content; what is younger than ``before`` stays."""
    rest = dict(files)
    leftovers: list[Leftover] = []
    kept = 0
    found = [*_versions(volume, files, read), *_kernels(volume, files, read)]
    stays = [_is_needed(one, needed) or max(files[path].at for path in one.files) > before for one in found]
    # What cannot be read may name any kernel.
    readable = all(one.kernels is not None for one, stay in zip(found, stays, strict=True) if stay)
    shared = {path for one, stay in zip(found, stays, strict=True) if stay for path in one.kernels or ()}
    for one, stay in zip(found, stays, strict=True):
        if stay:
            folders = _kernel_folders(one.kernels or (), (), rest)
        else:
            folders = _kernel_folders(one.kernels or (), shared, rest) if readable else {}
        own = [*one.files, *(path for inside in folders.values() for path in inside)]
        size = sum(rest.pop(path).size for path in dict.fromkeys(own) if path in rest)
        if stay:
            kept += size
        else:
            paths = (*sorted(folders), *one.paths)
            leftovers.append(Leftover(kind=one.kind, volume=volume, name=one.name, paths=paths, size=size))
    half = {path: file for path, file in rest.items() if path.startswith(_WORK)}
    other = {path: file for path, file in rest.items() if not path.startswith(f"{FOLDER}/")}
    return Contents(
        volume=volume,
        leftovers=tuple(leftovers),
        kept=kept,
        half=sum(file.size for file in half.values()),
        other=len(other),
        other_size=sum(file.size for file in other.values()),
    )


def archive_contents(
    volume: str, files: Mapping[str, File], needed: Needs, *, before: float, other: int = 0
) -> Contents:
    """The volume of plans. What is younger than ``before`` is kept: a deployment may be about to be published.

    ``other`` are files that were found not to be understood before.
    """
    digits = {body[:DIGITS] for body in needed.bodies}
    leftovers: list[Leftover] = []
    kept = other_size = 0
    for path, file in sorted(files.items()):
        found = _OF_PLANS.fullmatch(path)
        if found is None:
            other, other_size = other + 1, other_size + file.size
        elif file.at > before or found["plan"] in digits or found["runtime"] in needed.runtimes:
            kept += file.size
        else:
            kind = "plan" if found["plan"] else "runtime"
            name = (found["plan"] or found["runtime"])[:DIGITS]
            leftovers.append(Leftover(kind=kind, volume=volume, name=name, paths=(path,), size=file.size))
    return Contents(volume=volume, leftovers=tuple(leftovers), kept=kept, other=other, other_size=other_size)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Something that glmdeploy has put into a volume: the ``files`` of it alone, and the ``paths`` to remove it by.

    ``kernels`` are what its mark names beside them, which other marks may name too; None where it cannot be read.
    """

    kind: str
    volume: str
    name: str
    paths: tuple[str, ...]
    files: tuple[str, ...]
    kernels: tuple[str, ...] | None = ()


def _is_needed(found: _Known, needed: Needs) -> bool:
    if found.kind == "kernels":
        return (found.volume, found.name) in needed.kernels
    return (found.volume, found.paths[-1]) in needed.weights


def _kernel_folders(named: Iterable[str], shared: Collection[str], files: Mapping[str, File]) -> dict[str, list[str]]:
    """The folders of the named kernels that no other mark names, with their files: a kernel and its source each."""
    folders = {path.rpartition("/")[0] for path in named if path in files and path not in shared}
    kernels = {folder for folder in folders if folder.rpartition("/")[2].startswith("kernel.")}
    inside: dict[str, list[str]] = {folder: [] for folder in kernels}
    for path in files:
        if (folder := path.rpartition("/")[0]) in inside:
            inside[folder].append(path)
        elif any(path.startswith(f"{folder}/") for folder in kernels):
            return {}  # of another layout than DeepGEMM's
    return {
        folder: paths
        for folder, paths in inside.items()
        if all(path.rpartition("/")[2].startswith("kernel.") for path in paths)
    }


def _versions(volume: str, files: Mapping[str, File], read: Callable[[str], bytes]) -> Iterator[_Known]:
    """The versions of models that are glmdeploy's alone."""
    end = f"/{FOLDER}/{WEIGHTS_MARK}"
    below = defaultdict(list)
    folders = {path.removesuffix(end) for path in files if path.endswith(end) and path.count("/") in (3, 4)}
    for path in files:
        parts = path.split("/")
        for depth in (2, 3):
            if (folder := "/".join(parts[:depth])) in folders:
                below[folder].append(path)
    for folder in sorted(folders):
        mark = _json(read(folder + end))
        if not is_manifest(mark):
            continue
        if folder not in (sub_path(mark["repo"], mark["commit"]), sub_path(mark["repo"], mark["revision"])):
            continue
        model = f"{folder}/{mark['repo'].rpartition('/')[2]}"
        own = {folder + end, *(f"{model}/{path}" for path in mark["files"])}
        if any(path not in own for path in below[folder]):
            continue  # somebody else's are among them
        # The files first: what is left of a removal that was interrupted still has its mark, and is found again.
        yield _Known(
            kind="weights",
            volume=volume,
            name=f"{mark['repo']} at {mark['commit'][:7]}",
            paths=(model, folder),
            files=tuple(below[folder]),
        )


def _kernels(volume: str, files: Mapping[str, File], read: Callable[[str], bytes]) -> Iterator[_Known]:
    """The archive and the mark of each key, and the kernels that the mark names."""
    keys: dict[str, list[str]] = defaultdict(list)
    for path in files:
        if found := _OF_KERNELS.fullmatch(path):
            keys[found["mark"] or found["archive"]].append(path)
    for key, paths in sorted(keys.items()):
        paths.sort()  # the archive before its mark
        named: tuple[str, ...] | None = ()
        if (mark := f"{FOLDER}/{kernels_mark(key)}") in paths:
            listed = _json(read(mark)).get("files")
            named = tuple(path for path in listed if isinstance(path, str)) if isinstance(listed, dict) else None
        cubins = None if named is None else tuple(path for path in named if path.endswith(KERNEL_SUFFIX))
        yield _Known(kind="kernels", volume=volume, name=key, paths=tuple(paths), files=tuple(paths), kernels=cubins)


def _json(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
