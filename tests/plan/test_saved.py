"""A plan in a file: it comes back as it was, and a file that is none gives one clear error."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from variations import variation

from glmdeploy.errors import DeployError, GlmdeployError
from glmdeploy.plan.saved import OPTIONS, Saved, digest, load_saved, save

if TYPE_CHECKING:
    from pathlib import Path

SAVED = Saved(
    plan=variation("server.region=[us-west, eu]", "download.retries={max_retries: 3}"),
    target="modal",
    environment="prod",
    options=dict.fromkeys(OPTIONS, False),
    world={"app_id": None},
    shown={"app": "x"},
    made_at=datetime(2026, 11, 26, 14, 2, tzinfo=UTC),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save(tmp_path / "a.plan", SAVED)
    return tmp_path / "a.plan"


def test_it_comes_back(file: Path) -> None:
    assert load_saved(file) == SAVED
    assert load_saved(file).current


def test_a_saved_plan_is_replaced(file: Path) -> None:
    save(file, SAVED)
    assert [each.name for each in file.parent.iterdir()] == ["a.plan"]


@pytest.mark.parametrize("content", ["name: x\n", "{}", ""])
def test_what_is_no_saved_plan_is_not_overwritten(tmp_path: Path, content: str) -> None:
    other = tmp_path / "profile.yaml"
    other.write_text(content)
    with pytest.raises(GlmdeployError, match="is there, and no saved plan: it is not overwritten"):
        save(other, SAVED)
    assert other.read_text() == content


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(GlmdeployError, match=r"cannot write .*: No such file or directory"):
        save(tmp_path / "no" / "a.plan", SAVED)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"saved_plan": 2}, "its format is 2, and this glmdeploy reads 1"),
        ({"body": "{}"}, "it was changed since it was saved"),
        ({"shown": {}}, "it was changed since it was saved"),
        ({"target": "moon"}, "its target is not known"),
        ({"environment": 1}, "its target is not known"),
        ({"options": {}}, "it lacks 'force'"),
        ({"options": dict.fromkeys(OPTIONS, 1)}, "its options are not understood"),
        ({"options": {**dict.fromkeys(OPTIONS, False), OPTIONS[-1]: 1}}, "its options are not understood"),
        ({"shown": None, "world": {}}, "it is damaged"),
        ({"world": None}, "it is damaged"),
        ({"made_at": "yesterday"}, "Invalid isoformat string: 'yesterday'"),
    ],
)
def test_a_damaged_file(file: Path, change: dict[str, Any], why: str) -> None:
    content = json.loads(file.read_text()) | change
    if why != "it was changed since it was saved":
        content["sha256"] = digest(content)
    file.write_text(json.dumps(content))
    with pytest.raises(DeployError) as caught:
        load_saved(file)
    assert caught.value.message == f"{file} is no plan that can be used: {why}"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[", b"1", b"null", b"[" * 100_000, b"{}"])
def test_no_plan(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DeployError, match="is no plan that can be used"):
        load_saved(tmp_path / "x")


@pytest.mark.parametrize("content", ["{}", "[]", '["saved_plan"]', '"saved_plan"', "1", "null"])
def test_what_is_json_and_no_plan_was_not_saved(tmp_path: Path, content: str) -> None:
    (tmp_path / "x").write_text(content)
    with pytest.raises(DeployError) as caught:
        load_saved(tmp_path / "x")
    assert caught.value.message.endswith("it was not saved by `glmdeploy plan --out`")


def test_a_file_may_have_so_many_bytes_and_no_more(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = file.stat().st_size
    monkeypatch.setattr("glmdeploy.plan.saved.LARGEST", size)
    assert load_saved(file) == SAVED
    monkeypatch.setattr("glmdeploy.plan.saved.LARGEST", size - 1)
    with pytest.raises(DeployError, match=f"it is larger than {size - 1} bytes"):
        load_saved(file)


def test_the_embedded_cloud_is_a_target_and_a_moment_without_a_zone_is_utc(file: Path) -> None:
    content = json.loads(file.read_text()) | {"target": "local", "made_at": "2026-11-26T14:02:00", "environment": None}
    file.write_text(json.dumps(content | {"sha256": digest(content)}))
    found = load_saved(file)
    assert (found.target, found.environment, found.made_at) == ("local", None, SAVED.made_at)


def test_a_moment_keeps_its_zone(file: Path) -> None:
    content = json.loads(file.read_text()) | {"made_at": "2026-11-26T15:02:00+01:00"}
    file.write_text(json.dumps(content | {"sha256": digest(content)}))
    assert load_saved(file).made_at == SAVED.made_at


def test_the_order_of_what_is_saved_does_not_count(file: Path) -> None:
    content = json.loads(file.read_text())
    file.write_text(json.dumps(dict(reversed(content.items()))))
    assert load_saved(file) == SAVED


def test_a_draft_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(GlmdeployError, match=r"cannot write .*: Permission denied"):
        save(tmp_path / "a.plan", SAVED)
    assert not list(tmp_path.iterdir())


def test_a_profile_is_no_plan(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("schema: 1\nname: mine\n")
    with pytest.raises(DeployError) as caught:
        load_saved(tmp_path / "mine.yaml")
    assert caught.value.message.endswith("it was not saved by `glmdeploy plan --out`")


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "x"):
        with pytest.raises(DeployError, match="cannot read"):
            load_saved(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_any_value_changed_never_ends_in_a_traceback(file: Path, data: st.DataObject) -> None:
    content = json.loads(file.read_text())
    key = data.draw(st.sampled_from(sorted(content)))
    other = content | {key: data.draw(st.none() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({}))}
    changed = file.with_name("b.plan")
    changed.write_text(json.dumps(other))
    try:
        load_saved(changed)
    except DeployError as error:
        assert str(changed) in error.message


def test_the_digest_is_of_the_text_as_it_is() -> None:
    text = '{"a": 1, "b": "\u00e9"}'
    assert digest({"b": "\u00e9", "sha256": "x", "a": 1}) == hashlib.sha256(text.encode()).hexdigest()
