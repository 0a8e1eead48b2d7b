"""Which of a text's launches are the nodes of one: they differ in what tells nodes apart, and become one profile."""

from __future__ import annotations

from dataclasses import replace
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


def joined(found: Sequence[Launch]) -> tuple[Launch, list[Launch]]:
    """The launch to import, with notes on the other nodes of it, and the launches that are others.

    Of several nodes the first one is taken, which answers requests.
    """
    first, *others = found
    if not others or first.engine or not _of_nodes(first):
        return first, others
    release = catalog.load(catalog.versions()[-1])
    given = {id(each): options.split(each.words, release)[0] for each in found if not each.engine}
    nodes = [first]
    for each in others:
        if each.engine or not (_of_nodes(each) and all(_is_next(given[id(node)], given[id(each)]) for node in nodes)):
            continue
        # What one file starts as a group is one, whatever the launches say.
        grouped = first.nodes is not None and each.nodes is not None and first.nodes.span == each.nodes.span
        if grouped or _said(given[id(first)], "nnodes") == _said(given[id(each)], "nnodes"):
            nodes.append(each)
    head = next((each for each in nodes if _rank(given[id(each)]) == "0"), first)
    notes = [_node(head, each, given[id(head)], given[id(each)]) for each in nodes if each is not head]
    left = [each for each in others if all(each is not node for node in nodes)]
    return replace(head, notes=(*head.notes, *notes)), left


def _of_nodes(launch: Launch) -> bool:
    return launch.nodes is not None or launch.said("--nnodes") is not None


def _is_next(one: Mapping[str, Given], other: Mapping[str, Given]) -> bool:
    """Whether another launch can be a further node of the same."""
    if any(_said(one, name) != _said(other, name) for name in _ALIKE):
        return False
    ranks = _rank(one), _rank(other)
    if None not in ranks and ranks[0] == ranks[1]:
        return False
    places = [given["dist_init_addr"].values[:1] for given in (one, other) if "dist_init_addr" in given]
    known = [place[0].text.rpartition(":") for place in places if place and not place[0].unknown]
    hosts = {host for host, _, _ in known} - _ANY
    return len(known) < 2 or (len(hosts) < 2 and known[0][2] == known[1][2])


def _rank(given: Mapping[str, Given]) -> str | None:
    """Which node a launch is, None where that is not known."""
    words = given["node_rank"].values if "node_rank" in given else ()
    return None if not words or words[0].unknown else words[0].text


def _said(given: Mapping[str, Given], name: str) -> tuple[bool, tuple[str, ...]]:
    found = given.get(name)
    return (found is not None and found.negative, tuple(word.text for word in found.values) if found else ())


def _node(head: Launch, launch: Launch, first: Mapping[str, Given], given: Mapping[str, Given]) -> Note:
    """What is to be told of a further node."""
    rank = _rank(given)
    which = f"node {shown(rank)}" if rank else "another node"
    more = [name for name in dict.fromkeys((*first, *given)) if name not in _OF_EACH and _differs(name, first, given)]
    names = [f"--{name.replace('_', '-')}" if name.isidentifier() else shown(name) for name in more]
    names += sorted(name for name in {*head.env, *launch.env} if _is_other(name, head, launch))
    images = [each.container.image.text if each.container else None for each in (head, launch)]
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
