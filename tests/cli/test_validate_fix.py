"""`validate --fix` and `--diff` as a user types them: what they show, change and say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from faulty_profiles import BAD, GOOD, validate, written

from glmdeploy.profile.text.load import load, read_text
from glmdeploy.resolve import resolve

if TYPE_CHECKING:
    from pathlib import Path


def test_the_fix_is_shown_then_made_then_the_rest_is_reported(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(BAD)
    code, out, err = validate(capsys, "--fix", "p.yaml")
    assert code == 0
    assert out.splitlines()[:8] == [
        "--- p.yaml",
        "+++ p.yaml",
        "@@ -19,4 +19,4 @@",
        "     reasoning-parser: glm45",
        "     tool-call-parser: glm47",
        "     speculative-algorithm: EAGLE",
        "-    kv-cache-dtype: fp8_e4m3      # as asked",
        "+    kv-cache-dtype: bfloat16      # as asked",
    ]
    assert out.splitlines()[-1].startswith("0 errors, ")
    assert err == "Fixed 1 finding in p.yaml: GLM001\n"
    assert path.read_text() == GOOD


def test_a_second_fix_changes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(BAD)
    validate(capsys, "--fix", "p.yaml")
    before = path.stat()
    code, out, err = validate(capsys, "--fix", "p.yaml")
    assert (code, err) == (0, "Nothing was fixed.\n")
    assert "---" not in out
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


LAYOUTS = {
    "as it is": BAD,
    "carriage returns": BAD.replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + BAD,
    "no newline at the end": BAD.rstrip("\n"),
    "brackets": GOOD.partition("  args:")[0]
    + "  args: { tp: 8, speculative-algorithm: EAGLE,   kv-cache-dtype: fp8_e5m2 }  # {all}\n",
    "brackets without the option": GOOD.partition("  args:")[0] + "  args: {tp: 8}  # all\n",
    "an empty section": GOOD.partition("  args:")[0] + "  args:  # none\n  # tp: 8\n",
    "quoted keys": BAD.replace("kv-cache-dtype:", '"kv-cache-dtype":').replace("fp8_e4m3", "'fp8_e4m3'"),
    "tabs in comments": BAD.replace("    # as asked", "\t#\tas\tasked").replace("# Served", "#\tServed"),
    "the option left out, and the mapping last": GOOD.replace("    kv-cache-dtype: bfloat16      # as asked\n", ""),
    "a comment below": GOOD.replace("kv-cache-dtype: bfloat16", "# kv-cache-dtype: x"),
    "JSON": json.dumps(read_text(BAD, "p").data),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The diff that `--diff` shows, applied by `patch`, gives what `--fix` writes."""
    text = LAYOUTS[name]
    path = written(text)
    code, diff, _ = validate(capsys, "--diff", "p.yaml")
    assert code == 1
    assert path.read_bytes() == text.encode()
    validate(capsys, "--fix", "p.yaml")
    fixed = path.read_bytes()
    assert load("p.yaml").data["sglang"]["args"]["kv-cache-dtype"] == "bfloat16"
    removed, added = changed_lines(text, fixed.decode())
    assert (len(removed), len(added)) in ((1, 1), (0, 1))
    assert fixed.endswith(b"\n") or not text.endswith("\n")
    path.write_bytes(text.encode())
    subprocess.run(["patch", "--binary", "-s", "-p0"], input=diff.encode(), check=True)
    assert path.read_bytes() == fixed
    if name == "JSON":
        json.loads(fixed)


def changed_lines(old: str, new: str) -> tuple[list[str], list[str]]:
    before, after = old.splitlines(), new.splitlines()
    return [line for line in before if line not in after], [line for line in after if line not in before]


def test_diff_wins_and_reports_the_file_as_it_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(BAD)
    code, out, err = validate(capsys, "--fix", "--diff", "p.yaml")
    assert (code, path.read_text()) == (1, BAD)
    assert out.splitlines()[0] == "--- p.yaml"
    assert "+    kv-cache-dtype: bfloat16      # as asked" in out.splitlines()[-1]
    assert err.startswith("Would fix 1 finding in p.yaml: GLM001\n")
    assert "p.yaml:22:21: error GLM001" in err
    written(GOOD)
    code, out, err = validate(capsys, "--diff", "p.yaml")
    assert (code, out) == (0, "")
    assert err.startswith("Nothing would be fixed.\n")


