"""Which of a text's launches are the nodes of one: they differ in what tells nodes apart, and become one profile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch import environment, options
from glmdeploy.authoring.launch.launch import Launch, Note
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown
from glmdeploy.sglang import catalog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glmdeploy.authoring.launch.options import Given

_OF_EACH = frozenset({*options.OF_NODES, "host", "port", "nccl_port"})
"""What each node has of its own; only the first one answers requests."""
_ALIKE = ("model_path", "disaggregation_mode")
_ANY = frozenset({"", "0.0.0.0", "127.0.0.1", "localhost"})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Node:
    """A launch with its options by :attr:`Given.dest`."""

    launch: Launch
    given: Mapping[str, Given]

    @property
    def rank(self) -> str | None:
        """Which node it is, None where that is not known."""
        words = self.given["node_rank"].values if "node_rank" in self.given else ()
        return None if not words or words[0].unknown else words[0].text

    @property
    def place(self) -> tuple[str, str] | None:
        """Host and port of the first node, None where they are not known."""
        words = self.given["dist_init_addr"].values if "dist_init_addr" in self.given else ()
        host, _, port = words[0].text.rpartition(":") if words else ("", "", "")
        return None if not words or words[0].unknown else (host, port)


def joined(found: Sequence[Launch]) -> tuple[Launch, list[Launch]]:
    """The launch to import, with notes on the other nodes of it, and the launches that are others.

    Of several nodes the first one is taken, which answers requests.
    """
    first, *others = found
    if not others or first.engine or not _of_nodes(first):
        return first, others
    release = catalog.load(catalog.versions()[-1])
    nodes = [_Node(launch=first, given=options.split(first.words, release)[0])]
    left: list[Launch] = []
    ranks, place = {nodes[0].rank}, nodes[0].place
    for each in others:
        if each.engine or not _of_nodes(each):
            left.append(each)
            continue
        node = _Node(launch=each, given=options.split(each.words, release)[0])
        if (node.rank is None or node.rank not in ranks) and _is_next(nodes[0], node) and _agree(place, node.place):
            nodes.append(node)
            ranks.add(node.rank)
            place = place or node.place
        else:
            left.append(each)
    head = next((each for each in nodes if each.rank == "0"), nodes[0])
    notes = [_told(head, each) for each in nodes if each is not head]
    return replace(head.launch, notes=(*head.launch.notes, *notes)), left


def _of_nodes(launch: Launch) -> bool:
    return launch.nodes is not None or launch.said("--nnodes") is not None


def _is_next(first: _Node, other: _Node) -> bool:
    """Whether another launch can be a further node of the same, as far as its options tell."""
    one, two = first.launch.nodes, other.launch.nodes
    # What one file starts as a group is one, whatever the launches say.
    grouped = one is not None and two is not None and one.span == two.span
    names = _ALIKE if grouped else (*_ALIKE, "nnodes")
    return all(_said(first.given, name) == _said(other.given, name) for name in names)


def _agree(one: tuple[str, str] | None, other: tuple[str, str] | None) -> bool:
    """Whether two addresses can be of the same node: the first one may call itself by another name."""
    if one is None or other is None:
        return True
    return one[1] == other[1] and (one[0] == other[0] or one[0] in _ANY or other[0] in _ANY)


def _said(given: Mapping[str, Given], name: str) -> tuple[bool, tuple[str, ...]]:
    found = given.get(name)
    return (found is not None and found.negative, tuple(word.text for word in found.values) if found else ())


def _told(head: _Node, node: _Node) -> Note:
    """What is to be told of a further node."""
    first, given, launch, rank = head.given, node.given, node.launch, node.rank
    which = f"node {shown(rank)}" if rank else "another node"
    more = [name for name in dict.fromkeys((*first, *given)) if name not in _OF_EACH and _differs(name, first, given)]
    names = [f"--{name.replace('_', '-')}" if name.isidentifier() else shown(name) for name in more]
    names += sorted(name for name in {*head.launch.env, *launch.env} if _is_other(name, head.launch, launch))
    images = [each.container.image.text if each.container else None for each in (head.launch, launch)]
    names += ["the image"] if images[0] != images[1] and None not in images else []
    if not names:
        message = f"this is {which} of the same launch: a cluster starts all of them alike"
        return Note(severity=Severity.INFO, message=message, span=launch.place)
    # What the first node alone has, the others get as well; most of it is of its HTTP server.
    if len(names) == len(more) and all(name in first and name not in given for name in more):
        message = f"this is {which} of the same launch, without {', '.join(names)}: all nodes get what the first has"
        return Note(severity=Severity.INFO, message=message, span=launch.place)
    message = f"this is {which} of the same launch, which differs in {', '.join(names)}"
    fix = "write into the launch of node 0 what all of them need"
    return Note(
        severity=Severity.WARNING, message=f"{message}: all nodes get what the first has", span=launch.place, fix=fix
    )


def _differs(name: str, first: Mapping[str, Given], given: Mapping[str, Given]) -> bool:
    return (name in first) != (name in given) or _said(first, name) != _said(given, name)


def _is_other(name: str, head: Launch, launch: Launch) -> bool:
    if environment.of_network(name):
        return False
    texts = [None if word is None else word.text for word in (head.env.get(name), launch.env.get(name))]
    return texts[0] != texts[1]
