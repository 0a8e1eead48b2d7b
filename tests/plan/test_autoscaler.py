"""Which values of a plan can be changed while its containers run, and what is left of it without them."""

from __future__ import annotations

import pytest
from variations import variation

from glmdeploy.plan.autoscaler import FIELDS, OF_A_SERVER, deployment_digest, fields, wanted, without

SERVER = ("server.kind=server", "server.timeout=null", "server.max_inputs=null", "server.target_concurrency=8")


@pytest.mark.parametrize(("sets", "names"), [((), FIELDS), (SERVER, OF_A_SERVER)])
def test_a_plan_without_them_is_the_rest_of_it(sets: tuple[str, ...], names: tuple[str, ...]) -> None:
    data = variation(*sets, "server.max_containers=3").data()
    rest = without(data)
    assert fields(data) == names
    assert "max_containers" in data["server"]
    assert rest["server"] == {name: value for name, value in data["server"].items() if name not in names}
    assert {**rest, "server": data["server"]} == data


def test_what_is_wanted_of_each_is_what_the_plan_says() -> None:
    data = variation("server.max_containers=3").data()
    found = wanted(data)
    assert found.keys() == set(FIELDS)
    assert found["max_containers"] == 3
    assert {name for name, value in found.items() if value is None} == set(FIELDS) - data["server"].keys()


def test_only_they_leave_the_digest_of_a_deployment_alone() -> None:
    one, two, three = (
        deployment_digest(variation(each).data())
        for each in ("server.max_containers=3", "server.max_containers=4", "server.max_inputs=3")
    )
    assert one == two != three
