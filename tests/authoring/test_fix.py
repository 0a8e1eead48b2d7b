"""Which fixes are made: those that are proved to mend, one after the other, until nothing is left to do."""

from __future__ import annotations

import re
from contextlib import chdir
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import yaml
from faulty_profiles import BAD, written
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples, one_in

from glmdeploy.authoring.fix import fix
from glmdeploy.authoring.own_file import OwnFile
from glmdeploy.findings import Finding, Location, Remove, SetValue, Severity
from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import Checked, check
from glmdeploy.rules.registry import rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from glmdeploy.findings import Edit
    from glmdeploy.profile.text.document import Document
    from glmdeploy.rules.rule import Rule


B200 = (profiles_dir() / "b200-eagle-bf16kv.yaml").read_text()


def test_only_chosen_findings_are_fixed(here: Path) -> None:
    written(BAD.replace("tp: 8\n", "tp: 8\n    api-key: not-a-real-key\n"))
    outcome = fix(OwnFile.read("p.yaml"), chosen=lambda finding: finding.id == "GLM063")
    assert [found.id for found in outcome.fixed] == ["GLM063"]
    assert outcome.file.text == BAD
    assert "GLM001" in {found.id for found in outcome.after.findings}


Check: TypeAlias = "Callable[[Any], Finding | None]"


def judged(*checks: Check) -> Callable[[Document], Checked]:
    """A judge that asks each of the functions about the data of a document."""

    def judge(document: Document) -> Checked:
        found = [check(document.data) for check in checks]
        return Checked(findings=tuple(item for item in found if item))

    return judge


def wants(name: str, when: Callable[[Any], bool], *edits: Edit, severity: Severity = Severity.ERROR) -> Check:
    place = Location(file="p.yaml", line=1, column=1)
    finding = Finding(id=name, severity=severity, message=f"{name} is broken", location=place, edits=edits)
    return lambda data: finding if when(data) else None


def put(name: str, value: Any) -> SetValue:
    return SetValue(path=(name,), value=value)


def test_what_a_fix_reveals_is_fixed_next(here: Path) -> None:
    written("a: 1\n")
    judge = judged(
        wants("A", lambda data: data["a"] == 1, put("a", 2)),
        wants("B", lambda data: data["a"] == 2 and "b" not in data, put("b", 3), severity=Severity.WARNING),
    )
    outcome = fix(OwnFile.read("p.yaml"), judge=judge)
    assert [found.id for found in outcome.fixed] == ["A", "B"]
    assert (outcome.file.text, outcome.after.findings) == ("a: 2\nb: 3\n", ())


def test_of_two_fixes_for_one_place_the_first_wins(here: Path) -> None:
    written("a: 1\n")
    judge = judged(
        wants("A", lambda data: data["a"] == 1, put("a", 2)),
        wants("B", lambda data: data["a"] == 1, put("a", 3)),
    )
    outcome = fix(OwnFile.read("p.yaml"), judge=judge)
    assert ([found.id for found in outcome.fixed], outcome.file.text) == (["A"], "a: 2\n")


@pytest.mark.parametrize(
    ("edits", "second", "reason"),
    [
        ([put("a", 1)], Severity.INFO, "its edit does not mend it"),
        ([put("b", 1)], Severity.INFO, "its edit does not mend it"),
        ([put("a", 2)], Severity.ERROR, "its edit would bring B: B is broken"),
        ([put("c", 1), Remove(path=("d",))], Severity.INFO, "p.yaml has no `d` of its own"),
    ],
)
def test_a_fix_that_fails_its_proof_is_dropped(edits: list[Edit], second: Severity, reason: str, here: Path) -> None:
    written("a: 1\n")
    judge = judged(
        wants("A", lambda data: data["a"] == 1, *edits),
        wants("B", lambda data: data["a"] == 2, severity=second),
    )
    outcome = fix(OwnFile.read("p.yaml"), judge=judge)
    assert ([item.reason for item in outcome.not_fixed], outcome.fixed) == ([reason], ())
    assert outcome.file.text == "a: 1\n"


@pytest.mark.parametrize("text", ["a: 1\n", "a: 2\n"])
def test_fixes_that_undo_each_other_are_dropped(text: str, here: Path) -> None:
    written(text)
    judge = judged(
        wants("A", lambda data: data["a"] == 1, put("a", 2), severity=Severity.WARNING),
        wants("B", lambda data: data["a"] == 2, put("a", 1), severity=Severity.WARNING),
    )
    outcome = fix(OwnFile.read("p.yaml"), judge=judge)
    assert (outcome.fixed, outcome.file.text) == ((), text)
    assert "its edit would bring" in outcome.not_fixed[0].reason


def test_a_fix_that_another_one_allows_is_tried_again(here: Path) -> None:
    written("a: 1\nb: 1\n")
    judge = judged(
        wants("A", lambda data: data["a"] == 1, put("a", 2)),
        wants("B", lambda data: data["b"] == 1, put("b", 2)),
        wants("C", lambda data: data["a"] == 2 and data["b"] == 1),
    )
    outcome = fix(OwnFile.read("p.yaml"), judge=judge)
    assert [found.id for found in outcome.fixed] == ["B", "A"]
    assert (outcome.file.text, outcome.not_fixed) == ("a: 2\nb: 2\n", ())


