"""Every value that can differ has a class, and what it costs follows from the profile, its GPU and its region."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from variations import SETS, variation

from glmdeploy.gpus import PRICES
from glmdeploy.plan import autoscaler
from glmdeploy.plan.diff import diff, flat
from glmdeploy.plan.impact import Impact, impact
from glmdeploy.plan.price import Cost, costs, estimate
from glmdeploy.sizing import timeline
from glmdeploy.sizing.cost import BROAD, NARROW, region_multiplier
from glmdeploy.sizing.model import known


def classes(*sets: str, old: tuple[str, ...] = ()) -> dict[str, str]:
    """What each value of a change brings about, as one text a value."""
    before, after = variation(*old).data(), variation(*sets).data()
    found = costs(diff(before, after), before, after, impact(before, after))
    return {f"{section} {name}": ", ".join(each) for (section, name), each in found.items()}


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (("server.max_containers=5",), {"server max_containers": "live"}),
        (("server.buffer_containers=1",), {"server buffer_containers": "live"}),
        (("server.scaledown_window=30m",), {"server scaledown_window": "live"}),
        (("server.max_inputs=8",), {"server max_inputs": "new containers"}),
        (
            ("sglang.args.max-running-requests=40",),
            {
                "sglang --max-running-requests": "new containers",
                "compile command --max-running-requests": "new containers",
            },
        ),
        (("sglang.args.tp=4",), {"sglang --tp-size": "new containers, kernel compile"}),
        (("sglang.image=a/b:c",), {"server image.registry": "new containers, image build, kernel compile"}),
        (
            ("sglang.version=0.5.12.post1", "sglang.image=lmsysorg/sglang:v0.5.12.post1-cu130"),
            {
                "app sglang": "new containers, kernel compile",
                "server image.registry": "new containers, image build, kernel compile",
            },
        ),
        (("sglang.env.SOMETHING=1",), {"server image.env.SOMETHING": "new containers, image build, kernel compile"}),
        (("download=null",), {"download image.env.HF_XET_HIGH_PERFORMANCE": "new containers, image build"}),
        (("server.env.SOMETHING=1",), {"server env.SOMETHING": "new containers, kernel compile"}),
        (("model.repo=zai-org/GLM-5-FP8",), {"model repo": "new containers, download, kernel compile"}),
        (("volumes.weights.name=other",), {"weights name": "new containers, download"}),
        (("volumes.kernels.name=other",), {"kernels name": "new containers, kernel compile"}),
        (("gpu=H200:8",), {"app gpu": "new containers, kernel compile"}),
        (("tags.team=a",), {"tags team": "new containers"}),
        (("keepalive.schedule='5 * * * *'", "keepalive.enabled=true"), {"keepalive schedule": "new containers"}),
        (("server.label=other",), {"server label": "new containers, outage"}),
    ],
)
def test_what_a_change_brings_about(sets: tuple[str, ...], expected: dict[str, str]) -> None:
    found = classes(*sets)
    assert {name: found[name] for name in expected} == expected


SERVER = ("server.kind=server", "server.timeout=null", "server.max_inputs=null", "server.max_concurrency=20")


def test_of_a_server_more_is_live() -> None:
    new = (*SERVER, "server.target_concurrency=8", "server.scaleup_window=30s")
    assert classes(*new, old=SERVER) == {"server target_concurrency": "live", "server scaleup_window": "live"}


def test_another_kind_is_an_outage_and_nothing_of_it_is_live() -> None:
    found = classes(*SERVER, "server.max_containers=5")
    assert found["server kind"] == "new containers, outage"
    assert found["server max_containers"] == "new containers"


def test_what_lies_in_the_volumes_costs_nothing_again() -> None:
    before, after = variation().data(), variation("sglang.args.tp=4").data()
    found = costs(diff(before, after), before, after, Impact())
    assert found["sglang", "--tp-size"] == (Cost.CONTAINERS,)


@given(old=st.sets(st.sampled_from(SETS), max_size=6), new=st.sets(st.sampled_from(SETS), max_size=6))
def test_every_change_has_a_class_and_only_the_autoscaler_is_live(old: set[str], new: set[str]) -> None:
    before, after = variation(*sorted(old)).data(), variation(*sorted(new)).data()
    changes = diff(before, after)
    found = costs(changes, before, after, impact(before, after))
    assert found.keys() == {(each.section, each.name) for each in changes}
    live = {name for (_, name), some in found.items() if some == (Cost.LIVE,)}
    assert live <= set(autoscaler.fields(after))
    assert all(some == (Cost.LIVE,) or some[0] is Cost.CONTAINERS for some in found.values())
    # Where all are live, no deployment is needed, and the other way round.
    needs = autoscaler.deployment_digest(before) != autoscaler.deployment_digest(after)
    assert needs or live == {name for _, name in found}


@given(sets=st.sets(st.sampled_from(SETS), max_size=6))
def test_every_leaf_of_a_new_plan_has_a_class(sets: set[str]) -> None:
    data = variation(*sorted(sets)).data()
    found = costs(diff({}, data), {}, data, Impact())
    assert {place for place, value in flat(data).items() if value is not None} == found.keys()
    assert all(found.values())


@pytest.mark.parametrize(
    ("regions", "factor"),
    [(None, 1.0), ("us", BROAD), ("us-west", NARROW), (("us", "eu-west"), NARROW), (["eu", "us"], BROAD)],
)
def test_a_region_multiplies_the_price(regions: Any, factor: float) -> None:
    assert region_multiplier(regions) == factor


def test_an_estimate_of_known_dimensions() -> None:
    found = estimate(variation())
    assert found.hourly == pytest.approx(8 * PRICES["B200"].dollars)
    assert found.unknown == ()
    assert found.weights == 756_162_108_384
    assert found.cold_start is not None
    assert found.dollars(found.cold_start) == pytest.approx(found.hourly * found.cold_start / 3600)
    dearer = estimate(variation("server.region=us-west"))
    assert dearer.hourly == pytest.approx(found.hourly * NARROW)
    assert estimate(variation(*SERVER, "server.region=us-west")).hourly == dearer.hourly


def test_an_estimate_has_the_times_of_the_timeline() -> None:
    found, model = estimate(variation()), known("zai-org/GLM-5.1-FP8")
    assert model is not None
    once = {step.name: step.seconds for step in timeline.before_the_first(model, compiles=True)}
    assert (found.download, found.compile) == (once["download"], once["compile"])
    assert min(once["download"], once["compile"]) > 0


def test_kernels_are_compiled_on_gpus_alone() -> None:
    """Without a stage, a start on another device compiles none (timeline.cold_start)."""
    on_gpus, elsewhere = (
        estimate(variation("compile=null")),
        estimate(variation("compile=null", "sglang.args.device=cpu")),
    )
    assert on_gpus.cold_start is not None
    assert elsewhere.cold_start is not None
    assert elsewhere.cold_start < on_gpus.cold_start


def test_without_a_stage_that_compiles_the_start_does() -> None:
    with_stage, without = estimate(variation()), estimate(variation("compile=null"))
    assert without.compile == 0
    assert with_stage.cold_start is not None
    assert without.cold_start is not None
    assert without.cold_start > with_stage.cold_start
    quickly = estimate(variation("compile=null", "server.env.SGLANG_JIT_DEEPGEMM_PRECOMPILE=0"))
    assert quickly.cold_start == with_stage.cold_start


def test_what_is_not_known_is_said() -> None:
    found = estimate(variation("model.repo=moonshotai/Kimi-K9"), prices={})
    assert (found.hourly, found.cold_start, found.download, found.weights) == (None, None, None, None)
    assert found.unknown == (
        "no dimensions of moonshotai/Kimi-K9 ship with glmdeploy: how long it takes is not known",
        "the price of B200 is not known",
    )
    assert found.dollars(60) is None
