"""What is fuzzed: a function of bytes that fails where something that must hold does not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"
FOUND = HERE / "found"

TOKEN = "hf_" + "qWeRtYuIoPaSdFgHjKlZxCvBnMqWeRtYuI"
"""A secret by its form: whoever writes it, nobody shows it."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One subject. ``check`` raises for an input that shows a fault: AssertionError, or what nobody documented.

    ``seeds`` are inputs to begin with, ``words`` what inputs of this kind are made of. ``mutate`` makes one input out
    of another, at most so many bytes, by a seed; None where bytes and words are all that there is to know.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[str, ...] = ()
    mutate: Callable[[bytes, int, int], bytes] | None = None
    longest: int = 4096


def words(name: str) -> tuple[str, ...]:
    """What inputs of a target are made of, beside what seeds hold."""
    return tuple(json.loads((HERE / "words" / f"{name}.json").read_text()))


def kept(name: str) -> list[bytes]:
    """The corpus of a target: one input a line, as JSON text whose characters are the bytes."""
    file = CORPUS / f"{name}.jsonl"
    if not file.exists():
        return []
    return [json.loads(line).encode("latin-1") for line in file.read_text(encoding="ascii").splitlines()]


def keep(name: str, inputs: Iterable[bytes]) -> None:
    """Write a corpus, each input once, the shortest first."""
    CORPUS.mkdir(exist_ok=True)
    lines = [json.dumps(each.decode("latin-1")) for each in sorted(set(inputs), key=lambda each: (len(each), each))]
    (CORPUS / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")


def found(name: str) -> Iterator[Path]:
    """Inputs that showed a fault once."""
    return iter(sorted((FOUND / name).glob("*")))
