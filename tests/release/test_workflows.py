"""GitHub's workflows and the project say the same: versions, parts, names, and who may do what."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import glmdeploy

TOP = Path(__file__).parents[2]
FOLDER = TOP / ".github" / "workflows"
TEXTS = {path.name: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.yml"))}
WORKFLOWS: dict[str, Any] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
JOBS = {(name, job): content for name, workflow in WORKFLOWS.items() for job, content in workflow["jobs"].items()}


def steps(name: str, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = JOBS[name, job]["steps"]
    return found


def test_the_workflows_are_these() -> None:
    assert set(JOBS) == {
        *(("ci.yml", job) for job in ("run", "nightly")),
        *(("release.yml", job) for job in ("test", "build", "publish", "release")),
    }


@pytest.mark.parametrize("name", TEXTS)
def test_actions_are_pinned_by_commit_with_their_version(name: str) -> None:
    used = re.findall(r"uses: (.*)", TEXTS[name])
    assert used
    for each in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


def test_an_action_has_one_version() -> None:
    found: dict[str, set[str]] = {}
    for text in TEXTS.values():
        for action, version in re.findall(r"uses: ([\w./-]+)@(.*)", text):
            found.setdefault(action, set()).add(version)
    assert all(len(versions) == 1 for versions in found.values()), found


def test_rights_are_given_to_jobs_alone() -> None:
    assert all(workflow["permissions"] == {} for workflow in WORKFLOWS.values())
    rights = {where: set(job["permissions"].items()) for where, job in JOBS.items()}
    more = {where: each - {("contents", "read")} for where, each in rights.items() if each != {("contents", "read")}}
    assert more == {
        ("release.yml", "publish"): {("id-token", "write")},
        ("release.yml", "release"): {("contents", "write"), ("id-token", "write"), ("attestations", "write")},
    }
    assert "secrets." not in "".join(TEXTS.values()), "nothing has a token that is kept"


def test_what_has_rights_builds_nothing_and_runs_nothing_of_the_source() -> None:
    for job in ("publish", "release"):
        used = [step.get("uses", "").partition("@")[0] for step in steps("release.yml", job)]
        assert "actions/checkout" not in used
        assert used[0] == "actions/download-artifact"


def test_what_is_published_was_tested_and_approved() -> None:
    publish = JOBS["release.yml", "publish"]
    assert publish["needs"] == ["test", "build"]
    assert publish["environment"] == "pypi"
    assert JOBS["release.yml", "release"]["needs"] == "publish"
    assert any(".ci/run" in step.get("run", "") for step in steps("release.yml", "test"))
    [build] = [step["run"] for step in steps("release.yml", "build") if "run" in step]
    assert build == 'bash .ci/release release "$GITHUB_REF_NAME"'
    [upload] = [step["with"] for step in steps("release.yml", "build") if "upload" in step.get("uses", "")]
    assert upload["path"] == "release/"


def test_python_is_the_one_that_is_tested() -> None:
    [version] = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if each[-1].isdigit()]
    assert PROJECT["requires-python"] == f">={version}"
    found = {
        step["with"]["python-version"]
        for name, job in JOBS
        for step in steps(name, job)
        if step.get("uses", "").startswith("actions/setup-python@")
    }
    assert found == {version}


def test_every_part_of_the_night_is_a_job() -> None:
    script = (TOP / ".ci" / "nightly").read_text("utf-8")
    default = re.search(r'parts=\("\$\{@:-([^}]*)\}"\)', script)
    assert default
    parts = default[1].split()
    assert JOBS["ci.yml", "nightly"]["strategy"]["matrix"]["part"] == parts
    assert all(re.search(rf"^{part}\(\)", script, re.MULTILINE) for part in parts)
    assert {re.split(r"[\s,]", line)[0] for line in re.findall(r"^#   (\w+(?:, \w+)*)", script, re.MULTILINE)} <= set(
        parts
    )


def test_the_version_has_its_entry_in_the_changelog() -> None:
    changelog = (TOP / "CHANGELOG.md").read_text("utf-8")
    assert re.search(rf"^## \[{re.escape(glmdeploy.__version__)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE)


def test_the_security_policy_names_the_newest_release() -> None:
    major, minor = glmdeploy.__version__.split(".")[:2]
    assert f"({major}.{minor})" in (TOP / "SECURITY.md").read_text("utf-8")
