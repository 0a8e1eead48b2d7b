"""What a change of a deployed app breaks for its clients."""

from __future__ import annotations

from typing import Any

import pytest

from glmdeploy.plan.diff import diff
from glmdeploy.plan.make import plan_of
from glmdeploy.plan.outage import outages
from glmdeploy.profile.text.load import load
from glmdeploy.report.outage import outage_text

SERVER = ("server.kind=server", "server.timeout=null", "server.max_inputs=null")


def data(*sets: str) -> dict[str, Any]:
    return plan_of(load("b200-eagle-bf16kv", sets=sets))[0].data()


@pytest.mark.parametrize(
    ("old", "new", "fields"),
    [
        ((), SERVER, ["kind"]),
        (SERVER, (), ["kind"]),
        (("server.label=glm",), SERVER, ["kind"]),
        ((), ("server.label=glm",), ["label"]),
        (("server.label=glm",), ("server.label=llm",), ["label"]),
        (
            ("server.custom_domains=[a.acme.com, b.acme.com]",),
            ("server.custom_domains=[b.acme.com]",),
            ["custom_domains"],
        ),
        ((), ("server.custom_domains=[a.acme.com]",), []),
        (("server.label=glm",), ("server.label=glm", "server.max_containers=1"), []),
        (("server.requires_proxy_auth=true",), ("server.requires_proxy_auth=true", "server.max_containers=1"), []),
        ((), ("server.requires_proxy_auth=true",), ["requires_proxy_auth"]),
        (("server.requires_proxy_auth=true",), (), []),
        ((), ("server.max_containers=1", "sglang.args.max-running-requests=32"), []),
        ((), (*SERVER, "app=another"), []),
        ((), (*SERVER, "environment=another"), []),
    ],
)
def test_outages(old: tuple[str, ...], new: tuple[str, ...], fields: list[str]) -> None:
    assert [outage.field for outage in outages(data(*old), data(*new))] == fields


def test_the_domains_that_are_lost_are_named() -> None:
    old = data("server.custom_domains=[a.acme.com, b.acme.com, c.acme.com]")
    [found] = outages(old, data("server.custom_domains=[b.acme.com, d.acme.com]"))
    assert found.text == "nothing answers at a.acme.com and c.acme.com any more"
    assert outages(old, data("server.custom_domains=[c.acme.com, b.acme.com, a.acme.com]")) == ()


def test_a_plan_of_before_there_were_kinds_is_a_web_function() -> None:
    old = data()
    del old["server"]["kind"]
    assert outages(old, data()) == ()
    assert [outage.field for outage in outages(old, data(*SERVER))] == ["kind"]


def test_the_way_around_is_told() -> None:
    text = "\n".join(outage_text(data(), data(*SERVER)))
    assert "Outage" in text
    assert "--set app=glm51-fp8-2" in text
    assert "modal app stop glm51-fp8" in text
    assert "a second app" in "\n".join(outage_text(data(), data(*SERVER, "app=glm51-fp8-2"))).lower()
    assert not list(outage_text(data(), data("server.max_containers=1")))


def test_further_volumes_and_secrets_differ_by_name() -> None:
    more = data(
        "volumes.further=[{name: adapters, mount: /a, read_only: true}]", "secrets.further=[{name: bucket, keys: [ID]}]"
    )
    assert [(change.section, change.name, change.old, change.new) for change in diff(data(), more)] == [
        ("secrets", "bucket.keys", None, ["ID"]),
        ("secrets", "bucket.name", None, "bucket"),
        ("volumes", "adapters.mount", None, "/a"),
        ("volumes", "adapters.name", None, "adapters"),
        ("volumes", "adapters.read_only", None, True),
    ]


def test_another_container_side_differs_by_the_beginning_of_its_digest() -> None:
    old = data()
    [change] = diff(old, {**old, "runtime": "0123456789abcdef"})
    assert (change.section, change.name, change.old, change.new) == (
        "glmdeploy",
        "container side",
        old["runtime"][:12],
        "0123456789ab",
    )
