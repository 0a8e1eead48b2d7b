"""The rendered script is valid Python that holds exactly the plan's values, whatever characters they have."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
import types
from typing import TYPE_CHECKING, Any

import modal
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.app.script import literal, render
from glmdeploy.plan.make import plan_of
from glmdeploy.plan.plan import Plan, app_tags
from glmdeploy.profile.text.load import load

if TYPE_CHECKING:
    from pathlib import Path

PLAN = plan_of(load("b200-eagle-bf16kv"))[0]
NAMES = (f"rendered_{number}" for number in itertools.count())


def imported(script: str) -> types.ModuleType:
    """Import the script with the real modal SDK, which contacts nobody before a deployment."""
    module = types.ModuleType(next(NAMES))
    sys.modules[module.__name__] = module
    exec(compile(script, "deploy.py", "exec"), module.__dict__)
    return module


def with_texts(text: str, line: str) -> Plan:
    """The plan with ``text`` in every place that takes any text, and ``line`` where one line is needed."""
    server = dataclasses.replace(
        PLAN.server,
        command=(*PLAN.server.command, "--chat-template", text, f"--x={text}"),
        env={"VALUE": line},
        image=dataclasses.replace(PLAN.server.image, env={"VALUE": line}),
    )
    assert PLAN.compile is not None
    return dataclasses.replace(
        PLAN,
        server=server,
        model=dataclasses.replace(PLAN.model, served_name=line),
        compile=dataclasses.replace(PLAN.compile, command=(*PLAN.compile.command, text)),
        download=dataclasses.replace(
            PLAN.download, image=dataclasses.replace(PLAN.download.image, env={"VALUE": line})
        ),
    )


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=st.text(st.characters(blacklist_categories=("Cs",))),
    line=st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp"))),
)
@example(text="'''\"\"\"\\{{ }}{% raw %}${x}\n\r\t\0", line="\"'\\{{ 1 }}{# #} $(x) `x`")
def test_every_text_survives(text: str, line: str) -> None:
    plan = with_texts(text, line)
    module = imported(render(plan))
    assert plan.data() == module.PLAN
    assert module.describe.local() == plan.data()
    assert module.app._local_state.tags == app_tags(plan)


@given(
    value=st.recursive(
        st.text() | st.integers() | st.booleans() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_literal(value: Any) -> None:
    text = literal(value)
    assert eval(text) == value


@pytest.mark.parametrize(
    "sets",
    [
        ("compile=null", "volumes.kernels=null", "sglang.env.SGLANG_DG_CACHE_DIR=null"),
        ("secrets=null", "server.public=true"),
        ("keepalive.enabled=true", "keepalive.url=https://example.org"),
        ("download.cpu=4", "download.memory=8192", "server.cpu=8.5", "server.memory=65536"),
        ("compile=null", "download.env=null", "sglang.env=null", "server.env=null"),
    ],
)
def test_every_optional_part(sets: tuple[str, ...], tmp_path: Path) -> None:
    plan = plan_of(load("b200-eagle-bf16kv", sets=sets))[0]
    module = imported(render(plan))
    assert isinstance(module.compile_deepgemm, modal.Function) == (plan.compile is not None)
    assert isinstance(module.keep_warm, modal.Function) == (plan.keepalive is not None)


def test_script_is_clean_and_needs_no_glmdeploy(tmp_path: Path) -> None:
    script = tmp_path / "deploy.py"
    script.write_text(render(PLAN), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E9,F", str(script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "import glmdeploy" not in script.read_text()
    assert "from glmdeploy" not in script.read_text()
