"""``show``: a saved plan without credentials, and files that are none, or damaged: never a traceback."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Shell
from variations import variation

from glmdeploy import cli
from glmdeploy.operate.live import Needed
from glmdeploy.operate.preview import Preview
from glmdeploy.operate.saved import saved
from glmdeploy.operate.target import Target
from glmdeploy.plan.diff import diff
from glmdeploy.plan.impact import Impact
from glmdeploy.plan.price import estimate
from glmdeploy.plan.saved import save
from glmdeploy.report.plan_data import preview_data

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    plan = variation()
    found = Preview(
        plan=plan,
        target=Target(name="modal", environment="main"),
        now=None,
        before=None,
        changes=diff({}, plan.data()),
        changed=True,
        need=Needed(download=True, compile=("B200:8",)),
        because=Impact(),
        missing=(),
        engine=None,
    )
    save(tmp_path / "a.plan", saved(found, preview_data(found, estimate(plan))))
    return tmp_path / "a.plan"


def test_without_credentials(file: Path, tmp_path: Path) -> None:
    done = Shell(tmp_path / "home").run("show", str(file))
    assert "glm51-fp8 on Modal (main): not deployed yet" in done.stdout
    assert "Plan: 1 to create; about 1 h 9 min and $22 to the first answer." in done.stdout
    assert done.stderr == "warning: not compared with what runs now: there are no Modal credentials on this machine\n"
    assert not (tmp_path / "home").exists()


def test_offline(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(("show", str(file), "--offline", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["saved"]["stale"] is None
    assert datetime.fromisoformat(told["saved"]["made_at"]) <= datetime.now(UTC)
    assert cli.run(("show", str(file), "--offline", "--markdown")) == 0
    assert capsys.readouterr().out.startswith("### glm51-fp8 on Modal (main): not deployed yet\n")
    assert cli.run(("show", str(file), "--json", "--markdown")) == 2


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, item in inner for each in paths(item, (*path, key)))]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_an_error(file: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject) -> None:
    content = json.loads(file.read_text())
    place = data.draw(st.sampled_from(paths(content["shown"])))
    value = data.draw(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({}) | st.just([{}])
    )
    if place:
        inner = content["shown"]
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
    else:
        content["shown"] = value
    damaged = file.with_name("b.plan")
    damaged.write_text(json.dumps(content))
    code = cli.run(("show", str(damaged), "--offline", "--all"))
    said = capsys.readouterr()
    assert "has a bug" not in said.err, said.err
    assert code in (0, 1)
