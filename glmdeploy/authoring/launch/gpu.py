"""On which GPUs a launch runs: what the command line says, else the text, else what its options need."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy import gpus
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.launch.launch import Launch
    from glmdeploy.authoring.launch.options import Given
    from glmdeploy.authoring.launch.script import ImportOptions
    from glmdeploy.authoring.launch.sections import Sections

ASSUMED = "B200"
MOST = 8
"""In one Modal container (modal 1.6.4)."""

_TOO_MANY = f"the launch is for {{}} GPUs, but a container on Modal has {MOST} at most"
_SIZES = ("tp_size", "pp_size", "dp_size")


def of_launch(given: Mapping[str, Given], launch: Launch, wanted: ImportOptions, sections: Sections) -> str:
    """The value of ``gpu``, with notes about what was assumed and what the text says otherwise."""
    used, is_known = _used(given)
    span = launch.gpu.span if launch.gpu else given["tp_size"].flag.span if "tp_size" in given else launch.place
    if wanted.gpu is not None:
        if used > MOST:
            sections.note(Severity.ERROR, _TOO_MANY.format(used), span, fix="lower --tp to the count of --gpu")
        return wanted.gpu
    type_, told = _told(launch, sections)
    count = used if is_known or told is None else told
    if told is not None and told != count and count <= MOST:
        message = f"the text gives {told} GPUs, but SGLang uses {count} of them; {count} were taken"
        if told < count:
            message = f"the text gives {told} GPUs, but SGLang needs {count}, which were taken"
        sections.note(Severity.WARNING, message, span, fix="correct --tp, or choose with --gpu")
    if count > MOST:
        sections.note(
            Severity.ERROR, _TOO_MANY.format(count), span, fix="choose a GPU with --gpu, and lower --tp to its count"
        )
        count = MOST
    elif type_ is None:
        message = f"the text does not say on which GPU it runs: {ASSUMED}:{count} was assumed"
        sections.note(Severity.WARNING, message, span, fix="name it with --gpu, such as --gpu H200:8")
    return f"{type_ or ASSUMED}:{min(count, MOST)}"


def count(gpu: str) -> int:
    """The GPUs of a profile's value, 0 where it has not the form of one."""
    return int(gpu.partition(":")[2] or 1) if re.fullmatch(r"[^:]*(:[0-9])?", gpu) else 0


def _told(launch: Launch, sections: Sections) -> tuple[str | None, int | None]:
    """The type by Modal's name, and the number of GPUs, that the text tells."""
    word = launch.gpu
    if word is None or word.unknown:
        return None, None
    name, _, number = sections.use(word).rpartition(":") if ":" in word.text else (word.text, "", "")
    told = int(number) if re.fullmatch(r"[0-9]{1,4}", number) and int(number) else None
    type_ = gpus.named(name) if name else None
    if name and type_ is None:
        message = f"Modal rents no GPU that is called {shown(name)}"
        sections.note(Severity.WARNING, message, word.span, expected=f"one of: {', '.join(gpus.TYPES)}")
    return type_, told


def _used(given: Mapping[str, Given]) -> tuple[int, bool]:
    """How many GPUs SGLang uses, and whether the text tells all that decides it."""
    # Data parallelism multiplies the processes unless it only divides the attention.
    names = [name for name in _SIZES if name != "dp_size" or "enable_dp_attention" not in given]
    used = 1
    for name in names:
        used *= _whole(given.get(name))
    unknown = (word.unknown for name in names if name in given for word in given[name].values)
    return used, not any(unknown)


def _whole(given: Given | None) -> int:
    text = given.values[0].text if given and given.values else ""
    return max(int(text), 1) if re.fullmatch(r"[0-9]{1,4}", text) else 1