def test_the_diff_has_the_colors_of_gits(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(BAD)
    done = subprocess.run(
        [sys.executable, "-m", "glmdeploy", "validate", "--diff", "p.yaml"],
        capture_output=True,
        text=True,
        env={**os.environ, "FORCE_COLOR": "1", "NO_COLOR": ""},
        check=False,
    )
    shown = done.stdout.splitlines()
    assert shown[0] == "\x1b[1m--- p.yaml\x1b[0m"
    assert shown[2] == "\x1b[36m@@ -19,4 +19,4 @@\x1b[0m"
    assert shown[-2].startswith("\x1b[31m-    kv-cache-dtype: fp8_e4m3")
    assert shown[-1].startswith("\x1b[32m+    kv-cache-dtype: bfloat16")


def test_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(BAD)
    [message] = [found.message for found in resolve(load("p.yaml")).findings if found.id == "GLM001"]
    finding = {"id": "GLM001", "path": "sglang.args.kv-cache-dtype", "message": message}
    code, out, err = validate(capsys, "--diff", "--json", "p.yaml")
    data = json.loads(out)
    assert (code, data["ok"]) == (1, False)
    [profile] = data["profiles"]
    assert (profile["would_fix"], profile["not_fixed"]) == ([finding], [])
    assert err.splitlines()[0] == "--- p.yaml"
    code, out, err = validate(capsys, "--fix", "--json", "p.yaml")
    [profile] = json.loads(out)["profiles"]
    assert code == 0
    assert (profile["fixed"], profile["valid"]) == ([finding], True)
    assert "GLM001" not in {found["id"] for found in profile["findings"]}
    assert err.splitlines()[0] == "--- p.yaml"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("p.yaml", "--overlay", "o.yaml"), "leave out --overlay and --set"),
        (("p.yaml", "--set", "sglang.args.tp=4"), "leave out --overlay and --set"),
        (("p.yaml", "-"), "standard input cannot be edited"),
    ],
)
@pytest.mark.parametrize("option", ["--fix", "--diff"])
def test_only_files_can_be_fixed(
    arguments: tuple[str, ...], words: str, option: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(BAD)
    code, out, err = validate(capsys, option, *arguments)
    assert (code, out, words in err) == (2, "", True)
    assert path.read_text() == BAD


def test_a_profile_that_cannot_be_read_is_reported(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written("schema: 1\nname: [\n")
    code, out, err = validate(capsys, "--fix", "p.yaml", "none.yaml")
    assert (code, err) == (1, "Nothing was fixed.\n")
    assert "p.yaml:" in out
    assert "there is no file none.yaml" in out
    assert path.read_text() == "schema: 1\nname: [\n"


def test_a_pipe_is_no_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.write(writer, BAD.encode())
    os.close(writer)
    code, out, err = validate(capsys, "--fix", f"/dev/fd/{reader}")
    os.close(reader)
    assert (code, out) == (1, "")
    assert "is not a file that can be edited" in err


def test_a_waived_finding_is_left(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waived = "".join(
        f"  - {{rule: {rule}, reason: measured, until: '2999-01-31'}}\n" for rule in ("GLM001", "GLM004", "GLM011")
    )
    path = written(f"{BAD}waive:\n{waived}")
    text = path.read_text()
    code, _, err = validate(capsys, "--fix", "p.yaml")
    assert (code, err, path.read_text()) == (0, "Nothing was fixed.\n", text)


ALIAS = BAD.replace("name: small\n", "name: small\ndescription: &kv fp8_e4m3\n").replace(": fp8_e4m3 ", ": *kv ")
FOLDED = BAD.replace(": fp8_e4m3      # as asked", ": >-\n      fp8_e4m3")
OVER_LINES = json.dumps(read_text(GOOD.replace("kv-cache-dtype: bfloat16", "page-size: 64"), "p").data, indent=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ALIAS, "`sglang.args.kv-cache-dtype` in p.yaml is an alias"),
        (FOLDED, "is written in a way (an alias, or over several lines) that cannot be changed safely"),
        (OVER_LINES, "`sglang.args` in p.yaml is in brackets over several lines"),
    ],
)
def test_what_the_editor_refuses_is_said_and_left(
    text: str, words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(text)
    code, _, err = validate(capsys, "--fix", "p.yaml")
    assert (code, path.read_text()) == (1, text)
    assert "is not fixed: " in err
    assert words in err


WAIVERS = """\
waive:
  # first
  - rule: GLM003
    reason: not needed
    until: "2999-01-31"
  - {rule: GLM012, reason: one report, until: "2999-01-31"}   # stays
  # second
  - rule: GLM060
    # of GLM060
    reason: cannot be waived
    until: "2999-01-31"

  - rule: GLM001
    reason: ended, and the rule finds nothing
    until: "2020-01-31"
# end
"""


def test_waivers_that_do_nothing_go(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(BAD + WAIVERS)
    code, _, err = validate(capsys, "--fix", "--strict", "p.yaml")
    assert path.read_text() == GOOD + (
        "waive:\n  # first\n"
        '  - {rule: GLM012, reason: one report, until: "2999-01-31"}   # stays\n'
        "  # second\n    # of GLM060\n\n# end\n"
    )
    assert (code, err) == (0, "Fixed 4 findings in p.yaml: GLM001, waiver\n")


@pytest.mark.parametrize(
    "waivers",
    [
        '[{rule: GLM999, reason: meant for which?, until: "2999-01-31"}]',
        '[{rule: GLM061, reason: a, until: "2999-01-31"}, {rule: GLM061, reason: b, until: "2999-01-31"}]',
        '[{rule: GLM012, reason: ended, and the rule finds something, until: "2020-01-31"}]',
    ],
)
def test_waivers_that_may_mean_something_stay(waivers: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(f"{GOOD}waive: {waivers}\n")
    code, _, err = validate(capsys, "--fix", "p.yaml")
    assert (code, err) == (1, "Nothing was fixed.\n")
    assert path.read_text() == f"{GOOD}waive: {waivers}\n"


@pytest.mark.parametrize(
    "entry",
    [
        "api-key: s3cret-value",
        "api-key: 's3cret-value'  # the key",
        'api-key: "s3cret\\x2dvalue"',
        "api-key: s3cret-value\n      s3cret-other",
        "api-key: |\n      s3cret-value\n      s3cret-other\n      # s3cret",
        'api-key: "s3cret\\\n      value"',
        "? api-key\n    : s3cret-value",
        "served-model-name: &it s3cret-value\n    api-key: *it",
        "admin-api-key: s3c\n    api-key: s3c",
    ],
)
def test_secrets_are_not_shown(entry: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(BAD.replace("    tp: 8\n", f"    {entry}\n    tp: 8\n"))
    for option in ("--diff", "--fix"):
        _, out, _ = validate(capsys, option, "p.yaml")
        shown = out if option == "--diff" else out.partition("p.yaml:")[0]
        assert "s3c" not in shown
        assert "+++ p.yaml" in shown
    assert "kv-cache-dtype: bfloat16" in path.read_text(), "the rest is fixed all the same"
