"""``glmdeploy completion``: click's own scripts, of which the words may change with click."""

from __future__ import annotations

import pytest
from reporting import call


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script(shell: str) -> None:
    code, out, err = call("completion", shell)
    assert (code, err) == (0, "")
    assert "_GLMDEPLOY_COMPLETE" in out
