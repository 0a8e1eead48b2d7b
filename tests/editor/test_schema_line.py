"""The line by which editors find a profile's schema: the same on every machine, and written by what writes profiles."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from reporting import call

from glmdeploy.authoring import schema_line
from glmdeploy.errors import GlmdeployError
from glmdeploy.profile import schema
from glmdeploy.profile.release_schema import generate, release_file
from glmdeploy.profile.text.load import load
from glmdeploy.resources import checkout, profiles_dir

PROFILE = (Path(__file__).parent / "profile.yaml").read_text(encoding="utf-8")
LINE = "# yaml-language-server: $schema={}"


def meant(file: Path) -> Path:
    """The file that the line of a profile means to an editor, which follows no links."""
    place = file.read_text(encoding="utf-8").partition("\n")[0].partition("$schema=")[2]
    assert not place.startswith(("/", "file:", "http"))
    return Path(os.path.normpath(file.parent / place))


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """A repository with a folder of profiles."""
    (tmp_path / "team" / ".git").mkdir(parents=True)
    (tmp_path / "team" / "deploy" / "profiles").mkdir(parents=True)
    return tmp_path / "team"


def test_in_a_repository_the_schema_lies_at_its_root(team: Path) -> None:
    file = team / "deploy" / "profiles" / "a.yaml"
    assert schema_line.schema_line(file, "0.5.11") == LINE.format("../../.glmdeploy/profile-0.5.11.schema.json")
    assert schema_line.keep_schema(file, "0.5.11") == team / ".glmdeploy" / "profile-0.5.11.schema.json"
    assert schema_line.keep_schema(file, "0.5.11") is None, "it is there"
    assert (team / ".glmdeploy" / "profile-0.5.11.schema.json").read_text(encoding="utf-8") == generate("0.5.11")


def test_in_none_it_lies_beside_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert schema_line.schema_line(Path("a.yaml"), "0.5.23") == LINE.format(".glmdeploy/profile-0.5.23.schema.json")
    assert schema_line.keep_schema(Path("a.yaml"), "0.5.23") == Path(".glmdeploy/profile-0.5.23.schema.json")


def test_a_copy_of_another_version_is_renewed(team: Path) -> None:
    file, copy = team / "a.yaml", team / ".glmdeploy" / "profile-0.5.11.schema.json"
    copy.parent.mkdir()
    copy.write_text("{}")
    assert schema_line.keep_schema(file, "0.5.11") == copy
    assert copy.read_text(encoding="utf-8") == generate("0.5.11")


def test_a_release_without_a_catalog_gets_what_all_have(team: Path) -> None:
    file = team / "a.yaml"
    assert schema_line.schema_line(file, "9.9.9") == LINE.format(".glmdeploy/profile.schema.json")
    schema_line.keep_schema(file, "9.9.9")
    assert (team / ".glmdeploy" / "profile.schema.json").read_text(encoding="utf-8") == schema.generate()


def test_in_a_checkout_the_shipped_profiles_name_the_checkout_s_own() -> None:
    assert checkout() == profiles_dir().parent
    for file in profiles_dir().glob("*.yaml"):
        assert schema_line.keep_schema(file, "0.5.11") is None
        assert meant(file) == release_file(load(str(file)).data["sglang"]["version"])


def test_what_cannot_be_written_is_told(team: Path) -> None:
    (team / ".glmdeploy").write_text("a file")
    with pytest.raises(GlmdeployError, match=r"cannot write .*profile-0\.5\.11"):
        schema_line.keep_schema(team / "a.yaml", "0.5.11")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a: 1\n", "LINE\na: 1\n"),
        ("", "LINE\n"),
        ("a: 1\r\n", "LINE\r\na: 1\r\n"),
        ("\ufeffa: 1\n", "\ufeffLINE\na: 1\n"),
        ("# yaml-language-server: $schema=../schemas/profile.schema.json\na: 1\n", "LINE\na: 1\n"),
        ("\n# hello\n# yaml-language-server: $schema=x.json\r\na: 1\n", "\n# hello\nLINE\r\na: 1\n"),
        ("\ufeff# yaml-language-server: $schema=x.json\na: 1\n", "\ufeffLINE\na: 1\n"),
        ("a: 1\n# yaml-language-server: $schema=x.json\n", "LINE\na: 1\n# yaml-language-server: $schema=x.json\n"),
        ("# yaml-language-server: $schema=x.json", "LINE"),
    ],
)
def test_the_line_takes_the_place_of_another(before: str, after: str) -> None:
    assert schema_line.with_line(before, "LINE") == after


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("../schemas/profile.schema.json", True),
        (".glmdeploy/profile-0.5.12.post1.schema.json", True),
        ("file:///somewhere/profile.schema.json", True),
        ("our-profile.json", False),
        ("my-profile.schema.json", False),
        ("none", False),
    ],
)
def test_a_line_of_ours_is_known(line: str, ours: bool) -> None:
    assert schema_line.has_line(f"# first\n{LINE.format(line)}\na: 1\n") is ours
    assert not schema_line.has_line(f"a: 1\n{LINE.format(line)}\n")


def test_import_writes_profile_line_and_schema(team: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(team)
    Path("run.sh").write_text("python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B --tp 1\n")
    arguments = ("import", "run.sh", "--gpu", "H100:1", "--public", "--sglang-version", "0.5.16")
    code, _, err = call(*arguments, "-o", "deploy/profiles/q.yaml")
    assert code == 0, err
    assert "wrote .glmdeploy/profile-0.5.16.schema.json" in err
    assert meant(team / "deploy/profiles/q.yaml") == team / ".glmdeploy" / "profile-0.5.16.schema.json"
    assert meant(team / "deploy/profiles/q.yaml").is_file()
    code, out, _ = call(*arguments)
    assert code == 0
    assert "$schema" not in out, "where it will lie is not known"


def test_upgrade_names_the_schema_of_its_target(team: Path) -> None:
    file = team / "deploy" / "profiles" / "a.yaml"
    file.write_text(PROFILE)
    assert call("schema", str(file), "--write")[0] == 0
    code, _, err = call("upgrade", str(file), "--to", "0.5.16", "--write")
    assert code == 0, err
    assert meant(file) == team / ".glmdeploy" / "profile-0.5.16.schema.json"
    assert meant(file).is_file()
    other = team / "b.yaml"
    other.write_text(PROFILE)
    assert call("upgrade", str(other), "--to", "0.5.16", "--write")[0] == 0
    assert "$schema" not in other.read_text(), "who has none wants none"


def test_the_command_shows_and_writes(team: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(team)
    Path("base.yaml").write_text(PROFILE)
    Path("child.yaml").write_text("extends: base.yaml\nname: child\n")
    assert call("schema", "child.yaml") == (0, generate("0.5.11"), "")
    assert call("schema", "--release", "0.5.23") == (0, generate("0.5.23"), "")
    code, out, err = call("schema", "base.yaml", "child.yaml", "--write")
    assert (code, out) == (0, "")
    kept = "wrote .glmdeploy/profile-0.5.11.schema.json"
    assert err.splitlines() == [kept, "wrote base.yaml", "wrote child.yaml"]
    assert Path("child.yaml").read_text() == (
        f"{LINE.format('.glmdeploy/profile-0.5.11.schema.json')}\nextends: base.yaml\nname: child\n"
    )
    code, _, err = call("schema", "base.yaml", "--write")
    assert (code, " ".join(err.split())) == (
        0,
        "base.yaml names its release's schema, and that is there: nothing to write",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--release", "0.5.99"), 1, "does not know SGLang 0.5.99"),
        (("--release", "0.5.11", "a.yaml"), 2, "leave out the profiles"),
        (("a.yaml", "a.yaml"), 2, "name one profile"),
        (("-", "--write"), 2, "standard input cannot be edited"),
        (("none.yaml", "--write"), 1, "says no SGLang release"),
        (("a.json", "--write"), 1, "is JSON, which has no comments"),
        (("missing.yaml",), 1, "there is no file"),
    ],
)
def test_wrong_use(
    arguments: tuple[str, ...], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(PROFILE)
    Path("none.yaml").write_text("schema: 1\n")
    Path("a.json").write_text('{"sglang": {"version": "0.5.11"}}')
    got, out, err = call("schema", *arguments)
    assert got == code, err
    assert says in " ".join(err.split())
    assert out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.yaml", "none.yaml"]
