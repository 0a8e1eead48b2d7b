"""Which stages a new plan needs again, and because of which values: else what they made for the old one serves on.

Works on plans' JSON data, as :mod:`glmdeploy.plan.diff` does. It tells what follows from the two plans; whether
something lies in a volume already is for the volume to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.plan.diff import Change
from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WEIGHTS = (("model", "repo"), ("weights", "name"))
"""What decides the weights beside their commit: where they are from, and where they lie."""


@record
class Impact:
    """For each stage the values whose change has it run again; empty where what it made before serves on."""

    download: tuple[Change, ...] = ()
    compile: tuple[Change, ...] = ()


def impact(old: Mapping[str, Any], new: Mapping[str, Any]) -> Impact:
    """What the change from ``old`` to ``new`` (both :meth:`Plan.data`) has run again."""
    return Impact(download=tuple(_download(old, new)), compile=tuple(_compile(old, new)))


def _download(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for section, name in _WEIGHTS:
        yield from _changed(section, name, old.get(section, {}).get(name), new[section][name])
    before, after = old.get("model", {}), new["model"]
    # A branch can mean another commit than it did, and two names the same one.
    name = "commit" if "commit" in before and "commit" in after else "revision"
    yield from _changed("model", name, before.get(name), after[name])


def _compile(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    if "compile" not in new:
        return
    if "compile" not in old:
        yield Change(section="compile", name="stage", old=None, new="compile")
        return
    yield from _changed("kernels", "name", old.get("kernels", {}).get("name"), new.get("kernels", {}).get("name"))
    before, after = old["compile"].get("decides"), new["compile"]["decides"]
    if before is None:
        yield Change(section="glmdeploy", name="key of the kernels", old="an earlier release's", new="this one's")
        return
    gpus, known = list(new["compile"]["keys"]), list(old["compile"]["keys"])
    if not set(gpus) <= set(known):
        yield from _changed("app", "gpu", ", ".join(known), ", ".join(gpus))
    for name in sorted(before.keys() | after.keys()):
        yield from _changed(*_place(name), before.get(name), after.get(name))


def _place(name: str) -> tuple[str, str]:
    """Section and name of what decides the kernels: an option, a value of the profile, or a variable."""
    if name.startswith("--"):
        return "sglang", name
    section, dot, rest = name.partition(".")
    return (section, rest) if dot else ("environment", name)


def _changed(section: str, name: str, old: Any, new: Any) -> Iterator[Change]:
    if old != new:
        yield Change(section=section, name=name, old=old, new=new)
