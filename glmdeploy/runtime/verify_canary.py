"""The accuracy canary: questions whose answers do not depend on taste, and how an answer to one is judged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from glmdeploy.runtime.verify_http import GoneAway, NoReply
from glmdeploy.runtime.verify_site import CheckFailed, Passed, Site, at_once, needs_text, shown

CANARY_CLIENTS = 4
CANARY_TOKENS = 4096
"""Enough for the reasoning of models that always reason."""
NAMED = 3
"""How many wrong answers are shown."""
NUMBER = re.compile(r"(?:(?<![\w.)])[-+−])?[0-9][0-9,]*(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


def right(item: Mapping[str, Any], answer: str) -> bool:
    """Whether an answer passes the item's check: ``equal``, ``contains``, ``regex`` or ``number``.

    ``equal`` ignores blanks at the ends; ``contains`` ignores case, and may have several texts, of which one is enough;
    ``number`` is the last one in the answer, within ``tolerance`` (absolute, 0 unless given).
    """
    if "equal" in item:
        return answer.strip() == str(item["equal"]).strip()
    if "contains" in item:
        texts = item["contains"] if isinstance(item["contains"], list) else [item["contains"]]
        return any(text.casefold() in answer.casefold() for text in texts)
    if "regex" in item:
        return re.search(item["regex"], answer) is not None
    numbers = [found.replace(",", "").replace("−", "-") for found in NUMBER.findall(answer)]
    return bool(numbers) and abs(float(numbers[-1]) - item["number"]) <= item.get("tolerance", 0)


def after_thought(message: Mapping[str, Any]) -> str:
    """The answer of a message, without reasoning, also where no parser takes that out."""
    return str(message.get("content") or "").rpartition("</think>")[2].strip()


def check_canary(site: Site) -> Passed:
    """All questions, at temperature 0, without reasoning where the chat template knows how."""
    needs_text(site)
    canary = site.subject["canary"]
    items = canary["items"]
    answers = at_once(lambda item: _answer(site, item), items, CANARY_CLIENTS)
    wrong = [(item, answer) for item, answer in zip(items, answers, strict=True) if not right(item, answer)]
    passed, wanted = len(items) - len(wrong), canary["pass_mark"] * len(items)
    words = f"{passed} of {len(items)} answers"
    if passed < wanted:
        told = "; ".join(f'"{shown(item["prompt"])}" got "{shown(answer)}"' for item, answer in wrong[:NAMED])
        raise CheckFailed(f"{words} right, and {wanted:g} should be: {told}")
    return Passed(words, {"canary_passed_ratio": round(passed / len(items), 3)})


def _answer(site: Site, item: Mapping[str, Any]) -> str:
    """What comes for an answer; why there is none stands for one, which is wrong.

    :raises GoneAway:
    """
    body = site.question(item["prompt"], tokens=item.get("max_tokens", CANARY_TOKENS))
    try:
        choice = site.chat(body)["choices"][0]
        answer = after_thought(choice["message"])
    except GoneAway:
        raise
    except (CheckFailed, NoReply) as why:
        return f"({why})"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "(no answer in the form that clients read)"
    return answer or ("(cut off while it reasoned)" if choice.get("finish_reason") == "length" else "(nothing)")
