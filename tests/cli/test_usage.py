"""What is said of a wrong command line: in our own style, with the usage and where more is told."""

from __future__ import annotations

import json

import pytest
from reporting import call

CASES = [
    (("init", "--concurrency", "0"), "`--concurrency` cannot be `0`: it must be from 1 to 1000"),
    (("init", "--choose", "0"), "`--choose` cannot be `0`: it must be at least 1"),
    (("frob",), "there is no command `frob`"),
    (("vlidate", "x"), "there is no command `vlidate`; did you mean `validate`?"),
    (("validate", "--formt", "json", "x"), "there is no option `--formt`; did you mean `--format`?"),
    (("validate", "--format", "xml", "x"), "`--format` cannot be `xml`, only one of: `pretty`, `json`, "),
    (("validate",), " is missing"),
    (("validate", "x", "--set"), "`--set` needs a value"),
    (("rules", "a", "b", "c"), "`b` and `c` are too much here"),
    (
        ("validate", "x", "--model-config", "nowhere.json"),
        "`--model-config` cannot be `nowhere.json`: there is no such file",
    ),
    (("show", "x", "--json=1"), "option `--json` does not take a value"),
]


@pytest.mark.parametrize(("words", "said"), CASES, ids=lambda each: " ".join(each) if isinstance(each, tuple) else "")
def test_in_one_style(words: tuple[str, ...], said: str) -> None:
    code, out, err = call(*words)
    first, *rest = err.splitlines()
    assert (code, out) == (2, "")
    assert first.startswith("error: ")
    assert said in err.replace("\n  ", " ")
    assert "'" not in first
    assert not first.endswith(".")
    if rest:
        assert any(line.startswith("usage: glmdeploy") for line in rest)
        assert rest[-1].endswith("--help` tells more")


def test_as_json() -> None:
    code, out, _ = call("validate", "--json", "--formt", "x")
    assert code == 2
    assert json.loads(out)["error"]["message"] == "there is no option `--formt`; did you mean `--format`?"
