"""On how many nodes a launch runs, and what of it the profile's ``cluster`` replaces.

The nodes of one launch are told apart by ``--node-rank`` and find each other at ``--dist-init-addr``
(``sglang/srt/server_args.py``, 0.5.8 to 0.5.23; ``--nccl-init-addr`` is an older spelling of the latter). In a
container of a cluster both follow from what Modal says of it, so that a profile has neither.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch import options
from glmdeploy.authoring.launch.masking import masked
from glmdeploy.findings import Severity
from glmdeploy.profile.serving import SERVER, of_one_kind
from glmdeploy.profile.text.characters import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.authoring.launch.launch import Launch, Span, Word
    from glmdeploy.authoring.launch.options import Given
    from glmdeploy.authoring.launch.sections import Sections

_TOLD: Mapping[str, str] = {"node_rank": "which node it is", "dist_init_addr": "where the first one is"}
"""What Modal tells a container in place of each of the options that tell nodes apart."""

_WHOLE = re.compile(r"[0-9]{1,6}")
_SPLIT = ("tp_size", "pp_size")


@dataclass(frozen=True, kw_only=True, slots=True)
class Nodes:
    """``count`` of a launch's nodes, None where the text does not tell it; ``span`` is where it stands.

    ``said`` is what says it, as messages show it. ``replaced``: it is not what ``--nnodes`` says.
    """

    count: int | None
    span: Span
    said: str = ""
    replaced: bool = False

    @property
    def several(self) -> bool:
        return self.count is not None and self.count > 1


def whole(word: Word | None) -> int | None:
    """The number that a word is, None where it is none or not known."""
    return int(word.text) if word is not None and not word.unknown and _WHOLE.fullmatch(word.text) else None


def of_launch(given: Mapping[str, Given], launch: Launch, used: int, sections: Sections) -> Nodes:
    """The nodes of a launch: what ``--nnodes`` says, else what the file says of the nodes on which it runs.

    ``used`` are all GPUs of the launch. Without ``--nnodes`` each of a file's nodes runs a server of its own, unless it
    needs more GPUs than one node can have.
    """
    found, told = given.get("nnodes"), whole(launch.nodes)
    if found is None:
        return _without_option(launch, told, used, sections)
    word = found.values[0]
    count, span = whole(word), word.span
    if count is not None:
        sections.use(word)
        if count > 1 and told is not None and told > 1 and told != count and launch.nodes is not None:
            message = f"the file starts {told} nodes, but {shown(found.name)} says {count}, which was taken"
            sections.note(Severity.WARNING, message, launch.nodes.span, fix="correct the one that is wrong")
        return Nodes(count=max(count, 1), span=span, said=f"`{_written(found)}`")
    if word.unknown:
        why = f"needs {', '.join(map(shown, word.unknown))}, which is not set in this text"
    else:
        why = f"is `{shown(masked(word.text))}`, which is no number"
    if told is not None and told > 1:
        message = f"{shown(found.name)} {why}: {told} was taken, the nodes that the file starts"
        sections.note(Severity.WARNING, message, span)
        return Nodes(count=told, span=span, said=f"`{_written(found)}`", replaced=True)
    likely = max(2, -(-used // 8))
    named = re.match(r"\$\{?([A-Za-z_]\w*)", word.unknown[0], re.ASCII) if word.unknown else None
    fix = f"set it in a line above the launch, such as {named[1]}={likely}" if named else f"write --nnodes {likely}"
    message = f"how many nodes the launch has is not known: {shown(found.name)} {why}"
    sections.note(Severity.ERROR, message, span, fix=fix)
    return Nodes(count=None, span=span)


def _without_option(launch: Launch, told: int | None, used: int, sections: Sections) -> Nodes:
    if told is None or told < 2 or launch.nodes is None:
        return Nodes(count=1, span=launch.place)
    span = launch.nodes.span
    if used > _of_one(launch):
        message = f"the launch has no --nnodes, but needs {used} GPUs: it was taken for one on the {told} nodes"
        sections.note(Severity.WARNING, f"{message} that the file starts", span, fix=f"add --nnodes {told} to it")
        return Nodes(count=told, span=span, said=f"the file's {told} nodes")
    message = f"{told} nodes start this launch, each for itself, as it has no --nnodes: one server was imported"
    sections.note(
        Severity.WARNING, message, span, fix=f"add --nnodes {told} to the launch, if the nodes are to serve together"
    )
    return Nodes(count=1, span=span)


def _of_one(launch: Launch) -> int:
    """The GPUs that one node has, as far as it is told."""
    text = launch.gpu.text.rpartition(":")[2] if launch.gpu is not None else ""
    return min(8, int(text)) if _WHOLE.fullmatch(text) and int(text) else 8


def place(nodes: Nodes, given: dict[str, Given], launch: Launch, sections: Sections) -> None:
    """The section ``cluster``, and what of the launch it replaces, which is taken out of ``given`` and told."""
    if nodes.count == 1 and not nodes.replaced:
        return
    found = given.pop("nnodes", None)
    if nodes.several:
        rdma, _ = launch.settings.get(("cluster", "rdma"), (True, nodes.span))
        sections.put(("cluster",), {"nodes": nodes.count, "rdma": rdma}, nodes.span)
        sections.put(("server", "kind"), SERVER, nodes.span)
        message = f"{nodes.said} became `cluster.nodes`, and `server.kind` is `{SERVER}`"
        message += ": Modal has no clusters of the other kind"
        sections.note(Severity.INFO, message, nodes.span)
    left = [given.pop(name) for name in options.OF_NODES if name in given]
    if not left:
        return
    for run in _side_by_side(left, found, launch):
        said = " and ".join(f"`{_written(each)}`" for each in run)
        what = " and ".join(_TOLD[each.dest] for each in run)
        message = f"{said} {'were' if len(run) > 1 else 'was'} left out: Modal tells each container {what}"
        sections.note(Severity.INFO, message, (run[0].flag.span[0], _end(run[-1])))
    ranks = [each.values[0] for each in left if each.dest == "node_rank" and each.values]
    if ranks and (rank := whole(ranks[0])) and not ranks[0].notes:  # a rank under a condition may be another one too
        message = f"this is node {rank} of the launch: what the one of node 0 has beyond it is not in the profile"
        fix = "import the launch of node 0, which answers the requests"
        sections.note(Severity.WARNING, message, left[0].flag.span, fix=fix)


def _side_by_side(left: Sequence[Given], between: Given | None, launch: Launch) -> Iterator[list[Given]]:
    """The options in the order of the text, those together between which no other one stands."""
    owners = {id(word): each for each in (*left, *([between] if between else [])) for word in (each.flag, *each.values)}
    run: list[Given] = []
    for word in launch.words:
        owner = owners.get(id(word))
        if owner is None and run:
            yield run
            run = []
        elif owner is not None and owner is not between and owner not in run:
            run.append(owner)
    if run:
        yield run
    yield from ([each] for each in left if id(each.flag) not in {id(word) for word in launch.words})  # respelled


def _end(given: Given) -> int:
    return max(word.span[1] for word in (given.flag, *given.values))


def _written(given: Given) -> str:
    """The option with its values as they stand in the text, where that is told."""
    values = (word.raw if word.raw and not word.raw.startswith("-") else word.text for word in given.values)
    return shown(masked(" ".join([given.name, *values])))


def fit_kind(nodes: Nodes, sections: Sections) -> None:
    """Leave out, and tell, what only the kind of server takes that cannot be a cluster."""
    server = sections.data["server"]
    for name, kind in of_one_kind().items():
        if nodes.several and kind != SERVER and name in server:
            span = sections.origins.get(("server", name), nodes.span)
            sections.take_out(("server", name))
            message = f"{name} was left out: it is of `kind: {kind}`, and a cluster is a `{SERVER}`"
            sections.note(Severity.WARNING, message, span)
