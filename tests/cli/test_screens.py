"""Whole screens in terminals of 40, 80 and 120 columns, as people see them; colors, and how much is said."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from reporting import call, finding
from snapshots import ROOT, transcript
from support import one_in

from glmdeploy import cli
from glmdeploy.findings import Location
from glmdeploy.report.text import finding_text

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).parent.parent / "examples"
PROFILE = "b200-eagle-bf16kv"
LINES = 40
"""Of a terminal."""

SCREENS: dict[str, tuple[str, ...]] = {
    "validate": ("validate", PROFILE),
    "validate-clean": ("validate", "h100-glm45-air-fp8"),
    "validate-errors": ("validate", "errors.yaml"),
    "validate-folder": ("validate", "folder"),
    "diff": ("diff", PROFILE, f"{PROFILE}-0.5.23"),
    "diff-same": ("diff", PROFILE, PROFILE),
    "explain": ("explain", PROFILE),
    "size": ("size", PROFILE),
    "rules": ("rules",),
    "rules-one": ("rules", "GLM068"),
    "rules-some": ("rules", "memory"),
    "upgrade": ("upgrade", PROFILE, "--to", "0.5.23"),
    "catalog-releases": ("catalog", "show", "0.5.23"),
    "catalog-difference": ("catalog", "diff", "0.5.22", "0.5.23"),
    "import": ("import", "launch.sh"),
    "command-warnings": ("command", PROFILE),
}
OF_FILES = {"validate-errors", "validate-folder", "import"}
"""Of what the test has written; else paths are those of the repository."""
LONGER = {"validate", "validate-errors", "validate-folder", "command-warnings", "import"}
"""What has each fault in full, or is a file, is as long as it is."""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def seen(*arguments: str) -> tuple[int, str, str]:
    """A call in a terminal: exit code, standard output and standard error."""
    out, err = Terminal(), Terminal()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run(arguments)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own: profiles, one with several faults, and files that are none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "errors.yaml").write_text(
        f"extends: {PROFILE}\nsglang:\n"
        "  args: {max-total-tokens: null, trust-remote-code: false, tp: 4, kv-cache-dtype: fp8_e4m3}  # all of it\n"
    )
    folder = tmp_path / "folder"
    (folder / "deeper").mkdir(parents=True)
    (folder / "base.yaml").write_text("schema: 1\napp: base\nmodel: {repo: zai-org/GLM-5.1-FP8}\ngpu: B200:8\n")
    (folder / "good.yaml").write_text("extends: h100-glm45-air-fp8\n")
    (folder / "deeper" / "wrong.yml").write_text(f"extends: {PROFILE}\nsglang: {{args: {{tp: 4}}}}\n")
    (folder / "kimi.yaml").write_text("extends: b200-nospec-bf16kv\nmodel: {repo: moonshotai/Kimi-K9}\n")
    (folder / "piece.yaml").write_text(f"extends: ./base.yaml\nname: {'x' * 8}\n")
    (folder / "compose.yaml").write_text("services: {web: {image: nginx}}\n")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "wrong.yaml").write_text("extends: nothing\n")
    (tmp_path / "launch.sh").write_text(
        "python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8 --host 127.0.0.1 --port 30000\n"
    )


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", SCREENS)
def test_screens(name: str, width: int, monkeypatch: pytest.MonkeyPatch, snapshot: Callable[[str, str], None]) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    words = SCREENS[name]
    if name not in OF_FILES:
        monkeypatch.chdir(ROOT)
    code, out, err = seen(*words)
    snapshot(f"screen-{name}-{width}", transcript(words, code, out, err))
    if width == 80 and name not in LONGER:
        assert len((out + err).splitlines()) <= LINES
    if name not in ("command-warnings", "import"):
        for line in (out + err).splitlines():
            # A command, a path or a name alone is as long as it is.
            alone = line.strip(" ~+-").removeprefix("see: ")
            assert len(line) <= width or " " not in alone or alone.startswith(("glmdeploy ", "`")), line


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_message_with_an_excerpt(width: int, snapshot: Callable[[str, str], None]) -> None:
    """A long line of a source is cut around what is meant."""
    line = "server: {timeout: 1h, " + ", ".join(f"key_{number}: {number}" for number in range(30)) + "}"
    start = line.index("key_20")
    place = Location(file="profiles/mine.yaml", line=34, column=start + 1, text=line, length=len("key_20"))
    found = finding("`server.key_20` is no key that a profile has", fix="remove `key_20`", location=place)
    text = click.unstyle(finding_text(found, width))
    snapshot(f"screen-message-{width}", f"{text}\n")
    excerpt, caret = [line for line in text.splitlines() if " | " in line]
    assert excerpt[caret.index("^") : caret.rindex("^") + 1] == "key_20"


@pytest.mark.parametrize("name", one_in(4, SCREENS))
def test_colors_add_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What colors say stands there in words, too; nobody gets them who does not want them, or has no terminal."""
    words = SCREENS[name]
    monkeypatch.setenv("COLUMNS", "80")
    plain = seen(*words)
    assert "\x1b" not in plain[1] + plain[2]
    assert seen("--no-color", *words) == plain
    monkeypatch.delenv("NO_COLOR")
    assert seen("--no-color", *words) == plain
    colored = seen(*words)
    assert tuple(map(click.unstyle, colored[1:])) == plain[1:]
    assert "\x1b" not in "".join(call(*words)[1:])
    monkeypatch.setenv("FORCE_COLOR", "1")
    forced = call(*words)
    assert forced[1] == colored[1]


