"""The workflow of docs/github-actions.yaml: its steps, as they stand there, against the embedded cloud."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support import PATIENCE, Shell, own_cloud

from glmdeploy import resources

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(resources.__file__).parents[1] / "docs"
WORKFLOW: dict[Any, Any] = yaml.safe_load((DOCS / "github-actions.yaml").read_text())
NOT_RUN = {"Install"}
"""Steps that need what a test has not: the package index."""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("ci")
    with own_cloud(folder) as shell:
        shell.run("local", "start")
        shell.modal("secret", "create", "glm-local-api-key", "API_KEY=the-key-of-this-test")
        yield shell


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one profile; `gh` beside it keeps what it is called with."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "profiles").mkdir()
    write(folder, "two")
    (folder / "bin").mkdir()
    script(folder / "bin" / "glmdeploy", f'exec "{sys.executable}" -m glmdeploy "$@"')
    script(folder / "bin" / "gh", f'echo "$@" > "{folder}/gh.txt"; cat plan.md >> "{folder}/gh.txt"')
    return folder


def write(folder: Path, team: str) -> None:
    (folder / "profiles" / "prod.yaml").write_text(f"extends: local-cpu\nname: prod\ntags: {{team: {team}}}\n")


def script(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)


def step(shell: Shell, checkout: Path, job: str, name: str, code: int = 0) -> str:
    """The output of a step, in the shell that GitHub gives it."""
    [found] = [each for each in WORKFLOW["jobs"][job]["steps"] if each.get("name") == name]
    variables = {
        **{key: str(value) for key, value in {**WORKFLOW["env"], **found.get("env", {})}.items()},
        "GLMDEPLOY_TARGET": "local",
        "GITHUB_STEP_SUMMARY": str(checkout / "summary.md"),
        "PATH": f"{checkout / 'bin'}:/usr/bin:/bin",
        "PYTHONPATH": str(Path(resources.__file__).parents[1]),
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", found["run"]]
    done = subprocess.run(
        command,
        cwd=checkout,
        env={**shell.env, **variables},
        text=True,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_every_step_is_run_here() -> None:
    steps = {(job, each["name"]) for job, of in WORKFLOW["jobs"].items() for each in of["steps"] if "run" in each}
    assert {each for each in steps if each[1] not in NOT_RUN} == {
        *(("validate", "Validate"), ("plan", "Plan"), ("plan", "Comment")),
        *(("save", "Save"), ("apply", "Apply"), ("drift", "Drift")),
    }


def test_only_what_needs_a_token_has_one() -> None:
    tokens = {job: of.get("env", {}).get("MODAL_TOKEN_SECRET", "") for job, of in WORKFLOW["jobs"].items()}
    assert tokens["validate"] == ""
    assert tokens["apply"] == "${{ secrets.MODAL_TOKEN_SECRET }}"
    assert WORKFLOW["jobs"]["apply"]["environment"] == "production"
    assert {tokens[job] for job in ("plan", "save", "drift")} == {"${{ secrets.MODAL_PLAN_TOKEN_SECRET }}"}


def test_a_pull_request(shell: Shell, checkout: Path) -> None:
    step(shell, checkout, "validate", "Validate")
    step(shell, checkout, "plan", "Plan")
    step(shell, checkout, "plan", "Comment")
    comment = (checkout / "gh.txt").read_text()
    assert comment.startswith("pr comment")
    assert "glm-local-cpu" in comment
    step(shell, checkout, "drift", "Drift", code=1)


@pytest.mark.thorough
def test_a_merge_and_a_night(shell: Shell, checkout: Path) -> None:
    step(shell, checkout, "save", "Save")
    assert "glm-local-cpu" in (checkout / "summary.md").read_text()
    step(shell, checkout, "apply", "Apply")
    assert shell.deployed() == ["glm-local-cpu"]
    step(shell, checkout, "drift", "Drift")

    write(checkout, "three")
    assert "::error file=profiles/prod.yaml::what runs is not" in step(shell, checkout, "drift", "Drift", code=1)


@pytest.mark.thorough
def test_a_profile_with_a_fault_is_annotated(shell: Shell, checkout: Path) -> None:
    fault = checkout / "profiles" / "fault.yaml"
    fault.write_text("extends: local-cpu\ngpus: T4\n")
    assert "::error file=profiles/fault.yaml,line=2" in step(shell, checkout, "validate", "Validate", code=1)
    step(shell, checkout, "plan", "Plan", code=1)
    fault.unlink()
