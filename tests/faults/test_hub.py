"""Faults of the model hub during an ``apply`` on the embedded cloud: what passes by itself, and what is said."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, copied_cloud, some

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fault_rows import Fault
    from support import Shell

APPLY = ("apply", "b200-eagle-bf16kv", "--target", "local", "--yes", "--no-preflight", "--no-wait")
QUICK = '{GLMDEPLOY_STALL_SECONDS: "2", GLMDEPLOY_TRIES: "4", GLMDEPLOY_PAUSE_SECONDS: "0.1"}'
PINNED = f"model.revision='{0xABC:040x}'"


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with copied_cloud(template, tmp_path_factory.mktemp("hub")) as one:
        yield one


def words(repo: str, *sets: str) -> tuple[str, ...]:
    app = "of-" + repo.partition("/")[0]
    given = (f"model.repo={repo}", f"app={app}", f"download.env={QUICK}", "compile=null", *sets)
    return (*APPLY, *(word for value in given for word in ("--set", value)))


PASSING = {
    "busy": ("503, then 429 with Retry-After, of each file", "answered 429; trying again"),
    "cut": ("bodies that end in the middle", "was cut after"),
    "stalled": ("bodies that stop in the middle", "sent no byte for 2 s"),
    "corrupt": ("right size, wrong bytes", "its content is not what the hub says"),
}
"""The organization, what its hub does once for each file, and words of the log."""


@pytest.mark.parametrize("organization", some(PASSING, "busy"))
def test_what_passes(organization: str, shell: Shell, fault: Fault) -> None:
    name, said = PASSING[organization]
    started = time.monotonic()
    done = shell.run(*words(f"{organization}/GLM-5.1-FP8", PINNED), "-v")
    lines = [line for line in done.stderr.splitlines() if said in line]
    assert lines, done.stderr
    assert "is complete" in done.stderr
    assert f"of-{organization}" in shell.deployed()
    fault(f"hub: {name}", f"`apply` goes on: {lines[0]}", seconds=time.monotonic() - started)


LASTING = {
    "silent/GLM-5.1-FP8": ("no answer, ever", PINNED, "sent no byte for 2 s, 4 times in a row"),
    "gated/GLM-5.1-FP8": ("a gated repository", PINNED, "huggingface.co/gated/GLM-5.1-FP8"),
    "private/GLM-5.1-FP8": ("a repository that the token may not read", "secrets.huggingface=null", "private"),
    "zai-org/GLM-5.1-FP8": ("a revision that is gone", "model.revision=no-such-branch", "no-such-branch"),
}
"""The repository, what its hub does, a value that the row sets, and words of the message."""


@pytest.mark.parametrize("repo", some(LASTING, "gated/GLM-5.1-FP8"))
def test_what_lasts(repo: str, shell: Shell, fault: Fault) -> None:
    name, value, said = LASTING[repo]
    before = shell.deployed()
    started = time.monotonic()
    done = shell.run(*words(repo, value), code=1, container_failed=True)
    at = next(index for index, line in enumerate(done.stderr.splitlines()) if line.startswith("error: "))
    message = " ".join(done.stderr.splitlines()[at:])
    assert said in message, message
    assert shell.deployed() == before
    fault(f"hub: {name}", message.removeprefix("error: "), seconds=time.monotonic() - started)


def test_the_hub_dies_in_the_middle(shell: Shell, fault: Fault) -> None:
    """The embedded hub is a part of the daemon; the next apply goes on with what the first one fetched."""
    repo = words("stalled/GLM-5.1-FP8", f"model.revision='{0xDEF:040x}'", "download.env={}", "app=dies")
    with shell.started(*repo, "-v") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("  | downloading"):
                break
        else:
            raise AssertionError("it ended before")
        os.kill(shell.cloud.pid, signal.SIGKILL)
        _, stderr = process.communicate(timeout=PATIENCE)
    [error] = [line for line in stderr.splitlines() if line.startswith("error: ")]
    done = shell.run(*repo, "-v")
    assert "is complete" in done.stderr
    fault("hub, and all of the cloud, killed in mid-download", error.removeprefix("error: "))
