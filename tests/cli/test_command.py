"""``glmdeploy command``: SGLang's command, for a shell."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from reporting import call

if TYPE_CHECKING:
    from snapshots import Shows


def test_the_key_is_a_variable(shows: Shows) -> None:
    assert shows("command", "command", "b200-eagle-bf16kv")[0] == 0
    data = json.loads(shows("command-json", "command", "b200-eagle-bf16kv", "--json")[1])
    assert data["api_key_env"] == "API_KEY"
    assert "--api-key" not in data["command"]


def test_it_survives_a_shell() -> None:
    value = 'it\'s $HOME `x` "y" \\'
    text = call("command", "b200-eagle-bf16kv", "--set", f"sglang.args.chat-template={json.dumps(value)}")[1]
    script = f"set -- {text.removeprefix('python3 -m sglang.launch_server')}\nprintf '%s\\0' \"$@\""
    words = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split("\0")
    assert value in words
