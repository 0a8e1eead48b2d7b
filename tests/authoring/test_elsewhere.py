"""Values that stand in another file than the profile's own are left to the user."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path

import pytest
from faulty_profiles import BAD, GOOD, validate, written

from glmdeploy.authoring import editor
from glmdeploy.authoring.own_file import OwnFile
from glmdeploy.findings import SetValue
from glmdeploy.resources import profiles_dir


def test_an_inherited_value_is_not_overridden(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = Path("base.yaml")
    base.write_text(BAD)
    path = written("extends: base.yaml\nname: child\n")
    code, out, err = validate(capsys, "--fix", "p.yaml")
    assert code == 1
    assert "base.yaml:22:21: GLM001 is not fixed: `sglang.args.kv-cache-dtype` is not written in p.yaml, but" in err
    assert "in base.yaml, line 22. Change it there, or override it in p.yaml." in err
    assert "---" not in out
    assert (path.read_text(), base.read_text()) == ("extends: base.yaml\nname: child\n", BAD)
    [item] = json.loads(validate(capsys, "--fix", "--json", "p.yaml")[1])["profiles"][0]["not_fixed"]
    assert item["id"] == "GLM001"
    assert "but in base.yaml, line 22" in item["reason"]


def test_a_missing_option_goes_into_the_profile_itself(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("base.yaml").write_text("".join(line for line in GOOD.splitlines(keepends=True) if "kv-cache" not in line))
    path = written("extends: base.yaml\nname: child\nserver: {max_containers: 2}\n\n# the end\n")
    code, _, _ = validate(capsys, "--fix", "p.yaml")
    assert code == 0
    assert path.read_text() == (
        "extends: base.yaml\nname: child\nserver: {max_containers: 2}\n"
        "sglang:\n  args:\n    kv-cache-dtype: bfloat16\n\n# the end\n"
    )


def test_an_inherited_null_is_not_overridden_either(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = Path("base.yaml")
    base.write_text("extends: root.yaml\nsglang: {args: {kv-cache-dtype: null}}\n")
    Path("root.yaml").write_text(GOOD)
    written("extends: base.yaml\nname: child\n")
    code, _, err = validate(capsys, "--fix", "p.yaml")
    assert (code, "but in base.yaml, line 2" in err) == (1, True)
    assert validate(capsys, "--fix", "base.yaml")[0] == 0, "in its own file it is"
    assert base.read_text() == "extends: root.yaml\nsglang: {args: {kv-cache-dtype: bfloat16}}\n"


def test_a_value_from_below_that_would_show_through_is_not_uncovered(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("base.yaml").write_text(GOOD + "    api-key: below-key\n")
    text = "extends: base.yaml\nname: child\nsglang: {args: {api-key: own-key, tp: 8}}\n"
    path = written(text)
    code, out, err = validate(capsys, "--fix", "p.yaml")
    assert code == 1
    assert "`sglang.args.api-key` in p.yaml covers what base.yaml, line 23, says. Edit it by hand" in err
    assert path.read_text() == text
    assert "own-key" not in out + err


def test_files_that_extend_one_another_are_fixed_in_any_order(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("base.yaml").write_text(BAD)
    written("extends: base.yaml\nname: child\n")
    Path("grandchild.yaml").write_text("extends: p.yaml\nname: grandchild\n")
    code, _, err = validate(capsys, "--fix", "grandchild.yaml", "p.yaml", "base.yaml")
    assert (code, err) == (0, "Fixed 1 finding in base.yaml: GLM001\n")
    assert Path("base.yaml").read_text() == GOOD


def test_a_profile_that_ships_is_not_edited_from_elsewhere(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = profiles_dir() / "b200-eagle-bf16kv.yaml"
    file = OwnFile.read(str(shipped))
    with pytest.raises(editor.EditError, match="ships with glmdeploy"):
        file.edited(SetValue(path=("sglang", "args", "tp"), value=4))
    with chdir(profiles_dir().parent):
        assert "tp: 4" in file.edited(SetValue(path=("sglang", "args", "tp"), value=4)).text
    assert file.edited() == file
    text = written("extends: b200-eagle-bf16kv\nname: mine\ngpu: H200:8\n").read_text()
    code, _, err = validate(capsys, "--fix", "p.yaml")
    assert (code, Path("p.yaml").read_text()) == (1, text)
    assert f"is not written in p.yaml, but in {shipped}, line " in err
    assert ". Override it in p.yaml." in err
