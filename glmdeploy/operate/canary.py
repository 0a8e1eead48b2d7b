"""Reads an accuracy canary: JSONL, a question a line, each with the check that its answer must pass.

``{"prompt": "...", "contains": "Paris"}``; instead of ``contains``, of which a list takes any, ``equal``, ``regex`` or
``number`` (the last one in the answer, with ``tolerance``). ``max_tokens`` limits an answer. A first line
``{"pass_mark": 0.9}`` says which share must pass; all, unless it is there. :func:`runtime.verify_canary.right` judges.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glmdeploy.errors import GlmdeployError

SHIPPED = Path(__file__).with_name("canary.jsonl")
"""Twenty short questions of fact and sums."""

CHECKS = ("equal", "contains", "regex", "number")
KEYS = ("prompt", *CHECKS, "tolerance", "max_tokens")


@dataclass(frozen=True, kw_only=True)
class Canary:
    """``items`` are as the file has them; ``pass_mark`` is the share of them that must pass."""

    items: tuple[dict[str, Any], ...]
    pass_mark: float = 1.0

    def data(self) -> dict[str, Any]:
        return {"items": list(self.items), "pass_mark": self.pass_mark}


class _Wrong(Exception):
    """What is wrong with a line, and at which of its keys, or at its beginning."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


def read_canary(file: Path) -> Canary:
    """The canary in a file.

    :raises GlmdeployError: with file, line and column of what is wrong.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = fault.object[: fault.start].count(b"\n") + 1
        raise GlmdeployError(f"{file}:{line}:1: it is not UTF-8") from None
    except OSError as fault:
        raise GlmdeployError(f"cannot read {file}: {fault.strerror}") from None
    return parse_canary(text, str(file))


def parse_canary(text: str, file: str) -> Canary:
    """The canary in a text; empty lines are passed over.

    :raises GlmdeployError: as :func:`read_canary`.
    """
    items: list[dict[str, Any]] = []
    pass_mark: float | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line, parse_constant=_no_constant)
            if not isinstance(found, dict):
                raise _Wrong("a line must be a JSON object")
            if "pass_mark" in found:
                if items or pass_mark is not None:
                    raise _Wrong("`pass_mark` belongs into the first line", "pass_mark")
                pass_mark = _pass_mark(found)
            else:
                _check(found)
                items.append(found)
        except json.JSONDecodeError as fault:
            raise GlmdeployError(f"{file}:{number}:{fault.colno}: no JSON: {fault.msg}") from None
        except RecursionError:
            raise GlmdeployError(f"{file}:{number}:1: no JSON: it is nested too deeply") from None
        except ValueError as fault:  # an integer of too many digits
            raise GlmdeployError(f"{file}:{number}:1: no JSON: {fault}") from None
        except _Wrong as fault:
            column = line.find(json.dumps(fault.key)) + 1 if fault.key else 0
            raise GlmdeployError(f"{file}:{number}:{column or 1}: {fault}") from None
    if not items:
        raise GlmdeployError(f"{file}:1:1: there is no question in it")
    return Canary(items=tuple(items), pass_mark=1.0 if pass_mark is None else pass_mark)


def _no_constant(name: str) -> Any:
    raise _Wrong(f"{name} is no number of JSON")


def _pass_mark(found: dict[str, Any]) -> float:
    if len(found) > 1:
        raise _Wrong("`pass_mark` stands alone in its line", "pass_mark")
    value = found["pass_mark"]
    if not _is_number(value) or not 0 < value <= 1:
        raise _Wrong("`pass_mark` must be a share, above 0 and up to 1", "pass_mark")
    return float(value)


def _check(item: dict[str, Any]) -> None:
    """:raises _Wrong:"""
    if unknown := [key for key in item if key not in KEYS]:
        raise _Wrong(f"`{unknown[0]}` is not known: there are {', '.join(KEYS)}", unknown[0])
    if not isinstance(item.get("prompt"), str) or not item["prompt"].strip():
        raise _Wrong("`prompt` must be a text", "prompt")
    checks = [key for key in CHECKS if key in item]
    if len(checks) != 1:
        raise _Wrong(f"one check is wanted: {', '.join(CHECKS)}", checks[1] if checks else "")
    [check] = checks
    value = item[check]
    if check == "number":
        if not _is_number(value):
            raise _Wrong("`number` must be a number", check)
    elif check == "contains" and isinstance(value, list):
        if not value or not all(isinstance(text, str) and text for text in value):
            raise _Wrong("`contains` must be a text, or a list of texts", check)
    elif not isinstance(value, str) or not value:
        raise _Wrong(f"`{check}` must be a text", check)
    if check == "regex":
        try:
            re.compile(value)
        except (re.error, RecursionError, OverflowError) as fault:
            raise _Wrong(f"`regex` is no regular expression: {fault}", check) from None
    if "tolerance" in item and (check != "number" or not _is_number(item["tolerance"]) or item["tolerance"] < 0):
        raise _Wrong("`tolerance` must be a number from 0 on, beside `number`", "tolerance")
    tokens = item.get("max_tokens", 1)
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1:
        raise _Wrong("`max_tokens` must be a whole number from 1 on", "max_tokens")


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
