"""Kernel caches on the way from the compile stage through the volume to a server, on the embedded cloud."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support import copied_cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support import Shell

APPLY = (
    *("apply", "b200-eagle-bf16kv", "--target", "local", "--yes", "--json"),
    *("--set", "sglang.env.SGLANG_DG_CACHE_DIR=null"),
)


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with copied_cloud(template, tmp_path_factory.mktemp("caches")) as one:
        yield one


def logs(shell: Shell) -> str:
    return shell.modal("app", "logs", "glm51-fp8", "--tail", "1000").stdout


def archive(shell: Shell) -> Path:
    [found] = (shell.home / "volumes").glob("*/.glmdeploy/caches-*.tar")
    return found


@pytest.mark.thorough
def test_a_server_finds_what_the_stage_compiled(shell: Shell) -> None:
    before = {*(shell.home / "volumes").rglob("*.cubin")}
    done = shell.run(*APPLY, "-v")
    packed = re.search(r"(\d+) files of the kernel caches, \d+ MiB, are in the volume", done.stderr)
    assert packed
    assert f"{packed[1]} files of the kernel caches unpacked in " in logs(shell)
    archive(shell)
    assert {*(shell.home / "volumes").rglob("*.cubin")} == before, "the volume has one file more, not thousands"


@pytest.mark.thorough
def test_a_server_starts_without_a_damaged_archive_and_apply_mends_one_that_is_gone(shell: Shell) -> None:
    file = archive(shell)
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    assert shell.json(*APPLY, "--set", "server.max_inputs=5")["healthy_after"] >= 0
    assert "the kernel caches cannot be unpacked, SGLang compiles what it needs: " in logs(shell)
    file.unlink()
    assert shell.json(*APPLY, "--dry-run")["stages"] == {"download": False, "compile": True}
    shell.run(*APPLY)
    assert archive(shell).exists()
