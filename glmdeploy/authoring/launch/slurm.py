"""What a SLURM job says of GPUs and nodes: in its ``#SBATCH`` lines, and in the options of ``srun``.

Options and their forms: the manual pages of ``srun`` and ``sbatch`` (SLURM 25.05), ``--gres`` as ``gpu:TYPE:COUNT``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from glmdeploy import gpus
from glmdeploy.authoring.launch.launch import Launch, Note, Word
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GPUS = ("--gres", "--gpus", "-G", "--gpus-per-node", "--gpus-per-task", "--gpus-on-node")
OF_JOB = ("--gpus", "-G")
"""Those that count the GPUs of all nodes."""
NODES = ("--nodes", "-N")

_LINE = re.compile(r"^#SBATCH[ \t]+(.*?)[ \t]*(?:[ \t]#.*)?$", re.MULTILINE)
_WORD = re.compile(r"\"[^\"]*\"|'[^']*'|\S+")
_GPUS = re.compile(r"(?:(?P<type>[A-Za-z][\w.-]*)[:=])?(?P<count>[0-9]{1,3})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """``gpu`` in Modal's form, ``nodes`` the word with their number, where they are said.

    ``whole``: the GPUs are those of all nodes.
    """

    gpu: Word | None = None
    nodes: Word | None = None
    whole: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def count(self) -> int:
        """How many nodes; of a range the least."""
        match = re.match(r"[0-9]{1,6}", self.nodes.text) if self.nodes else None
        return int(match[0]) if match else 1

    def over(self, outer: Job) -> Job:
        """What is said here, and of what is not, what the job around it says."""
        return Job(
            gpu=self.gpu or outer.gpu,
            nodes=self.nodes or outer.nodes,
            whole=self.whole if self.gpu else outer.whole,
            notes=(*self.notes, *outer.notes),
        )

    @property
    def number(self) -> Word | None:
        """The word with the number of nodes, as nothing but that number; None where it tells none."""
        told = self.nodes is not None and not self.nodes.unknown and self.nodes.text[:1].isdecimal()
        return replace(self.nodes, text=str(self.count), offsets=()) if self.nodes and told else None

    @property
    def of_node(self) -> Word | None:
        """The GPUs of one node; where those of all do not come out even, the type alone."""
        if self.gpu is None or not self.whole or self.count < 2:
            return self.gpu
        kind, _, number = self.gpu.text.partition(":")
        all_ = int(number or 1)
        return (
            replace(self.gpu, text=f"{kind}:{all_ // self.count}", offsets=())
            if all_ % self.count == 0
            else (replace(self.gpu, text=kind, offsets=()) if kind else None)
        )

    def variables(self) -> dict[str, Word]:
        """What SLURM sets in a job, on one node also which it is ("Output environment variables" in the manual page of
        ``sbatch``).
        """
        found: dict[str, Word] = {}
        for names, gpu in ((("SLURM_GPUS_ON_NODE", "SLURM_GPUS_PER_NODE"), self.of_node), (("SLURM_GPUS",), self.gpu)):
            count = gpu.text.rpartition(":")[2] if gpu and not gpu.unknown else ""
            if gpu and count.isdigit():
                found |= dict.fromkeys(names, replace(gpu, text=count, offsets=()))
        said = self.nodes or self.gpu
        if said and (number := self.number or (replace(said, text="1", offsets=()) if not self.nodes else None)):
            found |= dict.fromkeys(("SLURM_NNODES", "SLURM_JOB_NUM_NODES"), number)
        if said and self.count == 1 and (self.number or not self.nodes):
            none = replace(said, text="0", offsets=())
            found |= dict.fromkeys(("SLURM_NODEID", "SLURM_PROCID", "SLURM_LOCALID"), none)
        return found

    def around(self, launch: Launch) -> Launch:
        """A launch in the script of the job, with what the job says of it."""
        notes = [] if launch.gpu else [*self.notes]
        if self.nodes and self.count > 1 and launch.nodes is None and launch.said("--nnodes") is None:
            message = f"the job has {self.count} nodes, but without srun only the first of them runs this launch"
            notes.append(Note(severity=Severity.WARNING, message=message, span=self.nodes.span))
        return replace(launch, gpu=launch.gpu or self.of_node, notes=(*notes, *launch.notes))


def job(text: str, offsets: Sequence[int]) -> Job:
    """What the ``#SBATCH`` lines of a script say."""
    words = []
    for line in _LINE.finditer(text):
        for match in _WORD.finditer(text, *line.span(1)):
            quoted = match[0][:1] in "\"'" and len(match[0]) > 1
            start, end = match.start() + quoted, match.end() - quoted
            if start < end and end <= len(offsets):
                places = tuple(offsets[start:end])
                span = (places[0], max(places[-1], places[0]) + 1)
                words.append(Word(text=text[start:end], span=span, raw=match[0], offsets=places))
    return of_options(words)


