"""``--select`` and ``--ignore``: by ids and their beginnings, the longest wins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged import checked
from reporting import call, finding, write_profiles

from glmdeploy.errors import UsageError
from glmdeploy.findings import Remove
from glmdeploy.rules.judge import selection
from glmdeploy.rules.registry import rules

if TYPE_CHECKING:
    from pathlib import Path

IDS = [rule.id for rule in rules()]
BEGINNINGS = sorted({rule[:length] for rule in IDS for length in range(3, 7)})


def covered(*, select: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> set[str]:
    chosen = selection(select, ignore)
    return {name for name in (*IDS, "yaml", "schema", "sglang", "waiver") if chosen.covers(finding(id=name))}


@pytest.mark.parametrize(
    ("select", "ignore", "covers", "leaves"),
    [
        ((), (), {"GLM001", "yaml"}, set()),
        (("GLM",), (), {"GLM001", "GLM060"}, {"yaml", "waiver"}),
        (("GLM02",), (), {"GLM020", "GLM024"}, {"GLM001", "yaml"}),
        (("GLM021,waiver",), (), {"GLM021", "waiver"}, {"GLM020", "yaml"}),
        (("GLM021", "glm020, Yaml"), (), {"GLM021", "GLM020", "yaml"}, {"GLM022"}),
        ((), ("GLM02",), {"GLM001", "yaml"}, {"GLM020", "GLM021"}),
        ((), ("schema,GLM021",), {"GLM020", "yaml"}, {"schema", "GLM021"}),
        (("GLM02",), ("GLM021",), {"GLM020"}, {"GLM021", "GLM001"}),
        (("GLM021",), ("GLM02",), {"GLM021"}, {"GLM020"}),
        (("GLM02",), ("GLM02",), set(), {"GLM020"}),
    ],
)
def test_selection(select: tuple[str, ...], ignore: tuple[str, ...], covers: set[str], leaves: set[str]) -> None:
    found = covered(select=select, ignore=ignore)
    assert covers <= found
    assert not leaves & found


@given(st.lists(st.sampled_from(BEGINNINGS)), st.lists(st.sampled_from(BEGINNINGS)))
def test_the_longest_wins(select: list[str], ignore: list[str]) -> None:
    found = covered(select=(",".join(select),), ignore=tuple(ignore))
    for name in IDS:
        # By each length, the longest first, as one would look it up in a table.
        verdict = not select
        for length in range(6, 0, -1):
            if name[:length] in ignore:
                verdict = False
                break
            if name[:length] in select:
                verdict = True
                break
        assert (name in found) == verdict


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("GLM999", "mean `GLM"),
        ("shema", "schema"),
        ("GML021", "GLM021"),
        ("", None),
        ("sgl", "sglang"),
        ("G", None),
    ],
)
def test_unknown(name: str, near: str | None) -> None:
    if not name:
        assert selection((name,), ()).selected == ()
        return
    with pytest.raises(UsageError) as caught:
        selection((), (f"GLM021,{name}",))
    assert name in caught.value.message
    assert "glmdeploy rules" in (caught.value.advice or "")
    if near:
        assert near in (caught.value.advice or "")


def test_retired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glmdeploy.rules.registry.RETIRED", {"GLM555": "GLM001 covers it"})
    with pytest.raises(UsageError, match="`GLM555` is no rule any more: GLM001 covers it"):
        selection(("glm555",), ())


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_profiles(tmp_path)


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("error.yaml", "--select", "GLM02"), 1),
        (("error.yaml", "--select", "GLM021"), 0),
        (("error.yaml", "--ignore", "GLM020,GLM0"), 0),
        (("schema.yaml", "--ignore", "schema"), 0),
        (("broken.yaml", "--ignore", "yaml"), 0),
        # What keeps the selected rules from being judged must not look like success.
        (("schema.yaml", "--select", "GLM021"), 1),
        (("broken.yaml", "--select", "GLM021"), 1),
        (("release.yaml", "--select", "GLM021"), 1),
        (("missing.yaml", "--select", "GLM"), 1),
        (("option.yaml", "--select", "GLM021"), 0),
        (("schema.yaml", "--select", "yaml"), 0),
        (("broken.yaml", "--select", "GLM021", "--ignore", "yaml"), 0),
        (("clean.yaml", "--select", "GLM999"), 2),
    ],
)
def test_what_fails(arguments: tuple[str, ...], code: int) -> None:
    assert call("validate", *arguments)[0] == code


@pytest.mark.usefixtures("profiles")
def test_what_is_reported() -> None:
    _, out, _ = call("validate", "error.yaml", "warning.yaml", "--json", "--select", "GLM004")
    data = json.loads(out)
    assert data["ok"] is True
    assert [[each["id"] for each in profile["findings"]] for profile in data["profiles"]] == [[], ["GLM004"]]
    # Valid is what can be deployed, whatever is looked at.
    assert [profile["valid"] for profile in data["profiles"]] == [False, True]


@pytest.mark.usefixtures("profiles")
def test_only_what_is_selected_is_fixed(tmp_path: Path) -> None:
    text = "extends: b200-eagle-bf16kv\nsglang:\n  args:\n    tp: 8\n    api-key: sesame-open\n"
    (tmp_path / "leak.yaml").write_text(text)
    call("validate", "leak.yaml", "--fix", "--ignore", "GLM063")
    assert (tmp_path / "leak.yaml").read_text() == text
    call("validate", "leak.yaml", "--fix", "--select", "GLM063")
    assert "api-key" not in (tmp_path / "leak.yaml").read_text()


@pytest.mark.parametrize(
    ("rule", "until", "waived"),
    [
        ("GLM020", "2026-11-23", True),
        ("GLM020", "2026-11-22", False),
        ("GLM060", "2099-01-01", False),
        ("GLM999", "2099-01-01", False),
    ],
)
def test_a_waiver_holds_for_a_rule_that_can_be_waived_until_it_ends(rule: str, until: str, *, waived: bool) -> None:
    waiver = f"waive=[{{rule: {rule}, reason: tried, until: {until}}}]"
    found = checked("server.public=true", "sglang.args.tp=4", waiver).findings
    assert {each.id for each in found if each.waived == "tried"} == ({rule} if waived else set())
    assert {"GLM020", "GLM060"} <= {each.id for each in found}


@pytest.mark.parametrize(
    ("waivers", "places"),
    [
        (("GLM060",), [0]),
        (("GLM047",), [0]),
        (("GLM999",), []),
        (("GLM020", "GLM020"), []),
        (("GLM020", "GLM047"), [1]),
    ],
)
def test_a_waiver_that_does_nothing_can_go(waivers: tuple[str, ...], places: list[int]) -> None:
    listed = ", ".join(f"{{rule: {rule}, reason: tried, until: 2099-01-01}}" for rule in waivers)
    found = checked("sglang.args.tp=4", f"waive=[{listed}]").findings
    edits = [edit for each in found if each.id == "waiver" for edit in each.edits]
    assert edits == [Remove(path=("waive", place)) for place in places]


def test_a_waiver_of_no_rule_is_asked_which_is_meant() -> None:
    found = checked("waive=[{rule: GLM920, reason: tried, until: 2099-01-01}]").findings
    [fix] = [each.fix for each in found if each.id == "waiver"]
    assert fix == "did you mean `GLM020` (tp does not match the GPU count)? remove the waiver"
