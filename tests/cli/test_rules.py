"""``glmdeploy rules``, and docs/rules.md, which it makes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import click
import pytest
from reporting import call
from support import one_in

from glmdeploy.findings import CHECKS
from glmdeploy.report.rules import by_topic, command, listing, markdown, markdown_text
from glmdeploy.rules.registry import due, rules
from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import versions

ROOT = Path(__file__).parent.parent.parent
PARTS = {
    *("id", "title", "severity", "topic", "scope", "why", "fix", "fixable", "waivable", "looked", "sources"),
    *("fails", "passes"),
}


def test_list() -> None:
    code, out, err = call("rules", "--all")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    rows = {line[:6]: line for line in lines if line.startswith("GLM")}
    assert sorted(rows) == [rule.id for rule in rules()]
    for rule in rules():
        row = rows[rule.id]
        assert rule.title in row
        assert str(rule.severity) in row
        assert (str(rule.scope) in row) or str(rule.scope) == "everything"
    # In columns: all titles begin at the same place.
    assert len({rows[rule.id].index(rule.title) for rule in rules()}) == 1


def test_how_many_there_are() -> None:
    code, out, err = call("rules")
    assert (code, err) == (0, "")
    first, *topics, last = out.splitlines()
    assert first == f"{len(rules())} guard rules, by topic:"
    for topic, group in by_topic(rules()).items():
        [line] = [line for line in topics if line.startswith(topic)]
        assert int(line.removeprefix(topic).split()[0]) == len(group)
    assert all(name in last for name in CHECKS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("memory", {rule.id for rule in rules() if rule.topic == "memory"}),
        ("glm02", {rule.id for rule in rules() if rule.id.startswith("GLM02")}),
        ("EAGLE", {rule.id for rule in rules() if "eagle" in f"{rule.title} {rule.why} {rule.scope}".lower()}),
    ],
)
def test_some(words: str, expected: set[str]) -> None:
    assert expected
    assert {line[:6] for line in call("rules", words)[1].splitlines() if line.startswith("GLM")} == expected
    assert {each["id"] for each in json.loads(call("rules", words, "--json")[1])} == expected


@pytest.mark.parametrize("width", [40, 80, 120])
def test_list_in_a_terminal(width: int) -> None:
    lines = click.unstyle(listing(rules(), width)).splitlines()
    # Two scopes name a class that is longer than what is left of 40 columns.
    assert max(map(len, lines)) <= max(width, 55)
    assert sum(line.startswith("GLM") for line in lines) == len(rules())


def test_list_as_json() -> None:
    data = json.loads(call("rules", "--json")[1])
    assert [each["id"] for each in data] == [rule.id for rule in rules()]
    assert all(set(each) == PARTS for each in data)
    assert any(each["fixable"] for each in data)
    assert not all(each["fixable"] for each in data)
    assert call("rules", "--format", "json")[1] == call("rules", "--json")[1]


def test_last_looks_as_json() -> None:
    for each, rule in zip(json.loads(call("rules", "--json")[1]), rules(), strict=True):
        assert each["looked"] == {"date": rule.looked.date, "release": rule.looked.release}
        assert date.fromisoformat(each["looked"]["date"])
        assert each["looked"]["release"] in versions()
        assert each["scope"]["open_ended"] == rule.open_ended
        assert not (each["scope"]["open_ended"] and each["scope"]["until"])


def test_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a release that no rule was held against, the rules about issues without an end are due."""
    code, out, _ = call("rules", "--look")
    newest = versions()[-1]
    assert (code == 0) == (not due(rules(), newest))
    monkeypatch.setattr(catalog, "versions", lambda: (*versions(), "0.6.0"))
    code, out, err = call("rules", "--look")
    assert (code, err) == (1, "")
    told = [line[:6] for line in out.splitlines() if line.startswith("GLM")]
    assert sorted(told) == [rule.id for rule in rules() if rule.open_ended]
    code, out, _ = call("rules", "--look", "--json")
    data = json.loads(out)
    assert (code, data["release"]) == (1, "0.6.0")
    assert sorted(each["id"] for each in data["due"]) == sorted(told)
    assert all(each["sources"] for each in data["due"])


@pytest.mark.parametrize("more", [("GLM001",), ("--format", "markdown"), ("--write",)])
def test_a_look_is_all_that_it_does(more: tuple[str, ...]) -> None:
    code, out, err = call("rules", "--look", *more)
    assert (code, out) == (2, "")
    assert "leave out" in err


def test_one_as_json() -> None:
    data = json.loads(call("rules", "glm020", "--json")[1])
    assert set(data) == PARTS
    assert data["id"] == "GLM020"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.id)
def test_one(rule) -> None:  # type: ignore[no-untyped-def]
    code, out, err = call("rules", rule.id.lower(), "--all")
    assert (code, err) == (0, "")
    assert out.startswith(f"{rule.id} {rule.severity}: {rule.title}\n")
    flat = " ".join(out.split())
    for part in (str(rule.scope), " ".join(rule.why.split()), " ".join(rule.fix.split()), *rule.sources):
        assert part in flat
    for example in (*rule.fails, *rule.passes):
        assert f"  {command(example)}\n" in out
    assert ("cannot be waived" in out) != rule.waivable
    brief = call("rules", rule.id)[1].splitlines()
    assert len(brief) <= 40
    assert {*brief} <= {*out.splitlines(), *(line for line in brief if re.fullmatch("  and [0-9]+ more .*", line))}