def test_errors_have_colors_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = ("explain", "nothing.yaml")
    assert "\x1b" not in seen(*wrong)[2]
    monkeypatch.delenv("NO_COLOR")
    assert "\x1b" in seen(*wrong)[2]
    assert "\x1b" not in seen("--no-color", *wrong)[2]
    assert "\x1b" not in call(*wrong)[2]
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" in call(*wrong)[2]


@pytest.mark.parametrize("name", SCREENS)
def test_quiet_is_the_result_alone(name: str) -> None:
    words = SCREENS[name]
    code, out, _ = seen(*words)
    assert seen("-q", *words) == (code, out, "")
    assert seen(*words, "--quiet") == (code, out, "")
    assert seen(*words)[1] == out  # the next call of the process says again what it has to say


def test_quiet_leaves_errors() -> None:
    code, out, err = seen("-q", "explain", "nothing.yaml")
    assert (code, out) == (1, "")
    assert err.startswith("nothing.yaml:1:1: error yaml: there is no file ")
    assert seen("explain", "nothing.yaml", "-q") == (code, out, err)


@pytest.mark.parametrize("name", ["size", "explain", "upgrade", "validate", "rules", "diff", "catalog-releases"])
def test_verbose_is_all(name: str) -> None:
    words = SCREENS[name]
    everything = seen(*words, "--all")
    assert len(everything[1]) > len(seen(*words)[1])
    assert seen("-v", *words)[1] == seen(*words, "-v")[1] == everything[1]


def test_a_folder_without_a_profile(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, out, err = call("validate", "empty")
    assert (code, out) == (1, "")
    assert "there is no profile in `empty`" in err
    (tmp_path / "empty" / "values.yaml").write_text("replicas: 3\n")
    code, out, err = call("validate", "empty")
    assert (code, out) == (1, "")
    assert "1 other YAML or JSON file" in err
    assert call("validate", "empty/values.yaml")[0] == 1


def test_a_profile_of_a_folder_is_judged_once(tmp_path: Path) -> None:
    code, out, err = call("validate", "folder", "folder/good.yaml", "folder/deeper")
    assert code == 1
    assert out.count("folder/good.yaml") == 1
    assert out.count("folder/deeper/wrong.yml  1 error") <= 1
    assert "compose.yaml" in err
