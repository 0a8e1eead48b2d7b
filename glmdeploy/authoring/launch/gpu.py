"""On which GPUs and how many nodes a launch runs: by the command line, else the text, else what its options need."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy import gpus
from glmdeploy.authoring.launch import cluster
from glmdeploy.authoring.launch.cluster import Nodes
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

_TOO_MANY = f"the launch is for {{}}, but a container on Modal has {MOST} at most"
_SIZES = ("tp_size", "pp_size", "dp_size")


def of_launch(
    given: Mapping[str, Given], launch: Launch, wanted: ImportOptions, sections: Sections
) -> tuple[str, Nodes]:
    """The value of ``gpu``, which is of one node, and the nodes, with notes about what was assumed or contradicts."""
    used, is_known = _used(given)
    nodes = cluster.of_launch(given, launch, used, sections)
    span = launch.gpu.span if launch.gpu else given["tp_size"].flag.span if "tp_size" in given else launch.place
    if wanted.gpu is not None:
        nodes = _on_larger(nodes, used, wanted.gpu, sections) if is_known else nodes
        if _each(used, nodes) > MOST and nodes.count is not None:
            fix = _fewer(used, nodes, "lower --tp to the count of --gpu")
            sections.note(Severity.ERROR, _too_many(used, nodes), span, fix=fix)
        return wanted.gpu, nodes
    type_, told = _told(launch, sections)
    count = _each(used, nodes)
    if told is not None and (nodes.count is None or not is_known):
        count = told
    elif nodes.count is None or (nodes.several and not is_known):
        count = min(used, MOST) if is_known else MOST
    if told is not None and told != count and count <= MOST:
        a_node = " a node" if nodes.several else ""
        message = f"the text gives {told} GPUs{a_node}, but SGLang uses {count} of them; {count} were taken"
        if told < count:
            message = f"the text gives {told} GPUs{a_node}, but SGLang needs {count}, which were taken"
        sections.note(Severity.WARNING, message, span, fix="correct --tp, or choose with --gpu")
    if count > MOST:
        fix = _fewer(used, nodes, "choose a GPU with --gpu, and lower --tp to its count")
        sections.note(Severity.ERROR, _too_many(used, nodes), span, fix=fix)
        count = MOST
    elif type_ is None:
        message = f"the text does not say on which GPU it runs: {ASSUMED}:{count} was assumed"
        fix = "name it with --gpu, such as --gpu H200:8"
        if nodes.several and is_known and used <= MOST:
            fix = f"name it with --gpu, such as --gpu H200:{used}, which has as many as all nodes"
        sections.note(Severity.WARNING, message, span, fix=fix)
    elif nodes.several and is_known and used <= MOST:
        message = f"{nodes.count} nodes of {count} GPUs have as many as one container on Modal can have"
        sections.note(Severity.WARNING, message, nodes.span, fix=f"import it for one, with --gpu {type_}:{used}")
    return f"{type_ or ASSUMED}:{count}", nodes


def _each(used: int, nodes: Nodes) -> int:
    """The GPUs of one node."""
    return -(-used // (nodes.count or 1))


def _too_many(used: int, nodes: Nodes) -> str:
    if nodes.several:
        return _TOO_MANY.format(f"{used} GPUs on {nodes.count} nodes")
    return _TOO_MANY.format(f"{used} GPUs")


def _fewer(used: int, nodes: Nodes, otherwise: str) -> str:
    """What helps where one node would need more GPUs than there are."""
    least = -(-used // MOST)
    return (
        f"if it runs on {least} nodes, add --nnodes {least} to it; else {otherwise}"
        if least <= 32 and not nodes.several
        else otherwise
    )


def _on_larger(nodes: Nodes, used: int, gpu: str, sections: Sections) -> Nodes:
    """The nodes that a launch takes where one has more GPUs than those of its text."""
    each = count(gpu)
    own = _each(used, nodes)
    if not nodes.several or used != own * (nodes.count or 1) or each <= own or (used > each and used % each):
        return nodes
    fewer = -(-used // each)
    message = f"{nodes.said}, with {own} GPUs each, is {fewer} node{'s' * (fewer > 1)} of --gpu {shown(gpu)}"
    sections.note(Severity.WARNING, message, nodes.span)
    return Nodes(count=fewer, span=nodes.span, said=nodes.said, replaced=True)


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
