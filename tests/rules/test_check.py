"""Every example profile is judged as its first line says: one fault in each bad one, none in the good ones."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from glmdeploy.findings import Severity
from glmdeploy.plan.make import made
from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check
from glmdeploy.sglang.catalog import versions

EXAMPLES = Path(__file__).parent.parent / "examples"
TODAY = date(2026, 11, 23)
SHIPPED = {
    "b200-eagle-bf16kv": ["GLM014", "GLM030", "GLM068"],
    "b200-eagle-bf16kv-0.5.23": ["GLM014", "GLM015", "GLM030", "GLM068"],
    "b200-longcontext-bf16kv": ["GLM068"],
    "b200-nospec-bf16kv": ["GLM030", "GLM068"],
    "h100-glm45-air-fp8": [],
    "h200-eagle-bf16kv": ["GLM014", "GLM030", "GLM068"],
    "h200-two-hosts-bf16": [],
    "local-cpu": [],
    "local-cpu-embedding": [],
}
"""Warnings of the shipped profiles, which carry the values of the page that they follow; none has an error."""

ORDER = [Severity.INFO, Severity.WARNING, Severity.ERROR]
EXPECTATION = re.compile(r"# expect: (\S+) (error|warning|info) (\d+):(\d+)(?: (\S+))?\n")


@pytest.mark.parametrize("file", sorted((EXAMPLES / "bad").glob("*.yaml")), ids=lambda file: file.stem)
def test_bad(file: Path) -> None:
    match = EXPECTATION.match(file.read_text())
    assert match, f"{file.name} does not say what is expected"
    checked = check(load(str(file)), today=TODAY)
    # Every large model as a web function is told of redirects, and the base of the examples has one container at most;
    # its release has known issues that no option of the examples touches.
    told = {"GLM133", "GLM156", "GLM202", "GLM208", "GLM212", "knowledge"} - {match[1]}
    found_all = [finding for finding in checked.findings if not finding.waived and finding.id not in told]
    # A warning may stand beside an error, because the shipped profiles that examples extend have some.
    [found] = [finding for finding in found_all if ORDER.index(finding.severity) >= ORDER.index(match[2])]
    place = f"{found.location.line}:{found.location.column}"
    assert (found.id, str(found.severity), place) == (match[1], match[2], f"{match[3]}:{match[4]}"), found
    assert found.location.file.endswith(match[5] or file.name)
    assert (made(checked) is None) == (found.severity is Severity.ERROR)
    assert found.fix or found.expected, "a finding says what to do"
    if found.id.startswith("GLM"):
        assert found.links


@pytest.mark.parametrize("file", sorted((EXAMPLES / "good").glob("*.yaml")), ids=lambda file: file.stem)
def test_good(file: Path) -> None:
    checked = check(load(str(file)), today=TODAY)
    found = [finding for finding in checked.findings if not finding.waived]
    assert [finding for finding in found if finding.severity is not Severity.INFO] == []
    assert made(checked) is not None


@pytest.mark.parametrize("file", sorted(profiles_dir().glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped(file: Path) -> None:
    checked = check(load(str(file)), today=TODAY)
    found = {finding.id for finding in checked.findings if finding.severity is not Severity.INFO}
    assert found == set(SHIPPED[file.stem])
    assert made(checked) is not None


def test_the_corpus_is_large() -> None:
    assert len(list((EXAMPLES / "bad").glob("*.yaml"))) >= 60


def test_each_gpu_of_a_list_is_judged() -> None:
    sets = ["gpu=[B200:8, H200:8]"]
    found = check(load("b200-eagle-bf16kv", sets=sets), today=TODAY).findings
    messages = {each.message for each in found}
    alone = {gpu: check(load("b200-eagle-bf16kv", sets=[f"gpu={gpu}"]), today=TODAY) for gpu in ("B200:8", "H200:8")}
    both = set.intersection(*({each.message for each in one.findings} for one in alone.values()))
    assert both
    for gpu, checked in alone.items():
        for each in checked.findings:
            assert (each.message if each.message in both else f"on {gpu}: {each.message}") in messages
    assert {each.id for each in found} == {each.id for checked in alone.values() for each in checked.findings}


@pytest.mark.parametrize(
    ("version", "fix"),
    [
        ("9.9.9", f"pin `{versions()[-1]}`, the newest that this glmdeploy knows, together with its image"),
        ("0.5.7", "did you mean `0.5.8` or `0.5.9`?"),
    ],
)
def test_a_release_that_is_not_known_is_a_newer_one_or_meant_for_another(version: str, fix: str) -> None:
    found = check(load("b200-eagle-bf16kv", sets=[f"sglang.version={version}"]), today=TODAY).findings
    assert [each.fix for each in found if each.id == "sglang"] == [fix]


def test_the_rules_judge_what_stands_beside_a_fault_of_shape() -> None:
    found = check(load("b200-eagle-bf16kv", sets=["server.port=abc", "sglang.args.tp=4"]), today=TODAY).findings
    assert {"schema", "GLM020"} <= {each.id for each in found}
