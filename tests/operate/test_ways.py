"""Ways back and forth across what somebody did beside glmdeploy: foreseen, said, and gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support import Shell

APP, PROFILE = "glm51-fp8", "b200-eagle-bf16kv"
LOCAL = ("--target", "local")
QUICK = (PROFILE, *LOCAL, "--yes", "--no-preflight")
OTHER = "import modal\n\napp = modal.App('glm51-fp8')\n\n\n@app.function()\ndef hello():\n    return 1\n"


@pytest.mark.thorough
def test_a_secret_made_again_and_other_code(ready: Shell, tmp_path: Path) -> None:
    ready.run("apply", *QUICK, "--no-wait")
    ready.run("apply", *QUICK, "--no-wait", "--set", "server.max_inputs=19")
    assert ready.modal("secret", "delete", "glm51-api-key", "--yes").returncode == 0
    assert ready.modal("secret", "create", "glm51-api-key", "API_KEY=another-key-of-this-test").returncode == 0

    refused = ready.run("rollover", APP, *LOCAL, "--dry-run", code=1)
    assert "glm51-api-key was deleted, or made again: containers of version 2 would not find" in refused.stderr
    way = ready.json("rollback", APP, "1", *LOCAL, "--dry-run")
    assert (way["by"], way["bound_anew"]) == ("deployment", ["glm51-api-key"])
    back = ready.json("rollback", APP, "1", *LOCAL, "--yes")
    assert (back["version"], back["proven"]) == (3, True)
    planned = ready.json("plan", PROFILE, *LOCAL)
    assert (planned["acts"], planned["drift"]) == (False, []), "it is bound to the secret that is there"

    script = tmp_path / "other.py"
    script.write_text(OTHER, encoding="utf-8")
    assert ready.modal("deploy", str(script)).returncode == 0
    assert "version 4, by you on " in ready.run("status", APP, *LOCAL).stdout
    planned = ready.json("plan", PROFILE, *LOCAL)
    assert [each["kind"] for each in planned["drift"]] == ["code"]
    assert planned["changed"]
    repaired = ready.json("apply", *QUICK)
    assert (repaired["version"], repaired["proven"]) == (5, True)
    assert ready.json("plan", PROFILE, *LOCAL)["drift"] == []
    again = ready.run("rollback", APP, "5", *LOCAL, "--yes")
    assert again.stdout == f"{APP} runs the plan of version 5 already, as version 5.\n"