VALUES = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), min_size=1)
TOY_RULES = st.lists(st.tuples(VALUES, VALUES, st.sampled_from(Severity)), max_size=12)


@given(data=VALUES, table=TOY_RULES)
def test_fixing_ends_and_is_done_then(data: dict[str, int], table: list[Any], tmp_path_factory: Any) -> None:
    """Whatever the rules demand of one another: there are no more errors than before, and nothing is left to do."""
    checks = [
        wants(
            str(index),
            lambda data, bad=bad: bad.items() <= data.items(),
            *(put(name, value) for name, value in edits.items()),
            severity=severity,
        )
        for index, (bad, edits, severity) in enumerate(table)
    ]
    with chdir(tmp_path_factory.getbasetemp()):
        written("".join(f"{name}: {value}\n" for name, value in data.items()))
        first = fix(OwnFile.read("p.yaml"), judge=judged(*checks))
        assert errors(first.after) <= errors(first.before)
        assert [found.id for found in first.after.findings] == [item.finding.id for item in first.not_fixed]
        first.file.write()
        second = fix(OwnFile.read("p.yaml"), judge=judged(*checks))
        assert (second.fixed, second.file.text) == ((), first.file.text)


def errors(checked: Checked) -> int:
    return sum(finding.severity is Severity.ERROR for finding in checked.findings)


@pytest.mark.parametrize("rule", one_in(4, rules()), ids=lambda rule: rule.id)
def test_every_rules_edits_mend_a_file(rule: Rule, here: Path) -> None:
    """What the rules' own tests show with `--set`, in the text of a profile."""
    for example in rule.fails:
        document = load(str(profiles_dir() / f"{example.profile}.yaml"), sets=example.sets)
        if not any(found.id == rule.id and found.edits for found in check(document).findings):
            continue
        written(yaml.safe_dump(document.data, sort_keys=False, default_flow_style=None, width=1000))
        outcome = fix(OwnFile.read("p.yaml"))
        assert rule.id in {found.id for found in outcome.fixed}, example
        assert rule.id not in {found.id for found in outcome.after.findings}, example
        assert outcome.not_fixed == ()
        assert errors(outcome.after) == 0


FAULTS: dict[str, tuple[str, str]] = {
    "FP8": ("kv-cache-dtype: bfloat16 ", "kv-cache-dtype: fp8_e4m3 "),
    "left to SGLang": ("kv-cache-dtype: bfloat16 ", "kv-cache-dtype: auto "),
    "left out": ("    kv-cache-dtype: bfloat16        # the page", "    # the page"),
    "API key": ("    tp: 8\n", "    tp: 8\n    api-key: not-a-real-key\n"),
    "admin key": (
        "    enable-metrics: true",
        "    'admin-api-key': \"not-a-real-key\"  # why?\n    enable-metrics: true",
    ),
    "weights lost": ("    trust-remote-code", "    delete-ckpt-after-loading: true\n    trust-remote-code"),
    "kernels elsewhere": ("SGLANG_DG_CACHE_DIR: /dg-cache ", '"SGLANG_DG_CACHE_DIR": "/tmp" '),
    "no waiver": ("\n\nkeepalive:", '\nwaive: [{rule: GLM060, reason: "#", until: "2999-01-31"}]   # none\nkeepalive:'),
    "idle waiver": ("\n\nkeepalive:", '\nwaive:\n- rule: GLM003\n  reason: none\n  until: "2999-01-31"\nkeepalive:'),
}
"""A piece of the shipped profile's text, and what stands in its place."""

TOUCHED = re.compile(
    r"""\s*["']?(?:kv-cache-dtype|(?:admin-)?api-key|delete-ckpt|SGLANG_DG_CACHE_DIR|waive|- rule|reason|until)\b"""
)


@st.composite
def faulty(draw: st.DrawFn) -> str:
    text = B200
    for fault in draw(st.lists(st.sampled_from(sorted(FAULTS)), unique=True)):
        text = text.replace(*FAULTS[fault])
    notes = st.lists(st.sampled_from(["# note", "  #\ttp: 4", "        # {a: 'b", "#: é"]), max_size=2)
    rows = [row for line in text.splitlines() for row in (*draw(st.just([]) | notes), line)]
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    end = draw(st.sampled_from(["", newline]))
    return draw(st.sampled_from(["", "\ufeff"])) + newline.join(rows) + end


@settings(max_examples=examples(30))
@given(text=faulty())
def test_only_faults_are_touched(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with chdir(tmp_path_factory.getbasetemp()):
        path = written(text)
        outcome = fix(OwnFile.read("p.yaml"))
        outcome.file.write()
        fixed = path.read_bytes().decode()
        assert outcome.not_fixed == ()
        assert [found for found in check(load("p.yaml")).findings if found.edits] == []
        assert untouched(fixed) == untouched(text)
        again = fix(OwnFile.read("p.yaml"))
        assert (again.fixed, again.file.text) == ((), fixed)


def untouched(text: str) -> list[str]:
    """The lines, with their ends, that no fix has a reason to change: all comments among them."""
    newline = "\r\n" if "\r\n" in text else "\n"
    rows = (text if text.endswith(newline) else text + newline).splitlines(keepends=True)
    return [row for row in rows if not TOUCHED.match(row)]
