"""The installation of the real engine: what this machine cannot have is refused before anything is downloaded."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, some

from glmdeploy.errors import GlmdeployError
from glmdeploy.sglang.real import environment, install

if TYPE_CHECKING:
    from pathlib import Path

LINE = re.compile(r"([\w.-]+)==[\w.+]+ --hash=sha256:[0-9a-f]{64}")


def test_every_package_has_one_version_and_one_hash() -> None:
    lines = [line for line in environment.ENGINE_LOCK.read_text().splitlines() if not line.startswith("#")]
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), [line for line, match in zip(lines, matches, strict=True) if not match]
    names = [match[1].lower() for match in matches if match]
    assert names == sorted(set(names))
    assert f"sglang=={environment.ENGINE_VERSION} " in environment.ENGINE_LOCK.read_text()


def glmdeploy(cache: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "glmdeploy", "local", "engine", *arguments],
        env={**os.environ, "GLMDEPLOY_ENGINE": str(cache), "NO_COLOR": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def engine_in(cache: Path) -> Path:
    """A folder that looks like an engine's, complete."""
    folder = environment.engine_folder(cache)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    environment.mark_complete(folder)
    return folder


def test_what_is_there_is_not_installed_again_and_can_be_removed(tmp_path: Path) -> None:
    missing = glmdeploy(tmp_path, "status")
    assert (missing.returncode, missing.stdout.partition(":")[0]) == (1, "not installed")
    assert glmdeploy(tmp_path, "remove").stdout == f"There is none in {tmp_path}.\n"
    folder = engine_in(tmp_path)
    other = tmp_path / "0.5.22-0123456789ab"
    kept = tmp_path / "notes"
    other.mkdir()
    kept.mkdir()
    for command in ("install", "status"):
        done = glmdeploy(tmp_path, command, PATH="/nowhere")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"installed: SGLang 0.5.23 for this machine's CPU, in {folder}\n"
    assert glmdeploy(tmp_path, "remove").stdout == f"Removed from {tmp_path}.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "notes"]


def test_another_machine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(GlmdeployError, match="Linux on x86-64 alone, and this is Linux on aarch64"):
        install.install_engine(tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_old_c_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.31"))
    with pytest.raises(GlmdeployError, match=r"needs glibc 2\.34 or newer, and this is glibc 2\.31"):
        install.install_engine(tmp_path)


def test_another_python_is_refused_unless_the_right_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GlmdeployError, match=r"needs Python 3\.11, and this is"):
        install.fit(tmp_path)
    right = tmp_path / "python3.11"
    right.write_text("#!/bin/sh\n")
    right.chmod(0o700)
    assert install.fit(tmp_path) == str(right)


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=2_000_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(GlmdeployError, match=r"needs 3 GB, and .* has 2\.0 GB left"):
        install.install_engine(tmp_path / "not" / "there")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(GlmdeployError, match="cannot be written"):
        install.install_engine(tmp_path / "cache")


@pytest.mark.thorough
def test_without_a_network_the_last_words_of_pip_are_told_and_nothing_is_left(tmp_path: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_INDEX": "", "PIP_CONFIG_FILE": os.devnull}
    done = glmdeploy(tmp_path, "install", **nowhere, PIP_FIND_LINKS="", PIP_EXTRA_INDEX_URL="", **PROXIES)
    assert done.returncode == 1
    assert "pip could not download the packages of SGLang 0.5.23 (exit code 1)" in done.stderr
    assert "No matching distribution found for torch" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


PROXIES = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


@pytest.mark.parametrize("number", some([signal.SIGINT, signal.SIGKILL], signal.SIGINT))
def test_what_is_interrupted_does_not_count_and_is_cleared(tmp_path: Path, number: signal.Signals) -> None:
    pipe = tmp_path / "pipe"
    cache = tmp_path / "cache"
    os.mkfifo(pipe)  # pip waits for a page of links that never comes
    with subprocess.Popen(
        [sys.executable, "-m", "glmdeploy", "local", "engine", "install"],
        env={
            **os.environ,
            "GLMDEPLOY_ENGINE": str(cache),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": f"file://{pipe}.html",
        },
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        (tmp_path / "pipe.html").symlink_to(pipe)
        folder = environment.engine_folder(cache)
        deadline = time.monotonic() + PATIENCE
        while not (folder / "wanted.lock").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
    assert environment.existing_engine(cache) is None
    assert folder.exists() is (number == signal.SIGKILL)
    if folder.exists():
        assert glmdeploy(cache, "status").returncode == 1
