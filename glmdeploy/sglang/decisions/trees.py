"""Recorded decisions: for each architecture and name a tree of questions, with what SGLang decides at its leaves.

The files (``schemas/sglang/resolved/<architecture>.json``) are learnt from recordings of the real resolution by
:mod:`glmdeploy.sglang.real.fit`; nothing in them was typed by hand, and only the file of the architecture that is
asked about is opened. A question is about one input (:mod:`glmdeploy.sglang.decisions.inputs`); those that a name does
not depend on are not asked. A leaf has the releases and GPUs that were recorded in it: there a value is *recorded*,
elsewhere it is *derived*.

A node is ``[input, test, value, yes, no]``, with the test ``set``, ``is`` or ``from`` (at least), a leaf
``[kind, value, recorded]``. Of the kinds, ``keep`` leaves what is asked for, ``const`` sets ``value``, ``same`` copies
the name in ``value``, ``formula`` computes (:mod:`glmdeploy.sglang.decisions.formulas`), and ``open`` stands for what
the recordings do not settle.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from glmdeploy.records import record
from glmdeploy.resources import schemas_dir
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.decisions.formulas import FORMULAS
from glmdeploy.sglang.decisions.inputs import inputs, lost
from glmdeploy.sglang.decisions.watched import questions, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glmdeploy.sglang.decisions.situation import Situation

CERTAIN = ("memory", "capability", "checkpoint")
"""Inputs that are never left out: where one is None, it is not known."""

OPEN: Final = object()
"""Stands for a value that the recordings do not settle."""


@record
class Decided:
    """What SGLang makes of one name. ``value`` is :data:`OPEN` where it is not known.

    ``recorded``: the real resolution was asked in this situation, as far as it decides. ``because`` are the inputs
    that decide, in the order in which they do. ``lost``: it is not known for want of an option that is not.
    """

    value: Any
    recorded: bool
    because: tuple[str, ...]
    lost: bool = False


@record
class Recordings:
    """The recorded decisions of an architecture.

    ``answers`` is how many situations were recorded, on ``gpus`` (types) with ``releases``; ``seen`` has, by input,
    the values that were among them, ``replaced``, by name, what was asked for in vain in some recording of any
    architecture, and ``trees`` the decisions, in the order in which they follow from each other.
    """

    architecture: str
    answers: int
    releases: tuple[str, ...]
    gpus: tuple[str, ...]
    seen: Mapping[str, tuple[Any, ...]]
    replaced: Mapping[str, tuple[Any, ...]]
    trees: Mapping[str, Sequence[Any]]

    def decide(self, now: Situation, asked: Mapping[str, Any]) -> dict[str, Decided]:
        """What SGLang makes of every name, ``asked`` being the options' own values."""
        known: dict[str, Any] = inputs(now)
        missing = set(lost(unknown(now.values)))
        known |= dict.fromkeys(missing, OPEN)
        place = self._place(now)
        found: dict[str, Decided] = {}
        for name, tree in self.trees.items():
            if name not in asked:
                continue
            decided = self._leaf(tree, known, place)
            leaf, because = decided
            before = questions(now.values)
            try:
                value = OPEN if leaf is None else self._value(leaf, name, now, asked, found)
            except TypeError:
                # A formula counts with a value that nobody knows, of which None is the stand-in.
                if questions(now.values) == before:
                    raise
                value = OPEN
            gone = name in missing or questions(now.values) > before or (leaf is None and because[-1] in missing)
            if gone:
                value = OPEN
            if name not in missing and value is not asked[name] and self._stands(value, leaf, name, asked[name]):
                value = asked[name]
            recorded = (
                value is not OPEN and leaf is not None and place is not None and bool(int(leaf[2], 16) >> place & 1)
            )
            gone = gone and value is OPEN
            found[name] = Decided(value=value, recorded=recorded, because=because, lost=gone)
            known[f"={name}"] = OPEN if value is OPEN else value or None
            if gone:
                missing.add(f"={name}")
        return found

    def _stands(self, value: Any, leaf: Sequence[Any] | None, name: str, mine: Any) -> bool:
        """Whether what is asked for is taken to stand: no recording shows that SGLang makes it anything else."""
        if mine in (None, "auto", False) or isinstance(mine, list | dict):
            return False
        computed = leaf is not None and leaf[0] == "formula"
        return value is OPEN or (not computed and mine not in self.replaced.get(name, ()))

    def _place(self, now: Situation) -> int | None:
        if now.version not in self.releases or now.gpu.type not in self.gpus:
            return None
        return self.releases.index(now.version) * len(self.gpus) + self.gpus.index(now.gpu.type)

    def _leaf(
        self, tree: Sequence[Any], known: Mapping[str, Any], place: int | None
    ) -> tuple[Sequence[Any] | None, tuple[str, ...]]:
        because: dict[str, None] = {}
        while len(tree) == 5:
            name, test, value, yes, no = tree
            because[name] = None
            mine: Any = known.get(name)
            if mine is OPEN or (name in CERTAIN and mine is None):
                return None, tuple(because)
            if test == "set":
                tree = no if mine is None else yes
            elif test == "is":
                if mine is not None and name in self.seen and mine not in self.seen[name]:
                    return None, tuple(because)
                tree = yes if mine == value else no
            elif name == "release":
                tree = yes if mine >= version_key(value) else no
            else:
                tree = yes if isinstance(mine, (int, float)) and mine >= value else no
        return tree, tuple(because)

    def _value(
        self,
        leaf: Sequence[Any],
        name: str,
        now: Situation,
        asked: Mapping[str, Any],
        found: Mapping[str, Decided],
    ) -> Any:
        kind, value = leaf[0], leaf[1]
        if kind == "keep":
            return asked[name]
        if kind == "const":
            return value
        if kind == "same":
            return found[value].value if value in found else asked[value]
        if kind == "formula":
            computed = FORMULAS[value](now)
            return computed if computed is not None else OPEN if asked[name] is None else asked[name]
        return OPEN


@cache
def load(architecture: str) -> Recordings | None:
    """The recorded decisions of an architecture, None where there are none."""
    path = schemas_dir() / "sglang" / "resolved" / f"{architecture}.json"
    if not path.is_file():
        return None
    return parse(json.loads(path.read_text(encoding="utf-8")))


def parse(content: Mapping[str, Any]) -> Recordings:
    """The recorded decisions in the content of a file."""
    return Recordings(
        architecture=content["architecture"],
        answers=content["answers"],
        releases=tuple(content["releases"]),
        gpus=tuple(content["gpus"]),
        seen={name: tuple(values) for name, values in content["seen"].items()},
        replaced={name: tuple(values) for name, values in content["replaced"].items()},
        trees=content["trees"],
    )


@cache
def names() -> tuple[str, ...]:
    """Everything that SGLang decided in some recording, whatever the architecture."""
    path = schemas_dir() / "sglang" / "resolved" / "names.json"
    return tuple(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else ()
