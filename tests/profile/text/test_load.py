"""Profiles by name, what they extend, overlays, and standard input."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

import pytest

from glmdeploy.errors import ProfileError
from glmdeploy.profile.text.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from glmdeploy.findings import Finding


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that is the current folder, and beside it a shelf of shipped profiles."""
    shelf = tmp_path / "shelf"
    write(shelf / "shipped.yaml", "name: shipped\nserver: {port: 8000, timeout: 60}\n")
    monkeypatch.setattr("glmdeploy.profile.text.load.profiles_dir", lambda: shelf)
    here = tmp_path / "repo"
    (here / ".git").mkdir(parents=True)
    monkeypatch.chdir(here)
    return here


def write(path: Path, text: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def faults(source: str, **options: object) -> tuple[Finding, ...]:
    with pytest.raises(ProfileError) as caught:
        load(source, **options)  # type: ignore[arg-type]
    assert all(finding.id == "yaml" for finding in caught.value.findings)
    return caught.value.findings


def fault(source: str, **options: object) -> Finding:
    (finding,) = faults(source, **options)
    return finding


def place(finding: Finding) -> tuple[str, int, int]:
    return finding.location.file, finding.location.line, finding.location.column


# Names


def test_a_path(repo: Path) -> None:
    write(repo / "sub/p.yaml", "name: a\n")
    document = load("sub/p.yaml")
    assert document.data == {"name": "a"}
    assert document.files == ("sub/p.yaml",)
    assert load(str(repo / "sub/p.yaml")).files == (str(repo / "sub/p.yaml"),)


def test_a_bare_name_is_a_local_profile_then_a_shipped_one_then_a_file(repo: Path) -> None:
    assert load("shipped").data["name"] == "shipped"
    write(repo / "shipped", "name: bare\n")
    assert load("shipped").data["name"] == "shipped"
    write(repo / "profiles/shipped.yaml", "name: local\n")
    assert load("shipped").data["name"] == "local"
    assert load("shipped").files == (os.path.join("profiles", "shipped.yaml"),)  # noqa: PTH118
    write(repo / "only-a-file", "name: bare\n")
    assert load("only-a-file").data["name"] == "bare"


def test_a_name_with_dots(repo: Path) -> None:
    write(repo / "profiles/glm-5.1.yaml", "name: a\n")
    assert load("glm-5.1").data == {"name": "a"}


def test_a_missing_profile_lists_what_was_tried_and_near_names(repo: Path) -> None:
    write(repo / "profiles/shopped.yaml", "name: local\n")
    finding = fault("shiped")
    assert place(finding) == ("shiped", 1, 1)
    assert finding.message == "there is no profile `shiped`"
    assert finding.expected is not None
    assert "`profiles`" in finding.expected
    assert "`shipped`" in finding.expected
    assert finding.fix == "did you mean `shipped` or `shopped`?"


def test_a_missing_file_offers_near_files(repo: Path) -> None:
    write(repo / "sub/production.yaml", "name: a\n")
    finding = fault("sub/prodution.yaml")
    assert finding.message == "there is no file `sub/prodution.yaml`"
    assert finding.fix == "did you mean `sub/production.yaml`?"
    assert fault("shipped.yml").fix == "did you mean `shipped`?"
    assert fault("nothing/like/it.yaml").fix is None


def test_what_cannot_be_read(repo: Path) -> None:
    write(repo / "sub/p.yaml", "name: a\n")
    (repo / "loop.yaml").symlink_to("loop.yaml")
    long = "x" * 5000 + ".yaml"
    for source, fragment in (
        ("sub", "it is a folder"),
        (".", "it is a folder"),
        ("sub/p.yaml/q.yaml", "there is no file"),
        ("", "is empty"),
        (long, "too long"),
        ("a\0b.yaml", "there is no file"),
    ):
        finding = fault(source)
        assert fragment.replace("`", "") in finding.message.replace("`", "")
        assert place(finding) == (source, 1, 1)
    assert place(fault("loop.yaml")) == ("loop.yaml", 1, 1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(repo: Path) -> None:
    os.chmod(write(repo / "p.yaml", "name: a\n"), 0)  # noqa: PTH101
    assert "permission denied" in fault("p.yaml").message


def test_a_pipe_can_be_a_profile(repo: Path) -> None:
    read, wrote = os.pipe()
    os.write(wrote, b"name: a\nextends: shipped\n")
    os.close(wrote)
    try:
        assert load(f"/dev/fd/{read}").data["server"]["port"] == 8000
    finally:
        os.close(read)


def test_an_endless_file_is_not_read_to_its_end() -> None:
    assert "larger than 1 MiB" in fault("/dev/zero").message


# Standard input


@pytest.mark.parametrize("stream", [io.StringIO("name: é\n"), io.BytesIO("name: é\n".encode())])
def test_standard_input(stream: io.StringIO | io.BytesIO, repo: Path) -> None:
    document = load("-", stdin=stream)
    assert document.data == {"name": "é"}
    assert document.locate(("name",)).file == "<stdin>"


def test_the_process_standard_input_is_read_as_bytes(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("name: é\n".encode()), encoding="ascii"))
    assert load("-").data == {"name": "é"}
    monkeypatch.setattr(sys, "stdin", None)
    assert fault("-").message == "standard input is closed"


def test_standard_input_has_faults_and_bounds_too(repo: Path) -> None:
    assert place(fault("-", stdin=io.StringIO("a: 1\na: 2\n"))) == ("<stdin>", 2, 1)
    assert "larger than 1 MiB" in fault("-", stdin=io.BytesIO(b"#" * 1_048_577)).message
    assert "larger than 1 MiB" in fault("-", stdin=io.StringIO("é" * 600_000)).message


def test_standard_input_extends_from_the_current_folder(repo: Path) -> None:
    write(repo / "base.yaml", "name: base\n")
    document = load("-", stdin=io.StringIO("extends: base.yaml\napp: a\n"))
    assert document.data == {"name": "base", "app": "a"}
    assert document.files == ("<stdin>", "base.yaml")
    assert "outside" in fault("-", stdin=io.StringIO("extends: ../x.yaml\n")).message


# Extending


def test_extends(repo: Path) -> None:
    write(repo / "lib/one.yaml", "extends: two.yaml\nserver: {port: 1, env: {A: one}}\nkeys: [one]\n")
    write(
        repo / "lib/two.yaml",
        "name: two\nserver: {port: 2, timeout: 2, env: {A: two, B: two}}\nkeys: [a, b]\n",
    )
    write(repo / "three.yaml", "server: {timeout: 3, window: 3}\n")
    write(repo / "p.yaml", "extends: [lib/one.yaml, three.yaml]\nname: p\nserver:\n  window: null\n")
    document = load("p.yaml")
    assert document.data == {
        "name": "p",
        "server": {"port": 1, "timeout": 3, "env": {"A": "one", "B": "two"}},
        "keys": ["one"],
    }
    lib = "lib" + os.sep
    assert document.files == ("p.yaml", f"{lib}one.yaml", f"{lib}two.yaml", "three.yaml")
    wrote = {".".join(map(str, path)): mark.value.file for path, mark in document.marks.items()}
    assert wrote == {
        "": "p.yaml",
        "name": "p.yaml",
        "server": "p.yaml",
        "server.port": f"{lib}one.yaml",
        "server.timeout": "three.yaml",
        "server.env": f"{lib}one.yaml",
        "server.env.A": f"{lib}one.yaml",
        "server.env.B": f"{lib}two.yaml",
        "keys": f"{lib}one.yaml",
        "keys.0": f"{lib}one.yaml",
    }
    timeout = document.locate(("server", "timeout"))
    assert (timeout.line, timeout.column, timeout.text) == (1, 19, "server: {timeout: 3, window: 3}")
    assert document.locate(("server", "window")).file == "p.yaml"


def test_a_file_that_is_extended_twice_lies_below_each(repo: Path) -> None:
    write(repo / "common.yaml", "tp: 8\nep: 1\n")
    write(repo / "a.yaml", "extends: common.yaml\ntp: 4\n")
    write(repo / "b.yaml", "extends: common.yaml\nep: 2\n")
    write(repo / "p.yaml", "extends: [a.yaml, b.yaml]\n")
    document = load("p.yaml")
    assert document.data == {"tp": 8, "ep": 2}
    assert len(document.files) == 4


def test_extending_nothing(repo: Path) -> None:
    for value in ("null", "[]", ""):
        assert load(write(repo / "p.yaml", f"extends: {value}\nname: a\n")).data == {"name": "a"}
    assert load(write(repo / "p.yaml", "server: {extends: x}\n")).data == {"server": {"extends": "x"}}


def test_a_bare_name_extends_a_shipped_profile(repo: Path) -> None:
    write(repo / "profiles/shipped.yaml", "extends: shipped\nserver: {port: 1}\n")
    document = load("shipped")
    assert document.data == {"name": "shipped", "server": {"port": 1, "timeout": 60}}
    assert document.locate(("name",)).file.endswith("shipped.yaml")
    assert document.locate(("name",)).file != document.locate(("server",)).file


def test_a_shipped_profile_extends_its_neighbours(repo: Path) -> None:
    write(repo.parent / "shelf/small.yaml", "extends: shipped.yaml\nname: small\n")
    assert load("small").data["server"]["port"] == 8000
    write(repo / "p.yaml", "extends: small\n")
    assert load("p.yaml").data["server"]["port"] == 8000


@pytest.mark.parametrize(
    ("value", "column", "fragment"),
    [
        ("5", 10, "not a number"),
        ("{a: b}", 10, "not a mapping"),
        ("[base.yaml, true]", 22, "not a boolean"),
        ("[base.yaml, null]", 22, "not null"),
        ("[[base.yaml]]", 11, "not a list"),
        ('""', 10, "not empty text"),
        ("bas.yaml", 10, "there is no file `bas.yaml` beside `p.yaml` to extend"),
        ("[base.yaml, bas.yaml]", 22, "there is no file `bas.yaml`"),
        ("shiped", 10, "there is no shipped profile `shiped` to extend"),
        ("sub", 10, "there is no shipped profile `sub`"),
        ("sub/", 10, "sub/ is not a file"),
        ("base.yaml/x.yaml", 10, "cannot be read"),
        ('"a\\0b.yaml"', 10, "cannot be read"),
        ("p.yaml", 10, "in a circle: p.yaml → p.yaml"),
        ("sub/../p.yaml", 10, "in a circle: p.yaml → p.yaml"),
        ("../outside.yaml", 10, "../outside.yaml is outside"),
        ("../missing.yaml", 10, "../missing.yaml is outside"),
        ("/etc/passwd.yaml", 10, "/etc/passwd.yaml is outside"),
        ("link.yaml", 10, "link.yaml is outside"),
        ("linked/outside.yaml", 10, "linked/outside.yaml is outside"),
        ("~/x.yaml", 10, "there is no file `~/x.yaml`"),
    ],
)
def test_what_cannot_be_extended(repo: Path, value: str, column: int, fragment: str) -> None:
    write(repo / "base.yaml", "name: base\n")
    write(repo / "sub/x.yaml", "name: x\n")
    write(repo.parent / "outside.yaml", "name: outside\n")
    (repo / "link.yaml").symlink_to(repo.parent / "outside.yaml")
    (repo / "linked").symlink_to(repo.parent)
    write(repo / "p.yaml", f"extends: {value}\n")
    finding = fault("p.yaml")
    assert fragment.replace("`", "") in finding.message.replace("`", "")
    assert place(finding) == ("p.yaml", 1, column)
    assert finding.path == ("extends",)


def test_near_names_to_extend(repo: Path) -> None:
    write(repo / "lib/base.yaml", "name: base\n")
    write(repo / "p.yaml", "extends: [lib/bas.yaml, shiped]\n")
    assert [each.fix for each in faults("p.yaml")] == ["did you mean `lib/base.yaml`?", "did you mean `shipped`?"]


def test_the_boundary_is_the_repository_of_the_profile_itself(repo: Path) -> None:
    write(repo / "base.yaml", "name: base\n")
    write(repo / "a/b/p.yaml", "extends: ../../base.yaml\n")
    assert load("a/b/p.yaml").data == {"name": "base"}
    write(repo / "a/b/p.yaml", f"extends: {repo}/base.yaml\n")
    assert load("a/b/p.yaml").data == {"name": "base"}
    alone = write(repo.parent / "alone/p.yaml", "extends: ../x.yaml\n")
    assert "outside" in fault(alone).message
    (repo / "p.yaml").symlink_to(alone)  # the file is where it really is, not where it is linked from
    assert "outside" in fault("p.yaml").message


def test_a_circle_shows_its_chain(repo: Path) -> None:
    write(repo / "p.yaml", "extends: a.yaml\n")
    write(repo / "a.yaml", "name: a\nextends: b.yaml\n")
    write(repo / "b.yaml", "extends:\n  - a.yaml\n")
    finding = fault("p.yaml")
    assert finding.message.endswith("in a circle: a.yaml → b.yaml → a.yaml")
    assert place(finding) == ("b.yaml", 2, 5)


def test_nesting_is_bounded(repo: Path) -> None:
    for depth in range(18):
        write(repo / f"{depth}.yaml", f"extends: {depth + 1}.yaml\n")
    write(repo / "16.yaml", "name: last\n")
    assert load("0.yaml").data == {"name": "last"}
    write(repo / "16.yaml", "extends: 17.yaml\n")
    write(repo / "17.yaml", "name: last\n")
    finding = fault("0.yaml")
    assert "more than 16" in finding.message
    assert place(finding) == ("16.yaml", 1, 10)


def test_repetition_is_bounded(repo: Path) -> None:
    for depth in range(15):
        write(repo / f"{depth}.yaml", f"extends: [{depth + 1}.yaml, {depth + 1}.yaml]\n")
    write(repo / "15.yaml", "name: last\n")
    assert any("more than 256" in finding.message for finding in faults("0.yaml"))


# Overlays and values on top


def test_overlays_lie_on_top_in_their_order(repo: Path) -> None:
    write(repo / "p.yaml", "name: p\nserver: {port: 1, timeout: 1, window: 1}\n")
    write(repo.parent / "elsewhere/base.yaml", "server: {port: 2, window: null}\nname: base\n")
    one = write(repo.parent / "elsewhere/one.yaml", "extends: base.yaml\nserver: {timeout: 2}\n")
    write(repo / "two.yaml", "server:\n  timeout: 3\n")
    document = load("p.yaml", overlays=[one, "two.yaml"], sets=["server.port=4", "name=null"])
    assert document.data == {"server": {"port": 4, "timeout": 3}}
    assert document.files == ("p.yaml", one, str(repo.parent / "elsewhere/base.yaml"), "two.yaml")
    assert document.locate(()).file == "p.yaml"
    assert document.locate(("server",), key=True).file == "p.yaml"
    assert document.locate(("server", "timeout")).file == "two.yaml"
    assert document.locate(("server", "port")).file == "--set"
    assert document.locate(("server", "window")).file == str(repo.parent / "elsewhere/base.yaml")
    assert document.locate(("name",)).file == "--set"


def test_faults_of_all_files_and_arguments_are_reported_together(repo: Path) -> None:
    write(repo / "base.yaml", "b: 1\nb: 2\n")
    write(repo / "p.yaml", "extends: [base.yaml, missing.yaml, base.yaml]\nname: p\n")
    write(repo / "over.yaml", "o: [\n")
    found = faults("p.yaml", overlays=["over.yaml", "nowhere.yaml"], sets=["a", "b=1", "extends=x"])
    assert [place(each)[0] for each in found] == [
        "base.yaml",
        "p.yaml",
        "over.yaml",
        "nowhere.yaml",
        "--set",
        "--set",
    ]


def test_faults_of_several_values_are_reported_together(repo: Path) -> None:
    write(repo / "p.yaml", "name: p\n")
    found = faults("p.yaml", sets=["name.a=1", "name=b", "other=null"])
    assert [each.location.text for each in found] == ["name.a=1", "other=null"]
