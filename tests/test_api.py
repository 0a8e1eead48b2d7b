"""The Python interface: what the module offers. tests/docs runs the page that documents it, which is one program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import PATIENCE

import glmdeploy
from glmdeploy import api


def test_the_interface_is_what_the_module_offers() -> None:
    for name in glmdeploy.__all__:
        assert getattr(glmdeploy, name) is not None
    assert glmdeploy.apply is api.apply
    with pytest.raises(AttributeError, match="has no attribute 'deploy'"):
        _ = glmdeploy.deploy
    stub = Path(glmdeploy.__file__ or "").with_suffix(".pyi").read_text(encoding="utf-8")
    told = {*re.findall(r" as (\w+)$", stub, re.MULTILINE), *re.findall(r"^(\w+): str$", stub, re.MULTILINE)}
    assert told == set(glmdeploy.__all__)


def test_the_module_imports_nothing_until_it_is_asked() -> None:
    code = "import sys, glmdeploy; print([name for name in sys.modules if name.startswith('glmdeploy.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout.strip() == "[]"


def test_one_process_one_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_connected", ["local"])
    with pytest.raises(glmdeploy.GlmdeployError, match="talks to the target local already"):
        glmdeploy.status("any", target="modal")
