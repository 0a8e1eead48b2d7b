"""What a container says of its start, in lines that ``apply`` reads from the app's log.

``glmdeploy start TEXT`` tells a stage of it, ``glmdeploy ready DIGEST TASK`` that it takes traffic, and ``glmdeploy
refused DIGEST TASK: REASON; REASON`` that it never will. A container of a cluster first says its place, ``glmdeploy
start rank 1 of 2 in cluster CLUSTER``. DIGEST is the plan's as its app's tag has it, TASK the
container's id. Nothing that a child prints has the words that these begin with (``masking.RESERVED``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from glmdeploy.runtime.output import say, say_apart

DIGEST_LENGTH = 40
"""Hexadecimal digits of a plan's digest in a verdict, and in the app's tag: Modal allows 63 characters (1.6.4)."""

SPEAKER = "glmdeploy "
"""What the lines begin with."""

SILENT_END = " ends with its cluster"
"""What a container above rank 0 says last of a start that failed."""

REASONS_CHARACTERS = 4000
"""What is told of all reasons together."""

_REFUSED = re.compile(r"glmdeploy refused (?P<digest>[0-9a-f]+) (?P<task>\S+): (?P<reasons>.+)")
_READY = re.compile(r"glmdeploy ready (?P<digest>[0-9a-f]+) (?P<task>\S+)")
_PLACE = re.compile(r"glmdeploy start rank (?P<rank>\d+) of (?P<nodes>\d+) in cluster (?P<cluster>\S+)")
_STAGE = re.compile(r"glmdeploy start (?P<text>.+)")


@dataclass(frozen=True)
class Verdict:
    """``reasons`` is empty for a start that is ready."""

    digest: str
    task: str
    reasons: tuple[str, ...] = ()


def say_stage(text: str) -> None:
    """Tell a stage of the start."""
    say(f"{SPEAKER}start {text}")


def say_place(rank: int, nodes: int, cluster: str) -> None:
    """Tell this container's place in its cluster."""
    say_stage(f"rank {rank} of {nodes} in cluster {cluster}")


def say_silent_end(rank: int) -> None:
    """Tell that this container's start has failed, where rank 0 says why."""
    say_stage(f"rank {rank}{SILENT_END}")


def say_ready(digest: str) -> None:
    """Tell that this container takes traffic, in a line of its own whatever was printed before."""
    say_apart(f"{SPEAKER}ready {digest[:DIGEST_LENGTH]} {own_task()}")


def say_refused(digest: str, reasons: Iterable[str]) -> None:
    """Tell that this container never takes traffic. The reasons must not hold a secret."""
    told = "; ".join(filter(None, map(in_a_line, reasons))) or "no reason is known"
    say_apart(f"{SPEAKER}refused {digest[:DIGEST_LENGTH]} {own_task()}: {told[:REASONS_CHARACTERS]}")


def own_task() -> str:
    """The id of this container; `unknown` where nobody gave it one."""
    return os.environ.get("MODAL_TASK_ID") or "unknown"


def in_a_line(reason: str) -> str:
    """A reason without line breaks and other characters that are not printed, and without the mark between two."""
    text = "".join(character if character.isprintable() else " " for character in reason)
    return " ".join(text.replace(";", ",").split())


def read_verdict(line: str) -> Verdict | None:
    """The verdict that a line of a log is; None for any other line."""
    line = line.rstrip("\n")
    if found := _READY.fullmatch(line):
        return Verdict(found["digest"], found["task"])
    if found := _REFUSED.fullmatch(line):
        return Verdict(found["digest"], found["task"], tuple(found["reasons"].split("; ")))
    return None


def read_stage(line: str) -> str | None:
    """The stage that a line of a log tells; None for any other line."""
    found = _STAGE.fullmatch(line.rstrip("\n"))
    return found["text"] if found else None


def read_place(line: str) -> tuple[str, int] | None:
    """The cluster and the rank that a line of a log tells; None for any other line."""
    found = _PLACE.fullmatch(line.rstrip("\n"))
    return (found["cluster"], int(found["rank"])) if found else None