def of_options(words: Sequence[Word]) -> Job:
    """What options of ``srun`` or ``sbatch`` say; of an option that is given again, the last."""
    found = Job()
    for name, word in options(words):
        if name in NODES or (name in ("--ntasks", "-n") and word.text == "1" and found.nodes is None):
            found = replace(found, nodes=word)
        elif name in GPUS and (said := _gpu(name, word)):
            gpu, notes = said
            found = replace(found, gpu=gpu, whole=name in OF_JOB, notes=(*found.notes, *notes))
    return found


def options(words: Sequence[Word]) -> Iterator[tuple[str, Word]]:
    """The options among words, with the value that is joined to each, or the word behind it."""
    for index, word in enumerate(words):
        if word.text.startswith("--"):
            name, equals, _ = word.text.partition("=")
            if equals:
                yield name, word.after(len(name) + 1)
            elif index + 1 < len(words):
                yield name, words[index + 1]
        elif len(word.text) > 2 and word.text[0] == "-":
            yield word.text[:2], word.after(2 + (word.text[2] == "="))
        elif len(word.text) == 2 and word.text[0] == "-" and index + 1 < len(words):
            yield word.text, words[index + 1]


def _gpu(option: str, word: Word) -> tuple[Word, tuple[Note, ...]] | None:
    """The GPUs of ``gpu:h200:4``, ``h200:4`` or ``4`` in Modal's form."""
    for item in word.text.split(","):
        kind, colon, rest = item.removeprefix("gres/").partition(":")
        if option == "--gres" and kind != "gpu":
            continue
        said = item if option != "--gres" else rest if colon else "1"
        said = re.sub(r"\(.*\)$", "", said)
        match = _GPUS.fullmatch(said) or _GPUS.fullmatch(f"{said}:1")
        if match is None:
            continue
        count = f":{int(match['count'])}"
        name = modal_name(match["type"]) if match["type"] else ""
        if name is None:
            message = f"{shown(match['type'])} is no GPU that Modal rents; only the number was taken"
            note = Note(severity=Severity.WARNING, message=message, span=word.span, fix="name a GPU with --gpu")
            return replace(word, text=count, offsets=()), (note,)
        return replace(word, text=f"{name}{count}", offsets=()), ()
    return None


def modal_name(text: str) -> str | None:
    """What Modal calls a GPU that others name (``h200``, ``nvidia_h100_80gb_hbm3``), None where it has none of it."""
    name = text.upper().replace("_", "-").removeprefix("NVIDIA-").removeprefix("TESLA-").removeprefix("GEFORCE-")
    first, _, rest = name.partition("-")
    if name in gpus.TYPES:
        return name
    if name.startswith(("RTX-PRO-6000", "RTXPRO6000")):
        return "RTX-PRO-6000"
    sized = re.match(r"[A-Z0-9]+?-?(40|80)GB?", name)
    if first.startswith("A100") and sized and f"A100-{sized[1]}GB" in gpus.TYPES:
        return f"A100-{sized[1]}GB"
    if first == "A10G":
        return "A10"
    return (
        first if first in gpus.TYPES and (not rest or re.match(r"(?:[0-9]+GB?|SXM|PCIE|HBM|NVL|MIG)", rest)) else None
    )
