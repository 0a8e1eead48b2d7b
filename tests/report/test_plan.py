"""The screens of ``plan``: something new, a change, drift first, nothing; in 80 and 120 columns, and as Markdown."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from variations import COMMIT, SETS, variation

from glmdeploy.local.cloud import Cloud
from glmdeploy.local.engine import Engine
from glmdeploy.operate.deployed import Deployed
from glmdeploy.operate.drift import Drift
from glmdeploy.operate.history import History, Version, deployment_tag
from glmdeploy.operate.live import Needed
from glmdeploy.operate.preview import LiveChange, Preview
from glmdeploy.operate.secrets import MissingSecret
from glmdeploy.operate.target import Target
from glmdeploy.plan.autoscaler import deployment_digest
from glmdeploy.plan.diff import diff
from glmdeploy.plan.impact import Impact, impact
from glmdeploy.plan.make import plan_of
from glmdeploy.plan.price import estimate
from glmdeploy.profile.text.load import load
from glmdeploy.report.plan import preview_text
from glmdeploy.report.plan_data import preview_data
from glmdeploy.report.plan_markdown import preview_markdown
from glmdeploy.report.plan_rows import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.plan.plan import Plan

YEAR = datetime.now(UTC).year
SINCE, EARLIER = datetime(YEAR, 11, 26, 14, 2, tzinfo=UTC), datetime(YEAR, 11, 25, 9, 14, tzinfo=UTC)
MODAL = Target(name="modal", environment="main")
NOTHING = Needed(download=False, compile=())
ALL = Needed(download=True, compile=("B200:8",))
MANY = (
    *("sglang.args.max-running-requests=40", "server.scaledown_window=30m", "server.max_containers=5"),
    *("sglang.args.tp=4", "sglang.image=registry.example.com/a-rather-long-name/of-an-image:with-a-tag-that-is-long"),
    *("server.region=[us-west, eu]", "tags.team=a", "secrets.huggingface=null"),
)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def runs(plan: Plan, number: int = 7) -> Deployed:
    version = Version(number=number, at=SINCE, by="ops@example.com", tag=deployment_tag(plan))
    history = History(app_id="ap-1", production=number, versions=(version,))
    return Deployed(app=plan.app, history=history, version=version, origin=version, data=plan.data(), plan=plan)


def of_hosts(*sets: str) -> Plan:
    return plan_of(load("h200-two-hosts-bf16", sets=(f"model.revision='{COMMIT}'", *sets)))[0]


def seen(plan: Plan, old: Plan | None = None, **more: Any) -> Preview:
    """A preview of a plan, where another one runs or none does."""
    before = old.data() if old else None
    differs = old is None or deployment_digest(old.data()) != deployment_digest(plan.data())
    values: dict[str, Any] = {
        "now": runs(old) if old else None,
        "before": before,
        "changes": diff(before or {}, plan.data()),
        "changed": differs or any(each.repair == "deploy" for each in more.get("drift", ())),
        "need": NOTHING if old else ALL,
        "because": impact(before, plan.data()) if before else Impact(),
        "missing": (),
        "engine": None,
    }
    return Preview(plan=plan, **{"target": MODAL, **values, **more})


OVERRIDE = Drift(
    kind="autoscaler", name="max_containers", found=5, expected=3, by="ops@example.com", at=EARLIER, repair="live"
)
EVERY_DRIFT = (
    Drift(kind="code", name="glm51-fp8", found=8, expected=7, by="ci@example.com", at=EARLIER),
    Drift(kind="rollback", name="glm51-fp8", found=9, expected=8, by=None, at=None),
    Drift(kind="image", name="glm51-fp8", found="im-2", expected="im-1"),
    Drift(kind="volume", name="glm51-model-weights", found=None, expected="vo-1"),
    Drift(kind="volume", name="glm51-deepgemm-cache", found="vo-2", expected="vo-3"),
    Drift(kind="secret", name="glm51-api-key", found="st-1", expected=None),
    OVERRIDE,
    Drift(kind="autoscaler", name="scaleup_window", found=30, expected=None, repair="nothing"),
)
LIVE = (LiveChange(field="max_containers", now=5, wanted=3, by="ops@example.com", at=EARLIER),)
SERVER = ("server.kind=server", "server.timeout=null", "server.max_inputs=null", "server.max_concurrency=20")

MISSING = (MissingSecret(secret=variation().api_key or pytest.fail("no key"), absent=True),)

HERE = Target(
    name="local",
    environment=None,
    cloud=Cloud(
        pid=1,
        home=Path("home"),
        engines=Path("engines"),
        server_url="",
        gateway_url="",
        hub_url="http://hub",
        token_id="",
        token_secret="",
        started_at=0,
    ),
)

SCREENS: dict[str, Callable[[], Preview]] = {
    "new": lambda: seen(variation()),
    "new_there": lambda: seen(
        variation("compile=null", "server.max_containers=null", "server.min_containers=1", "server.region=us-west"),
        need=NOTHING,
    ),
    "stopped": lambda: seen(
        variation(), drift=(Drift(kind="stopped", name="glm51-fp8", found=None, expected=7, by="ops", at=SINCE),)
    ),
    "change": lambda: seen(
        variation("sglang.args.max-running-requests=40", "server.scaledown_window=30m"),
        variation(),
        running=1,
        live=(LiveChange(field="scaledown_window", now=900, wanted=1800),),
    ),
    "many": lambda: seen(variation(*MANY), variation(), need=Needed(download=False, compile=("B200:8",))),
    "live": lambda: seen(
        variation("server.max_containers=5"),
        variation(),
        live=(LiveChange(field="max_containers", now=3, wanted=5),),
    ),
    "drift": lambda: seen(
        variation(),
        variation(),
        before=variation("server.max_containers=5").data(),
        drift=(OVERRIDE,),
        live=LIVE,
        changes=diff(variation("server.max_containers=5").data(), variation().data()),
    ),
    "every_drift": lambda: seen(variation(), variation(), drift=EVERY_DRIFT, need=ALL, running=2),
    "none": lambda: seen(variation(), variation()),
    "lost": lambda: seen(variation(), variation(), need=ALL),
    "forced": lambda: seen(variation(), variation(), changed=True, forced=True),
    "cluster": lambda: seen(
        of_hosts("cluster.nodes=4", "sglang.args.tp=32"),
        of_hosts(),
        running=2,
    ),
    "outage": lambda: seen(variation(*SERVER), variation()),
    "unknown": lambda: seen(variation("model.repo=moonshotai/Kimi-K9")),
    "local": lambda: seen(
        variation(),
        target=Target(name="local", environment=None),
        engine=Engine(python=None, why="the profile is for a GPU, and there is none here"),
        missing=MISSING,
    ),
    "made": lambda: seen(
        variation(),
        target=HERE,
        engine=Engine(python=None, why="the profile is for a GPU, and there is none here"),
        missing=MISSING,
        make_secrets=True,
    ),
}


def text(preview: Preview, width: int = 100_000, *, everything: bool = False) -> str:
    data = preview_data(preview, estimate(preview.plan))
    return "\n".join(preview_text(data, preview.plan, width, everything=everything))


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", SCREENS)
def test_screens(name: str, width: int, snapshot: Callable[[str, str], None]) -> None:
    import click

    shown = click.unstyle(text(SCREENS[name](), width))
    assert max(map(len, shown.splitlines())) <= width
    assert len(shown.splitlines()) <= 40
    snapshot(f"plan_{name}_{width}", shown + "\n")


@pytest.mark.parametrize("name", ["new", "change", "every_drift", "outage"])
def test_markdown(name: str, snapshot: Callable[[str, str], None]) -> None:
    preview = SCREENS[name]()
    snapshot(
        f"plan_{name}_markdown", preview_markdown(preview_data(preview, estimate(preview.plan)), preview.plan) + "\n"
    )


def test_all_of_it() -> None:
    shown = text(SCREENS["change"](), everything=True)
    for words in ("48 → 40", "mem-fraction-static", "/model-cache", "startup_timeout"):
        assert words in shown
    assert "startup_timeout" in text(SCREENS["new"](), everything=True)


@given(old=st.sets(st.sampled_from(SETS), max_size=5), new=st.sets(st.sampled_from(SETS), max_size=5))
def test_any_change_has_a_screen(old: set[str], new: set[str]) -> None:
    import click

    before, after = variation(*sorted(old)), variation(*sorted(new))
    preview = seen(after, before)
    for width in (60, 80, 120):
        shown = click.unstyle(text(preview, width))
        assert "Plan: " in shown or "No changes." in shown
    whole = click.unstyle(text(preview, everything=True))
    for change in preview.changes:
        if change.section != "compile command":
            assert place(change.section, change.name)[1] in whole, change
    preview_markdown(preview_data(preview, None), after)
    text(replace(preview, now=None, before=None))
