"""``glmdeploy cost``: full hours, what Modal's own types tell of a bill, and the estimate beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import click
import pytest
from modal.types import BillingReportItem
from support import Shell, copied_cloud

from glmdeploy.local.state.store import Run, Store
from glmdeploy.operate.cost import AppCost, Cost, Estimate, by_app, stretch
from glmdeploy.operate.target import Target
from glmdeploy.report.cost import cost_data, cost_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

APP = "glm51-fp8"


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with copied_cloud(template, tmp_path_factory.mktemp("cloud")) as shell:
        store = Store(shell.home / "state.sqlite3")
        app = next(each for each in store.apps.all() if each.name == APP)
        store.runs.insert(eight_gpus_for_two_hours(app.id))
        store.close()
        shell.run("local", "start")
        yield shell


def eight_gpus_for_two_hours(app_id: str) -> Run:
    """What the embedded cloud has written down of a container that has ended."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0).timestamp()
    times = {"enqueued_at": hour - 3 * 3600, "started_at": hour - 3 * 3600, "ended_at": hour - 3600}
    return Run(id="ta-1", app_id=app_id, environment="main", function_id="fu-1", gpu="B200", gpus=8, **times)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "begin", "end", "resolution"),
    [
        ("2026-11-28T10:20", "2026-11-29T03:45", "2026-11-28T10:00", "2026-11-29T03:00", "h"),
        ("2026-11-29T02:00", "2026-11-29T03:00", "2026-11-29T02:00", "2026-11-29T03:00", "h"),
        ("2026-11-01T10:20", "2026-11-29T03:45", "2026-11-01T00:00", "2026-11-29T00:00", "d"),
    ],
)
def test_a_stretch_is_of_full_intervals(since: str, until: str, begin: str, end: str, resolution: str) -> None:
    found = stretch(at(since), at(until))
    assert found is not None
    assert (found.since, found.until, found.resolution) == (at(begin), at(end), resolution)


def test_there_may_be_no_full_hour() -> None:
    assert stretch(at("2026-11-29T03:05"), at("2026-11-29T03:45")) is None


def item(app: str, environment: str, cost: str, **resources: str) -> BillingReportItem:
    return BillingReportItem(
        object_id="ap-1",
        description=app,
        environment_name=environment,
        interval_start=at("2026-11-29T00:00"),
        cost=Decimal(cost),
        cost_by_resource={name: Decimal(each) for name, each in resources.items()},
        tags={},
    )


def test_a_report_by_app_and_resource() -> None:
    items = [
        item(APP, "main", "60.50", **{"GPU B200": "60", "CPU": "0.25"}),
        item(APP, "main", "50", **{"GPU B200": "49.5", "Memory": "0.5"}),
        item("other", "main", "1"),
        item(APP, "staging", "1000"),
    ]
    found = by_app(items, "main")
    assert next(iter(found[APP].items())) == ("GPU B200", Decimal("109.5"))
    assert dict(found[APP]) == {
        "GPU B200": Decimal("109.5"),
        "Memory": Decimal("0.5"),
        "CPU": Decimal("0.25"),
        "other": Decimal("0.25"),
    }
    assert found["other"] == {"other": Decimal(1)}
    assert by_app(items, None)[APP]["other"] == Decimal("1000.25")


def test_the_bill_beside_the_estimate(snapshot: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    when = stretch(at("2026-11-28T00:00"), at("2026-11-29T00:00"))
    assert when is not None
    estimate = Estimate(
        hourly=50.0, gpu="B200:8", running=1, ran=1.5, least=1.5, most=72.0, source="a page", multiplier=1.5
    )
    billed = {"GPU B200": Decimal("109.50"), "CPU": Decimal("0.75")}
    apps = (AppCost(app=APP, billed=billed, estimate=estimate), AppCost(app="other", billed={"CPU": Decimal(1)}))
    told = Cost(stretch=when, apps=apps, refusal=None)
    target = Target(name="modal", environment="main")
    snapshot("cost-billed", click.unstyle(cost_text(told, target)) + "\n")
    data = cost_data(told, target)
    assert data["billed"] == 111.25
    assert data["apps"][0]["estimate"]["most"] == 3600.0


def test_an_app_of_the_embedded_cloud(shell: Shell) -> None:
    data = shell.json("cost", APP, "--target", "local", "--since", "2d")
    [app] = data["apps"]
    assert (app["billed"], app["resources"]) == (16.0, {"B200": 16.0}), "a dollar for each GPU and hour"
    assert data["refusal"] is None
    assert app["estimate"]["gpu"] == "B200:8"
    assert app["estimate"]["least_hours"] == 0
    assert app["estimate"]["most_hours"] >= 0
    assert [each["app"] for each in shell.json("cost", "--target", "local")["apps"]] == [APP]
    assert "no app nope is deployed" in shell.run("cost", "nope", "--target", "local", code=1).stderr
    assert "$16.00" in shell.run("cost", APP, "--target", "local", "--since", "2d").stdout
    assert "must be before" in shell.run("cost", "--target", "local", "--since", "1d", "--until", "2d", code=2).stderr


def test_a_plan_that_does_not_tell_what_was_billed(shell: Shell) -> None:
    shell.stop()
    cheap = Shell(shell.home, {"GLMDEPLOY_LOCAL_PLAN": "starter"})
    cheap.run("local", "start")
    data = cheap.json("cost", APP, "--target", "local")
    assert data["billed"] is None
    assert "not part of this workspace's plan" in data["refusal"]
    assert data["apps"][0]["estimate"]["gpu"] == "B200:8"
    text = cheap.run("cost", "--target", "local").stdout
    assert "Modal does not tell what it billed, only an estimate is shown: billing reports are not part" in text
