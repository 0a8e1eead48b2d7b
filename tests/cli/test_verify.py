"""The command line of ``verify``: what contradicts itself, and files that are wrong, before anything is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from reporting import call

if TYPE_CHECKING:
    from pathlib import Path

    from snapshots import Shows

PROFILE = "b200-eagle-bf16kv"
NOBODY = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("levels", (PROFILE, "--concurrency", "1,x")),
        ("level-of-nothing", (PROFILE, "--concurrency", "0")),
        ("two-canaries", (PROFILE, "--canary", "README.md", "--no-canary")),
        ("bench-without-load", (PROFILE, "--bench", "sglang", "--no-load")),
        ("url-with-values", (NOBODY, "--set", "gpu=H100")),
        ("url-from-a-container", (NOBODY, "--from", "container")),
        ("profile-with-token", (PROFILE, "--proxy-token-env", "A", "B")),
        ("no-such-variable", (NOBODY, "--api-key-env", "NO_SUCH_KEY")),
        ("no-such-file", (PROFILE, "--baseline", "no-such-file.json")),
    ],
)
def test_wrong_use(name: str, arguments: tuple[str, ...], shows: Shows) -> None:
    assert shows(f"verify-wrong-{name}", "verify", *arguments)[0] == 2


def test_a_canary_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"prompt": "a", "equal": "b"}\n{"prompt": "a", "is": "b"}\n')
    code, out, err = call("verify", NOBODY, "--canary", str(file))
    assert (code, out) == (1, "")
    assert f"error: {file}:2:17: `is` is not known: there are prompt, equal, " in err


def test_a_baseline_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text("{}")
    code, out, err = call("verify", NOBODY, "--baseline", str(file))
    assert (code, out) == (1, "")
    assert f"error: {file}: there are no figures in it" in err


def test_a_url_where_nobody_serves() -> None:
    code, out, _ = call("verify", NOBODY, "--quick", "--timeout", "0")
    assert code == 1
    assert "✗ failed   health" in out
    assert "1 of 1 failed, 4 skipped" in out
