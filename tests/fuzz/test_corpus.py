"""What fuzzing has kept: inputs that reach what others do not, and those that showed a fault once. Without atheris."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fuzz import engine, target
from fuzz.__main__ import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = 100
"""Inputs that one test checks."""


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """A target may have a current folder of its own, and have glmdeploy log nothing."""
    folder, logger = Path.cwd(), logging.getLogger("glmdeploy")
    level = logger.level
    yield
    os.chdir(folder)
    logger.setLevel(level)


def parts() -> list[tuple[str, int]]:
    return [(name, begin) for name in TARGETS for begin in range(0, len(target.kept(name)), PART)]


@pytest.mark.parametrize(("name", "begin"), parts())
def test_every_input_that_is_kept(name: str, begin: int) -> None:
    check = engine.load(name).check
    for number, data in enumerate(target.kept(name)[begin : begin + PART], begin):
        try:
            check(data)
        except Exception as fault:
            raise AssertionError(f"{name}, line {number + 1} of its corpus: {data!r}") from fault


@pytest.mark.parametrize("file", [each for name in TARGETS for each in target.found(name)], ids=lambda each: each.name)
def test_what_showed_a_fault_shows_none(file: Path) -> None:
    engine.load(file.parent.name).check(file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_there_is_a_corpus(name: str) -> None:
    assert target.kept(name)


def test_a_fault_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks can fail: a hub that shows what lies outside, a gateway that passes on what is ambiguous."""
    from fuzz.targets import gateway, hub

    asked = f"GET /api/models/mine/model HTTP/1.1\r\nHost: {gateway.HOST.decode()}\r\n\r\n".encode()
    hub.check(asked)
    monkeypatch.setattr(hub, "OUTSIDE", b"config.json")
    with pytest.raises(AssertionError, match="outside"):
        hub.check(asked)
    monkeypatch.setattr("glmdeploy.local.passing._HOP_BY_HOP", frozenset())
    with pytest.raises(AssertionError, match="passed on"):
        gateway.check(next(iter(gateway.seeds())).replace(b"Host:", b"TE: trailers\r\nHost:"))
