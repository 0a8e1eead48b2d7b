"""The Python interface: what the module offers. tests/docs runs the page that documents it, which is one program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE

import glmdeploy
from glmdeploy import api

if TYPE_CHECKING:
    from collections.abc import Callable


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


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: glmdeploy.load(3), "`profile` must be a path or a bare name, and is of the type int"),
        (lambda: glmdeploy.check("b200-eagle-bf16kv"), "`document` must be a profile that was read"),
        (lambda: glmdeploy.make_plan("b200-eagle-bf16kv"), "which `load` gives, and is of the type str"),
        (lambda: glmdeploy.apply("b200-eagle-bf16kv", target="local"), "`plan` must be a plan, which `make_plan`"),
        (lambda: glmdeploy.preview(None), "`plan` must be a plan"),
        (lambda: glmdeploy.verify({}), "`plan` must be a plan"),
        (lambda: glmdeploy.status(7), "`app` must be its name"),
        (lambda: glmdeploy.rollback(None), "`app` must be its name"),
        (lambda: glmdeploy.destroy(["a"]), "`app` must be its name"),
    ],
)
def test_a_value_of_another_kind_is_said(call: Callable[[], object], says: str) -> None:
    with pytest.raises(TypeError, match=re.escape(says)):
        call()


def test_a_target_that_is_none() -> None:
    """It must not mean Modal, where a deployment costs money."""
    with pytest.raises(glmdeploy.GlmdeployError, match="there is no target `lcoal`"):
        glmdeploy.destroy("any", target="lcoal")