def test_the_waiver_can_be_pasted(tmp_path: Path) -> None:
    out = call("rules", "GLM004")[1]
    waiver = re.search(r"^  waive:\n  - .*$", out, re.MULTILINE)
    assert waiver
    until = re.search(r"until: ([\d-]+)", waiver[0])
    assert until
    assert date.fromisoformat(until[1]) > datetime.now(UTC).date()
    profile = tmp_path / "a.yaml"
    text = "extends: b200-nospec-bf16kv\nsglang: {args: {kv-cache-dtype: fp8_e4m3}}\n"
    profile.write_text(text + re.sub(r"^  ", "", waiver[0], flags=re.MULTILINE) + "\n")
    found = json.loads(call("validate", str(profile), "--json", "--select", "GLM004,waiver,schema,yaml")[1])
    [waived] = found["profiles"][0]["findings"]
    assert (waived["id"], waived["waived"]) == ("GLM004", "why it does not hold here")


@pytest.mark.parametrize("rule", one_in(6, rules()), ids=lambda rule: rule.id)
def test_examples_are_commands(rule) -> None:  # type: ignore[no-untyped-def]
    program, *arguments = shlex.split(command(rule.fails[0]))
    assert program == "glmdeploy"
    data = json.loads(call(*arguments, "--json")[1])
    assert rule.id in {finding["id"] for finding in data["profiles"][0]["findings"]}


def test_an_example_in_a_shell() -> None:
    rule = next(rule for rule in rules() if any(" " in value for example in rule.fails for value in example.sets))
    example = next(example for example in rule.fails if any(" " in value for value in example.sets))
    script = f'glmdeploy() {{ "{sys.executable}" -m glmdeploy "$@"; }}; {command(example)}'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert rule.id in done.stdout


def test_checks_before_the_rules() -> None:
    for name, about in CHECKS.items():
        assert call("rules", name.upper())[1] == f"{name}: {about}\n"
        assert json.loads(call("rules", name, "--json")[1]) == {"id": name, "title": about}


@pytest.mark.parametrize(
    ("name", "near"), [("GLM019x", "GLM019"), ("GML020", "GLM020"), ("shema", "schema"), ("?", "")]
)
def test_unknown(name: str, near: str) -> None:
    code, out, err = call("rules", name)
    assert (code, out) == (2, "")
    assert f"there is no rule `{name}`" in err
    assert near in err
    assert name in json.loads(call("rules", name, "--json")[1])["error"]["message"]


def test_retired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glmdeploy.rules.registry.RETIRED", {"GLM555": "GLM001 covers it"})
    assert call("rules", "glm555") == (0, "GLM555: retired: GLM001 covers it\n", "")
    assert json.loads(call("rules", "GLM555", "--json")[1])["title"] == "retired: GLM001 covers it"
    assert "- **GLM555**: GLM001 covers it" in markdown(rules()[:1], {"GLM555": "GLM001 covers it"}, bool)


def test_docs_are_fresh() -> None:
    written = (ROOT / "docs" / "rules.md").read_text()
    assert call("rules", "--format", "markdown")[1] == written, "run: glmdeploy rules --write"
    assert "glmdeploy rules --write" in written.splitlines()[0]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose files that are made from the rules are old."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "tests" / "rules").mkdir(parents=True)
    (tmp_path / "docs" / "rules.md").write_text("old\n")
    (tmp_path / "tests" / "rules" / "released.txt").write_text("GLM001\nGLM002\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_write(checkout: Path) -> None:
    code, out, err = call("rules", "--write")
    assert (code, out) == (0, "")
    files = ("docs/rules.md", "tests/rules/released.txt", "tests/rules/places.txt")
    assert err.splitlines() == [f"wrote {file}" for file in files]
    for file in files:
        assert (checkout / file).read_text() == (ROOT / file).read_text(), "run: glmdeploy rules --write"


def test_a_lost_id_writes_nothing(checkout: Path) -> None:
    (checkout / "tests" / "rules" / "released.txt").write_text("GLM001\nGLM555\n")
    code, out, err = call("rules", "--write")
    assert (code, out) == (1, "")
    assert "GLM555" in err
    assert "RETIRED" in err
    assert (checkout / "docs" / "rules.md").read_text() == "old\n"


def test_only_a_checkout_is_written(checkout: Path) -> None:
    (checkout / "tests" / "rules" / "released.txt").unlink()
    code, out, err = call("rules", "--write")
    assert (code, out) == (1, "")
    assert "checkout" in err
    assert (checkout / "docs" / "rules.md").read_text() == "old\n"


@pytest.mark.parametrize("more", [("GLM001",), ("--json",), ("--format", "markdown")])
def test_write_shows_nothing(checkout: Path, more: tuple[str, ...]) -> None:
    assert call("rules", "--write", *more)[0] == 2
    assert (checkout / "docs" / "rules.md").read_text() == "old\n"


def test_docs_have_an_anchor_for_each_rule() -> None:
    made = (ROOT / "docs" / "rules.md").read_text()
    for rule in rules():
        assert f"\n### {rule.id}\n" in made
        assert f"[{rule.id}](#{rule.id.lower()})" in made
    headings = [line[3:].lower() for line in made.splitlines() if line.startswith("## ")]
    assert headings == list(dict.fromkeys(str(rule.topic) for rule in rules()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b `c_d|*` *e* _f_ <g> [h](i) | j", "a_b `c_d\\|*` \\*e\\* \\_f\\_ \\<g\\> \\[h\\](i) \\| j"),
        ("one ` alone", "one \\` alone"),
        ("back\\slash", "back\\\\slash"),
    ],
)
def test_plain_text_as_markdown(text: str, expected: str) -> None:
    assert markdown_text(text) == expected
