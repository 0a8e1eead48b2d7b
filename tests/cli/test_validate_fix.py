"""`validate --fix` and `--diff` as a user types them: what they show, change and say."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faulty_profiles import BAD, GOOD, validate, written
from reporting import call

from glmdeploy.profile.text.load import load, read_text
from glmdeploy.rules.check import check

if TYPE_CHECKING:
    from snapshots import Shows

REPLACED = "  sglang.args.kv-cache-dtype: fp8_e4m3 became bfloat16 (GLM001)\n"


def test_the_fix_is_shown_then_made_then_the_rest_is_reported(here: Path, shows: Shows) -> None:
    path = written(BAD)
    assert shows("fix", "validate", "--fix", "p.yaml")[0] == 0
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


def test_diff_wins_and_reports_the_file_as_it_is(here: Path, shows: Shows) -> None:
    path = written(BAD)
    assert shows("fix-diff", "validate", "--fix", "--diff", "p.yaml")[0] == 1
    assert path.read_text() == BAD
    written(GOOD)
    assert shows("fix-diff-nothing", "validate", "--diff", "p.yaml")[:2] == (0, "")


def test_the_diff_has_the_colors_of_gits(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(BAD)
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = call("validate", "--diff", "p.yaml")[1].splitlines()
    assert shown[0] == "\x1b[1m--- p.yaml\x1b[0m"
    assert shown[2] == "\x1b[36m@@ -19,4 +19,4 @@\x1b[0m"
    assert shown[-2].startswith("\x1b[31m-    kv-cache-dtype: fp8_e4m3")
    assert shown[-1].startswith("\x1b[32m+    kv-cache-dtype: bfloat16")


def test_json(here: Path, shows: Shows) -> None:
    written(BAD)
    [message] = [found.message for found in check(load("p.yaml")).findings if found.id == "GLM001"]
    finding = {"id": "GLM001", "path": "sglang.args.kv-cache-dtype", "message": message}
    code, out, _ = shows("fix-diff-json", "validate", "--diff", "--json", "p.yaml")
    data = json.loads(out)
    assert (code, data["ok"]) == (1, False)
    [profile] = data["profiles"]
    assert (profile["would_fix"], profile["not_fixed"]) == ([finding], [])
    code, out, _ = shows("fix-json", "validate", "--fix", "--json", "p.yaml")
    [profile] = json.loads(out)["profiles"]
    assert (code, profile["fixed"], profile["valid"]) == (0, [finding], True)
    assert "GLM001" not in {found["id"] for found in profile["findings"]}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("overlay", ("p.yaml", "--overlay", "o.yaml")),
        ("set", ("p.yaml", "--set", "sglang.args.tp=4")),
        ("standard-input", ("p.yaml", "-")),
    ],
)
@pytest.mark.parametrize("option", ["--fix", "--diff"])
def test_only_files_can_be_fixed(name: str, arguments: tuple[str, ...], option: str, here: Path, shows: Shows) -> None:
    path = written(BAD)
    assert shows(f"fix-no-file-{name}{option[1:]}", "validate", option, *arguments)[:2] == (2, "")
    assert path.read_text() == BAD


def test_a_profile_that_cannot_be_read_is_reported(here: Path, shows: Shows) -> None:
    path = written("schema: 1\nname: [\n")
    assert shows("fix-unreadable", "validate", "--fix", "p.yaml", "none.yaml")[0] == 1
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


@pytest.mark.parametrize(("name", "text"), [("alias", ALIAS), ("folded", FOLDED), ("over-lines", OVER_LINES)])
def test_what_the_editor_refuses_is_said_and_left(name: str, text: str, here: Path, shows: Shows) -> None:
    path = written(text)
    code, _, err = shows(f"fix-refused-{name}", "validate", "--fix", "p.yaml")
    assert (code, path.read_text(), "is not fixed: " in err) == (1, text, True)


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
    assert (code, err) == (0, "Fixed 4 findings in p.yaml: GLM001, waiver\n" + REPLACED)


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


def test_an_inherited_value_is_not_overridden(here: Path, shows: Shows) -> None:
    base = Path("base.yaml")
    base.write_text(BAD)
    path = written("extends: base.yaml\nname: child\n")
    code, out, _ = shows("fix-inherited", "validate", "--fix", "p.yaml")
    assert (code, "---" in out) == (1, False)
    assert (path.read_text(), base.read_text()) == ("extends: base.yaml\nname: child\n", BAD)
    [item] = json.loads(shows("fix-inherited-json", "validate", "--fix", "--json", "p.yaml")[1])["profiles"][0][
        "not_fixed"
    ]
    assert item["id"] == "GLM001"


def test_a_missing_option_goes_into_the_profile_itself(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("base.yaml").write_text("".join(line for line in GOOD.splitlines(keepends=True) if "kv-cache" not in line))
    path = written("extends: base.yaml\nname: child\nserver: {max_containers: 2}\n\n# the end\n")
    code, _, _ = validate(capsys, "--fix", "p.yaml")
    assert code == 0
    assert path.read_text() == (
        "extends: base.yaml\nname: child\nserver: {max_containers: 2}\n"
        "sglang:\n  args:\n    kv-cache-dtype: bfloat16\n\n# the end\n"
    )


def test_an_inherited_null_is_not_overridden_either(here: Path, shows: Shows) -> None:
    base = Path("base.yaml")
    base.write_text("extends: root.yaml\nsglang: {args: {kv-cache-dtype: null}}\n")
    Path("root.yaml").write_text(GOOD)
    written("extends: base.yaml\nname: child\n")
    assert shows("fix-inherited-null", "validate", "--fix", "p.yaml")[0] == 1
    assert call("validate", "--fix", "base.yaml")[0] == 0, "in its own file it is"
    assert base.read_text() == "extends: root.yaml\nsglang: {args: {kv-cache-dtype: bfloat16}}\n"


def test_a_value_from_below_that_would_show_through_is_not_uncovered(here: Path, shows: Shows) -> None:
    Path("base.yaml").write_text(GOOD + "    api-key: below-key\n")
    text = "extends: base.yaml\nname: child\nsglang: {args: {api-key: own-key, tp: 8}}\n"
    path = written(text)
    code, out, err = shows("fix-covered", "validate", "--fix", "p.yaml")
    assert code == 1
    assert path.read_text() == text
    assert "own-key" not in out + err


def test_files_that_extend_one_another_are_fixed_in_any_order(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("base.yaml").write_text(BAD)
    written("extends: base.yaml\nname: child\n")
    Path("grandchild.yaml").write_text("extends: p.yaml\nname: grandchild\n")
    code, _, err = validate(capsys, "--fix", "grandchild.yaml", "p.yaml", "base.yaml")
    assert (code, err) == (0, "Fixed 1 finding in base.yaml: GLM001\n" + REPLACED)
    assert Path("base.yaml").read_text() == GOOD


def test_a_profile_that_ships_is_not_edited_from_elsewhere(here: Path, shows: Shows) -> None:
    text = written("extends: b200-eagle-bf16kv\nname: mine\ngpu: H200:8\n").read_text()
    assert shows("fix-inherited-from-what-ships", "validate", "--fix", "p.yaml")[0] == 1
    assert Path("p.yaml").read_text() == text
