"""The profile's own file: edited in memory, and replaced at once or not at all."""

from __future__ import annotations

import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
from faulty_profiles import BAD, GOOD, written

from glmdeploy.authoring import editor
from glmdeploy.authoring.own_file import OwnFile
from glmdeploy.errors import GlmdeployError
from glmdeploy.findings import Remove, SetValue
from glmdeploy.resources import profiles_dir


def test_a_mapping_goes_with_its_last_entry(here: Path) -> None:
    written(f"{GOOD}server:  # gone\n  public: true\ndownload: {{env: {{A: b}}}}\n")
    file = OwnFile.read("p.yaml").edited(Remove(path=("server", "public")), Remove(path=("download", "env", "A")))
    assert file.text == GOOD
    with pytest.raises(editor.EditError, match="is all that its mapping in"):
        file.edited(Remove(path=("compile", "timeout")))


def test_the_file_keeps_its_mode_and_its_links(here: Path) -> None:
    folder = here / "folder"
    folder.mkdir()
    real = folder / "real.yaml"
    real.write_text("a: 1\n")
    real.chmod(0o640)
    link = Path("link.yaml")
    link.symlink_to("folder/real.yaml")
    OwnFile.read("link.yaml").edited(SetValue(path=("a",), value=2)).write()
    assert (link.is_symlink(), real.read_text(), real.stat().st_mode & 0o777) == (True, "a: 2\n", 0o640)
    assert list(folder.iterdir()) == [real]


@pytest.mark.parametrize("meanwhile", [b"a: 3\n", b"\xff", None])
def test_a_file_that_changed_meanwhile_is_not_overwritten(meanwhile: bytes | None, here: Path) -> None:
    path = written("a: 1\n")
    file = OwnFile.read("p.yaml").edited(SetValue(path=("a",), value=2))
    path.unlink() if meanwhile is None else path.write_bytes(meanwhile)
    with pytest.raises(GlmdeployError, match="was changed meanwhile" if meanwhile else "No such file"):
        file.write()
    assert [entry.read_bytes() for entry in here.iterdir()] == [meanwhile] * (meanwhile is not None)


def test_a_file_that_is_gone_or_a_folder(here: Path) -> None:
    for name in ("none.yaml", "."):
        with pytest.raises(GlmdeployError, match="is not a file that can be edited"):
            OwnFile.read(name)


POWERLESS = "import ctypes; [ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) for capability in (1, 2)]"
"""Lets root obey the modes of files, as everybody else does (PR_CAPBSET_DROP of CAP_DAC_OVERRIDE, _READ_SEARCH)."""
FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"


@pytest.mark.parametrize(
    ("mode", "folder", "set_up", "reason"),
    [
        (0o444, 0o755, POWERLESS, "Permission denied"),
        (0o644, 0o555, POWERLESS, "Permission denied"),
        (0o644, 0o755, FULL, "File too large"),
    ],
)
def test_what_cannot_be_written_is_left_as_it_is(mode: int, folder: int, set_up: str, reason: str, here: Path) -> None:
    path = written(BAD)
    path.chmod(mode)
    here.chmod(folder)
    command = (
        "import os, sys; os.execv(sys.executable, [sys.executable, *'-m glmdeploy validate --fix p.yaml'.split()])"
    )
    done = subprocess.run([sys.executable, "-c", f"{set_up}; {command}"], capture_output=True, text=True, check=False)
    here.chmod(0o755)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())  # lines break where the folder's name is long
    assert said.startswith(f"error: cannot write {path.resolve()}: {reason} ")
    assert "+++ p.yaml" in done.stdout
    assert (path.read_text(), list(here.iterdir())) == (BAD, [path.resolve()])


def test_a_profile_that_ships_is_not_edited_from_elsewhere(here: Path) -> None:
    file = OwnFile.read(str(profiles_dir() / "b200-eagle-bf16kv.yaml"))
    with pytest.raises(editor.EditError, match="ships with glmdeploy"):
        file.edited(SetValue(path=("sglang", "args", "tp"), value=4))
    with chdir(profiles_dir().parent):
        assert "tp: 4" in file.edited(SetValue(path=("sglang", "args", "tp"), value=4)).text
    assert file.edited() == file
