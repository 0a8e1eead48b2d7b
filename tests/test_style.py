"""One style for all that is said: a small first letter, code in backticks and never in quotes, no full stop.

Held to it are the words of every rule and what every rule says of its examples, every text of an error that the package
raises, and what is said of the bad profiles among the tests.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import glmdeploy
from glmdeploy.errors import ProfileError
from glmdeploy.profile.text.load import load, read_text
from glmdeploy.rules.check import check, tried
from glmdeploy.rules.registry import rules

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(glmdeploy.__file__).parent
BAD = Path(__file__).parent / "profile" / "text" / "examples" / "bad"

CALLS = re.compile(r"\w*Error|fault|_?refused|Finding|Violation|Advice|Meant|_made|usage_error")
"""What is called with words for people."""

WORDS = ("message", "expected", "fix", "advice", "why", "reason")
"""Arguments that hold some, beside the first one of an error."""

NOT_OURS = ("cpu_shims", "_probe.py", "runtime/", "local/standin/")
"""What runs elsewhere, or speaks as somebody else does."""

BUGS = {"TypeError", "ValueError", "RuntimeError", "KeyError", "LookupError", "AttributeError", "NotImplementedError"}
NO_STYLE = re.compile(r"ArgumentTypeError|_OptionError|RPCError|HTTPError|StreamError|OSError|AssertionError")
NAMES = re.compile(
    r"(?:[A-Z]+[a-z]?\b|[A-Z]{2}|[A-Z]\w*[A-Z0-9]\w*|Modal|SGLang|Python|Git|Docker|Linux|Hugging|Jupyter|PyTorch|Debian"
    r"|Kubernetes|Blackwell|Hopper|DeepSeek|NVIDIA|Qwen|Mistral|Llama|Gemma|Kimi|Ampere|Turing|Triton|Mooncake|Python's)"
)
"""What begins with a capital wherever it stands."""


def faults(text: str) -> list[str]:
    """What is against the style in a text; holes in it are ``…``."""
    found = []
    plain = re.sub("`[^`]*`", "`c`", text)
    if re.match("[A-Z]", text) and not NAMES.match(text):
        found.append("a capital")
    if re.search(r"(?<!\.)\.$", plain) and not plain.endswith("etc."):
        found.append("a full stop")
    if re.search(r"(?<![\w`])'[\w./=-]+'(?!\w)", plain):
        found.append("single quotes")
    if re.search(r"(?<![\w`])--[a-z]", plain):
        found.append("an option without backticks")
    if text.count("`") % 2:
        found.append("half a pair of backticks")
    return found


def constant(node: ast.expr | None) -> str | None:
    """The text of a literal, with ``…`` for what is filled in."""
    match node:
        case ast.Constant(value=str()):
            return str(node.value)
        case ast.JoinedStr():
            return "".join(constant(part) or "…" for part in node.values)
        case ast.BinOp(op=ast.Add()):
            return (constant(node.left) or "…") + (constant(node.right) or "…")
        case _:
            return None


def literals(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if not CALLS.fullmatch(name) or name in BUGS or NO_STYLE.search(name):
            continue
        first = node.args[:1] if name not in ("Finding", "Violation", "_made") else []
        words = [*first, *(word.value for word in node.keywords if word.arg in WORDS)]
        for each in words:
            branches = [each.body, each.orelse] if isinstance(each, ast.IfExp) else [each]
            for branch in branches:
                if text := constant(branch):
                    yield branch.lineno, text


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if not any(part in path.as_posix() for part in NOT_OURS)]


def test_every_error_of_the_package() -> None:
    found = {}
    count = 0
    for path in FILES:
        for line, text in literals(path):
            count += 1
            for paragraph in text.split("\n"):
                if wrong := faults(paragraph):
                    found[f"{path.relative_to(PACKAGE)}:{line}"] = (*wrong, paragraph)
    assert count > 500
    assert not found, "\n".join(f"{place}: {said}" for place, said in found.items())


def test_every_rule() -> None:
    found = []
    for rule in rules():
        texts = [rule.title, rule.fix, *(each.message for example in rule.fails for each in tried(rule, example))]
        found += [(rule.id, wrong, text) for text in texts if (wrong := faults(text))]
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_bad_profile(path: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        load(str(path))
    for finding in caught.value.findings:
        for text in filter(None, (finding.message, finding.expected, finding.fix)):
            assert not faults(text), text


def test_what_the_schema_refuses() -> None:
    data = {"schema": 1.5, "gpu": "zzz", "sglang": {"version": 1, "args": [1]}, "server": {"cpu": [], "no": 1}}
    for finding in check(read_text(str(data).replace("'", '"'), "p.json")).findings:
        for text in filter(None, (finding.message, finding.expected, finding.fix)):
            assert not faults(text), text


def test_the_test_sees_what_is_wrong() -> None:
    assert faults("There is `x") == ["a capital", "half a pair of backticks"]
    assert faults("there is no 'x'.") == ["a full stop", "single quotes"]
    assert faults("SGLang 0.5.11 has no option `'x'.`") == []
