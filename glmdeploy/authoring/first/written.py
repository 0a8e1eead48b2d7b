"""The text of a first profile: short, with a reason beside each value that is not plain."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.schema_line import schema_line
from glmdeploy.profile import durations
from glmdeploy.profile.text.characters import shown
from glmdeploy.profile.text.load import read_text
from glmdeploy.profile.text.scalars import write
from glmdeploy.rules.check import check
from glmdeploy.sizing.memory import GIB
from glmdeploy.sizing.pool import FP8

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from glmdeploy.authoring.first.candidates import Candidate
    from glmdeploy.findings import Finding, Severity

_FLOW = ("volumes", "secrets")
"""Sections whose entries are written on one line each."""

_TIMES = ("timeout", "startup_timeout", "scaledown_window")

_TOKEN = "  # huggingface: {name: huggingface-secret, keys: [HF_TOKEN]}  # if the model is gated or private"

_WIDEST = 46
"""Columns of the longest entry that the comments of its section stand aside for."""

_GAP = "  "


@dataclass(frozen=True, kw_only=True)
class Written:
    """The profile of a candidate, and everything that the checks of a profile say about it."""

    text: str
    findings: tuple[Finding, ...]

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    def count(self, severity: Severity) -> int:
        """How many of the findings are of that severity."""
        return sum(found.severity is severity and found.waived is None for found in self.findings)


def written(candidate: Candidate, file: Path | None) -> Written:
    """The profile as it is to be written to ``file``; None for one that nobody keeps yet."""
    text = profile(candidate, file)
    checked = check(read_text(text, str(file or "<profile>")), checkpoint=candidate.draft.subject.checkpoint)
    return Written(text=text, findings=checked.findings)


def profile(candidate: Candidate, file: Path | None) -> str:
    """The text of the profile, with comments; the schema is named where it is known where the file will lie."""
    data, notes = candidate.draft.data(), _notes(candidate)
    lines = [schema_line(file, candidate.draft.release), "#"] if file else []
    lines += [f"# {line}" for line in _head(candidate, file.name if file else f"{candidate.draft.name}.yaml")]
    was_block = False
    for index, (key, value) in enumerate(data.items()):
        block = isinstance(value, dict)
        if index and (block or was_block):
            lines.append("")
        lines += _aligned(list(_entry((key,), value, notes)))
        if key == "secrets" and candidate.draft.subject.checkpoint is not None and "huggingface" not in value:
            lines.append(_TOKEN)
        was_block = block
    return "\n".join(lines) + "\n"


def _head(candidate: Candidate, file: str) -> Iterator[str]:
    draft, price = candidate.draft, candidate.size.spending.price
    yield f"{draft.subject.repo} on {draft.rented}, as `glmdeploy init` worked it out; not tested on a GPU."
    yield (
        f"${candidate.dollars:.2f} an hour while a container runs (Modal's price of {price.date}, GPUs alone), nothing "
        "while none does."
    )
    yield f"Memory, costs and times: `glmdeploy size {shlex.quote(shown(file))}`."


def _notes(candidate: Candidate) -> Mapping[tuple[str, ...], str]:
    """Why each value is what it is, by its path."""
    draft, size = candidate.draft, candidate.size
    subject, memory = draft.subject, size.memory
    start = max(1, round(size.cold_start / 60))
    whole = candidate.requests
    args = ("sglang", "args")
    notes = {
        ("model", "revision"): "`glmdeploy pin` writes the commit of today",
        ("model", "served_name"): 'what clients send as "model"',
        ("gpu",): f"weights {memory.weights / GIB:.1f} GiB, KV cache {memory.pool.bytes / GIB:.1f} GiB of each",
        ("secrets", "huggingface"): "a token whose owner was let in to the model",
        ("secrets", "api_key"): "what clients must send",
        ("download", "timeout"): f"{subject.model.weights / 1e9:,.0f} GB from the Hub",
        ("compile", "timeout"): "once: else each start compiles its FP8 kernels",
        ("server", "max_containers"): f"so ${size.spending.most:.2f} an hour at most; raise it for more traffic",
        ("server", "scaledown_window"): "idle, before the container ends",
        ("server", "startup_timeout"): f"a cold start takes about {start} min",
        ("server", "max_inputs"): "as many as SGLang runs; more of them wait",
        (*args, "tp"): "one part of the model for each GPU" if draft.count > 1 else "",
        (*args, "ep"): "experts stay whole: their FP8 blocks cannot be cut so small",
        (*args, "is-embedding"): "it gives vectors or scores, and no text",
        (*args, "attention-backend"): "with the next two, as SGLang's documentation has it for encoders",
        (*args, "context-length"): f"of the model's {subject.model.context:,}",
        (*args, "max-running-requests"): f"the KV cache holds {whole:,} of the whole context",
        (*args, "kv-cache-dtype"): "half the size; can cost accuracy" if draft.kv == FP8 else "else the GPU decides it",
        (*args, "mem-fraction-static"): "leaves what CUDA graphs and activations may take",
        (*args, "watchdog-timeout"): "the default of 300 s can end the server during the load",
        (*args, "reasoning-parser"): "thinking apart from the answer",
    }
    if draft.gpu == "H100":
        notes["gpu",] += "; Modal may give an H200"
    return notes


def _entry(path: tuple[str, ...], value: Any, notes: Mapping[tuple[str, ...], str]) -> Iterator[tuple[str, str]]:
    """The lines of an entry, each with its comment, empty for none."""
    indent, name = "  " * (len(path) - 1), write(path[-1])
    if isinstance(value, dict) and value and path[:-1] not in {(section,) for section in _FLOW}:
        yield f"{indent}{name}:", notes.get(path, "")
        for key, item in value.items():
            yield from _entry((*path, key), item, notes)
    else:
        text = durations.describe(value) if path[-1] in _TIMES else write(value)
        yield f"{indent}{name}: {text}", notes.get(path, "")


def _aligned(lines: list[tuple[str, str]]) -> Iterator[str]:
    widths = [len(text) for text, comment in lines if comment and len(text) <= _WIDEST]
    column = max(widths, default=0)
    for text, comment in lines:
        yield f"{text:<{column}}{_GAP}# {comment}" if comment else text
